"""The OpenAI API over a server's pipelines: chat completions and responses, by what their wrappers have for them.

Here: the endpoints, and which pipeline a request is for. Not here: what a wrapper is called with (`chat_requests`), how
errors look (`openai_errors`), files (`files`), and all that happens to an answer, which is `portico.models`.

Source: OpenAI API reference; Hayhooks 2.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from portico.calls.exchange import Exchange
from portico.calls.run import Cancel
from portico.errors import APIError, InvalidRequest, ModelNotFound
from portico.models.app import ChatServer
from portico.models.chat_completions import answer_chat
from portico.models.engine import Dialect, Engine, EngineSettings, OnError
from portico.models.generation import Generation, Wanted
from portico.models.response_store import Store, owner_of
from portico.models.responses import Asked, Responses
from portico.models.tools import offers_of
from portico.pipelines.chats.chat_requests import (
    call_of,
    chat_body,
    input_items,
    read,
    response_body,
    stored_item,
    wants_headers,
)
from portico.pipelines.chats.openai_errors import as_answer, failed, told
from portico.pipelines.deployment import Deployment
from portico.pipelines.deployments import Deployments
from portico.pipelines.streams.run_scope import RunScope
from portico.types import Receive, Scope, Send

NO_CHAT = "Chat endpoint not implemented for this model"
NO_RESPONSES = "Responses endpoint not implemented for this model"

_NAMED = "portico.pipeline"
"""The key of a request's scope that says for which pipeline its URL is."""

_ROUTES = frozenset(("chat/completions", "completions", "embeddings", "models", "responses"))
"""The endpoints that are there without ``/v1`` before them, too."""


class PipelineModels:
    """An ASGI app: the OpenAI API for the pipelines that are deployed, as they come and go.

    Its URLs are those of the API, with ``/v1`` before them or without, and for one pipeline ``{name}/chat`` and
    ``{name}/chat/completions``, where the body needs no ``model``.
    """

    def __init__(self, deployments: Deployments, on_error: OnError | None = None) -> None:
        """*on_error* is called with each exception of a pipeline, for its author; by default it is logged."""
        self.server = models_of(deployments, on_error, strict=True)
        self._deployments = deployments

    def handles(self, method: str, route: str) -> bool:
        """Whether a request with *method* to *route*, a path below the root without slashes at its ends, is its own."""
        if route.startswith("v1/"):
            return not is_files(route.removeprefix("v1/"))
        if route in _ROUTES or route.startswith(("models/", "responses/")):
            return True
        return pipeline_of(route) in self._deployments.present

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection (ASGI 3.0)."""
        if scope["type"] == "http" and (name := pipeline_of(_below_root(scope))) is not None:
            path = f"{scope.get('root_path', '').rstrip('/')}/chat/completions"
            scope = {**scope, "path": path, "raw_path": path.encode(), _NAMED: name}
        await self.server(scope, receive, send)

    def paths(self) -> Mapping[str, Mapping[str, Any]]:
        """The operations of the OpenAI API, files among them, as OpenAPI describes them, by path and method."""
        from portico.pipelines.chats.openai_paths import openai_paths  # few ask for them

        return openai_paths(self._deployments.present.values())

    async def shut_down(self) -> None:
        """Cancel the responses that are made in the background, and wait for them."""
        await self.server.shut_down()


def pipeline_of(route: str) -> str | None:
    """The pipeline that ``{name}/chat`` or ``{name}/chat/completions`` names; None for any other route."""
    name, _, rest = route.partition("/")
    return name if rest in ("chat", "chat/completions") and name not in ("", "v1") else None


def is_files(route: str) -> bool:
    """Whether *route*, without ``v1/``, is of the files API."""
    return route == "files" or route.startswith("files/")


def _below_root(scope: Scope) -> str:
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    return (path[len(root) :] if root and path.startswith(f"{root}/") else path).strip("/")


def models_of(
    deployments: Deployments,
    on_error: OnError | None = None,
    *,
    strict: bool = False,
    allow_origins: str | Iterable[str] = (),
) -> ChatServer:
    """A server of the OpenAI API whose models are *deployments*, as they come and go.

    With *strict*, all of them are listed, and a request must say which it is for, as Hayhooks has it. Else those alone
    are models that have something for the API, and where there is one, it need not be named. *allow_origins*: whose
    pages may call, or ``"*"``; none where a gate stands before all of a server's routes and says so.
    """
    dialect = Dialect(
        read=read,
        as_answer=as_answer,
        failed=failed,
        told=told,
        extra=lambda id: {"name": id},
        role_alone=False,
        done=False,
        may_be_empty=True,
    )
    origins = (allow_origins,) if isinstance(allow_origins, str) else tuple(allow_origins)
    engine = Engine({}, EngineSettings(on_error=on_error, dialect=dialect, allow_origins=origins))
    pipelines = _Pipelines(deployments, strict)
    server = ChatServer(
        engine, posts={"": pipelines.chat, "chat/completions": pipelines.chat}, ask=pipelines.ask_response
    )

    def follow() -> None:
        server.replace({one.name: _as_model(one) for one in pipelines.listed()})

    deployments.listeners.append(follow)
    follow()
    return server


@dataclass(frozen=True, slots=True)
class _Methods:
    """What of a deployment is called, and whether the request's headers are asked for."""

    deployment: Deployment
    chat_headers: bool
    response_headers: bool


class _Pipelines:
    """The endpoints."""

    def __init__(self, deployments: Deployments, strict: bool) -> None:
        self._deployments = deployments
        self._strict = strict
        self._known: dict[str, _Methods] = {}

    def listed(self) -> list[Deployment]:
        """Those that are models."""
        present = self._deployments.present.values()
        self._known = {one.name: self._known[one.name] for one in present if one.name in self._known}
        return [one for one in present if self._strict or one.chat is not None or one.response is not None]

    async def chat(self, engine: Engine, exchange: Exchange, body: dict[str, Any]) -> None:
        """``POST chat/completions``. Raises `APIError` before anything is sent if it cannot be served."""
        methods = self._find(exchange, body)
        deployment = methods.deployment
        if deployment.chat is None:
            raise APIError(NO_CHAT, 501, code="not_implemented")
        body = chat_body(body, deployment.name)
        messages = [dict(message) for message in body["messages"]]
        headers = exchange.scope["headers"] if methods.chat_headers else None
        fields = {"model": deployment.name, "messages": messages, "body": body}
        run, on_loop = call_of(deployment.chat, fields, headers)
        legacy = bool(body.get("functions")) and not body.get("tools")
        wanted = Wanted(
            calls=[run],
            on_loop=on_loop,
            any_json=True,
            messages=body["messages"],
            threads=engine.settings.threads,
            around=RunScope(deployment.name, "chat", self._deployments.streaming_components),
            offers=offers_of(body.get("functions" if legacy else "tools")),
        )
        await answer_chat(engine, exchange, Generation(wanted, Cancel()), deployment.name, body, legacy)

    def ask_response(
        self, responses: Responses, exchange: Exchange, body: dict[str, Any], unstored: Store | None
    ) -> Asked:
        """``POST responses``, and the same over a WebSocket. See `Ask`.

        A response that is stored here is gone on with: its items come before those of the request. Of an id that is not
        known here the wrapper may know more; it finds it in the body.
        """
        methods = self._find(exchange, body)
        deployment = methods.deployment
        if deployment.response is None:
            raise APIError(NO_RESPONSES, 501, code="not_implemented")
        whole = response_body(body, deployment.name)
        body["stream"] = whole["stream"]
        earlier = _earlier(responses, exchange, whole, unstored)
        given = input_items(whole)
        items = [stored_item(item) for item in given]
        headers = exchange.scope["headers"] if methods.response_headers else None
        fields = {"model": deployment.name, "input_items": [*map(dict, [*earlier, *given])], "body": whole}
        run, on_loop = call_of(deployment.response, fields, headers)
        wanted = Wanted(
            calls=[run],
            on_loop=on_loop,
            any_json=True,
            messages=[*earlier, *items],
            threads=responses.engine.settings.threads,
            around=RunScope(deployment.name, "response", self._deployments.streaming_components),
            offers=offers_of(whole["tools"]),
        )
        return Asked(model=deployment.name, wanted=wanted, cancel=Cancel(), items=items, earlier=earlier, summary=True)

    def _find(self, exchange: Exchange, body: Mapping[str, Any]) -> _Methods:
        """The pipeline that a request is for. Raises `ModelNotFound` and `InvalidRequest`."""
        name = exchange.scope.get(_NAMED)
        if name is None:
            name = body.get("model")
            if name is None and not self._strict and len(listed := self.listed()) == 1:
                name = listed[0].name
            if name is None:
                raise InvalidRequest("Field required: 'model', the name of a pipeline.", "model", "missing")
            if not isinstance(name, str):
                raise InvalidRequest("'model' must be a string, the name of a pipeline.", "model")
        deployment = self._deployments.present.get(name)
        if deployment is None:
            raise ModelNotFound(f"Pipeline '{name[:200]}' not found")
        known = self._known.get(name)
        if known is None or known.deployment is not deployment:
            chat, response = deployment.chat, deployment.response
            known = self._known[name] = _Methods(
                deployment,
                chat is not None and wants_headers(chat),
                response is not None and wants_headers(response),
            )
        return known


def _earlier(
    responses: Responses, exchange: Exchange, body: Mapping[str, Any], unstored: Store | None
) -> list[dict[str, Any]]:
    previous = body["previous_response_id"]
    if previous is None:
        return []
    store = unstored if unstored is not None and unstored.has(previous) else responses.store
    try:
        return store.get(previous, owner_of(exchange.identity)).conversation
    except APIError:
        return []


def _as_model(deployment: Deployment) -> Callable[..., Any]:
    """A pipeline's chat as the older endpoint of completions calls it."""

    def chat(model: str, messages: list[dict[str, Any]], body: dict[str, Any], headers: Mapping[str, str]) -> Any:
        if deployment.chat is None:
            raise APIError(NO_CHAT, 501, code="not_implemented")
        fields = chat_body(body, model)
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        run, _ = call_of(
            deployment.chat,
            {"model": model, "messages": messages, "body": fields},
            raw if wants_headers(deployment.chat) else None,
        )
        return run()

    return chat
