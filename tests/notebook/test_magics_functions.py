"""Functions in a real kernel: what ``%serve`` makes of them, how they follow their names, and what the card says."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable

import pytest

from tests.live_jupyter import JupyterServer, Kernel, Output
from tests.notebook.conftest import Post

Run = Callable[[str], Output]
Get = Callable[[str], object]


def card_of(output: Output) -> str:
    """The card that the cell has shown."""
    return str(output.displays[0]["data"]["text/plain"])


def now(run: Run, name: str) -> str:
    """The card of that service as it is now."""
    return run(f"print(portico.service({name!r})._repr_mimebundle_()['text/plain'])").text


def tools(jupyter_server: JupyterServer, name: str) -> tuple[list[str], str]:
    """What the hub knows of the service's tools: their names, and the digest."""
    shown = jupyter_server.api("GET", f"portico/api/services/{name}")
    return shown["tools"], shown["tools_digest"]


PREDICT = '''
from typing import Literal

def predict(area: float, rooms: int = 2, city: Literal["Bern", "Basel"] = "Bern") -> float:
    """Price of a flat.

    Args:
        area: square metres
    """
    return area * rooms
'''


def test_a_function_is_served_with_one_word(run: Run, post: Post, get: Get, jupyter_server: JupyterServer) -> None:
    card = card_of(run(f"{PREDICT}\n%serve predict"))
    assert "function predict" in card
    assert "/portico/apps/predict/ (a page with a form)" in card
    assert "/portico/apps/predict/docs" in card
    assert "claude mcp add --transport http predict http" in card
    assert post("predict/run", {"area": 70}) == (200, {"result": 140.0})
    assert post("predict/predict/run", {"area": 70, "rooms": 3}) == (200, {"result": 210.0})
    status, refused = post("predict/run", {"area": "large", "city": "Rome"})
    assert (status, [one["loc"] for one in refused["detail"]]) == (422, [["body", "area"], ["body", "city"]])
    described = get("predict/openapi.json")
    assert isinstance(described, dict)
    assert "square metres" in json.dumps(described)
    assert tools(jupyter_server, "predict")[0] == ["predict"]


def test_what_the_card_says_to_paste_works(run: Run, notebook: Kernel) -> None:
    run("def pasted(area: float, name: str, tags: list[int] = []) -> float: return area * 2\n%serve pasted")
    command = next(line.strip() for line in now(run, "pasted").splitlines() if line.strip().startswith("curl "))
    key = run("print(portico.service('pasted').key())").text.strip()
    words = [word.replace("$PORTICO_KEY", key) for word in shlex.split(command)]
    done = subprocess.run([*words, "-s"], capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(done.stdout) == {"result": 2.0}


def test_a_function_defined_anew_is_the_one_that_runs(run: Run, post: Post, jupyter_server: JupyterServer) -> None:
    run("def changes(area: float) -> float: return area\n%serve changes")
    _, before = tools(jupyter_server, "changes")
    app = run("print(id(portico.service('changes').app))").text
    output = run("def changes(area: float, rooms: int) -> float: return area * rooms")
    assert "answers with the new changes" in output.text
    assert post("changes/run", {"area": 2})[0] == 422
    assert post("changes/run", {"area": 2, "rooms": 5}) == (200, {"result": 10.0})
    names, after = tools(jupyter_server, "changes")
    assert (names, after != before) == (["changes"], True)
    assert run("print(id(portico.service('changes').app))").text == app, "sessions and listeners of agents go on"


def test_each_function_of_a_list_follows_its_name(run: Run, post: Post, jupyter_server: JupyterServer) -> None:
    run("def one(a: int) -> int: return a\ndef two(a: int) -> int: return -a\n%serve [one, two] --name pair-of")
    assert "Price" not in now(run, "pair-of")
    assert post("pair-of/two/run", {"a": 1}) == (200, {"result": -1})
    assert run("1 + 1").text == "", "a list that is made anew of the same functions is no change"
    assert "answers with the new [one, two]" in run("def two(b: int) -> int: return b * 100").text
    assert post("pair-of/two/run", {"b": 1}) == (200, {"result": 100})
    assert post("pair-of/one/run", {"a": 1}) == (200, {"result": 1})
    assert post("pair-of/run", {"a": 1})[0] == 404
    run("%serve {'uno': one, 'due': two} --name pair-of")
    assert post("pair-of/due/run", {"b": 1}) == (200, {"result": 100})
    assert sorted(tools(jupyter_server, "pair-of")[0]) == ["due", "uno"]
    run("def one(a: int) -> int: return a + 7")
    assert post("pair-of/uno/run", {"a": 1}) == (200, {"result": 8})


def test_methods_follow_their_object_and_are_not_served_anew_for_nothing(run: Run, post: Post) -> None:
    run(
        "class Flats:\n"
        "    def __init__(self, rate): self.rate = rate\n"
        "    def predict(self, area: float) -> float: return area * self.rate\n"
        "    def fit(self, data): ...\n"
        "flats = Flats(2)\n"
        "%serve [flats.predict] --name methods"
    )
    assert run("1 + 1").text == "", "a method is another object at each look"
    run("flats.rate = 3")
    assert post("methods/run", {"area": 2}) == (200, {"result": 6.0})
    assert "answers with the new" in run("flats = Flats(4)").text
    assert post("methods/run", {"area": 2}) == (200, {"result": 8.0})
    card = card_of(run("%serve Flats(5)"))
    assert "/portico/apps/flats/" in card
    assert "Not served: Flats.fit. It says no types" in card
    assert post("flats/run", {"area": 2}) == (200, {"result": 10.0})


def test_a_class_is_served_by_an_object_of_it_and_follows_its_definition(run: Run, post: Post) -> None:
    source = "class Rates:\n    def price(self, area: float) -> float: return area * {rate}\n"
    run(source.format(rate=2) + "%serve Rates")
    assert post("rates/run", {"area": 1}) == (200, {"result": 2.0})
    run(source.format(rate=3))
    assert post("rates/run", {"area": 1}) == (200, {"result": 3.0})
    failed = run(
        "class Rates:\n    def __init__(self): raise LookupError('no file')\n    def price(self, area: float): ..."
    ).text
    assert "LookupError: no file" in failed
    assert post("rates/run", {"area": 1}) == (200, {"result": 3.0})


def test_a_function_that_cannot_be_read_keeps_the_old_one_and_the_card_says_why(run: Run, post: Post) -> None:
    run("def kept(area: float) -> float: return area\n%serve kept")
    output = run("import sqlite3\ndef kept(area: float, db: sqlite3.Connection) -> float: return 0.0")
    why = "new kept does not start, the one before stays live: The parameter 'db' of kept is annotated with sqlite3"
    assert why in output.text
    assert why in now(run, "kept")
    assert post("kept/run", {"area": 2}) == (200, {"result": 2.0})
    assert run("1 + 1").text == "", "the same one is not tried again"
    run("def kept(area: float) -> float: return area * 2")
    assert "does not start" not in now(run, "kept")
    assert post("kept/run", {"area": 2}) == (200, {"result": 4.0})


def test_a_list_that_is_mixed_now_keeps_what_was_served(run: Run, post: Post) -> None:
    run("def first(a: int) -> int: return a\ndef second(a: int) -> int: return a\n%serve [first, second]")
    assert "second is a chat model" in run("def second(messages): return 'x'").text
    assert post("first/second/run", {"a": 1}) == (200, {"result": 1})


def test_what_is_a_function_now_and_was_a_chat_model(run: Run, post: Post, get: Get) -> None:
    card = card_of(run("def either(messages): return 'x'\n%serve either"))
    assert "either has the parameter messages, so it is served as a chat model" in card
    assert "@portico.tool" in card
    assert isinstance(get("either/v1/models"), dict)
    run("def either(area: float) -> float: return area")
    assert post("either/run", {"area": 2}) == (200, {"result": 2.0})
    assert "function either" in now(run, "either")
    assert "chat model" not in now(run, "either")
    run("@portico.tool\ndef either(messages: list[str]) -> int: return len(messages)")
    assert post("either/run", {"messages": ["a", "b"]}) == (200, {"result": 2})


def test_a_function_by_portico_serve(run: Run, post: Post) -> None:
    run("def my_func(a: int) -> int: return a\nportico.serve(my_func)\nportico.serve([my_func], 'other-name')")
    assert post("my-func/run", {"a": 1}) == (200, {"result": 1})
    assert post("other-name/run", {"a": 1}) == (200, {"result": 1})


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("%serve max", "max does not tell what its parameters are"),
        ("def run(a: int): ...\n%serve run", "'run' cannot be a function's name"),
        ("def f(a: int): ...\ndef g(messages): ...\n%serve [f, g]", "f is a function, and g is a chat model"),
        ("def f(a: int): ...\n%serve [f, 42]", "42 (of type int) is no function"),
        ("import io\ndef f(a: io.RawIOBase): ...\n%serve f", "The parameter 'a' of f is annotated with io.RawIOBase"),
        (
            "class Needs:\n    def __init__(self, m): ...\n    def f(self) -> int: ...\n%serve Needs",
            "%serve Needs(...)",
        ),
        ("class Plain:\n    def f(self, a): ...\n%serve Plain()", "Not served: Plain.f. It says no types"),
        ("import pathlib\n%serve pathlib.Path('x')", "comes from an installed package"),
    ],
)
def test_an_error_says_what_to_do_and_has_no_traceback(notebook: Kernel, cell: str, says: str) -> None:
    output = notebook.execute(cell)
    assert output.error is not None
    assert output.error[0] == "ServeError"
    assert says in output.error[1]
    assert 'File "' not in output.error[2]
    assert "pydantic_core" not in output.error[1]


def test_an_exception_is_in_the_card_and_not_in_the_answer(run: Run, post: Post) -> None:
    run("def fails(a: int) -> float: return 1 / a\n%serve fails")
    status, told = post("fails/run", {"a": 0})
    assert (status, told["detail"]) == (500, "ZeroDivisionError: division by zero")
    assert "ZeroDivisionError" in now(run, "fails")
    assert "in fails" in now(run, "fails")
