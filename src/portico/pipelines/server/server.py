"""The plain server of pipelines: which of its routes a request goes to, and what a refusal looks like.

Here: the routes that pipelines have (``{name}/run``), beside those of `endpoints` and the apps that stand for parts of
the whole (the OpenAI API, tools). Not here: who may call (`gate`), and the FastAPI app around it (`app`).

Source: ASGI 3.0; Hayhooks 2.1 for the paths and the texts.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from portico.calls.exchange import Exchange
from portico.errors import Busy, PipelineError, PorticoError, UnusableRequest
from portico.functions.invalid import details_of, is_invalid
from portico.functions.run_route import OnError, RunRoute, answer_refusal
from portico.functions.server import route_of
from portico.pipelines.deployment import Deployment
from portico.pipelines.deployments import Deployments
from portico.pipelines.runs import refused, run_route, with_traceback
from portico.pipelines.server.documents import Documents
from portico.pipelines.server.endpoints import Endpoints, FixedRoute
from portico.pipelines.server.gate import NEEDS_KEY, may_deploy, refusal_headers
from portico.types import Receive, Scope, Send

if TYPE_CHECKING:
    from portico.pipelines.deploying.deploying import Deploying

log = logging.getLogger(__name__)


class Part(Protocol):
    """An ASGI app that answers some of the routes."""

    def handles(self, method: str, route: str) -> bool:
        """Whether a request with *method* to *route*, a path below the root without slashes at its ends, is its own."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


@runtime_checkable
class LastingPart(Protocol):
    """A part that goes on with something between requests."""

    async def shut_down(self) -> None:
        """End what its clients have open."""


@runtime_checkable
class DescribedPart(Protocol):
    """A part whose routes are in the description of all."""

    def paths(self) -> Mapping[str, Mapping[str, Any]]:
        """Its operations as OpenAPI has them, by path and method."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a request goes."""

    kind: str
    """``run``, ``endpoint``, ``part``, or ``method``: there is something, but not for this method."""
    target: Any
    rest: str = ""
    """The last part of the path, where the endpoint has one of any text."""


class PipelinesServer:
    """An ASGI app for one table of deployments, on its event loop. Who may call has been decided before it."""

    def __init__(
        self,
        deployments: Deployments,
        deploying: Deploying,
        *,
        parts: Sequence[Part] = (),
        title: str = "Pipelines",
        report: OnError | None = None,
        show_tracebacks: bool = False,
    ) -> None:
        """*report* shows an author what a pipeline raises; by default it is logged.

        With *show_tracebacks* visitors are shown it, too.
        """
        self.deployments = deployments
        self.endpoints = Endpoints(deployments, deploying)
        self.parts = [*parts]
        self.runs: MappingProxyType[str, RunRoute] = MappingProxyType({})
        """The routes of pipelines, by path. Replaced whole at each change."""
        self.changes = 0
        """How often they were replaced."""
        self._report = report
        self._show_tracebacks = show_tracebacks
        self._made: dict[str, tuple[Deployment, RunRoute | None]] = {}
        self.documents = Documents(title, lambda: self.document(()))
        self.fixed: tuple[FixedRoute, ...] = (*self.endpoints.table, *self.documents.table)
        """The routes that are always there."""
        self._fixed = {_key_of(route.path): route for route in self.fixed}
        deployments.listeners.append(self._changed)
        self._changed()

    def _changed(self) -> None:
        made: dict[str, tuple[Deployment, RunRoute | None]] = {}
        for name, deployment in self.deployments.present.items():
            known = self._made.get(name)
            if known is None or known[0] is not deployment:
                known = deployment, run_route(deployment, report=self._report, show_tracebacks=self._show_tracebacks)
            made[name] = known
        self._made = made
        self.runs = MappingProxyType({f"{name}/run": run for name, (_, run) in made.items() if run is not None})
        self.changes += 1

    def way(self, scope: Scope) -> Destination | None:
        """Where the request goes; None if it is not for this server."""
        route = route_of(scope)
        if scope["type"] != "http":
            return next((Destination("part", part) for part in self.parts if part.handles("GET", route)), None)
        method = scope["method"]
        endpoint, rest = self._endpoint(route)
        if endpoint is not None and (method == endpoint.method or (method == "HEAD" and endpoint.method == "GET")):
            return Destination("endpoint", endpoint, rest)
        run = self.runs.get(route)
        if run is not None and method in run.methods:
            return Destination("run", run)
        for part in self.parts:
            if part.handles(method, route):
                return Destination("part", part)
        if endpoint is not None or run is not None:
            return Destination("method", run.methods if run is not None else (endpoint.method,) if endpoint else ())
        return None

    def _endpoint(self, route: str) -> tuple[FixedRoute | None, str]:
        found = self._fixed.get(route)
        if found is not None:
            return found, ""
        before, slash, rest = route.rpartition("/")
        return self._fixed.get(f"{before}/") if slash else None, rest

    def document(self, authors: Sequence[Any], **told: Any) -> dict[str, Any]:
        """The description of all routes, in OpenAPI: its own, and *authors*, an app's that it is a part of.

        *told* is what FastAPI's ``get_openapi`` takes besides. Not for an event loop: it may import FastAPI.
        """
        from portico.pipelines.server.openapi import document

        paths: dict[str, Any] = {}
        for part in self.parts:
            if isinstance(part, DescribedPart):
                paths.update(part.paths())
        told = {"title": self.documents.title, "version": "1", **told}
        return document(self.fixed, self.runs, authors, paths, **told)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3.0)."""
        await self.answer(self.way(scope), scope, receive, send)

    async def answer(self, way: Destination | None, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request that goes that *way*."""
        if way is not None and way.kind == "run":
            await way.target.answer(Exchange(scope, receive, send, []))
        elif way is not None and way.kind == "part":
            await way.target(scope, receive, send)
        else:
            await self._answer_cold(way, Exchange(scope, receive, send, []))

    async def _answer_cold(self, way: Destination | None, exchange: Exchange) -> None:
        try:
            if way is None:
                raise UnusableRequest(self.why_not(route_of(exchange.scope)), 404)
            if way.kind == "method":
                allow = ", ".join(way.target).encode()
                raise UnusableRequest("Method Not Allowed", 405, headers=((b"allow", allow),))
            if way.target.needs_key and not may_deploy(exchange.scope):
                headers = refusal_headers(NEEDS_KEY)
                await exchange.json({"detail": NEEDS_KEY.detail}, NEEDS_KEY.status, headers)
                return
            await way.target.answer(exchange, way.rest)
        except EOFError:
            log.debug("The visitor left while sending %s", exchange.id)
        except Busy as error:
            await exchange.json({"detail": str(error)}, error.status, [(b"retry-after", b"%d" % error.retry_after)])
        except PorticoError as error:
            if self._show_tracebacks and isinstance(error, PipelineError) and error.__cause__ is not None:
                await exchange.json({"detail": with_traceback(str(error), error)}, error.status)
            else:
                await answer_refusal(exchange, refused(error))
        except Exception as error:
            if is_invalid(error):
                await exchange.json({"detail": details_of(error, "body")}, 422)
                return
            log.exception("Request %s failed", exchange.id)  # a defect of ours: the log has the traceback
            if exchange.started:
                raise
            await exchange.json({"detail": "The server failed."}, 500)

    async def close(self) -> None:
        """End what its parts have open."""
        for part in self.parts:
            if isinstance(part, LastingPart):
                await part.shut_down()

    def why_not(self, route: str) -> str:
        """Why there is nothing at *route*."""
        name, _, verb = route.partition("/")
        if verb not in ("run", "chat", "chat/completions") or not name or name == "v1":
            return "Not Found"
        if name in self.deployments.present:
            return f"Pipeline '{name}' has neither run_api nor run_api_async, so that it has no /{name}/run"
        return f"Pipeline '{name[:200]}' not found"


def _key_of(path: str) -> str:
    """Where a fixed route is found: its path, or what of it stands before a part of any text."""
    return path.partition("{")[0]
