"""Which components of a pipeline stream, and the arguments of a run with their callbacks in them.

Here: what can stream, what was asked for, and the arguments. Not here: the stream (`streaming`).
"""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextvars import ContextVar
from typing import Any, Literal

log = logging.getLogger(__name__)

Choice = Collection[str] | Literal["all"] | None
"""The names of the components that are to stream; or all that can; or the last that can."""

CHOSEN: ContextVar[Choice] = ContextVar("portico_streaming_components", default=None)
"""What the server's settings say, for the calls that it runs; None where they say nothing."""

VARIABLES = ("PORTICO_STREAMING_COMPONENTS", "HAYHOOKS_STREAMING_COMPONENTS")
"""Where the environment says it; the first goes before the second."""

Callback = Callable[[Any], Any]


def is_streaming_component(component: Any) -> bool:
    """Whether *component* takes a ``streaming_callback``: by the signature of its ``run``, or as an input socket."""
    run = getattr(component, "run", None)
    if run is None:
        return False
    if "streaming_callback" in inspect.signature(run).parameters:
        return True
    sockets = getattr(getattr(component, "__haystack_input__", None), "_sockets_dict", None)
    return sockets is not None and "streaming_callback" in sockets


def find_all_streaming_components(pipeline: Any) -> list[tuple[Any, str]]:
    """The components of *pipeline* that can stream, each with its name, in the order in which they were added.

    Raises `ValueError` if none can.
    """
    found = [(component, name) for name, component in pipeline.walk() if is_streaming_component(component)]
    if not found:
        raise ValueError("No streaming-capable components found in the pipeline")
    return found


def parse_streaming_components_setting(setting_value: str) -> list[str] | Literal["all"] | None:
    """What a setting says: ``all``, names with commas between them, or nothing (None)."""
    names = [name for part in (setting_value or "").split(",") if (name := part.strip())]
    return "all" if len(names) == 1 and names[0].lower() == "all" else names or None


def choose(capable: Iterable[tuple[Any, str]], asked: Choice) -> list[tuple[Any, str]]:
    """Those of *capable* that are to stream: as *asked*, else as the settings say, else the last one."""
    capable = [*capable]
    if asked is None:
        asked = CHOSEN.get()
    if asked is None:
        said = (os.environ.get(name) for name in VARIABLES)
        asked = parse_streaming_components_setting(next((text for text in said if text and text.strip()), ""))
    if asked is None:
        return capable[-1:]
    if asked == "all":
        return capable
    names = {asked} if isinstance(asked, str) else {*asked}
    unknown = sorted(names - {name for _, name in capable})
    if unknown:
        log.warning(
            "streaming_components names %s, but the components that can stream are %s.",
            ", ".join(map(repr, unknown)),
            ", ".join(repr(name) for _, name in capable),
        )
    return [(component, name) for component, name in capable if name in names]


def by_component(pipeline: Any, data: Mapping[str, Any]) -> bool:
    """Whether *data* gives inputs by the components' names, and not flat, by their own: as ``Pipeline.run`` sees it."""
    if not all(isinstance(value, Mapping) for value in data.values()):
        return False
    if not data or data.keys() & {name for name, _ in pipeline.walk()}:
        return True
    sockets = pipeline.inputs(include_components_with_connected_inputs=True)
    if not isinstance(sockets, Mapping):  # a stand-in for a pipeline: what it is given goes as it is
        return True
    return not data.keys() <= {name for inputs in sockets.values() for name in inputs}


def with_callbacks(pipeline: Any, data: Mapping[str, Any], callbacks: Mapping[str, Callback]) -> dict[str, Any]:
    """*data* for a run of *pipeline*, by components, with the callback of each that is to stream. *data* stays."""
    args = {**data} if by_component(pipeline, data) else _distributed(pipeline, data)
    for name, callback in callbacks.items():
        args[name] = {**(args.get(name) or {}), "streaming_callback": callback}
    return args


def _distributed(pipeline: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    args: dict[str, Any] = {}
    lost = {*data}
    for component, sockets in pipeline.inputs().items():
        for name in data.keys() & sockets.keys():
            args.setdefault(component, {})[name] = data[name]
            lost.discard(name)
    if lost:
        log.warning("No component of the pipeline takes %s.", ", ".join(map(repr, sorted(lost))))
    return args


def streaming_callback(chunk: Any) -> None:
    """Stands for a run's callback in what Haystack keeps of one that failed (a snapshot): it drops the chunk."""


def serializable(put: Callable[[Any], object]) -> Callback:
    """*put* as a function that Haystack can copy and name, as it does with the inputs of a run that fails."""

    def callback(chunk: Any) -> None:
        put(chunk)

    return _named(callback)


def serializable_async(put: Callable[[Any], Awaitable[None]]) -> Callback:
    """As `serializable`, a coroutine function."""

    async def callback(chunk: Any) -> None:
        await put(chunk)

    return _named(callback)


def _named(callback: Callback) -> Callback:
    callback.__module__, callback.__qualname__ = streaming_callback.__module__, streaming_callback.__qualname__
    return callback
