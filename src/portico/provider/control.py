"""What a hub may ask a provider, by streams to the reserved service ``.control`` (docs/protocol.md, "Control").

The author's own hub (`HubAddress.own`: what was dialled decides, and nothing that a hub says) is shown a service's log,
and stops a service as its author would. Any other hub is a relay: of what it was given it hears the status, until when
it lasts, and what its tools are told as, and it stops that. A name that is served elsewhere is an unknown one to it,
found to be so in the same way.

An ASGI app of plain values. No route reads a body.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qsl

from portico import foreign
from portico.asgi.http import HTTPExchange
from portico.calls.log import Entry, Line, Log
from portico.calls.owner import REPORTED
from portico.link import Stream, StreamHandler
from portico.protocol import Kind
from portico.protocol.events import Open
from portico.provider.presence import Presence
from portico.provider.publication import Publication
from portico.provider.service import Service
from portico.types import Receive, Scope, Send

logger = logging.getLogger(__name__)

MOST_LINES = 1000
"""Of a log in one answer: more than a log keeps of errors and of lines of usual length."""
_USUAL_LINES = 100

MOST_TEXT = 128 * 1024
"""Characters of a log in one answer. As JSON each may take six bytes: that is under the MiB that a hub reads."""

_MOST_QUERY = 1000  # bytes: a name, two numbers, and as much again
_MOST_ARGUMENTS = 8
_MOST_DOING = 1000  # characters of what the app was doing, which has the visitor's path in it
_NUMBER = re.compile(r"[0-9]{1,15}")


class Published(Protocol):
    """What is asked of the provider's board."""

    def at(self, session: Presence, name: str) -> Publication | None: ...

    def on(self, session: Presence) -> list[Publication]: ...


class StopPublication(Protocol):
    def __call__(self, publication: Publication, why: str = "") -> Coroutine[Any, Any, None]:
        """Take it back, as its author would; *why* is what its card says."""


class ProviderControl:
    """For one provider."""

    def __init__(self, published: Published, stop: StopPublication) -> None:
        self._published = published
        self._stop = stop
        self._exchanges: set[HTTPExchange] = set()
        self._stopping: set[asyncio.Task[None]] = set()

    def answer(self, session: Presence, stream: Stream, request: Open) -> StreamHandler | None:
        """Begin to answer a hub's question on *session*. None for what is no question."""
        if request.kind is not Kind.HTTP:
            return None
        app = ProviderControlApp(session, self._published, self._stop_whole)
        exchange = HTTPExchange(stream, request, app, state=None, report=_failed, finished=self._exchanges.discard)
        self._exchanges.add(exchange)
        Context().run(exchange.start)  # nothing of it is any service's: neither what it logs nor what fails
        return exchange

    async def _stop_whole(self, publication: Publication, why: str = "") -> None:
        """Stop it to the end, though the hub may give its question up meanwhile."""
        task = asyncio.get_running_loop().create_task(self._stop(publication, why))
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)
        await asyncio.shield(task)


def _failed(doing: str, error: BaseException) -> None:
    logger.error("a hub's question could not be answered (%s)", foreign.text(doing, 200), exc_info=error)


class _Refusal(Exception):
    """An answer that is an error, in the shape of the control API."""

    def __init__(self, status: int, code: str, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers


_Arguments = dict[str, str]


@dataclass(frozen=True, slots=True)
class _Route:
    method: bytes
    call: Callable[[ProviderControlApp, _Arguments, str], Awaitable[dict[str, Any]]]
    """Given the arguments and who asks."""
    for_relays: bool


class ProviderControlApp:
    """What one session's hub may ask."""

    def __init__(self, session: Presence, published: Published, stop: StopPublication) -> None:
        self._session = session
        self._published = published
        self._stop = stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: tuple[tuple[bytes, bytes], ...] = ()
        try:
            status, answer = 200, await self._answer(scope)
        except _Refusal as refusal:
            status, headers = refusal.status, refusal.headers
            answer = _error(status, refusal.code, str(refusal))
        except Exception:  # whatever it is, the hub learns nothing of it, and who runs the provider sees all
            logger.exception("a hub's question could not be answered")
            REPORTED.set(True)
            status, answer = 500, _error(500, "internal_error", "The provider failed on this question; see its log.")
        body = json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope) -> dict[str, Any]:
        route = _ROUTES.get(scope["raw_path"])
        if route is None:
            raise _Refusal(404, "not_found", "There is no such question.")
        if not (route.for_relays or self._session.address.own):
            raise _Refusal(403, "not_for_relays", "A provider shows this to its author's own hub alone.")
        method = route.method.decode()
        if scope["method"] != method:
            raise _Refusal(405, "method_not_allowed", f"This is asked with {method}.", (b"allow", route.method))
        asker = foreign.text(scope["extensions"]["portico"].get("asker", ""), 100)
        return await route.call(self, _arguments(scope["query_string"]), asker)

    def _named(self, arguments: _Arguments) -> Publication:
        """What is registered with this very hub under the name that is asked for."""
        if "service" not in arguments:
            raise _Refusal(400, "invalid_service", "Say which: service=<name>.")
        found = self._published.at(self._session, arguments["service"])
        if found is None or found.status == "starting":
            raise _Refusal(404, "service_not_found", "No service of that name is registered here.")
        return found

    # --- for every hub ------------------------------------------------------------------------------------------

    async def status(self, arguments: _Arguments, asker: str) -> dict[str, Any]:
        """``GET status``: all that is registered with this hub."""
        return {"services": [_status(one) for one in self._published.on(self._session) if one.status != "starting"]}

    async def share(self, arguments: _Arguments, asker: str) -> dict[str, Any]:
        """``GET share?service=<name>``: one of these."""
        return _status(self._named(arguments))

    async def stop(self, arguments: _Arguments, asker: str) -> dict[str, Any]:
        """``POST stop?service=<name>``: take it back."""
        publication = self._named(arguments)
        where = self._session.address.url
        why = f"{asker} stopped it at {where}" if asker else f"it was stopped at {where}"
        logger.info("%s is stopped: %s", publication.name, why)
        await self._stop(publication, why)
        return _status(publication)

    async def schemas(self, arguments: _Arguments, asker: str) -> dict[str, Any]:
        """``GET schemas?service=<name>``: its tools, which whoever may call it is told as well."""
        service = self._named(arguments)._home  # of a share, the service that it is another way to
        assert isinstance(service, Service)
        tools = service.tools
        told = [{"name": name, "schema": tools.definitions.get(name)} for name in tools.names]
        return {"tools": told, "digest": tools.digest}

    # --- for the author's own -----------------------------------------------------------------------------------

    async def log(self, arguments: _Arguments, asker: str) -> dict[str, Any]:
        """``GET log?service=<name>&after=<number>&limit=<lines>``: what its code printed, logged, and failed with."""
        publication = self._named(arguments)
        after = _number(arguments, "after", 0, 10**15)
        limit = _number(arguments, "limit", _USUAL_LINES, MOST_LINES)
        return await _page(publication.log, after, limit, newest="after" not in arguments)


_ROUTES: dict[bytes, _Route] = {
    b"/status": _Route(b"GET", ProviderControlApp.status, for_relays=True),
    b"/share": _Route(b"GET", ProviderControlApp.share, for_relays=True),
    b"/stop": _Route(b"POST", ProviderControlApp.stop, for_relays=True),
    b"/log": _Route(b"GET", ProviderControlApp.log, for_relays=False),
    b"/schemas": _Route(b"GET", ProviderControlApp.schemas, for_relays=True),
}


def _status(publication: Publication) -> dict[str, Any]:
    return {"name": publication.name, "status": publication.status, "expires": publication.expires}


def _error(status: int, code: str, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "code": code, "status": status}}


async def _page(log: Log, after: int, limit: int, *, newest: bool) -> dict[str, Any]:
    """The newest lines of *log*, or the first of those that came *after* a number."""
    kept = log.read(after)
    entries: list[dict[str, Any]] = []
    size = 0
    for one in reversed(kept) if newest else kept:
        if len(entries) == limit:
            break
        entry = _entry(one)
        size += len(entry["text"])
        if size > MOST_TEXT:
            break
        entries.append(entry)
        if isinstance(one, Entry):
            await asyncio.sleep(0)  # to show a traceback may take a millisecond, and visitors wait meanwhile
    more = len(entries) < len(kept)
    if newest:
        entries.reverse()
    last = entries[-1]["number"] if entries else after
    return {"log": log.id, "entries": entries, "next": last, "more": more}


def _entry(one: Entry | Line) -> dict[str, Any]:
    if isinstance(one, Entry):
        doing = one.doing if len(one.doing) <= _MOST_DOING else one.doing[:_MOST_DOING] + "..."
        kind, text = "error", f"{doing}\n{one.traceback}"
    else:
        kind, text = one.kind, one.text
    return {"number": one.number, "time": one.time, "kind": kind, "text": text}


def _arguments(query: bytes) -> _Arguments:
    """Raises `_Refusal` (400)."""
    if len(query) > _MOST_QUERY:
        raise _Refusal(400, "invalid_query", f"The query has more than {_MOST_QUERY} bytes.")
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_ARGUMENTS)
    except ValueError:  # not ASCII, or too many
        raise _Refusal(400, "invalid_query", f"A query has at most {_MOST_ARGUMENTS} arguments, in ASCII.") from None
    arguments = dict(pairs)
    if len(arguments) != len(pairs):
        raise _Refusal(400, "invalid_query", "An argument comes twice.")
    return arguments


def _number(arguments: _Arguments, name: str, otherwise: int, most: int) -> int:
    text = arguments.get(name)
    if text is None:
        return otherwise
    if not _NUMBER.fullmatch(text) or int(text) > most:
        raise _Refusal(400, f"invalid_{name}", f"{name} is a whole number from 0 to {most}.")
    return int(text)
