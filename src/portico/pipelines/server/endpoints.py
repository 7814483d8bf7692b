"""The routes of a server of pipelines that are there whatever is deployed: status, deploying, documents.

Here: the table of them, what each answers, and whether it needs the key. Not here: how a pipeline is deployed
(`deploying`), and the routes that pipelines have (`server`).
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from portico.calls.body import load, read_body
from portico.calls.exchange import Exchange
from portico.calls.in_thread import in_thread
from portico.errors import UnusableRequest
from portico.pipelines.deployment import Deployment
from portico.pipelines.deployments import Deployments

if TYPE_CHECKING:
    from pydantic import BaseModel

    from portico.pipelines.deploying.deploying import Deploying
    from portico.pipelines.pictures.drawing import Picture

MOST_DEPLOYED: Final = 96 << 20
"""Bytes of a request that deploys: those of all its files (`names.MOST_BYTES`) in base64, and their names."""


MOST_QUERY: Final = 200
"""Characters of a query that are read: the longest that means something has twelve."""

Answer = Callable[[Exchange, str], Awaitable[None]]
"""Answers a request; given the last part of its path, where the route has one of any text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedRoute:
    """One route."""

    path: str
    """Below the root, without a slash before it. ``status/{pipeline_name}`` stands for any name."""
    method: str
    answer: Answer
    tag: str
    id: str
    """Its ``operationId``."""
    summary: str
    request: str = ""
    """The model of its body, in `deploy_requests`."""
    response: str = ""
    """The model of its answer; empty for one that is no JSON."""
    description: str = ""
    """More than the summary; may be empty."""
    media_type: str = "application/json"
    """Of an answer that is no JSON."""
    is_described: bool = True
    needs_key: bool = True
    """Whether it needs the key on loopback, too."""


class Endpoints:
    """The routes that are always there, for one table of deployments."""

    def __init__(self, deployments: Deployments, deploying: Deploying) -> None:
        self._deployments = deployments
        self._deploying = deploying
        self.table: tuple[FixedRoute, ...] = (
            FixedRoute(
                path="status",
                method="GET",
                answer=self._status,
                tag="status",
                id="status_all",
                summary="What is deployed",
                response="StatusResponse",
                needs_key=False,
            ),
            FixedRoute(
                path="status/{pipeline_name}",
                method="GET",
                answer=self._status_of,
                tag="status",
                id="status_pipeline",
                summary="Whether a pipeline is deployed",
                response="PipelineStatusResponse",
                needs_key=False,
            ),
            FixedRoute(
                path="draw/{pipeline_name}",
                method="GET",
                answer=self._draw,
                tag="config",
                id="pipeline_draw",
                summary="A pipeline as a picture",
                description="A PNG; or what `form` or Accept ask for: `svg`, `mermaid`.",
                media_type="image/png",
                needs_key=False,
            ),
            FixedRoute(
                path="deploy_files",
                method="POST",
                answer=self._deploy_files,
                tag="config",
                id="pipeline_deploy",
                summary="Deploy a wrapper and the files beside it",
                request="PipelineFilesRequest",
                response="DeployResponse",
            ),
            FixedRoute(
                path="deploy-yaml",
                method="POST",
                answer=self._deploy_yaml,
                tag="config",
                id="yaml_pipeline_deploy",
                summary="Deploy a pipeline in YAML",
                request="YamlDeployRequest",
                response="DeployResponse",
            ),
            FixedRoute(
                path="undeploy/{pipeline_name}",
                method="POST",
                answer=self._undeploy,
                tag="config",
                id="pipeline_undeploy",
                summary="Undeploy a pipeline",
                response="UndeployResponse",
            ),
        )

    async def _status(self, exchange: Exchange, name: str) -> None:
        present = self._deployments.present
        summaries = [*map(summary_of, present.values())]
        failed = sorted(self._deployments.failed)  # names alone: why may say more than readers should know
        await exchange.json({"status": "Up!", "pipelines": [*present], "deployments": summaries, "failed": failed})

    async def _status_of(self, exchange: Exchange, name: str) -> None:
        await exchange.json({"status": "Up!", "pipeline": self._deployments.find(name).name})

    async def _draw(self, exchange: Exchange, name: str) -> None:
        deployment = self._deployments.find(name)
        asked = parse_qs(exchange.scope.get("query_string", b"").decode("latin-1")[:MOST_QUERY])
        accept = exchange.headers.get("accept", "")
        picture = await in_thread(_drawn, deployment, accept, asked.get("format", [""])[-1])
        await exchange.whole(picture.body, picture.media_type.encode("ascii"), 200, picture.headers)

    async def _deploy_files(self, exchange: Exchange, name: str) -> None:
        asked: Any = await _read(exchange, "PipelineFilesRequest")
        deployment = await self._deploying.deploy_files(
            asked.name,
            {key: file.encode() for key, file in asked.files.items()},
            overwrite=asked.overwrite,
            save=asked.save_files,
            settings=asked.settings,
        )
        await _answer_deployed(exchange, deployment)

    async def _deploy_yaml(self, exchange: Exchange, name: str) -> None:
        asked: Any = await _read(exchange, "YamlDeployRequest")
        deployment = await self._deploying.deploy_yaml(
            asked.name,
            asked.source_code,
            overwrite=asked.overwrite,
            description=asked.description,
            save=asked.save_file is not False,
            skip_mcp=bool(asked.skip_mcp),
        )
        await _answer_deployed(exchange, deployment)

    async def _undeploy(self, exchange: Exchange, name: str) -> None:
        await self._deploying.undeploy(name)
        await exchange.json({"success": True, "name": name})


def _drawn(deployment: Deployment, accept: str, form: str) -> Picture:
    from portico.pipelines.pictures.drawing import draw  # few ask for it

    return draw(deployment, accept=accept, form=form)


async def _answer_deployed(exchange: Exchange, deployment: Deployment) -> None:
    name = deployment.name
    await exchange.json({"name": name, "success": True, "endpoint": f"/{name}/run"})


def summary_of(deployment: Deployment) -> dict[str, Any]:
    """What the list of all pipelines says of one."""
    can = {
        "run_api": deployment.api,
        "chat_completion": deployment.chat,
        "response": deployment.response,
        "file_upload": deployment.upload,
        "mcp_eligible": (deployment.api is not None and not deployment.skip_mcp) or None,
    }
    return {
        "name": deployment.name,
        "type": "pipeline" if deployment.pipeline is not None else "unknown",
        "state": "Loaded",
        "description": deployment.description,
        "capabilities": [word for word, there in can.items() if there is not None],
    }


async def _read(exchange: Exchange, model: str) -> BaseModel:
    """The request's body, as *model* reads it.

    Raises `UnusableRequest`, `pydantic.ValidationError`, and `EOFError` if the visitor leaves.
    """
    media_type = exchange.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnusableRequest("Send JSON, and say so: Content-Type: application/json", 415, code="content_type")
    raw = await read_body(exchange.receive, exchange.headers, MOST_DEPLOYED, exchange.scope)
    return await in_thread(_validated, raw, model)


def _validated(raw: bytes, model: str) -> BaseModel:
    value = load(raw, may_hold_nul=lambda place, _: place.partition(".")[0] in ("files", "settings"))
    return model_of(model).model_validate(value)


def model_of(name: str) -> type[BaseModel]:
    """A model of `deploy_requests`."""
    found: type[BaseModel] = getattr(importlib.import_module("portico.pipelines.server.deploy_requests"), name)
    return found
