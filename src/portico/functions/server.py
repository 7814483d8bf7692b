"""The ASGI app of one or several typed functions: their routes, their page and description, and their tools by MCP.

Here: which route a request goes to. What the routes do is in their own modules: `run_route`, `page`, `openapi`,
`docs`, `assets`, and `portico.tools`. Source: ASGI 3.0.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, Protocol

from portico.calls.cors import Origins
from portico.calls.exchange import Exchange
from portico.calls.in_thread import in_thread
from portico.calls.json_text import compact
from portico.errors import NotServable, PorticoError, UnusableRequest
from portico.functions import assets, docs
from portico.functions.as_tools import tools_of
from portico.functions.calling import succeeding
from portico.functions.run_route import USUAL, Manner, OnError, RunRoute, answer_refusal
from portico.functions.typed import TypedFunction
from portico.packages import to_install
from portico.protocol.offer import ToolList
from portico.tools.server import ToolServer
from portico.tools.tool import Tool
from portico.types import Headers, Receive, Scope, Send

log = logging.getLogger(__name__)

THREADS = sys.platform != "emscripten"
if THREADS:
    import threading

_METHODS = b"GET, HEAD, POST, DELETE, OPTIONS"
"""What preflights are told: DELETE ends a session of MCP."""

_SHOWN = "x-request-id, retry-after, mcp-session-id, mcp-protocol-version"
"""Headers that other sites' pages may read."""


class Beside(Protocol):
    """What a service has besides its functions, for those who look around in it, and its manner of calling them."""

    manner: Manner

    def links(self) -> Mapping[str, str]:
        """Other pages for people: what each is called, and its path below the service's root."""

    def urls(self) -> Mapping[str, str]:
        """Other URLs for programs, likewise."""

    def agent_tools(self) -> Iterable[Tool]:
        """What agents may call."""

    def paths(self) -> Mapping[str, Any]:
        """Other paths of the OpenAPI document, whose schemas refer to nothing."""


class FunctionsServer:
    """An ASGI app. One instance belongs to one event loop at a time."""

    def __init__(
        self,
        functions: Mapping[str, TypedFunction],
        *,
        title: str = "",
        on_error: OnError | None = None,
        allow_origins: str | Iterable[str] = "*",
        beside: Beside | None = None,
    ) -> None:
        """*functions* by the names that their URLs and tools have.

        - *title* is what people read of it; by default the one function's own.
        - *on_error* is called with each exception of a function, for its author to see; by default it is logged.
        - *allow_origins*: the origins whose pages may call, or ``"*"``. Credentials of browsers are never allowed.
        - *beside*: what the service that this is a part of has besides, and in which manner it calls functions.

        Raises `NotServable` if there is no function, unless there is something beside them.
        """
        self._beside = beside
        self._named = title
        self._report = on_error
        self._origins = Origins(allow_origins, _SHOWN)
        self._tools = ToolServer((), name=title or _one(functions) or "functions", on_error=on_error)
        self._imports = False
        """Whether what the first visitor of the description would wait for is imported, or about to be."""
        self.functions: Mapping[str, TypedFunction] = {}
        self.replace(functions)

    @property
    def title(self) -> str:
        """What people read of the whole."""
        if self._named:
            return self._named
        titles = [typed.title or name for name, typed in self.functions.items()]
        return titles[0] if len(titles) == 1 else "Functions"

    @property
    def remarks(self) -> list[str]:
        """What the author should be told: what is not there for want of a package."""
        missing = [] if docs.files() else [f"The page at docs needs fastapi-offline: {docs.command()}."]
        return [*self._tools.remarks, *_unread(self.functions.values()), *missing]

    @property
    def docs_url(self) -> str | None:
        """The path of the description for people, as FastAPI's apps say it; None if it is not there."""
        return "/docs" if docs.files() else None

    @property
    def tools(self) -> ToolList:
        """What agents may call, as a hub is told of it."""
        return ToolList.of({name: tool.definition() for name, tool in self._tools.tools.items()})

    def replace(self, functions: Mapping[str, TypedFunction]) -> None:
        """Serve *functions* in place of the present ones, from the next request on. Calls that run go on as they are.

        May be called from any thread. Raises `NotServable` if there is none.
        """
        if not functions and self._beside is None:
            raise NotServable("There is no function to serve: give a function, or a list or dict of them.")
        named = {name: self._taking_over(name, typed) for name, typed in functions.items()}
        manner = USUAL if self._beside is None else self._beside.manner
        runs = {f"{name}/run": RunRoute(typed, report=self._report, manner=manner) for name, typed in named.items()}
        if len(runs) == 1:
            runs = {"run": next(iter(runs.values())), **runs}
        self._document: tuple[str, bytes] | None = None
        self.functions = named
        self._runs = runs
        beside = self._beside
        self._tools.replace(tools_of(named.values(), self._report) if beside is None else beside.agent_tools())

    def has(self, route: str) -> bool:
        """Whether a function is called at *route*."""
        return route in self._runs

    def take_over(self, other: FunctionsServer) -> None:
        """Go on in the place of *other*: with the agents that talk to it, and with its lines of calls that wait.

        On the event loop of both.
        """
        self._tools, other._tools = other._tools, self._tools
        mine, self.functions = self.functions, other.functions
        self.replace(mine)

    def _taking_over(self, name: str, typed: TypedFunction) -> TypedFunction:
        """*typed* under that name, and in one line with the calls of the function that had it before."""
        old = self.functions.get(name)
        typed = typed if typed.name == name else replace(typed, name=name)
        return typed if old is None else succeeding(typed, old)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection (ASGI 3.0)."""
        if scope["type"] == "http":
            route = route_of(scope)
            run = self._runs.get(route)
            if run is not None and scope["method"] != "OPTIONS":
                await run.answer(Exchange(scope, receive, send, self._origins.headers(scope)))
            elif route == "mcp" and not _is_preflight(scope):
                await self._tools(scope, receive, self._with_cors(scope, send))
            else:
                self._import_soon()
                await self._http(Exchange(scope, receive, send, self._origins.headers(scope)), route)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "There is no WebSocket here."})

    def _import_soon(self) -> None:
        """Somebody looks around: have what the description and the tools need imported, beside the event loop.

        Not as soon as it is served: the notebook's next cell may import the same packages, and Python gives a package
        that two threads import at once to one of them while it is half made.
        """
        if THREADS and not self._imports:
            self._imports = True
            # Not a daemon: the interpreter waits for it, as an import that is cut off holds its lock for ever.
            threading.Thread(target=_import_ahead, name="portico-functions-imports").start()

    async def shut_down(self) -> None:
        """End what agents have open."""
        await self._tools.close()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.shut_down()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _http(self, exchange: Exchange, route: str) -> None:
        try:
            await self._route(exchange, route, exchange.scope["method"])
        except EOFError:
            log.debug("The visitor left while sending %s", exchange.id)
        except PorticoError as error:
            await answer_refusal(exchange, error)
        except Exception:  # a defect of ours, or a package that cannot be imported: the log has the traceback
            log.exception("Request %s failed", exchange.id)
            if exchange.started:
                raise
            await exchange.json({"detail": "The server failed."}, 500)

    async def _route(self, exchange: Exchange, route: str, method: str) -> None:
        methods = self._methods(route)
        if not methods:
            there = ", ".join(self._runs)
            raise UnusableRequest(f"There is nothing at '/{route[:200]}'. There is: {there[:500]}, docs.", 404)
        if method == "OPTIONS":
            headers: Headers = [(b"allow", ", ".join(methods).encode())]
            await exchange.head(204, headers + self._origins.preflight(exchange.scope, _METHODS))
            await exchange.end()
        elif method not in methods:
            allow = ", ".join(methods)
            message = f"{method} is not allowed here: send a {' or a '.join(methods)}."
            raise UnusableRequest(message, 405, headers=((b"allow", allow.encode()),))
        elif not route:
            await self._root(exchange)
        elif route == "openapi.json":
            await exchange.whole(await self._described(exchange.scope), b"application/json")
        elif route == "docs":
            await self._docs(exchange)
        elif (asset := await in_thread(assets.asset, route)) is not None:
            await assets.answer(exchange, asset)

    def _methods(self, route: str) -> tuple[str, ...]:
        """What may be done at *route*; nothing where nothing is."""
        if (run := self._runs.get(route)) is not None:
            return run.methods
        if route == "mcp":
            return ("GET", "POST", "DELETE")
        return ("GET", "HEAD") if route in ("", "docs", "openapi.json") or assets.is_there(route) else ()

    async def _root(self, exchange: Exchange) -> None:
        """The service's own URL: a page for people, and for programs what functions there are."""
        vary: Headers = [(b"vary", b"accept")]
        if "text/html" in exchange.headers.get("accept", "").lower():  # a browser that navigates says so
            from portico.functions.page import page  # no program asks for it

            links, urls = ({}, {}) if self._beside is None else (self._beside.links(), self._beside.urls())
            made = page(exchange.scope, self.functions, exchange.identity, self._named, links, urls)
            await exchange.head(200, [(b"content-length", b"%d" % len(made.body)), *made.headers, *vary])
            await exchange.end(b"" if exchange.scope["method"] == "HEAD" else made.body)
            return
        listed = [
            {"name": name, "title": typed.title, "description": typed.description, "run": f"{name}/run"}
            for name, typed in self.functions.items()
        ]
        links = {"docs": "docs", "openapi": "openapi.json", "mcp": "mcp"}
        if self._beside is not None:
            links |= {path: path for path in (*self._beside.links().values(), *self._beside.urls().values())}
        await exchange.json({"title": self.title, "functions": listed, **links}, headers=vary)

    async def _docs(self, exchange: Exchange) -> None:
        if await docs.left_slash(exchange, "docs"):
            return
        text, headers = docs.page(self.title)
        await exchange.whole(text.encode(), b"text/html; charset=utf-8", 200, headers)

    async def _described(self, scope: Scope) -> bytes:
        """The OpenAPI document. It is made once, when it is first asked for, and for another root path anew."""
        root = str(scope.get("root_path", "")).rstrip("/")
        known = self._document
        if known is None or known[0] != root:
            runs = self._runs
            paths = {} if self._beside is None else self._beside.paths()
            known = root, await in_thread(_describe, runs, self.title, root, paths)
            if runs is self._runs:
                self._document = known
        return known[1]

    def _with_cors(self, scope: Scope, send: Send) -> Send:
        headers = self._origins.headers(scope)
        if not headers:
            return send

        async def send_with(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *headers]}
            await send(message)

        return send_with


def route_of(scope: Scope) -> str:
    """The path below the app's root, without slashes at its ends."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    if root and (path == root or path.startswith(root + "/")):
        path = path[len(root) :]
    return path.strip("/")


def _one(functions: Mapping[str, TypedFunction]) -> str:
    """The name of the only function; empty where there are several."""
    return next(iter(functions)) if len(functions) == 1 else ""


def _unread(functions: Iterable[TypedFunction]) -> list[str]:
    """What is not read for want of a package."""
    listed, said = list(functions), []
    if find_spec("python_multipart") is None and any(one.upload for typed in listed for one in typed.parameters):
        command = to_install("functions", "python-multipart")
        said.append(f"Files can be sent as base64 in JSON alone: forms need python-multipart. {command}")
    if find_spec("docstring_parser") is None and any(typed.description for typed in listed):
        command = to_install("functions", "docstring-parser")
        said.append(f"What docstrings say of parameters is not read: that needs docstring-parser. {command}")
    return said


def _is_preflight(scope: Scope) -> bool:
    return bool(scope["method"] == "OPTIONS")


def _describe(runs: Mapping[str, RunRoute], title: str, root: str, paths: Mapping[str, Any]) -> bytes:
    openapi = importlib.import_module("portico.functions.openapi")  # FastAPI: few ask for it
    told = openapi.document(runs, title, root)
    told["paths"] = {**told.get("paths", {}), **paths}
    return compact(told).encode("ascii")


def _import_ahead() -> None:
    """Import what the first visitor of the description, and the first agent, would wait half a second for."""
    for module in ("portico.functions.openapi", "portico.tools.endpoint"):
        try:
            importlib.import_module(module)
        except Exception:  # any package may be missing or broken: whoever asks for what needs it is told then
            log.debug("%s cannot be imported", module, exc_info=True)
