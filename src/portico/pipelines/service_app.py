"""One pipeline as an app of its own: what is at the URL of a service that is a pipeline.

Below that URL: a page with a form, or with a chat where the pipeline only talks; ``run``, ``docs``, ``openapi.json``
and ``mcp``, as for any typed function; ``v1`` with the OpenAI API, which is at ``chat/completions``, ``responses``,
``models`` and ``files`` too; ``chat``, the page with a chat, to which programs may post as to ``chat/completions``; and
``draw``, the pipeline as a picture. Deploying is not among them: whoever may call a service may not change it.

Here: which part a request goes to. The parts are those of the whole server (`portico run`), over a table of one. Not
here: how a pipeline is made ready (`preparing`, `objects`). Source: ASGI 3.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from portico.calls.cors import Origins
from portico.calls.exchange import Exchange
from portico.errors import PipelineError
from portico.functions.names import title_of
from portico.functions.run_route import Manner
from portico.functions.server import FunctionsServer, route_of
from portico.functions.typed import TypedFunction
from portico.functions.values.off_loop import off_loop
from portico.pipelines.chats.chat import is_files, models_of
from portico.pipelines.chats.files import FilesRoute
from portico.pipelines.components.sockets import is_component, is_pipeline
from portico.pipelines.deployment import Deployment, Wires
from portico.pipelines.deployments import Deployments
from portico.pipelines.runs import IN_SERVICE
from portico.pipelines.tools.as_tools import pipeline_tool
from portico.protocol.offer import ToolList
from portico.tools.tool import Tool
from portico.types import Receive, Scope, Send

OnError = Callable[[BaseException], object]
"""Shows an exception to the pipeline's author."""

_OPENAI = frozenset(("v1", "models", "chat", "completions", "embeddings", "responses", "files", "health"))
"""What paths of the OpenAI API begin with."""

_CHAT_PAGE, _DRAWING = "chat", "draw"


class PipelineApp:
    """An ASGI app. One instance belongs to one event loop at a time."""

    def __init__(
        self,
        deployment: Deployment,
        *,
        title: str = "",
        on_error: OnError | None = None,
        allow_origins: str | Iterable[str] = "*",
        rename: Callable[[str], Deployment] | None = None,
    ) -> None:
        """*title* is what people read of it; by default it is made of the pipeline's name.

        - *on_error* is called with each exception of the pipeline, for its author to see; by default it is logged.
        - *allow_origins*: the origins whose pages may call, or ``"*"``. Credentials of browsers are never allowed.
        - *rename* makes the deployment under another name, for who serves it as something; None where it has a name
          that its author gave it.
        """
        self.rename = rename
        self.manner: Manner = IN_SERVICE
        self._report = on_error
        self._origins = Origins(allow_origins, "x-request-id, retry-after")
        self._allowed = allow_origins
        self.deployment = deployment
        self._table = Deployments()
        self._files = FilesRoute(self._table, on_error)
        self._models = models_of(self._table, on_error, allow_origins=allow_origins)
        self._title = title
        named = title or title_of(deployment.name)
        self._functions = FunctionsServer({}, title=named, on_error=on_error, allow_origins=allow_origins, beside=self)
        self.replace(deployment)

    def replace(self, deployment: Deployment) -> None:
        """Serve *deployment* in place of the present one, from the next request on. Calls that run go on as they are.

        May be called from any thread.
        """
        self.deployment = deployment
        self._table.add(deployment, replace=True)
        for name in [name for name in self._table.present if name != deployment.name]:
            self._table.remove(name)
        self._functions.replace({deployment.name: deployment.api} if deployment.api is not None else {})

    def served_as(self, name: str, *, title: str = "", on_error: OnError | None = None) -> PipelineApp:
        """The same as a service: under that *name*, unless its author named it.

        What its author said already goes before *title* and *on_error*.
        """
        return PipelineApp(
            self.rename(name) if self.rename is not None and name else self.deployment,
            title=self._title or title,
            on_error=self._report or on_error,
            allow_origins=self._allowed,
        )

    def take_over(self, other: PipelineApp) -> None:
        """Go on in the place of *other*, once it has ended: with the agents that talk to it."""
        self._functions.take_over(other._functions)

    def keep_stored(self, other: PipelineApp) -> None:
        """Go on with the stored responses of *other*, whose place this is about to take, and with those being made."""
        self._models.take_over(other._models)

    # --- what is told of it -------------------------------------------------------------------------------------

    @property
    def model_ids(self) -> list[str]:
        """The ids of its models: its name, where it has something for the OpenAI API."""
        return self._models.model_ids

    @property
    def tag(self) -> str:
        """What the ids of the responses that are stored here carry: a hub finds them by it."""
        return self._models.tag

    @property
    def tools(self) -> ToolList:
        """What agents may call, as a hub is told of it."""
        return self._functions.tools

    @property
    def functions(self) -> Mapping[str, TypedFunction]:
        """``run_api`` by the pipeline's name; empty where there is none."""
        return self._functions.functions

    @property
    def remarks(self) -> list[str]:
        """What the author should be told: what is not there for want of a package."""
        return self._functions.remarks

    @property
    def docs_url(self) -> str | None:
        """The path of the description for people, as FastAPI's apps say it; None if it is not there."""
        return self._functions.docs_url

    @property
    def pages(self) -> Sequence[str]:
        """What people find at its URL, in words: ``form``, ``chat``."""
        return ["form"] * bool(self.functions) + ["chat"] * self._talks

    @property
    def _talks(self) -> bool:
        return self.deployment.chat is not None

    # --- what the functions' part asks (`portico.functions.server.Beside`) --------------------------------------

    def links(self) -> Mapping[str, str]:
        """Other pages for people."""
        links = {"Chat": _CHAT_PAGE} if self._talks else {}
        return {**links, "Picture": _DRAWING} if self._is_drawn else links

    @property
    def _is_drawn(self) -> bool:
        return is_pipeline(self.deployment.pipeline) or is_component(self.deployment.pipeline)

    def urls(self) -> Mapping[str, str]:
        """Other URLs for programs."""
        return {"OpenAI API": "v1"} if self.model_ids else {}

    def agent_tools(self) -> Iterable[Tool]:
        """What agents may call: ``run_api``, unless its author says otherwise."""
        tool = pipeline_tool(self.deployment, self._report)
        return () if tool is None else (tool,)

    def paths(self) -> Mapping[str, Any]:
        """Other paths of the OpenAPI document."""
        if not self.model_ids:
            return {}
        from portico.models.openapi import description

        paths: Mapping[str, Any] = description(self._models.kinds)["paths"]
        parts = [
            ("/v1/models", True),
            ("/v1/chat/", self._talks),
            ("/v1/responses", self.deployment.response is not None),
        ]
        begin = tuple(beginning for beginning, is_there in parts if is_there)
        return {path: told for path, told in paths.items() if path.startswith(begin)}

    # --- requests -----------------------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection (ASGI 3.0)."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        route = route_of(scope)
        is_http = scope["type"] == "http"
        if is_http and self.deployment.upload is not None and is_files(route.removeprefix("v1/")):
            await self._files(scope, receive, send)
        elif self.model_ids and route.partition("/")[0] in _OPENAI and not self._functions.has(route):
            if is_http and route == _CHAT_PAGE:
                await self._chat(scope, receive, send)
            else:
                await self._models(scope, receive, send)
        elif is_http and route == _DRAWING:
            await self._draw(Exchange(scope, receive, send, self._origins.headers(scope)))
        elif is_http and not route and not self.functions and _is_navigated(scope):
            exchange = Exchange(scope, receive, send, self._origins.headers(scope))
            await (self._chat_page(exchange) if self._talks else _to_docs(exchange))
        else:
            await self._functions(scope, receive, send)

    async def _draw(self, exchange: Exchange) -> None:
        from portico.pipelines.pictures.drawing import draw  # few ask for it

        if exchange.scope["method"] not in ("GET", "HEAD"):
            await exchange.json({"detail": "It is read alone: send a GET."}, 405, [(b"allow", b"GET, HEAD")])
            return
        form = dict(parse_qsl(exchange.scope.get("query_string", b"").decode("latin-1"))).get("form", "")
        try:
            picture = await off_loop(
                lambda: draw(self.deployment, accept=exchange.headers.get("accept", ""), form=form)
            )
        except PipelineError as error:
            await exchange.json({"detail": str(error)}, error.status)
        else:
            await exchange.whole(picture.body, picture.media_type.encode("latin-1"), 200, picture.headers)

    async def _chat(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The page with a chat; programs post to it as to ``chat/completions``."""
        if scope["method"] in ("GET", "HEAD") and self._talks and not scope["path"].endswith("/"):
            await self._chat_page(Exchange(scope, receive, send, self._origins.headers(scope)))
            return
        root: str = scope.get("root_path", "").rstrip("/")
        path = f"{root}/chat/completions"
        await self._models({**scope, "path": path, "raw_path": path.encode()}, receive, send)

    async def _chat_page(self, exchange: Exchange) -> None:
        from portico.models.page import CSP, Around, page  # few ask for it, and no program does

        links = {"Form": ""} if self.functions else {}
        links |= {"Picture": _DRAWING} if self._is_drawn else {}
        links |= {"API docs": "docs"} if self.docs_url else {}
        around = Around(title=self._functions.title, lead="A pipeline, served as the OpenAI API.", links=links)
        body = page(exchange.scope, self._models.kinds, exchange.identity, around).encode()
        await exchange.whole(
            body,
            b"text/html; charset=utf-8",
            200,
            [
                (b"cache-control", b"no-cache"),
                (b"content-security-policy", CSP.encode("ascii")),
                (b"x-content-type-options", b"nosniff"),
                (b"x-frame-options", b"SAMEORIGIN"),
                (b"referrer-policy", b"same-origin"),
                (b"vary", b"accept"),
            ],
        )

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self._functions.shut_down()
                await self._models.shut_down()
                await send({"type": "lifespan.shutdown.complete"})
                return


def pipeline(
    pipe: Any,
    *,
    inputs: Wires | None = None,
    outputs: Wires | None = None,
    name: str = "",
    description: str = "",
    title: str = "",
    on_error: OnError | None = None,
    allow_origins: str | Iterable[str] = "*",
) -> PipelineApp:
    """Make an ASGI app of a live Haystack pipeline or agent: a page, REST, tools, and the OpenAI API where it talks.

    - *inputs*: what callers give, by name, and the inputs of components that get it: ``{"question": "prompt.query"}``,
      or several of them in a list. *outputs* likewise: ``{"answer": "llm.replies"}``. Without them it is all that the
      pipeline asks for, and all that it gives.
    - *name* is what it is called as a tool and as a model; without one, it is what it is served as.
    - *description* is what people and agents read of it.
    - *on_error* and *allow_origins*: see `PipelineApp`.

    Raises `PipelineError` for sockets that are not there, or that cannot be used so.
    """
    from portico.pipelines.components.objects import prepare_object

    def prepared(name: str) -> Deployment:
        return prepare_object(name, pipe, inputs=inputs, outputs=outputs, description=description)

    return PipelineApp(
        prepared(name or "pipeline"),
        title=title,
        on_error=on_error,
        allow_origins=allow_origins,
        rename=None if name else prepared,
    )


def _is_navigated(scope: Scope) -> bool:
    """Whether a browser goes to this address."""
    if scope["method"] not in ("GET", "HEAD"):
        return False
    accept = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    return b"text/html" in accept.lower()


async def _to_docs(exchange: Exchange) -> None:
    """Lead a person to the description, of a service that has no page of its own."""
    to = "docs" if exchange.scope["path"].endswith("/") else f"./{exchange.scope['path'].rpartition('/')[2]}/docs"
    await exchange.head(307, [(b"location", to.encode("ascii", "replace")), (b"content-length", b"0")])
    await exchange.end()
