"""What counts as an app and what does not; and WSGI apps, served whole."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any, Literal, Optional
from unittest.mock import MagicMock

import flask
import pytest
from fastapi import FastAPI
from werkzeug.local import LocalProxy

from portico.asgi.adapt import adapt, kind_of
from portico.errors import NotServable
from portico.types import Receive, Scope, Send
from tests.asgi.served import KIB, Served, serving


async def asgi3(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": scope["root_path"].encode()})


class Instance:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asgi3(scope, receive, send)


class Asgi2:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, receive: Receive, send: Send) -> None:
        await asgi3(self.scope, receive, send)


def asgi2_function(scope: Scope) -> Any:
    return Asgi2(scope)


def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["SCRIPT_NAME"].encode()]


async def extra(first: int, scope: Scope, receive: Receive, send: Send) -> None:
    await asgi3(scope, receive, send)


def wrapped(scope: Scope, receive: Receive, send: Send) -> Any:
    return asgi3(scope, receive, send)


@pytest.mark.parametrize(
    ("thing", "kind"),
    [
        (asgi3, "asgi"),
        (Instance(), "asgi"),
        (Instance().__call__, "asgi"),
        (functools.partial(extra, 1), "asgi"),
        (wrapped, "asgi"),
        (FastAPI(), "asgi"),
        (Asgi2, "asgi2"),
        (asgi2_function, "asgi2"),
        (wsgi, "wsgi"),
        (flask.Flask("empty"), "wsgi"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_an_app_is_known_and_answers(thing: Any, kind: str) -> None:
    adapted = adapt(thing)
    assert adapted.kind == kind
    assert adapted.how

    async def work(served: Served) -> None:
        visitor = await served.whole(served.visit())
        if not isinstance(thing, FastAPI | flask.Flask):
            assert visitor.body == b"/portico/apps/cat"
        else:
            assert visitor.head is not None
            assert visitor.head.status == 404

    assert serving(adapted.app, work).apps.reports == []


@pytest.mark.parametrize("thing", [42, None, "text", lambda: 1, FastAPI, MagicMock(), object()], ids=type)
def test_what_is_no_app_is_refused(thing: Any) -> None:
    assert kind_of(thing) == ""
    with pytest.raises(NotServable, match=r"^an object of type \w+ is no ASGI or WSGI app$"):
        adapt(thing)


async def three(area: float, rooms: int, city: str) -> float:
    return area * rooms


async def three_without_types(area, rooms, city):  # type: ignore[no-untyped-def]
    return area * rooms


async def scopes(scope: str, depth: int, wide: bool) -> str:
    return scope


def mails(address: str, receive: bool, send: bool) -> str:
    return address


def postponed(scope: str | None) -> str | None:
    return scope


def optional(scope: Optional[int]) -> Optional[int]:  # noqa: UP045 - as it is often written
    return scope


def chosen(scope: Literal["user", "system"]) -> str:
    return scope


def deploys(env: str, start_version: int) -> str:
    return env


def deploys_without_types(env, version):  # type: ignore[no-untyped-def]
    return env


def annotated_at_once(scope, receive, send):  # type: ignore[no-untyped-def]
    return scope


annotated_at_once.__annotations__ = {"scope": Optional[list[str]], "receive": bool, "send": bool}  # noqa: UP045


class Adds:
    async def __call__(self, a: int, b: int, c: int) -> int:
        return a + b + c


@pytest.mark.parametrize(
    "function",
    [
        *(three, three_without_types, scopes, mails, postponed, optional, chosen, deploys, deploys_without_types),
        annotated_at_once,
        *(Adds(), Adds().__call__, functools.partial(three), functools.partial(extra, scope={})),
    ],
    ids=lambda function: getattr(function, "__name__", type(function).__name__),
)
def test_a_function_of_values_is_no_app(function: Any) -> None:
    """Though it has as many parameters as an app has, is a coroutine function, or names one as apps do."""
    assert kind_of(function) == ""


async def short_names(scope, r, s):  # type: ignore[no-untyped-def]
    await asgi3(scope, r, s)


def short_wsgi(env, sr):  # type: ignore[no-untyped-def]
    return wsgi(env, sr)


def renamed_wsgi(environ, respond):  # type: ignore[no-untyped-def]
    return wsgi(environ, respond)


class ShortNames:
    async def __call__(self, s, r, w):  # type: ignore[no-untyped-def]
        await asgi3(s, r, w)


@pytest.mark.parametrize(
    ("thing", "kind"),
    [(short_names, "asgi"), (ShortNames(), "asgi"), (short_wsgi, "wsgi"), (renamed_wsgi, "wsgi")],
    ids=["function", "object", "env", "environ"],
)
def test_an_app_with_names_of_its_own_is_one(thing: Any, kind: str) -> None:
    assert kind_of(thing) == kind


def test_what_stands_for_an_app_is_one() -> None:
    """As Flask's ``current_app`` does."""
    app = flask.Flask("empty")
    assert kind_of(LocalProxy(lambda: app)) == "wsgi"


class RaisesAtEachName:
    def __getattr__(self, name: str) -> Any:
        raise KeyError(name)

    def __call__(self, *args: Any) -> None: ...


def test_a_thing_whose_own_code_raises_is_no_app() -> None:
    assert kind_of(RaisesAtEachName()) == ""


def make_flask() -> flask.Flask:
    app = flask.Flask("cats")

    @app.get("/cats/<name>")
    def cat(name: str) -> dict[str, str | None]:
        return {
            "name": name,
            "link": flask.url_for("cat", name="tom"),
            "script": flask.request.script_root,
            "path": flask.request.path,
            "question": flask.request.args.get("q"),
        }

    @app.post("/upload")
    def upload() -> dict[str, int]:
        return {"size": len(flask.request.get_data())}

    @app.get("/stream")
    def stream() -> flask.Response:
        def pieces() -> Iterator[str]:
            for number in range(200):
                yield f"{number}\n"

        return flask.Response(pieces(), mimetype="text/plain")

    @app.get("/fails")
    def fails() -> str:
        raise LookupError("on purpose")

    return app


def test_a_wsgi_app_knows_where_it_is() -> None:
    async def work(served: Served) -> None:
        visitor = await served.whole(served.visit(b"/cats/minka%20the%20great?q=%E6%97%A5"))
        assert flask.json.loads(visitor.body) == {
            "name": "minka the great",
            "link": "/portico/apps/cat/cats/tom",
            "script": "/portico/apps/cat",
            "path": "/cats/minka the great",
            "question": "日",
        }

    serving(adapt(make_flask()).app, work)


def test_a_wsgi_app_reads_an_upload_that_is_longer_than_the_window() -> None:
    async def work(served: Served) -> None:
        upload = bytes(1024 * KIB)
        headers = [(b"content-length", str(len(upload)).encode())]
        visitor = await served.whole(served.visit(b"/upload", method="POST", headers=headers, body=upload))
        assert flask.json.loads(visitor.body) == {"size": len(upload)}

    serving(adapt(make_flask()).app, work)


def test_a_wsgi_app_streams() -> None:
    async def work(served: Served) -> None:
        visitor = await served.whole(served.visit(b"/stream"))
        assert visitor.body == b"".join(b"%d\n" % number for number in range(200))
        assert visitor.pieces > 1

    serving(adapt(make_flask()).app, work)


def test_a_wsgi_app_that_fails_answers_500() -> None:
    async def work(served: Served) -> None:
        visitor = await served.whole(served.visit(b"/fails"))
        assert visitor.head is not None
        assert visitor.head.status == 500
        assert b"on purpose" not in visitor.body

    serving(adapt(make_flask()).app, work)
