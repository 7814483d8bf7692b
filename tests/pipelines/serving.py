"""A server of pipelines with wrappers that a test writes, and visitors of it with no HTTP between."""

from __future__ import annotations

import asyncio
from typing import Any

from portico.pipelines.deployment import Deployment, Source
from portico.pipelines.deployments import Deployments
from portico.pipelines.preparing import prepare
from portico.pipelines.program.app import PipelinesApp
from portico.pipelines.server.gate import Gate
from portico.pipelines.server.server import PipelinesServer
from portico.pipelines.wrapper import BasePipelineWrapper
from tests.models.visitor import Answer, visit

KEY = "the-key-of-the-tests"
BEARER = {"authorization": f"Bearer {KEY}"}
JSON = {"content-type": "application/json"}
HERE: dict[str, Any] = {"server": ("127.0.0.1", 1416), "client": ("127.0.0.1", 50000)}
AWAY: dict[str, Any] = {"server": ("192.168.1.7", 1416), "client": ("192.168.1.9", 50000)}


class Undeployable:
    """For tests that never get as far as a deploy."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError("nothing may be deployed here")


def wrapped(name: str, wrapper: BasePipelineWrapper) -> Deployment:
    """*wrapper*, set up and deployed under *name*."""
    return prepare(name, wrapper, Source(kind="object"))


def app(gate: Gate | None = None, deploying: Any = None, **wrappers: BasePipelineWrapper) -> PipelinesApp:
    """An app that serves *wrappers* by their names."""
    deployments = Deployments()
    for name, wrapper in wrappers.items():
        deployments.add(wrapped(name, wrapper))
    return PipelinesApp(PipelinesServer(deployments, deploying or Undeployable()), gate or Gate(KEY))


def ask(app: Any, method: str, path: str, body: Any = None, **more: Any) -> Answer:
    """What *app* answers, from this machine unless *more* says otherwise; JSON where there is a body."""
    more["headers"] = {"host": "localhost:1416", **(JSON if body is not None else {}), **more.get("headers", {})}
    return asyncio.run(visit(app, method, path, body, **{**HERE, **more}))


def run(app: Any, name: str, body: Any = None, **more: Any) -> Answer:
    return ask(app, "POST", f"/{name}/run", {} if body is None else body, **more)
