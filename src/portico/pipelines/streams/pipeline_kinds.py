"""What can be run and streamed: Haystack's pipelines and agents. How each is run.

Here: one run, with its arguments and callbacks. Not here: the threads and tasks that runs have.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from portico.packages import loaded
from portico.pipelines.streams.streaming_components import (
    Callback,
    Choice,
    choose,
    find_all_streaming_components,
    with_callbacks,
)


@dataclass(frozen=True, slots=True)
class StreamedRun:
    """A pipeline or an agent, and what is to be streamed of it."""

    pipeline: Any
    is_agent: bool
    args: Mapping[str, Any]
    chosen: tuple[tuple[Any, str], ...]
    """The components that stream, each with its name; of an agent itself alone, with no name."""
    outputs: Collection[str] | None

    @property
    def has_async(self) -> bool:
        """Whether it can run on an event loop."""
        return hasattr(self.pipeline, "run_async")

    def run(self, callback: Callback) -> Any:
        """Run it, on this thread. Returns its result."""
        return self._call(self.pipeline.run, lambda _: callback)

    def run_async(self, callback_for: Callable[[Any], Callback]) -> Any:
        """A coroutine that runs it; *callback_for* gives the callback of a component."""
        return self._call(self.pipeline.run_async, callback_for)

    def _call(self, run: Callable[..., Any], callback_for: Callable[[Any], Callback]) -> Any:
        if self.is_agent:
            return run(**{**self.args, "streaming_callback": callback_for(self.pipeline)})
        callbacks = {name: callback_for(component) for component, name in self.chosen}
        data = with_callbacks(self.pipeline, self.args, callbacks)
        more = {} if self.outputs is None else {"include_outputs_from": {*self.outputs}}
        return run(data=data, **more)


def streamed(
    pipeline: Any,
    args: Mapping[str, Any] | None,
    components: Choice,
    outputs: Collection[str] | None,
    check: Callable[[list[tuple[Any, str]]], object] = lambda capable: None,
) -> StreamedRun:
    """Read what is to be run. *check* is given all components that can stream, and may raise.

    Raises `ValueError` for what is neither a pipeline nor an agent, and for a pipeline of which nothing can stream.
    """
    make = partial(StreamedRun, pipeline, args=args or {}, outputs=outputs)
    agent, base = (
        loaded("haystack.components.agents.agent", "Agent"),
        loaded("haystack.core.pipeline.base", "PipelineBase"),
    )
    if agent is not None and isinstance(pipeline, agent):
        check([(pipeline, "agent")])
        return make(is_agent=True, chosen=())
    if base is None or not isinstance(pipeline, base):
        raise ValueError(f"Unsupported pipeline type: {type(pipeline)}. Give a Haystack Pipeline or Agent.")
    capable = find_all_streaming_components(pipeline)
    check(capable)
    return make(is_agent=False, chosen=tuple(choose(capable, components)))


def streams_async(component: Any) -> bool:
    """Whether *component* calls an async callback: it has ``run_async``, and so has an agent's chat generator."""
    generator = getattr(component, "chat_generator", None)
    return hasattr(component, "run_async") and (generator is None or hasattr(generator, "run_async"))
