"""From a preview's requests to the app, in Pyodide. The other side is js/packages/portico-browser/src/exchanges.ts.

JavaScript keeps ports, credit, heartbeats and cookies. A request is a number on both sides: what crosses is numbers,
text and the bytes of bodies, each copied once, so that no proxy outlives a call. The app runs as everywhere:
`portico.asgi` drives it.

`start` is for a worker that has nothing but an app's files. `Requests` is for who calls an app that others have
started.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from portico.adapters import chat as chat_models
from portico.adapters.callables import is_tool
from portico.adapters.take import take
from portico.adapters.taken import Taken, TakeOptions
from portico.asgi.carrier import Carrier
from portico.asgi.instance import Instance
from portico.calls.log import Entry
from portico.errors import NotServable, PorticoError, StartupFailed
from portico.link import StreamHandler
from portico.protocol.events import Data, Open
from portico.protocol.frames import Kind, ResetCode
from portico.tab import shim
from portico.types import APP_NAMES, ASGIApp, Headers

STOP_WITHIN = 2.0
"""Seconds that requests in flight have when the app is stopped."""

_IDENTITY = b'{"access":"anonymous"}'  # whoever sits before the browser

Report = Callable[[str, BaseException], None]


class Exchanges(Protocol):
    """The JavaScript side: `Exchanges` of portico-browser. *headers* are names and values in turn, one a line."""

    def head(self, id: int, status: int, headers: str) -> None: ...
    def data(self, id: int, data: Any, fin: bool) -> bool: ...
    def reset(self, id: int, code: int, reason: str) -> None: ...
    def credit(self, id: int, count: int) -> None: ...
    def release(self, id: int) -> None: ...


Begin = Callable[[Carrier, Open], StreamHandler]
"""Calls an app for a request, and gives what is told of the rest of it."""


class Requests:
    """The requests for one service. JavaScript calls what `expose` gives it."""

    exchanges: Exchanges
    """To be set before the first request."""

    def __init__(self, begin: Begin, service: str = "") -> None:
        self._begin = begin
        self._service = service
        self._handlers: dict[int, StreamHandler] = {}
        self._exposed: list[Any] = []

    def expose(self) -> Any:
        """What JavaScript calls, as an object of its own: four functions, made once, that are let go of with `hide`."""
        import js
        from pyodide.ffi import create_proxy
        from pyodide.ffi import to_js as converted

        called = (self.open, self.data, self.gone, self.writable)
        functions = {function.__name__: create_proxy(function) for function in called}
        self._exposed += functions.values()
        return converted(functions, dict_converter=js.Object.fromEntries)

    def hide(self) -> None:
        """Let JavaScript call no more."""
        while self._exposed:
            self._exposed.pop().destroy()

    def open(
        self, id: int, method: str, scheme: str, host: str, root: str, path: str, query: str, headers: str, fin: bool
    ) -> None:
        """A request has come; *fin* if it has no body."""
        fields = headers.encode("latin-1").split(b"\n") if headers else []
        pairs: Headers = list(zip(fields[::2], fields[1::2], strict=True))
        name, _, port = host.rpartition(":") if not host.endswith("]") and ":" in host else (host, "", "")
        request = Open(
            stream_id=id,
            kind=Kind.HTTP,
            service=self._service,
            method=method,
            scheme=scheme,
            http_version="1.1",
            raw_path=path.encode("latin-1"),
            query=query.encode("latin-1"),
            root_path=root,
            client=("127.0.0.1", 0),
            server=(name, int(port) if port else (443 if scheme == "https" else 80)),
            subprotocols=(),
            identity=_IDENTITY,
            headers=pairs,
            fin=fin,
        )
        self._handlers[id] = self._begin(_Carrier(self, id), request)

    def data(self, id: int, data: Any, fin: bool) -> None:
        """A part of a request's body, as a Uint8Array."""
        handler = self._handlers.get(id)
        if handler is not None:
            handler.on_data(Data(id, data.to_bytes(), fin, False, False))

    def gone(self, id: int) -> None:
        """The visitor has left. May be said more than once."""
        handler = self._handlers.get(id)
        if handler is not None:
            handler.on_reset(ResetCode.CANCEL, "the visitor has left")

    def writable(self, id: int) -> None:
        """There is room again after a part of the response found none."""
        handler = self._handlers.get(id)
        if handler is not None:
            handler.on_writable()

    def forget(self, id: int) -> None:
        """The app has done with the request."""
        self._handlers.pop(id, None)
        self.exchanges.release(id)


class Bridge(Requests):
    """An app between `start` and `stop`, and its requests."""

    def __init__(self, app: ASGIApp, report: Report) -> None:
        self._instance = Instance(app, report)
        super().__init__(self._instance.begin)

    async def start(self) -> None:
        """Run the app's startup. Raises `portico.errors.StartupFailed`."""
        await self._instance.start()

    async def stop(self) -> None:
        """Let requests in flight end, cancel the rest, and run the app's shutdown."""
        await self._instance.retire(STOP_WITHIN)


class _Carrier:
    """`portico.asgi.carrier.Carrier` for one request."""

    __slots__ = ("_exchanges", "_id", "_requests")

    def __init__(self, requests: Requests, id: int) -> None:
        self._requests = requests
        self._exchanges = requests.exchanges
        self._id = id

    def send_head(
        self, status: int, headers: Headers, *, accept: bool = False, subprotocol: str = "", fin: bool = False
    ) -> None:
        text = b"\n".join([part for pair in headers for part in pair]).decode("latin-1")
        self._exchanges.head(self._id, status, text)

    def send_data(
        self, data: bytes | memoryview, *, fin: bool = False, text: bool = False, message_end: bool = False
    ) -> bool:
        return bool(self._exchanges.data(self._id, to_js(data) if data else None, fin))

    def send_close(self, code: int, reason: str = "") -> None:  # a WebSocket's: none comes this way
        raise NotImplementedError

    def reset(self, code: ResetCode, reason: str = "") -> None:
        self._exchanges.reset(self._id, int(code), reason)

    def consumed(self, count: int) -> None:
        self._exchanges.credit(self._id, count)

    def keep(self, count: int, pieces: int = 1) -> bool:  # of a WebSocket's message
        raise NotImplementedError

    def release(self) -> None:
        self._requests.forget(self._id)


def to_js(data: bytes | memoryview) -> Any:
    """The bytes as a Uint8Array of JavaScript's own."""
    from pyodide.ffi import to_js

    return to_js(data)


# --- an app's files, in a worker that has nothing else ------------------------------------------------------------

_running: Bridge | None = None


class _Unusable(Exception):
    """What keeps an app from running: a plain sentence, and a traceback or the like."""

    def __init__(self, message: str, detail: str = "") -> None:
        self.detail = detail
        super().__init__(message)


async def start(
    exchanges: Exchanges, target: str, folder: str, chat: bool, report: Callable[[str, str, str], None]
) -> str:
    """Import *target* (``module:app``) from *folder*, and start it. Returns JSON: what was found, or what is wrong.

    *report* is told of each exception that leaves the app: what it was doing, the last line, and the traceback.
    """
    global _running
    shim.install()

    def tell(doing: str, error: BaseException) -> None:
        entry = Entry(doing, error)
        report(doing, entry.summary, entry.traceback)

    try:
        taken = _take(target, folder, chat, tell)
        bridge = Bridge(taken.app, tell)
        bridge.exchanges = exchanges
        try:
            await bridge.start()
        except StartupFailed as error:
            raise _from(error.__cause__ or error, "The app's startup failed") from error
    except _Unusable as error:
        return json.dumps({"error": str(error), "detail": error.detail})
    _running = bridge
    return json.dumps({"kind": taken.kind, "how": taken.how, "models": list(taken.models)})


def running() -> Bridge | None:
    """What `start` has started."""
    return _running


def _take(target: str, folder: str, chat: bool, tell: Report) -> Taken:
    name, _, attribute = target.partition(":")
    sys.path.insert(0, folder)
    os.chdir(folder)
    try:
        module = _load(name, Path(folder) / f"{name}.py")
    except _Unusable:
        raise
    except ModuleNotFoundError as error:
        raise _Unusable(
            f"The app imports {error.name!r}, which is not here. Name its package among the app's requirements, "
            "or add its file.",
            Entry(f"importing {name}", error).own,
        ) from error
    except Exception as error:
        raise _from(error, "The app's code raised an exception while it was loaded") from error
    thing = _find(module, attribute)
    try:
        return take(thing, TakeOptions(by="chat" if chat or isinstance(thing, _Models) else "", report=tell))
    except NotServable as error:
        raise _Unusable(str(error)) from error
    except PorticoError as error:
        raise _from(error, "The app cannot be served") from error


def _load(name: str, path: Path) -> Any:
    """The module in the file at *path*, whatever else is called *name*: site.py is no rare name for an app's file."""
    known = name if name not in sys.modules and name not in sys.stdlib_module_names else f"app_{name}"
    spec = importlib.util.spec_from_file_location(known, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise _Unusable(f"There is no file {path.name}.")
    module = sys.modules[known] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _find(module: Any, attribute: str) -> Any:
    """What of *module* is to be served: *attribute*, else what is named as apps are, its models, or its tools."""
    found = module
    for part in attribute.split(".") if attribute else ():
        found = getattr(found, part, None)
        if found is None:
            raise _Unusable(f"There is no {attribute!r} in {Path(module.__file__).name}.")
    if attribute:
        return found
    for name in APP_NAMES:
        if hasattr(module, name):
            return getattr(module, name)
    models = _Models(value for value in vars(module).values() if callable(value) and chat_models.is_meant(value))
    found = models or [value for value in vars(module).values() if callable(value) and is_tool(value)]
    if not found:
        raise _Unusable(
            f"There is no app in {Path(module.__file__).name}: nothing called {' or '.join(APP_NAMES)}, and nothing "
            "marked with @portico.model or @portico.tool."
        )
    return found if len(found) > 1 else found[0]


class _Models(list[Any]):
    """Functions that are marked as models."""


def _from(error: BaseException, what: str) -> _Unusable:
    entry = Entry("", error)
    return _Unusable(f"{what}: {entry.summary.splitlines()[-1]}", entry.own + entry.summary)
