"""Pipelines: a wrapper class, or a Haystack pipeline as it is, behind REST, the OpenAI API and MCP.

A pipeline:

- `wrapper`: the class that people write. `deployment`: what becomes of it. `deployments`: those that a server has.
- `loading`: imports a wrapper's file. `importing`: packages, by one thread at a time. `requirements`: what the file
  says that it needs. `preparing`: makes a deployment of it. `results`: which type the result of a run is checked
  against.
- `components`: pipelines that are served without a wrapper, of YAML or live.
- `logger`: what a wrapper writes its log with. `aliases`: the names of Hayhooks, for files that import from it.

What is done with it:

- `runs`: what ``{name}/run`` does in its own way. `streams`: a run in pieces. `chats`: the OpenAI API.
  `tools`: for agents. `pictures`: drawn.

The server of many, and how it changes while it runs:

- `server`: its routes. `program`: it as a process, or several. `deploying`: how pipelines come and go.
- `settings`: what it and the commands are told. `key_file`: the key that the commands find.

Where a hub has them: `service_app` is one pipeline as an app of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from portico.pipelines.aliases import install

if TYPE_CHECKING:
    from haystack import Pipeline
    from haystack import Pipeline as AsyncPipeline

    from portico.pipelines.chats.openai_messages import (
        chat_messages_from_openai_response,
        get_input_files,
        get_last_user_input_text,
        get_last_user_message,
        is_user_message,
    )
    from portico.pipelines.chats.serialized_inputs import coerce_pipeline_inputs
    from portico.pipelines.logger import log
    from portico.pipelines.program.app import create_app, run_app
    from portico.pipelines.settings import PipelinesSettings
    from portico.pipelines.streams.async_streaming import async_streaming_generator
    from portico.pipelines.streams.callbacks import (
        default_on_pipeline_end,
        default_on_tool_call_end,
        default_on_tool_call_start,
    )
    from portico.pipelines.streams.events import PipelineEvent, create_notification_event, create_status_event
    from portico.pipelines.streams.open_webui import (
        OpenWebUIEvent,
        create_chat_completion_event,
        create_citation_events,
        create_details_tag,
        create_message_event,
        create_replace_event,
        create_source_event,
    )
    from portico.pipelines.streams.sse_stream import SSEStream
    from portico.pipelines.streams.streaming import streaming_generator
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
