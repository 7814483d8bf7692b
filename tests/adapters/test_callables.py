"""What a bare callable is. The table of docs/how-to/functions.md is walked, row by row."""

from __future__ import annotations

import asyncio
import functools
import math
import re
import sys
import types
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import flask
import httpx
import numpy
import pydantic
import pytest
from fastapi import FastAPI
from langchain_core.tools import BaseTool
from langchain_core.tools import Tool as LangchainTool
from langchain_core.tools import tool as langchain_tool
from pydantic_ai import Tool as PydanticTool

import portico
from portico.adapters import TakeOptions
from portico.adapters.take import take
from portico.card.state import CallState
from portico.errors import NotServable, PorticoError, StartupFailed
from portico.models import ChatServer
from portico.provider.serving import guess_name

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "functions.md"


def predict(area: float, rooms: int = 2) -> float:
    """Price of a flat."""
    return area * rooms


def untyped(area, rooms=2):  # type: ignore[no-untyped-def]
    return area * rooms


async def later(area: float) -> float:
    return area


async def three(area: float, rooms: int, city: str) -> float:
    return area


def counts(most: int) -> Iterator[int]:
    yield from range(most)


async def counts_later(most: int) -> AsyncIterator[int]:
    for number in range(most):
        yield number


def reply(messages: list[dict[str, str]]) -> str:
    return "hello"


def answer(message: str, history: list[dict[str, str]]) -> str:
    return message


def answer_with_options(message, chat_history, temperature=0.5):  # type: ignore[no-untyped-def]
    return message


def summary(count: int, messages: list[str]) -> str:
    return "short"


@portico.model
def cat(messages: list[dict[str, str]]) -> str:
    return "meow"


@portico.model("dog")
def dog(text: str) -> str:
    return "woof"


@portico.tool
def marked(area: float) -> float:
    return area


@portico.tool
def marked_chat(messages: list[str]) -> str:
    return "few"


@portico.tool(name="other")
async def marked_app(scope: str, receive: bool, send: bool) -> str:
    return scope


@portico.tool
async def marked_like_an_app(scope, receive, send):  # type: ignore[no-untyped-def]
    return None


@portico.model
@portico.tool
def both(messages: list[str]) -> str:
    return ""


async def asgi(scope: Any, receive: Any, send: Any) -> None: ...


def wsgi(environ: Any, start_response: Any) -> Any: ...


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **options: Any) -> Any:
        return function(*args, **options)

    return wrapper


@functools.cache
def cached(area: float) -> float:
    return area


@pydantic.validate_call
def validated(area: float) -> float:
    return area


class Priced:
    """It can be called."""

    def __call__(self, area: float) -> float:
        return area


class Bot:
    def __call__(self, messages: list[dict[str, str]]) -> str:
        return "hello"


class Flats:
    """Typed methods, and much that is not served."""

    currency = "CHF"
    made = 0

    def __init__(self, rate: float = 2.0) -> None:
        Flats.made += 1
        self.rate = rate

    def predict(self, area: float) -> float:
        return area * self.rate

    async def explain(self, area: float) -> str:
        return f"{area} times {self.rate}"

    @classmethod
    def cities(cls) -> list[str]:
        return ["Bern"]

    @staticmethod
    def convert(price: float) -> float:
        return price * 1.1

    @functools.cache  # noqa: B019 - as it is often written
    def slow(self, area: float) -> float:
        return area

    half = functools.partialmethod(predict, 0.5)

    def fit(self, data):  # type: ignore[no-untyped-def]
        raise AssertionError

    def _private(self, area: float) -> float:
        raise AssertionError

    def __len__(self) -> int:
        raise AssertionError

    @property
    def price(self) -> float:
        raise AssertionError("a property is not asked for its value")

    @functools.cached_property
    def table(self) -> Callable[[float], float]:
        raise AssertionError("a property is not asked for its value")

    class Inner: ...


SERVED = ("predict", "explain", "cities", "convert", "slow", "half")


class Base(ABC):
    def inherited(self, area: float) -> float:
        return area

    def hidden(self, area: float) -> float:
        return area

    @abstractmethod
    def predict(self, area: float) -> float: ...


class Child(Base):
    hidden = property(lambda self: 1)  # type: ignore[assignment]

    def predict(self, area: float) -> float:
        return area

    def own(self) -> str:
        return "own"


class OfALibrary(pydantic.BaseModel):
    """What pydantic's own class brings along is typed, too."""

    rate: float = 2.0

    def predict(self, area: float) -> float:
        return area * self.rate


class Chosen(httpx.Client):
    @portico.tool
    def price(self, area: float) -> float:
        return area

    def other(self, area: float) -> float:
        return area


class Needs:
    def __init__(self, model: str, rate: float = 1.0) -> None: ...

    def predict(self, area: float) -> float:
        return area


class NeedsForNothing:
    def __init__(self, model: str) -> None: ...

    @staticmethod
    def convert(price: float) -> float:
        return price


class Fails:
    def __init__(self) -> None:
        raise LookupError("no model file")

    def predict(self, area: float) -> float:
        return area


class Untyped:
    def predict(self, area):  # type: ignore[no-untyped-def]
        return area


class MyApp(FastAPI):
    """An app of the author's, with a method of its own."""

    def price(self, area: float) -> float:
        return area


class AsgiClass:
    def __init__(self) -> None: ...

    def price(self, area: float) -> float:
        return area

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


@dataclass
class Point:
    x: int
    y: int


class Callable2:
    """It can be called, and has typed methods: these are what is served."""

    def __call__(self, x):  # type: ignore[no-untyped-def]
        return x

    def predict(self, area: float) -> float:
        return area


@langchain_tool
def priced_by_tool(area: float, rooms: int = 2) -> float:
    """Price of a flat, by langchain."""
    return area * rooms


@langchain_tool("waits", description="Waits.")
async def waiting_tool(area: float) -> float:
    return area


class OwnTool(BaseTool):
    name: str = "own_tool"
    description: str = "A tool of its own class."

    def _run(self, area: float) -> float:
        return area


App, Chat, Functions, Refused = "an app", "chat", "functions", "an error"

# The rows of docs/how-to/functions.md by their first column: what is served, what it is, and its functions' names.
WALK: dict[str, list[tuple[Any, str, tuple[str, ...]]]] = {
    "marked with `@portico.model`": [(cat, Chat, ("cat",)), (dog, Chat, ("dog",)), ([cat, dog], Chat, ("cat", "dog"))],
    "marked with `@portico.tool`": [
        (marked, Functions, ("marked",)),
        (marked_chat, Functions, ("marked_chat",)),
        (marked_app, Functions, ("other",)),
        (marked_like_an_app, Functions, ("marked_like_an_app",)),
    ],
    "marked with both": [(both, Refused, ("take one of the two away",))],
    "`async def app(scope, receive, send)`, an object that is called so": [
        (asgi, App, ()),
        (FastAPI(), App, ()),
        (MyApp(), App, ()),
        (AsgiClass(), App, ()),
    ],
    "`def app(environ, start_response)`, a Flask app": [(wsgi, App, ()), (flask.Flask("flask"), App, ())],
    "`def reply(messages)`, whatever else it takes": [
        (reply, Chat, ("reply",)),
        (summary, Chat, ("summary",)),
        (functools.partial(summary, 3), Chat, ("summary",)),
        (Bot(), Chat, ("Bot",)),
        (Bot().__call__, Chat, ("__call__",)),
    ],
    "`def reply(message, history)`": [
        (answer, Chat, ("answer",)),
        (answer_with_options, Chat, ("answer_with_options",)),
    ],
    "any other function: typed or not, `async` or not, a generator, a lambda": [
        (predict, Functions, ("predict",)),
        (untyped, Functions, ("untyped",)),
        (later, Functions, ("later",)),
        (three, Functions, ("three",)),
        (counts, Functions, ("counts",)),
        (counts_later, Functions, ("counts_later",)),
        (lambda area: area, Functions, ("function",)),
        (math.hypot, Refused, ("hypot does not tell",)),
        (math.sqrt, Functions, ("sqrt",)),
        (numpy.sqrt, Functions, ("sqrt",)),
        (max, Refused, ("max",)),
    ],
    "a method of an object (`flats.predict`)": [
        (Flats().predict, Functions, ("predict",)),
        (Flats.cities, Functions, ("cities",)),
        (Flats.convert, Functions, ("convert",)),
        (Untyped().predict, Functions, ("predict",)),
    ],
    "`functools.partial(predict, rooms=3)`": [
        (functools.partial(predict, rooms=3), Functions, ("predict",)),
        (functools.partial(functools.partial(predict), rooms=3), Functions, ("predict",)),
    ],
    "decorated, by whatever uses `functools.wraps`: `functools.cache`, pydantic's `validate_call`": [
        (logged(predict), Functions, ("predict",)),
        (cached, Functions, ("cached",)),
        (validated, Functions, ("validated",)),
    ],
    "an object with `__call__`": [(Priced(), Functions, ("Priced",))],
    "a tool of langchain, pydantic-ai, Haystack, LlamaIndex, CrewAI, smolagents or FastMCP": [
        (priced_by_tool, Functions, ("priced_by_tool",)),
        (waiting_tool, Functions, ("waits",)),
        (OwnTool(), Functions, ("own_tool",)),
        (LangchainTool(name="search", func=lambda query: query, description="Searches."), Functions, ("search",)),
        (PydanticTool(predict, name="price"), Functions, ("price",)),
        ([priced_by_tool, predict], Functions, ("priced_by_tool", "predict")),
    ],
    "an object with typed public methods": [
        (Flats(), Functions, SERVED),
        (Child(), Functions, ("predict", "own", "inherited")),
        (OfALibrary(), Functions, ("predict",)),
        (Chosen(), Functions, ("price",)),
        (Callable2(), Functions, ("predict",)),
        (Needs("m"), Functions, ("predict",)),
    ],
    "a class of such objects": [
        (Flats, Functions, SERVED),
        (Child, Functions, ("predict", "own", "inherited")),
        (OfALibrary, Functions, ("predict",)),
        (NeedsForNothing, Functions, ("convert",)),
        (Needs, Refused, ("needs arguments (model)", "%serve Needs(...)")),
        (Base, Refused, ("abstract",)),
        (Fails, Refused, ("no model file",)),
        (AsgiClass, Refused, ("serve an object of it",)),
        (Untyped, Refused, ("Untyped.predict", "no types")),
        (Point, Refused, ("serve an object of it",)),
        (int, Refused, ("serve an object of it",)),
        (list[int], Refused, ("is callable, but not as an app is",)),
    ],
    "a list, tuple or dict of chat functions": [
        ([reply, cat], Chat, ("reply", "cat")),
        ((reply, answer), Chat, ("reply", "answer")),
        ({"a": cat, "b": reply}, Chat, ("a", "b")),
    ],
    "a list, tuple or dict of functions": [
        ([predict, later], Functions, ("predict", "later")),
        ((predict, Flats().explain), Functions, ("predict", "explain")),
        ({"a": predict, "b": lambda area: area}, Functions, ("a", "b")),
        ([marked_chat, predict], Functions, ("marked_chat", "predict")),
        ({"a": marked_app}, Functions, ("a",)),
        ([predict, predict], Refused, ("Two functions are called 'predict'", "dict")),
        ({1: predict}, Refused, ("a text, not 1",)),
        ({"run": predict}, Refused, ("run",)),
        ({"": predict}, Refused, ("a text",)),
    ],
    "a list, tuple or dict of both kinds": [
        ([predict, reply], Refused, ("predict is a function, and reply is a chat model", "the parameter messages")),
        ({"a": cat, "b": predict}, Refused, ("predict is a function, and cat is a chat model", "--chat")),
        ([reply, marked], Refused, ("marked is a function", "@portico.tool")),
    ],
    "a list, tuple or dict of functions and of something else": [
        ([predict, 42], Refused, ("42 (of type int) is no function",)),
        ({"a": predict, "b": None}, Refused, ("None (of type NoneType) is no function",)),
        ([predict, FastAPI()], Refused, ("is no function",)),
        ([predict, Flats()], Refused, ("an object with methods", "list its methods")),
        ([predict, Flats], Refused, ("list its methods",)),
        ([Flats()], Refused, ("list its methods",)),
        ({"a": {"b": predict}}, Refused, ("is no app",)),
        ([], Refused, ("is no app",)),
        ({}, Refused, ("is no app",)),
    ],
    "an object of an installed package's class": [
        (httpx.Client(), Refused, ("httpx.Client", "installed package", "list those that are to be")),
        (Path(), Refused, ("installed package",)),
        (numpy.zeros(3), Refused, ("is no app",)),
        (httpx.Client, Refused, ("serve an object of it",)),
        ([Path().exists], Functions, ("exists",)),
    ],
    "what answers to every name, as mocks do": [
        (MagicMock(), Refused, ("is callable, but not as an app is",)),
        (MagicMock(spec=ChatServer), Refused, ("MagicMock",)),
    ],
}


def rows() -> dict[str, str]:
    """The table on the page: what is served, and as what."""
    _, _, table = PAGE.read_text("utf-8").partition("## What counts as a function")
    found = re.findall(r"^\| (.+?) \| (.+?) \|$", table.partition("\n## ")[0], re.MULTILINE)
    return {first: second for first, second in found if first not in ("what you serve", "---")}


def test_the_page_has_the_rows_that_are_walked() -> None:
    assert list(rows()) == ["anything, with `--chat` (`chat=True`)", *WALK]
    for row, served in rows().items():
        kinds = {kind for _, kind, _ in WALK.get(row, [(None, Chat, ())])}
        assert any(kind in served for kind in kinds), (row, served)


def served(thing: Any) -> tuple[str, tuple[str, ...]]:
    """What *thing* is taken as, and the names in it."""
    taken = take(thing)
    kinds = {"app": App, "chat": Chat, "functions": Functions}
    names = tuple(taken.app.functions) if taken.kind == "functions" else tuple(taken.models)
    return kinds[taken.kind], names


@pytest.mark.parametrize(
    ("thing", "kind", "says"),
    [
        pytest.param(*case, id=f"{number}-{index}")
        for number, cases in enumerate(WALK.values())
        for index, case in enumerate(cases)
    ],
)
def test_what_a_bare_callable_is(thing: Any, kind: str, says: tuple[str, ...]) -> None:
    if kind != Refused:
        assert served(thing) == (kind, says)
        return
    with pytest.raises(PorticoError) as raised:
        take(thing)
    assert isinstance(raised.value, NotServable | StartupFailed) or type(raised.value).__name__ == "InvalidName"
    assert [one for one in says if one not in str(raised.value)] == [], str(raised.value)


@pytest.mark.parametrize(
    "thing",
    [predict, reply, [predict, reply], {"a": predict}, asgi, both, marked],
    ids=lambda thing: getattr(thing, "__name__", type(thing).__name__),
)
def test_anything_that_can_be_called_is_a_chat_model_where_that_is_asked_for(thing: Any) -> None:
    assert take(thing, TakeOptions(by="chat")).kind == "chat"


def test_what_is_taken_for_a_chat_model_by_its_parameters_is_said() -> None:
    (said,) = take(reply).remarks
    assert "reply has the parameter messages, so it is served as a chat model" in said
    assert "@portico.tool" in said
    assert "the parameters message and history" in take([answer]).remarks[0]
    assert len(take({"a": reply, "b": answer, "c": cat}).remarks) == 2
    for known in (take(cat), take(reply, TakeOptions(by="chat")), take(portico.chat_server(reply))):
        assert not any("is served as a chat model" in remark for remark in known.remarks)


def test_methods_that_are_not_served_are_said() -> None:
    (said,) = [remark for remark in take(Flats()).remarks if "Flats" in remark]
    assert said.startswith("Not served: Flats.fit. It says no types")


def test_a_class_is_made_once_and_its_methods_share_the_object() -> None:
    before = Flats.made
    functions = take(Flats).app.functions
    assert Flats.made == before + 1
    bound = {functions[name].function.__self__ for name in ("predict", "explain")}
    assert len(bound) == 1


def test_a_class_that_fails_says_where() -> None:
    with pytest.raises(StartupFailed) as raised:
        take(Fails)
    assert isinstance(raised.value.__cause__, LookupError)


def test_what_was_made_of_a_method_calls_it() -> None:
    functions = take(Flats(rate=3)).app.functions
    called = {name: typed.function for name, typed in functions.items()}
    assert called["predict"](2) == 6
    assert asyncio.run(called["explain"](2)) == "2 times 3"
    assert (called["cities"](), called["convert"](10), called["slow"](4)) == (["Bern"], 11.0, 4)
    assert called["half"]() == 1.5


def test_a_tool_of_a_library_brings_its_name_and_its_description() -> None:
    functions = take([priced_by_tool, waiting_tool]).app.functions
    assert functions["priced_by_tool"].description == "Price of a flat, by langchain."
    assert (functions["waits"].description, functions["waits"].on_loop) == ("Waits.", True)
    assert functions["priced_by_tool"].input_schema["required"] == ["area"]


def test_a_class_of_a_module_that_is_installed_is_a_librarys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same file is the author's own outside of the folders that packages are installed into."""
    source = "class Flats:\n    def predict(self, area: float) -> float:\n        return area\n"
    for folder, kind in (("site-packages", ""), ("dist-packages", ""), ("work", "functions")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "flats_module.py").write_text(source)
        module = types.ModuleType("flats_module")
        module.__file__ = str(tmp_path / folder / "flats_module.py")
        monkeypatch.setitem(sys.modules, "flats_module", module)
        exec(source, vars(module))
        if kind:
            assert take(module.Flats()).kind == kind
        else:
            with pytest.raises(NotServable, match="comes from an installed package"):
                take(module.Flats())
            assert take([module.Flats().predict]).kind == "functions"


class RaisesAtEachName:
    def __getattr__(self, name: str) -> Any:
        raise KeyError(name)

    def predict(self, area: float) -> float:
        return area


class RaisesAtAll:
    def __getattribute__(self, name: str) -> Any:
        raise ValueError(name)

    def predict(self, area: float) -> float:
        return area


def test_an_object_whose_own_code_raises_is_looked_at_all_the_same() -> None:
    """Its methods are found in its class, and nothing is asked of it."""
    for thing in (RaisesAtEachName(), RaisesAtAll()):
        assert served(thing) == (Functions, ("predict",))


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (predict, "predict"),
        (functools.partial(predict), "predict"),
        ([predict, later], "predict"),
        ({"the_price": predict, "b": later}, "the-price"),
        ({"org/cat:7b": reply}, "org-cat-7b"),
        (Flats(), "flats"),
        (Flats, "flats"),
        (Flats().explain, "explain"),
        (OwnTool(), "own-tool"),
        ([[predict]], "app"),
        ([], "app"),
        (FastAPI(), "app"),
        (42, "app"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_a_service_is_called_if_nobody_says(thing: Any, name: str) -> None:
    assert guess_name(thing) == name


@pytest.mark.parametrize("notebook", [False, True])
def test_a_package_that_is_missing_is_named_with_the_line_that_brings_it(
    notebook: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in ("fastapi", "pydantic") else name)
    monkeypatch.setattr("builtins.__IPYTHON__", notebook, raising=False)
    pip = "%pip" if notebook else "pip"
    says = f"To serve functions, fastapi and pydantic must be installed: {pip} install 'portico[functions]'"
    for thing in (predict, [predict], Flats()):
        with pytest.raises(NotServable) as raised:
            take(thing)
        assert str(raised.value) == says
    assert take(reply).kind == "chat"


def test_the_example_on_the_card_is_a_call_of_the_first() -> None:
    def photo(picture: bytes, size: int, name: str = "x") -> int:
        return size

    assert take(predict).call == CallState(path="run", body='{"area": 1}')
    assert take([later, predict]).call == CallState(path="later/run", body='{"area": 1}')
    assert take(photo).call == CallState(path="run", body='{"size": 1}', files=("picture",))


def test_a_lambda_is_called_as_its_service() -> None:
    assert tuple(take(lambda area: area, TakeOptions(name="double")).app.functions) == ("double",)
    assert tuple(take(predict, TakeOptions(name="double")).app.functions) == ("predict",)


def test_the_author_is_told_of_parameters_that_say_no_type() -> None:
    def clean(df, rows=3, *, scale):  # type: ignore[no-untyped-def]
        return df

    said = [remark for remark in take(clean).remarks if "takes any JSON" in remark]
    assert said == [
        "clean takes any JSON as 'df' and 'scale': a type makes a field of it, and reads what is sent. "
        "For example: def clean(df: float), or a pandas.DataFrame."
    ]
    assert not [remark for remark in take([predict, later]).remarks if "any JSON" in remark]


def test_agents_are_told_the_name_of_a_single_function() -> None:
    assert take(predict).app._tools.name == "predict"
    assert take([predict, later], TakeOptions(name="flats")).app._tools.name == "flats"
