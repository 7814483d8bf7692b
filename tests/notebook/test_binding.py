"""A service follows its name: which cells change what it answers, and which do not."""

from __future__ import annotations

from collections.abc import Callable

from tests.live_jupyter import Kernel, Output

Run = Callable[[str], Output]
Get = Callable[[str], object]


def test_a_cell_that_defines_the_name_anew_changes_the_answer(run: Run, get: Get) -> None:
    run("first = answering('old')\n%serve first")
    assert get("first/") == "old"
    assert run("first = answering('new')").text.endswith("/portico/apps/first/ answers with the new first.\n")
    assert get("first/") == "new"


def test_a_cell_that_leaves_the_object_says_nothing(run: Run, get: Get) -> None:
    run("same = answering('same')\n%serve same")
    assert run("same = same").text == ""
    assert run("1 + 1").text == ""
    assert get("same/") == "same"


def test_pin_keeps_the_object(run: Run, get: Get) -> None:
    run("pinned = answering('old')\n%serve pinned --pin")
    assert run("pinned = answering('new')").text == ""
    assert get("pinned/") == "old"


def test_an_expression_that_makes_something_is_not_followed(run: Run, get: Get) -> None:
    run(
        "calls = 0\n"
        "def make():\n"
        "    global calls\n"
        "    calls += 1\n"
        "    return answering(calls)\n"
        "%serve make() --name made"
    )
    run("1 + 1")
    assert get("made/") == 1
    assert run("print(calls)").text == "1\n"


def test_a_name_that_goes_leaves_the_service(run: Run, get: Get) -> None:
    run("going = answering('here')\n%serve going")
    run("del going")
    assert get("going/") == "here"
    run("going = answering('again')")
    assert get("going/") == "again"


def test_a_new_app_that_does_not_start_keeps_the_old(notebook: Kernel, run: Run, get: Get) -> None:
    run("steady = answering('old')\n%serve steady")
    failing = (
        "from contextlib import asynccontextmanager\n"
        "@asynccontextmanager\n"
        "async def lifespan(app):\n"
        "    raise RuntimeError('no database')\n"
        "    yield\n"
        "steady = FastAPI(lifespan=lifespan)\n"
    )
    output = run(failing)
    assert "steady: the new steady does not start, the one before stays live" in output.text
    assert "RuntimeError: no database" in output.text
    assert "line 4, in lifespan" in output.text
    assert "starlette" not in output.text
    assert get("steady/") == "old"
    assert run("1 + 1").text == "", "the same failing app is tried at every cell"
    run("steady = answering('mended')")
    assert get("steady/") == "mended"


def test_a_name_that_is_no_app_any_more_keeps_the_old(run: Run, get: Get) -> None:
    run("swapped = answering('old')\n%serve swapped")
    assert "is no app" in run("swapped = 5").text
    assert get("swapped/") == "old"


def test_an_attribute_is_followed(run: Run, get: Get) -> None:
    run("from types import SimpleNamespace\nlib = SimpleNamespace(inner=answering('old'))\n%serve lib.inner")
    run("lib.inner = answering('new')")
    assert get("inner/") == "new"


def test_a_chat_function_is_swapped(run: Run) -> None:
    ask = (
        "import json, urllib.request\n"
        "def ask(service, model):\n"
        "    body = json.dumps({'model': model, 'messages': [{'role': 'user', 'content': 'x'}]}).encode()\n"
        "    headers = {'Authorization': 'Bearer ' + service.key(), 'Content-Type': 'application/json'}\n"
        "    request = urllib.request.Request(service.url + 'v1/chat/completions', body, headers)\n"
        "    with urllib.request.urlopen(request) as answer:\n"
        "        return json.load(answer)['choices'][0]['message']['content']\n"
    )
    run(ask + "def says(messages): return 'old'\nchat = %serve says --chat")
    assert run("print(ask(chat, 'says'))").text == "old\n"
    run("def says(messages): return 'new'")
    assert run("print(ask(chat, 'says'))").text == "new\n"


def test_a_dict_of_functions_follows_each_of_them(run: Run, get: Get) -> None:
    run("one = lambda messages: '1'\ntwo = lambda messages: '2'\n%serve {'a': one, 'b': two} --name pair --chat")
    assert run("1 + 1").text == "", "a dict that is made anew of the same functions is no change"
    assert "answers with the new" in run("two = lambda messages: 'II'").text
    run("del two")
    models = get("pair/v1/models")
    assert isinstance(models, dict)
    assert [model["id"] for model in models["data"]] == ["a", "b"]


def test_a_stopped_service_is_not_followed(run: Run) -> None:
    run("ended = answering('old')\nto_end = %serve ended")
    run("to_end.stop()")
    assert run("ended = answering('new')").text == ""


def test_unloading_the_extension_ends_the_following(notebook: Kernel, get: Get) -> None:
    other = notebook.server.kernel()
    try:
        other.execute(
            "%load_ext portico\nfrom fastapi import FastAPI\nleft = FastAPI(title='old')\n%serve left"
        ).check()
        assert other.execute("%unload_ext portico").check().text == ""
        assert other.execute("left = FastAPI(title='new')").check().text == ""
        document = get("left/openapi.json")
        assert isinstance(document, dict)
        assert document["info"]["title"] == "old"
    finally:
        other.shutdown()
