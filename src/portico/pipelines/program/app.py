"""The FastAPI app of a server of pipelines: what authors give routes, middleware and a lifespan of their own.

Here: how the two fit together, and how a program runs it. Each request goes by the gate first, the author's routes
among them. What the server of pipelines answers is its own; anything else is FastAPI's. Where the author has no
middleware, the server is called before FastAPI is, whose layers cost a small request more than all else.

Imports FastAPI and uvicorn, so that it is imported only where such an app is made.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.datastructures import URLPath
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Match, NoMatchFound

from portico.calls.exchange import Exchange
from portico.functions.server import route_of
from portico.pipelines.chats.chat import PipelineModels
from portico.pipelines.chats.files import FilesRoute
from portico.pipelines.deploying.startup import Tell
from portico.pipelines.program import running
from portico.pipelines.program.life import alive, begin
from portico.pipelines.server.gate import Gate, refusal_headers
from portico.pipelines.server.server import Part, PipelinesServer
from portico.pipelines.settings import PipelinesSettings, take_env_file
from portico.pipelines.tools.as_tools import PipelineTools
from portico.types import ASGIApp, Receive, Scope, Send

TITLE = "Pipelines"
DESCRIPTION = "Haystack pipelines as REST, as models of the OpenAI API, and as tools for agents."


def create_app(settings: PipelinesSettings | None = None, *, key: str = "", tell: Tell | None = None) -> PipelinesApp:
    """A FastAPI app that serves the pipelines of a folder, and those that are deployed while it runs.

    - *settings* are read from the environment and ``.env`` if they are not given.
    - *key* is what deploying asks for, if *settings* name none. Without either nothing can be deployed by a request.
    - *tell* is told of each pipeline of the folder at the start: when the app's lifespan begins.
    """
    if settings is None:
        take_env_file()
        settings = PipelinesSettings.read()
    deploying = begin(settings)
    deployments = deploying.deployments
    parts: list[Part] = [PipelineModels(deployments), FilesRoute(deployments), PipelineTools(deployments, deploying)]
    server = PipelinesServer(deployments, deploying, parts=parts, show_tracebacks=settings.show_tracebacks)
    gate = Gate.of(settings, settings.api_key or key)
    app = PipelinesApp(server, gate, settings, title=TITLE, description=DESCRIPTION)
    app.tell = tell
    authors = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(of: Any) -> AsyncIterator[Any]:
        async with alive(settings, deploying, app.tell, server.close), authors(of) as state:
            yield state

    app.router.lifespan_context = lifespan
    return app


def run_app(app: ASGIApp, host: str | None = None, port: int | None = None) -> None:
    """Serve *app* by uvicorn until a signal ends it. Blocks.

    *host* and *port* are those of the settings if they are not given. An app of `create_app` whose settings name no key
    gets one, which is left where the commands find it. Any other app is served as it is.

    Raises `StartupFailed` if it cannot be served.
    """
    settings = app.settings if isinstance(app, PipelinesApp) else PipelinesSettings.read()
    settings = replace(settings, host=host or settings.host, port=settings.port if port is None else port)
    if not isinstance(app, PipelinesApp):
        uvicorn.run(app, host=settings.host, port=settings.port)
        return
    running.run(replace(settings, workers=1), app.adopt)


class PipelinesApp(FastAPI):
    """A FastAPI app before whose own routes stand those of a server of pipelines."""

    def __init__(
        self, server: PipelinesServer, gate: Gate, settings: PipelinesSettings | None = None, **options: Any
    ) -> None:
        """Of *settings* it takes the path under which a proxy shows it, and which other sites' pages may call."""
        super().__init__(**{"docs_url": None, "redoc_url": None, **options})
        self.pipelines = server
        self.gate = gate
        self.router.routes.insert(0, PipelineRoutes(server))
        self.router.default = self._not_found
        self.settings = settings = settings or PipelinesSettings()
        self.tell: Tell | None = None
        """Told of each pipeline of the folder when the lifespan begins."""
        self._root = settings.root_path
        self._described: tuple[int, list[BaseRoute], dict[str, Any]] | None = None
        server.documents.title = self.title
        server.documents.describe = lambda: self.openapi()
        self._first: ASGIApp = self._gated
        if settings.cors_allow_origins or settings.cors_allow_origin_regex:
            self._first = self._with_cors(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection (ASGI 3.0)."""
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
        else:
            if self._root:
                scope["root_path"] = self._root
            await self._first(scope, receive, send)

    def adopt(self, settings: PipelinesSettings, tell: Tell) -> PipelinesApp:
        """Go by the key and the names of *settings*, where it is served; returns itself."""
        self.gate = Gate.of(settings, settings.api_key)
        self.tell = tell
        return self

    def _with_cors(self, settings: PipelinesSettings) -> ASGIApp:
        """Answer pages of the origins that *settings* name: before the gate, as browsers ask without a key first."""
        return CORSMiddleware(
            self._gated,
            allow_origins=settings.cors_allow_origins,
            allow_origin_regex=settings.cors_allow_origin_regex or None,
            allow_methods=settings.cors_allow_methods,
            allow_headers=settings.cors_allow_headers,
            allow_credentials=settings.cors_allow_credentials,
            expose_headers=settings.cors_expose_headers,
            max_age=settings.cors_max_age,
        )

    async def _gated(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self.gate.look(scope)
        if refusal is not None:
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": refusal.detail[:120]})
                return
            exchange = Exchange(scope, receive, send, [])
            await exchange.json({"detail": refusal.detail}, refusal.status, refusal_headers(refusal))
            return
        if not self.user_middleware:
            way = self.pipelines.way(scope)
            if way is not None and way.kind != "method":
                await self.pipelines.answer(way, scope, receive, send)
                return
        await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The description of all routes, pipelines' and the author's. Made anew when either have changed."""
        changes = self.pipelines.changes  # the routes themselves would keep what is not served any more
        authors = [route for route in self.routes if not isinstance(route, PipelineRoutes)]
        known = self._described
        if known is None or known[0] != changes or known[1] != authors:
            told = self.pipelines.document(
                authors,
                title=self.title,
                version=self.version,
                summary=self.summary,
                description=self.description,
                webhooks=self.webhooks.routes,
                tags=self.openapi_tags,
                contact=self.contact,
                license_info=self.license_info,
                terms_of_service=self.terms_of_service,
            )
            known = self._described = changes, authors, told
        return known[2]

    async def _not_found(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
            return
        if not route_of(scope) and scope["method"] in ("GET", "HEAD"):
            # The URL that is printed where the server starts: people open it. A route "/" of the author's own is there.
            await RedirectResponse(f"{scope.get('root_path', '')}/docs")(scope, receive, send)
            return
        raise HTTPException(404, self.pipelines.why_not(route_of(scope)))


class PipelineRoutes(BaseRoute):
    """All routes of a server of pipelines, as one route of Starlette's router: which there are changes all the time."""

    def __init__(self, server: PipelinesServer) -> None:
        self._server = server

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        way = self._server.way(scope)
        if way is None:
            return Match.NONE, {}
        return Match.PARTIAL if way.kind == "method" else Match.FULL, {"portico.way": way}

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        raise NoMatchFound(name, path_params)  # so that the author's own routes are looked at

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._server.answer(scope["portico.way"], scope, receive, send)
