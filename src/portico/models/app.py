"""The ASGI app: routes, lifespan, and the errors that are nobody else's.

Here: which endpoint a request goes to. What the endpoints do is in their own modules. Source: ASGI 3.0; OpenAI API
reference for the paths.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from portico.calls.body import read_body
from portico.calls.cors import Origins
from portico.calls.exchange import Exchange, Leaving
from portico.calls.run import THREADS
from portico.errors import APIError, ModelNotFound, UnusableRequest
from portico.models.chat_completions import chat_completions
from portico.models.completions import completions
from portico.models.embeddings import embeddings
from portico.models.engine import Engine, EngineSettings, OnError
from portico.models.openapi import description
from portico.models.registry import AnyTokenizer, Kind, Models, ServedModel
from portico.models.responses import Ask, Responses, ask_model, methods_of_stored
from portico.types import Headers, Receive, Scope, Send

log = logging.getLogger(__name__)

ELSEWHERE = frozenset(
    (
        *("assistants", "audio", "batches", "containers", "conversations", "evals", "files", "fine_tuning"),
        *("images", "moderations", "realtime", "threads", "uploads", "vector_stores", "videos"),
    )
)
"""Parts of the OpenAI API that are no functions over text: these answer 501, not 404."""

Post = Callable[[Engine, Exchange, dict[str, Any]], Awaitable[None]]


def chat_server(
    models: Models,
    *,
    on_error: OnError | None = None,
    tokenizer: AnyTokenizer | None = None,
    keep_alive: float = 10.0,
    max_body: int = 32 * 1024 * 1024,
    max_concurrent: int | None = None,
    allow_origins: str | Iterable[str] = "*",
    threads: bool = THREADS,
    stored_responses: int = 1000,
    stored_bytes: int = 64 * 1024 * 1024,
) -> ChatServer:
    """Make an ASGI app that speaks the OpenAI API for *models*.

    *models* is a function, a dict ``{model id: function}`` or a list of functions, decorated with `model` or named by
    their ``__name__``; a `Live` in the place of a function is looked up at each request.

    - *on_error* is called with each exception of a model, for its author to see; by default it is logged. Clients
      never see its text.
    - *tokenizer* is for models that have none of their own: a function from a text to a number or a list of tokens,
      or an object with ``encode`` (and ``decode``, for clients that send token ids). Without one, usage is estimated
      (and has ``"estimated": true``), and limits of tokens are left to the model.
    - *keep_alive*: seconds of silence after which a stream is given a sign of life; 0 for never.
    - *max_body*: bytes of a request's body, above which it is refused with 413.
    - *max_concurrent*: requests to models at a time, above which they are refused with 429; None for no limit.
    - *allow_origins*: the origins whose pages may call, or ``"*"``. Credentials of browsers are never allowed.
    - *threads*: whether synchronous functions run on threads, one a request. In a browser there are none.
    - *stored_responses*, *stored_bytes*: what ``store`` of the responses API keeps in memory; the oldest go first.

    Raises `NotServable` or `InvalidOption` if *models* cannot be served.
    """
    origins = (allow_origins,) if isinstance(allow_origins, str) else tuple(allow_origins)
    settings = EngineSettings(
        on_error=on_error,
        tokenizer=tokenizer,
        keep_alive=keep_alive,
        max_body=max_body,
        max_concurrent=max_concurrent,
        allow_origins=origins,
        threads=threads,
        stored_responses=stored_responses,
        stored_bytes=stored_bytes,
    )
    return ChatServer(Engine(models, settings))


class ChatServer:
    """An ASGI app. Made by `chat_server`; one instance belongs to one event loop at a time."""

    def __init__(self, engine: Engine, posts: Mapping[str, Post] | None = None, ask: Ask = ask_model) -> None:
        """*posts* and *ask* are what another room does in the place of our own endpoints."""
        self._engine = engine
        self._responses = Responses(engine, ask)
        self._origins = Origins(engine.settings.allow_origins, "x-request-id, retry-after, x-should-retry")
        self._posts: dict[str, Post] = {
            "": chat_completions,  # some browser clients post to the base URL itself
            "chat/completions": chat_completions,
            "completions": completions,
            "embeddings": embeddings,
            "responses": self._responses.create,
            **(posts or {}),
        }

    @property
    def model_ids(self) -> list[str]:
        """The ids of the models, in the order given."""
        return list(self._engine.registry.entries)

    @property
    def kinds(self) -> dict[str, Kind]:
        """The kind of each model, ``"chat"`` or ``"embedding"``, by its id."""
        return {id: entry.info.kind for id, entry in self._engine.registry.entries.items()}

    @property
    def tag(self) -> str:
        """What the ids of the responses that are stored here carry: a hub finds them by it."""
        return self._responses.store.tag

    @property
    def remarks(self) -> list[str]:
        """What the authors of the models should be told: parameters of theirs that nothing is known of."""
        return self._engine.remarks()

    def take_over(self, other: ChatServer) -> None:
        """Go on with the stored responses of *other*, whose place this server takes, and with those being made."""
        self._responses.take_over(other._responses)

    def replace(self, models: Models) -> None:
        """Serve *models* in place of the present ones, from the next request on. Raises what `chat_server` raises."""
        self._engine.registry.replace(models)

    async def shut_down(self) -> None:
        """Cancel the responses that are made in the background, and wait for them."""
        await self._responses.shut_down()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection (ASGI 3.0)."""
        if scope["type"] == "http":
            await self._http(Exchange(scope, receive, send, self._origins.headers(scope)))
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.shut_down()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _http(self, exchange: Exchange) -> None:
        try:
            await self._route(exchange, route_of(exchange.scope), exchange.scope["method"])
        except EOFError:
            log.debug("The client left while sending %s", exchange.id)
        except (APIError, UnusableRequest) as error:
            await self._engine.refuse(exchange, error)
        except Exception:  # a defect of ours: the client gets an answer, the log the traceback
            log.exception("Request %s failed", exchange.id)
            if exchange.started:
                raise
            await self._engine.refuse(exchange, APIError("The server failed.", 500, code="internal_error"))

    async def _route(self, exchange: Exchange, route: str, method: str) -> None:
        if method == "OPTIONS":
            await self._preflight(exchange, route)
        elif method == "POST" and route in self._posts:
            await self._post(exchange, self._posts[route])
        elif method in ("GET", "HEAD") and not route:
            await self._base(exchange)
        elif method in ("GET", "HEAD") and (answer := self._get(route)) is not None:
            await exchange.json(answer)
        elif route.startswith("responses/"):
            await self._responses.stored(exchange, route.removeprefix("responses/"), method)
        else:
            allowed = self._methods(route)
            if allowed:
                allow = [(b"allow", ", ".join([*allowed, "OPTIONS"]).encode())]
                error = APIError(f"{method} is not allowed here.", 405, code="method_not_allowed")
                await self._engine.refuse(exchange, error, allow)
            elif route.partition("/")[0] in ELSEWHERE:
                raise APIError(f"'/{route}' is no part of what this server does.", 501, code="not_implemented")
            else:
                raise APIError(f"There is nothing at {method} '/{route[:200]}'.", 404, code="unknown_url")

    def _methods(self, route: str) -> list[str]:
        if route.startswith("responses/"):
            return methods_of_stored(route.removeprefix("responses/"))
        try:
            gets = self._get(route) is not None
        except ModelNotFound:
            gets = True
        return (["GET", "HEAD"] if gets else []) + (["POST"] if route in self._posts else [])

    def _get(self, route: str) -> dict[str, Any] | None:
        entries = self._engine.registry.entries
        if route == "health":
            return {"status": "ok", "models": len(entries)}
        if route == "models":
            return {"object": "list", "data": [self._model(entry) for entry in entries.values()]}
        if route.startswith("models/"):
            id = route.removeprefix("models/")
            if id not in entries:
                raise ModelNotFound(f"The model {id[:200]!r} does not exist.")
            return self._model(entries[id])
        if route == "openapi.json":
            return description(self.kinds)
        if route == "":
            return {"object": "server", "models": self.model_ids, "openapi": "openapi.json"}
        return None

    def _model(self, entry: ServedModel) -> dict[str, Any]:
        return {**model_object(entry), **self._engine.settings.dialect.extra(entry.info.id)}

    async def _base(self, exchange: Exchange) -> None:
        """The base URL itself: a page for people, JSON for programs."""
        vary: Headers = [(b"vary", b"accept")]
        if "text/html" not in exchange.headers.get("accept", "").lower():  # a browser that navigates says so
            await exchange.json(self._get(""), headers=vary)
            return
        from portico.models.page import CSP, page  # few ask for it, and no program does

        body = page(exchange.scope, self.kinds, exchange.identity).encode()
        headers: Headers = [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-cache"),
            (b"content-security-policy", CSP.encode("ascii")),
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"SAMEORIGIN"),
            (b"referrer-policy", b"same-origin"),
            *vary,
        ]
        await exchange.head(200, headers)
        await exchange.end(b"" if exchange.scope["method"] == "HEAD" else body)

    async def _post(self, exchange: Exchange, post: Post) -> None:
        raw = await read_body(exchange.receive, exchange.headers, self._engine.settings.max_body, exchange.scope)
        body = self._engine.settings.dialect.read(raw)
        del raw
        with self._engine.slot():
            async with Leaving(exchange.receive) as leaving:
                await post(self._engine, exchange, body)
            if leaving.left:
                log.debug("The client left during %s", exchange.id)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if route_of(scope) == "responses" and self._origins.allows(scope):
            from portico.models.response_socket import ResponseSocket  # few clients have one

            await ResponseSocket(self._responses, scope, receive, send).run()
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "There is no WebSocket here."})

    async def _preflight(self, exchange: Exchange, route: str) -> None:
        headers: Headers = [(b"allow", ", ".join([*self._methods(route), "OPTIONS"]).encode())]
        headers += self._origins.preflight(exchange.scope, b"GET, HEAD, POST, DELETE, OPTIONS")
        await exchange.head(204, headers)
        await exchange.end()


def route_of(scope: Scope) -> str:
    """The path below the app's root, without ``/v1`` and without slashes at its ends."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and (path == root or path.startswith(root.rstrip("/") + "/")):
        path = path[len(root.rstrip("/")) :]
    route = path.strip("/")
    if route == "v1" or route.startswith("v1/"):
        route = route[3:]
    return route.strip("/") if not route.startswith("models/") else route


def model_object(entry: ServedModel) -> dict[str, Any]:
    """The API's model object; ``kind`` is ours."""
    return {
        "id": entry.info.id,
        "object": "model",
        "created": entry.created,
        "owned_by": entry.info.owned_by,
        "kind": entry.info.kind,
    }
