"""Pipelines: a wrapper class, or a Haystack pipeline as it is, behind REST, the OpenAI API and MCP.

- `wrapper`: the class that people write. `deployment`: what becomes of it. `deployments`: those that a server has.
- `loading`: imports a wrapper's file. `requirements`: what that says that it needs. `preparing`: makes a deployment of
  it. `results`: which type the result of a run is checked against.
- `settings`: what a server and the commands are told. `key_file`: the key that the commands find.
- `sse_stream`, `events`, `open_webui`: what a stream may hold besides text. `callbacks`: its words for tools.
- `chat`: the OpenAI API over the wrappers' chat and responses. `chat_requests`: what they are called with.
  `files`: files for a wrapper. `openai_errors`: how errors of all these look. `openai_paths`: their
  description.
- `streaming`, `async_streaming`: a run as a generator of its chunks, by `thread_run` and `task_run`. `pipeline_kinds`,
  `streaming_components`, `stream_callbacks`: what runs, what of it streams, who is told. `stopping`: its early end.
- `run_scope`: what is around each call. `tracing`: its spans, and those of deploys, for OpenTelemetry.
- `openai_messages`, `serialized_inputs`: what a wrapper reads of requests. `logger`: what it writes its log with.
- `aliases`: the names of Hayhooks, for files that import from it.

Pipelines that are served as they are, without a wrapper:

- `yaml_pipelines`: those that a YAML file describes. `objects`: live ones. `agents`: such as
  chat models.
- `sockets`: what their components take and give. `declared`: which of that callers know, `socket_types`: as which
  types.
- `pipeline_function`: such a pipeline as a typed function.

The plain server of them:

- `app`: it as a FastAPI app. `gate`: who may call, and deploy. `server`: its routes.
- `runs`: what ``{name}/run`` does in its own way. `endpoints`: what is there whatever is deployed.
  `deploy_requests`: what that reads and answers. `documents`, `openapi`: what describes it.
- `as_tools`: pipelines as tools for agents, `tool_results`: what these give. `core_tools`: tools that deploy.
  `tools_app`: a server of tools alone.
- `life`: what such a process deploys, watches and ends.
- `running`: it from start to end. `addresses`: where it listens. `process`: one that serves, `processes`: several.

How they come and go while a server runs:

- `deploying`: one of them. `startup`: those of the folder. `candidate`: one that is ready and not served yet.
  `making`: which module makes a deployment of what. `threads`: off the event loop. `watching`: they follow their
  files. `fingerprint`: whether those have changed.
- `importing`: packages, by one of them at a time.
- `crew`: what several processes of one server tell each other. `following`: what one does as others deploy.
- `folder`: the pipelines' folder. `names`: what may lie in it. `file_changes`: several files as one, or none.
  `staging`: where files lie while a wrapper is tried. `file_locks`: who is at it.

Where a hub has them: `service_app` is one pipeline as an app of its own.

A pipeline as a picture:

- `drawing`: which form of it a client gets. `graph`: what is in it. `graph_layout`: where.
- `graph_svg`, `graph_png`, `mermaid`: how it looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from portico.pipelines.aliases import install

if TYPE_CHECKING:
    from haystack import Pipeline
    from haystack import Pipeline as AsyncPipeline

    from portico.pipelines.app import create_app, run_app
    from portico.pipelines.async_streaming import async_streaming_generator
    from portico.pipelines.callbacks import (
        default_on_pipeline_end,
        default_on_tool_call_end,
        default_on_tool_call_start,
    )
    from portico.pipelines.events import PipelineEvent, create_notification_event, create_status_event
    from portico.pipelines.logger import log
    from portico.pipelines.open_webui import (
        OpenWebUIEvent,
        create_chat_completion_event,
        create_citation_events,
        create_details_tag,
        create_message_event,
        create_replace_event,
        create_source_event,
    )
    from portico.pipelines.openai_messages import (
        chat_messages_from_openai_response,
        get_input_files,
        get_last_user_input_text,
        get_last_user_message,
        is_user_message,
    )
    from portico.pipelines.serialized_inputs import coerce_pipeline_inputs
    from portico.pipelines.settings import PipelinesSettings
    from portico.pipelines.sse_stream import SSEStream
    from portico.pipelines.streaming import streaming_generator
    from portico.pipelines.wrapper import BasePipelineWrapper

__all__ = [
    "AsyncPipeline",
    "BasePipelineWrapper",
    "OpenWebUIEvent",
    "Pipeline",
    "PipelineEvent",
    "PipelinesSettings",
    "SSEStream",
    "async_streaming_generator",
    "chat_messages_from_openai_response",
    "coerce_pipeline_inputs",
    "create_app",
    "create_chat_completion_event",
    "create_citation_events",
    "create_details_tag",
    "create_message_event",
    "create_notification_event",
    "create_replace_event",
    "create_source_event",
    "create_status_event",
    "default_on_pipeline_end",
    "default_on_tool_call_end",
    "default_on_tool_call_start",
    "get_input_files",
    "get_last_user_input_text",
    "get_last_user_message",
    "is_user_message",
    "log",
    "run_app",
    "streaming_generator",
]

install()


def __getattr__(name: str) -> Any:
    """Import what is asked for the first time (PEP 562): most of it needs pydantic, some Haystack or FastAPI."""
    from portico.pipelines.aliases import PUBLIC, find

    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = find(name, PUBLIC[name])
    return value
