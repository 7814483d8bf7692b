"""The module names of Hayhooks, for files that import from it: ``from hayhooks import BasePipelineWrapper``.

They stand in while the real one is not installed, each name for ours, and come to be when a file imports them first:
the log says so once. They stay, since a pipeline may import at any time.

Here: which name is which of ours. Not here: what they are. Names of Hayhooks that are not in the table are not there.

Source of the names: Hayhooks 2.1.
"""

from __future__ import annotations

import importlib.machinery
import logging
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

from portico.errors import PipelineError

log = logging.getLogger("portico.pipelines")

NAME: Final = "hayhooks"

_EVENTS = {
    "NotificationEventData": "streams.events",
    "PipelineEvent": "streams.events",
    "StatusEventData": "streams.events",
    "create_notification_event": "streams.events",
    "create_status_event": "streams.events",
}
_OPEN_WEBUI = {
    "OpenWebUIEvent": "streams.open_webui",
    "create_chat_completion_event": "streams.open_webui",
    "create_details_tag": "streams.open_webui",
    "create_message_event": "streams.open_webui",
    "create_replace_event": "streams.open_webui",
    "create_source_event": "streams.open_webui",
}
_MESSAGES = {
    "chat_messages_from_openai_response": "chats.openai_messages",
    "coerce_pipeline_inputs": "chats.serialized_inputs",
    "get_content": "chats.openai_messages",
    "get_input_files": "chats.openai_messages",
    "get_last_user_input_text": "chats.openai_messages",
    "get_last_user_message": "chats.openai_messages",
    "is_user_message": "chats.openai_messages",
}
_STREAMING = {
    "OnPipelineEnd": "streams.stream_callbacks",
    "OnReasoning": "streams.stream_callbacks",
    "OnToolCallEnd": "streams.stream_callbacks",
    "OnToolCallStart": "streams.stream_callbacks",
    "ToolCallbackReturn": "streams.stream_callbacks",
    "async_streaming_generator": "streams.async_streaming",
    "find_all_streaming_components": "streams.streaming_components",
    "is_streaming_component": "streams.streaming_components",
    "parse_streaming_components_setting": "streams.streaming_components",
    "streaming_generator": "streams.streaming",
}
_CALLBACKS = {
    "default_on_pipeline_end": "streams.callbacks",
    "default_on_tool_call_end": "streams.callbacks",
    "default_on_tool_call_start": "streams.callbacks",
}
_HAYSTACK = {"AsyncPipeline": "haystack", "Pipeline": "haystack"}
_APP = {"create_app": "program.app", "run_app": "program.app"}

MODULES: Final[dict[str, dict[str, str]]] = {
    "hayhooks": {
        "BasePipelineWrapper": "wrapper",
        "PipelineEvent": "streams.events",
        "SSEStream": "streams.sse_stream",
        "async_streaming_generator": "streams.async_streaming",
        "log": "logger",
        "streaming_generator": "streams.streaming",
        **{name: home for name, home in _MESSAGES.items() if name != "get_content"},
        **_CALLBACKS,
        **_HAYSTACK,
        **_APP,
    },
    "hayhooks.callbacks": {**_CALLBACKS, "PipelineEvent": "streams.events"},
    "hayhooks.events": _EVENTS,
    "hayhooks.open_webui": {**_EVENTS, **_OPEN_WEBUI, "MessageEventData": "streams.open_webui"},
    "hayhooks.settings": {"AppSettings": "settings", "settings": "settings"},
    "hayhooks.server": {},
    "hayhooks.server.app": _APP,
    "hayhooks.server.exceptions": dict.fromkeys(
        (
            "InvalidYamlIOError",
            "PipelineAlreadyExistsError",
            "PipelineFilesError",
            "PipelineModuleLoadError",
            "PipelineNotFoundError",
            "PipelinePathError",
            "PipelineRollbackError",
            "PipelineWrapperError",
            "PipelineYamlError",
        ),
        "errors",
    ),
    "hayhooks.server.logger": {"log": "logger"},
    "hayhooks.server.pipelines": {},
    "hayhooks.server.pipelines.sse": {"SSEStream": "streams.sse_stream"},
    "hayhooks.server.pipelines.streaming": _STREAMING,
    "hayhooks.server.pipelines.utils": {**_MESSAGES, **_STREAMING},
    "hayhooks.server.utils": {},
    "hayhooks.server.utils.base_pipeline_wrapper": {"BasePipelineWrapper": "wrapper"},
    "hayhooks.server.utils.haystack_compat": _HAYSTACK,
}
"""For each module of Hayhooks its names, each with the module of this room that has it."""

PUBLIC: Final = {
    **MODULES["hayhooks"],
    **_OPEN_WEBUI,
    "PipelinesSettings": "settings",
    "create_citation_events": "streams.open_webui",
    "create_notification_event": "streams.events",
    "create_status_event": "streams.events",
}
"""The names of `portico.pipelines`: those of ``hayhooks``, and those that wrappers need besides."""

_OTHERWISE: Final = {
    "PipelineAlreadyExistsError": "PipelineExists",
    "PipelineNotFoundError": "NoSuchPipeline",
}
"""Exceptions that are called otherwise here, in `portico.errors`; each other one is a `PipelineError`."""


def install() -> None:
    """Have the names found, by all of this process, if nobody else has them."""
    if _Finder not in sys.meta_path:
        sys.meta_path.append(_Finder)


def find(name: str, home: str) -> Any:
    """What *name* is here; *home* is a module of this room that has it, or stands for one."""
    if home == "errors":
        return getattr(import_module("portico.errors"), _OTHERWISE.get(name, PipelineError.__name__))
    if home == "haystack":
        haystack = import_module("haystack")
        return getattr(haystack, "AsyncPipeline", haystack.Pipeline)  # since Haystack 3 one class is both
    if home == "settings":
        settings = import_module("portico.pipelines.settings").PipelinesSettings
        return settings.read() if name == "settings" else settings
    return getattr(import_module(f"portico.pipelines.{home}"), name)


class _Module(ModuleType):
    """One that imports what is asked of it for the first time."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__all__":
            raise AttributeError(name)
        names = MODULES[self.__name__]
        if name != "__all__" and name not in names:
            raise AttributeError(
                f"module {self.__name__!r} has no attribute {name!r}: Hayhooks is not installed, and Portico, which "
                "stands in for it, has no such name"
            )
        value = sorted(names) if name == "__all__" else find(name, names[name])
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *MODULES[self.__name__]})


class _Loader:
    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType:
        return _Module(spec.name, f"Stands in for {spec.name}, which is not installed (`portico.pipelines.aliases`).")

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        if module.__name__ == NAME:
            log.warning("hayhooks is not installed: what is imported from it is Portico's own, under the same names")


class _Finder:
    """The last that is asked, so that a Hayhooks that is installed comes first."""

    @staticmethod
    def find_spec(
        fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in MODULES:
            return None
        if fullname != NAME and not isinstance(sys.modules.get(NAME), _Module):
            return None
        is_package = any(each.startswith(f"{fullname}.") for each in MODULES)
        spec = importlib.machinery.ModuleSpec(fullname, _Loader, is_package=is_package)  # type: ignore[arg-type]
        spec.origin = "portico"
        return spec
