"""The tools of a server of pipelines itself: what is deployed, and with its key deploying and undeploying.

Here: what an agent may ask of them, and what it is told. Not here: how they are reached (`as_tools`), and who has the
key (`gate`). Source of names and texts: Hayhooks 2.1.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from portico.errors import PipelineError, PorticoError
from portico.functions.as_tools import failed, wrong_arguments
from portico.functions.invalid import is_invalid
from portico.functions.values.off_loop import off_loop
from portico.pipelines.deployments import Deployments
from portico.pipelines.server.endpoints import model_of
from portico.pipelines.server.gate import NEEDS_KEY, may_deploy_as
from portico.tools.tool import Tool, ToolCaller, ToolResult

if TYPE_CHECKING:
    from portico.pipelines.deploying.deploying import Deploying

_NAMED: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"pipeline_name": {"type": "string", "description": "Name of the pipeline"}},
    "required": ["pipeline_name"],
}


def core_tools(deployments: Deployments, deploying: Deploying | None) -> list[Tool]:
    """What agents may do with the server: look, and with its key deploy and undeploy."""

    async def all_statuses(arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
        return _said("\n".join(["Available pipelines:", *deployments.present]))

    async def one_status(arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
        name = _name_in(arguments)
        return _said(f"Pipeline '{name}' is deployed: {name in deployments.present}")

    tools = [
        Tool(
            name="get_all_pipeline_statuses",
            call=_careful("get_all_pipeline_statuses", all_statuses),
            description="Get the status of all pipelines: the names of those that are deployed.",
            annotations={"readOnlyHint": True},
        ),
        Tool(
            name="get_pipeline_status",
            call=_careful("get_pipeline_status", one_status),
            description="Get the status of one pipeline: whether it is deployed.",
            input_schema=_NAMED,
            annotations={"readOnlyHint": True},
        ),
    ]
    return tools if deploying is None else [*tools, *_changing_tools(deploying)]


def _changing_tools(deploying: Deploying) -> list[Tool]:
    async def undeploy(arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
        name = _name_in(arguments)
        _check_key(caller)
        await deploying.undeploy(name)
        return _said(f"Pipeline '{name}' undeployed")

    async def deploy(arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
        _check_key(caller)
        asked: Any = await off_loop(model_of("PipelineFilesRequest").model_validate, dict(arguments))
        await deploying.deploy_files(
            asked.name,
            {key: file.encode() for key, file in asked.files.items()},
            overwrite=asked.overwrite,
            save=asked.save_files,
            settings=asked.settings,
        )
        return _said(f"Pipeline '{asked.name}' deployed successfully")

    return [
        Tool(
            name="undeploy_pipeline",
            call=_careful("undeploy_pipeline", undeploy),
            description="Undeploy a pipeline: it is served no more. Its files stay.",
            input_schema=_NAMED,
            annotations={"destructiveHint": True},
        ),
        Tool(
            name="deploy_pipeline",
            call=_careful("deploy_pipeline", deploy),
            description="Deploy a pipeline from its files: pipeline_wrapper.py, and those that it needs.",
            input_schema=_deploy_schema(),
            annotations={"destructiveHint": True},
        ),
    ]


def _deploy_schema() -> dict[str, Any]:
    """Written out: the model is imported when somebody deploys."""
    text = {"type": "string"}
    encoded = {
        "type": "object",
        "properties": {"encoding": {"const": "base64"}, "content": text},
        "required": ["encoding", "content"],
    }
    return {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "Name of the pipeline"},
            "files": {
                "type": "object",
                "additionalProperties": {"anyOf": [text, encoded]},
                "description": "The files by their paths, pipeline_wrapper.py among them: each a text, or base64",
            },
            "overwrite": {
                "type": "boolean",
                "default": False,
                "description": "Whether it replaces a pipeline of that name",
            },
            "save_files": {
                "type": "boolean",
                "default": True,
                "description": "Whether the files are kept, so that a restart deploys them",
            },
            "settings": {"type": "object", "default": {}, "description": "What setup() is given, by name"},
        },
        "required": ["name", "files"],
    }


def _check_key(caller: ToolCaller) -> None:
    if not may_deploy_as(caller.identity):
        raise PipelineError(NEEDS_KEY.detail)


def _name_in(arguments: Mapping[str, Any]) -> str:
    name = arguments.get("pipeline_name")
    if not isinstance(name, str):
        raise PipelineError("Input validation error: 'pipeline_name' is a required property, and a text")
    return name


Call = Callable[[Mapping[str, Any], ToolCaller], Awaitable[ToolResult]]


def _careful(name: str, call: Call) -> Call:
    """*call*, whose failures are results that an agent can read."""

    async def careful(arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
        try:
            return await call(arguments, caller)
        except PorticoError as error:
            return failed(str(error))
        except Exception as error:
            if not is_invalid(error):
                raise
            return failed(wrong_arguments(name, error))

    return careful


def _said(text: str) -> ToolResult:
    return ToolResult(content=({"type": "text", "text": text},))
