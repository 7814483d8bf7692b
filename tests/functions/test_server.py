"""All of a service's URLs: which there are, what each may be asked, and what other sites may."""

import asyncio
import subprocess
import sys

import pytest

from portico.errors import NotServable
from portico.functions.mark import tool
from portico.functions.server import FunctionsServer, route_of
from portico.functions.signature import typed_function
from tests.functions.visiting import get, post, run, server
from tests.waiting import until

ORIGIN = {"origin": "https://page.example"}


def predict(area: float) -> float:
    """Price of a flat."""
    return area


def explain(text: str) -> str:
    return text


def test_programs_are_told_what_functions_there_are():
    answer = get(server(predict, explain, title="Flats"), "/")
    assert answer.headers["vary"] == "accept"
    told = answer.json
    assert told["title"] == "Flats"
    assert [(one["name"], one["run"]) for one in told["functions"]] == [
        ("predict", "predict/run"),
        ("explain", "explain/run"),
    ]
    assert {told["docs"], told["openapi"], told["mcp"]} == {"docs", "openapi.json", "mcp"}


@pytest.mark.parametrize(("method", "has_body"), [("GET", True), ("HEAD", False)])
def test_people_get_a_page(method, has_body):
    answer = get(server(predict), "/", method, headers={"accept": "text/html,*/*;q=0.8"})
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert bool(answer.body) == has_body
    assert int(answer.headers["content-length"]) > 500


def test_the_files_of_the_page_are_there():
    app = server(predict)
    for name, kind in (("page.js", "text/javascript; charset=utf-8"), ("style.css", "text/css; charset=utf-8")):
        answer = get(app, f"/base/static/{name}", root_path="/base")
        assert (answer.status, answer.headers["content-type"]) == (200, kind)
        assert answer.headers["x-content-type-options"] == "nosniff"
        again = get(app, f"/static/{name}", headers={"if-none-match": f'"other", {answer.headers["etag"]}'})
        assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/static/", "/static/../server.py", "/static/%2e%2e/server.py", "/static/page.js/", "/static/docs/x", "/x"]
)
def test_nothing_else_is_there(path):
    answer = get(server(predict), path)
    assert answer.status == (200 if path == "/static/page.js/" else 404)
    assert path == "/static/page.js/" or "predict/run" in answer.json["detail"]


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/static/page.js"])
def test_pages_are_read_and_not_written(path):
    answer = run(server(predict), path)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert get(server(predict), path, "HEAD").status == 200
    assert get(server(predict), path, "HEAD").body == b""


@pytest.mark.parametrize(
    ("path", "allow"), [("/run", "POST"), ("/predict/run", "POST"), ("/", "GET, HEAD"), ("/mcp", "GET, POST, DELETE")]
)
def test_options(path, allow):
    answer = get(server(predict), path, "OPTIONS")
    assert (answer.status, answer.headers["allow"], answer.body) == (204, allow, b"")
    assert get(server(predict), "/nothing", "OPTIONS").status == 404


def test_other_sites_may_read_what_they_are_allowed_to():
    anyone = run(server(predict), body={"area": 1}, headers=ORIGIN)
    assert anyone.headers["access-control-allow-origin"] == "*"
    some = server(predict, allow_origins=["https://page.example"])
    assert run(some, body={"area": 1}, headers=ORIGIN).headers["access-control-allow-origin"] == ORIGIN["origin"]
    none = run(server(predict, allow_origins=()), body={"area": 1}, headers=ORIGIN)
    assert "access-control-allow-origin" not in none.headers
    assert "access-control-allow-credentials" not in {**anyone.headers, **none.headers}


def test_a_preflight():
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    answer = get(server(predict), "/run", "OPTIONS", headers={**ORIGIN, **asked})
    assert answer.status == 204
    assert answer.headers["access-control-allow-headers"] == "content-type"
    assert "POST" in answer.headers["access-control-allow-methods"]


def test_errors_can_be_read_by_other_sites_too():
    assert run(server(predict), headers=ORIGIN).headers["access-control-allow-origin"] == "*"
    assert get(server(predict), "/nothing", headers=ORIGIN).headers["access-control-allow-origin"] == "*"


def test_there_is_no_websocket():
    async def go():
        sent = []

        async def receive():
            return {"type": "websocket.connect"}

        async def send(message):
            sent.append(message)

        await server(predict)({"type": "websocket", "path": "/run", "headers": []}, receive, send)
        assert [message["type"] for message in sent] == ["websocket.close"]

    asyncio.run(go())


def test_the_lifespan_of_the_whole():
    async def go():
        left = ["lifespan.startup", "lifespan.shutdown"]
        sent = []

        async def receive():
            return {"type": left.pop(0)}

        async def send(message):
            sent.append(message["type"])

        await server(predict)({"type": "lifespan"}, receive, send)
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    asyncio.run(go())


def test_a_card_finds_its_docs():
    assert server(predict).docs_url == "/docs"
    assert get(server(predict), "/docs").status == 200


def test_a_server_needs_a_function():
    with pytest.raises(NotServable, match="no function"):
        FunctionsServer({})
    app = server(predict)
    with pytest.raises(NotServable):
        app.replace({})
    assert run(app, body={"area": 1}).status == 200


def test_its_title_is_the_one_functions_unless_it_has_its_own():
    assert server(predict).title == "Predict"
    assert server(predict, explain).title == "Functions"
    assert server(predict, title="Flats").title == "Flats"


def test_names_are_those_that_it_was_given():
    app = FunctionsServer({"price": typed_function(predict, "price")})
    assert run(app, "/price/run", {"area": 1}).status == 200
    assert run(app, "/predict/run", {"area": 1}).status == 404


@pytest.mark.parametrize(
    ("path", "root", "route"),
    [
        ("/run", "", "run"),
        ("/a/run", "/a", "run"),
        ("/ab/run", "/a", "ab/run"),
        ("/a", "/a", ""),
        ("/a/b/", "/a/", "b"),
    ],
)
def test_routes_are_below_the_root(path, root, route):
    assert route_of({"path": path, "root_path": root}) == route


@pytest.mark.parametrize("takes_over", [False, True], ids=["replace", "take over"])
def test_a_function_that_is_defined_anew_waits_for_the_calls_of_the_one_before(takes_over):
    """So that two of them never hold what only one may, however often its cell is run."""
    begun, gate = [], asyncio.Event()

    @tool(concurrency=1)
    async def predict() -> str:
        begun.append("old")
        await gate.wait()
        return "old"

    old = typed_function(predict)

    @tool(concurrency=1)
    async def predict() -> str:
        begun.append("new")
        return "new"

    async def main():
        app = FunctionsServer({"predict": old})
        first = asyncio.create_task(post(app, "/run", {}))
        await until(lambda: begun == ["old"])
        if takes_over:
            before, app = app, server(predict)
            app.take_over(before)
        else:
            app.replace({"predict": typed_function(predict)})
        second = asyncio.create_task(post(app, "/run", {}))
        await until(lambda: old.line.waiting == 1)
        assert begun == ["old"]
        gate.set()
        assert [(await one).json["result"] for one in (first, second)] == ["old", "new"]

    asyncio.run(main())


def test_serving_imports_nothing_that_a_cell_may_import_next():
    """Python breaks an import of mcp or fastapi that two threads make at once: a kernel's own comes first."""
    program = """
import asyncio, sys, threading
from portico.functions.server import FunctionsServer
from portico.functions.signature import typed_function

def predict(area: float) -> float:
    return area

async def main():
    app = FunctionsServer({"predict": typed_function(predict)})
    told = asyncio.Queue()
    given = asyncio.Queue()
    given.put_nowait({"type": "lifespan.startup"})
    asyncio.create_task(app({"type": "lifespan"}, given.get, told.put))
    assert (await told.get())["type"] == "lifespan.startup.complete"
    assert [thread.name for thread in threading.enumerate() if "imports" in thread.name] == []
    print(sorted({"mcp", "fastapi"} & sys.modules.keys()))

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr
