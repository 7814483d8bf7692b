"""Pipelines as tools for agents, by MCP: a tool for each, and the tools that deploy, undeploy and tell what there is.

Here: which tools there are, and what an agent gets of a pipeline's result. Not here: how MCP is spoken
(`portico.tools`), and how a typed function is called (`portico.functions`).

Source of names and texts: Hayhooks 2.1. A dict is told as JSON, and anything else as its ``str``.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from portico.calls.exchange import Exchange
from portico.calls.run import Frames
from portico.errors import PipelineError, PorticoError, UnusableOutput
from portico.functions.as_tools import Report, failed, tool_of, wrong_arguments
from portico.functions.calling import stream
from portico.functions.given import Given
from portico.functions.invalid import is_invalid
from portico.functions.names import suggested
from portico.functions.server import route_of
from portico.functions.tool_content import RESULT, ResultForm, result_form, tool_result
from portico.functions.typed import TypedFunction
from portico.functions.values.off_loop import off_loop
from portico.pipelines.deployment import Deployment
from portico.pipelines.deployments import Deployments
from portico.pipelines.endpoints import Deploys, model_of
from portico.pipelines.gate import NEEDS_KEY, may_deploy_as
from portico.pipelines.runs import piece_text
from portico.pipelines.sse_stream import SSEStream
from portico.tools.server import ToolServer
from portico.tools.tool import Tool, ToolCaller, ToolResult
from portico.types import Message, Receive, Scope, Send

log = logging.getLogger(__name__)

ROUTE: Final = "mcp"
HEALTH: Final = "mcp/health"

MOST_TEXT: Final = 10_000_000
"""Characters of a stream that are told in one result: many times what any model reads."""

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")
"""What may be a tool's name (MCP specification 2025-11-25, "Tool Names")."""

_TEXT: Final = ResultForm(
    {"type": "object", "properties": {RESULT: {"type": "string"}}, "required": [RESULT]}, wrapped=True, joined=True
)
"""The form of a stream's result, whatever its pieces are."""

_LIST: Final = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'

_NAMED: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"pipeline_name": {"type": "string", "description": "Name of the pipeline"}},
    "required": ["pipeline_name"],
}


class PipelineTools:
    """``mcp`` of a server of pipelines: a part of it, which follows what is deployed.

    It is stateless: any of the server's processes may answer any request of a client.
    """

    def __init__(
        self,
        deployments: Deployments,
        deploying: Deploys | None = None,
        *,
        name: str = "portico-pipelines",
        report: Report | None = None,
    ) -> None:
        """Without *deploying* no tool changes what is deployed. *report* shows authors what their pipelines raise."""
        self._deployments = deployments
        self._report = report
        self._core = core_tools(deployments, deploying)
        self._made: dict[str, tuple[Deployment, Tool | None]] = {}
        self._server = ToolServer((), name=name, stateless=True, unknown=_unknown, on_error=report)
        deployments.listeners.append(self._changed)
        self._changed()

    @property
    def tools(self) -> Mapping[str, Tool]:
        """The tools by name."""
        return self._server.tools

    def handles(self, method: str, route: str) -> bool:
        """Whether the request is for this part."""
        return route in (ROUTE, HEALTH)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3.0)."""
        if scope["type"] == "http" and route_of(scope) == HEALTH:
            await self.answer_health(Exchange(scope, receive, send, []))
        else:
            await self._server(scope, receive, send)

    async def answer_health(self, exchange: Exchange) -> None:
        """Say whether agents can list the tools: 200, or 503 with the reason."""
        if exchange.scope["method"] not in ("GET", "HEAD"):
            await exchange.json({"detail": "Method Not Allowed"}, 405, [(b"allow", b"GET, HEAD")])
            return
        status, told = await self.health()
        await exchange.json(told, status, [(b"cache-control", b"no-store")])

    async def health(self) -> tuple[int, dict[str, Any]]:
        """Ask for the list of tools as an agent does, without a network between; the status, and what is told of it."""
        status, body = await _asked(self._server, _LIST)
        try:
            answer = json.loads(body)
            count = len(answer["result"]["tools"])
        except (ValueError, KeyError, TypeError):
            why = body.decode("utf-8", "replace")[:500]
            return 503, {"status": "unavailable", "detail": f"Tools cannot be listed: {status} {why}"}
        return 200, {"status": "ok", "tools": count, "pipelines": len(self._deployments.present)}

    async def shut_down(self) -> None:
        """End what clients have open."""
        await self._server.close()

    def _changed(self) -> None:
        made: dict[str, tuple[Deployment, Tool | None]] = {}
        tools = {tool.name: tool for tool in self._core}
        for name, deployment in self._deployments.present.items():
            known = self._made.get(name)
            if known is None or known[0] is not deployment:
                known = deployment, pipeline_tool(deployment, self._report)
            made[name] = known
            tool = known[1]
            if tool is None:
                continue
            if tool.name in tools:
                log.warning("Agents are not told of pipeline %r: there is a tool %r already", name, tool.name)
            else:
                tools[tool.name] = tool
        self._made = made
        self._server.replace(tools.values())


def pipeline_tool(deployment: Deployment, report: Report | None = None) -> Tool | None:
    """The tool of a pipeline; None for one that agents are not told of, and for one that has no ``run_api``."""
    api = deployment.api
    if api is None or deployment.skip_mcp or not api.options.tool:
        return None
    name = deployment.name if _NAME.fullmatch(deployment.name) else suggested(deployment.name)
    form = _TEXT if api.streams else result_form(api)
    return tool_of(api, report, name=name, form=form, give=_give)


def core_tools(deployments: Deployments, deploying: Deploys | None) -> list[Tool]:
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


def _changing_tools(deploying: Deploys) -> list[Tool]:
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


def _unknown(name: str) -> Tool:
    async def call(arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
        return failed(f"Pipeline '{name}' not found: there is no tool of that name")

    return Tool(name=name, call=call)


def _said(text: str) -> ToolResult:
    return ToolResult(content=({"type": "text", "text": text},))


# --- results ----------------------------------------------------------------------------------------------------------


class _Told:
    """A sink that tells a result from the pieces of one."""

    done = False

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.value: Any = None
        self.is_value = False
        self._left = MOST_TEXT

    def feed(self, item: Any) -> Frames:
        text = piece_text(item)
        self._left -= len(text)
        if self._left < 0:
            raise UnusableOutput(f"The pipeline's stream has more than {MOST_TEXT:,} characters.")
        self.pieces.append(text)
        return None

    def final(self, value: Any) -> Frames:
        self.value, self.is_value = value, True
        return None

    async def write(self, frame: bytes) -> None:
        raise AssertionError("there is nothing to write: `feed` gives no frames")


async def _give(
    typed: TypedFunction, args: list[Any], kwargs: dict[str, Any], given: Given, form: ResultForm
) -> ToolResult:
    told = _Told()
    await stream(typed, args, kwargs, given, told, _opened)
    if told.pieces or not told.is_value:
        return _joined("".join(told.pieces), form)
    if form.joined:  # it was to be a stream, and is a whole
        return _joined(piece_text(told.value), form)
    return await off_loop(_result, told.value, typed, form)


def _opened(produced: Any) -> Any:
    return produced.stream if isinstance(produced, SSEStream) else produced


def _joined(text: str, form: ResultForm) -> ToolResult:
    """A stream's text. A schema of the tool's is kept to where it says that the result is text."""
    said = _said(text)
    if form.schema is None:
        return said
    if form.wrapped and form.schema["properties"][RESULT].get("type") == "string":
        return ToolResult(content=said.content, structured={RESULT: text})
    raise UnusableOutput("The pipeline gave a stream, and its annotation names no text.")


def _result(value: Any, typed: TypedFunction, form: ResultForm) -> ToolResult:
    try:
        result = tool_result(value, typed, form)
    except UnusableOutput:
        if form.schema is not None or isinstance(value, dict):
            raise
        return _said(_text_of(value))
    is_text = len(result.content) == 1 and result.content[0]["type"] == "text"
    if isinstance(value, dict | str) or not is_text:
        return result
    return ToolResult(content=_said(_text_of(value)).content, structured=result.structured)


def _text_of(value: Any) -> str:
    try:
        text = str(value)
    except Exception as error:  # its class is somebody's code
        raise UnusableOutput(f"The result cannot be told: str() of it raises {type(error).__name__}.") from error
    return text if len(text) <= MOST_TEXT else text[:MOST_TEXT]


# --- health -----------------------------------------------------------------------------------------------------------


async def _asked(app: ToolServer, body: bytes) -> tuple[int, bytes]:
    """What *app* answers to *body*: its status, and its body."""
    answered: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        answered.append(message)

    headers = [
        (b"content-type", b"application/json"),
        (b"accept", b"application/json, text/event-stream"),
        (b"content-length", b"%d" % len(body)),
    ]
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": f"/{ROUTE}",
        "raw_path": f"/{ROUTE}".encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": None,
        "server": None,
        "extensions": {},
    }
    await app(scope, receive, send)
    status = next((message["status"] for message in answered if message["type"] == "http.response.start"), 500)
    whole = b"".join(message.get("body", b"") for message in answered if message["type"] == "http.response.body")
    return status, whole
