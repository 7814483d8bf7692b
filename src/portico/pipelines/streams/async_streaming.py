"""`async_streaming_generator`: as `streaming_generator`, on an event loop.

Here: the generator, for coroutines. Not here: the task of its run (`task_run`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping
from typing import Any

from portico.pipelines.streams.pipeline_kinds import StreamedRun, streamed, streams_async
from portico.pipelines.streams.stopping import watch_haystack
from portico.pipelines.streams.stream_callbacks import (
    Callbacks,
    OnPipelineEnd,
    OnReasoning,
    OnToolCallEnd,
    OnToolCallStart,
)
from portico.pipelines.streams.streaming import POLL, waiting
from portico.pipelines.streams.streaming_components import Choice
from portico.pipelines.streams.task_run import TaskRun


def async_streaming_generator(
    pipeline: Any,
    *,
    pipeline_run_args: Mapping[str, Any] | None = None,
    on_tool_call_start: OnToolCallStart = None,
    on_tool_call_end: OnToolCallEnd = None,
    on_reasoning: OnReasoning = None,
    on_pipeline_end: OnPipelineEnd = None,
    streaming_components: Choice = None,
    include_outputs_from: Collection[str] | None = None,
    allow_sync_streaming_callbacks: bool = False,
    external_event_queue: Any = None,
    shield_pipeline_task: bool = False,
) -> AsyncGenerator[Any, None]:
    """As `portico.pipelines.streams.streaming.streaming_generator`, by ``run_async``.

    Callbacks may be coroutine functions.

    *allow_sync_streaming_callbacks*: whether components may stream that have no ``run_async``, and so run on a thread.
    *shield_pipeline_task*: whether the run goes on to its end, unheard, when the stream is closed.

    Raises `ValueError`, at once, as `streaming_generator` does, and if a component that can stream has no
    ``run_async``, unless that is allowed.
    """

    def check(capable: list[tuple[Any, str]]) -> None:
        for component, name in capable:
            if not allow_sync_streaming_callbacks and not streams_async(component):
                raise ValueError(
                    f"Component '{name}' of type '{type(component).__name__}' seems to not support async streaming "
                    "callbacks: it, or the chat generator in it, has no run_async. Use streaming_generator, or allow "
                    "it to run on a thread: allow_sync_streaming_callbacks=True."
                )

    on_loop = hasattr(pipeline, "run_async")  # Haystack's pipelines before version 3 have it in a class of its own
    run = streamed(
        pipeline, pipeline_run_args, streaming_components, include_outputs_from, check if on_loop else lambda _: None
    )
    callbacks = Callbacks(on_tool_call_start, on_tool_call_end, on_reasoning, on_pipeline_end)
    return _pieces(run, callbacks, external_event_queue, shield_pipeline_task)


async def _pieces(
    streamed: StreamedRun, callbacks: Callbacks, external: Any, shield: bool
) -> AsyncGenerator[Any, None]:
    watch_haystack()
    run, hear = TaskRun(streamed, shield), callbacks.hear
    try:
        while True:
            while run.pieces or external is not None:
                if external is not None:
                    for piece in waiting(external):
                        if hear:
                            for told in await callbacks.pieces_async(piece):
                                yield told
                        yield piece
                    if not run.pieces:
                        break
                piece = run.take()
                if hear:
                    for told in await callbacks.pieces_async(piece):
                        yield told
                yield piece
            if run.task.done() and not run.pieces:
                break
            await run.wait(None if external is None else POLL)
        for piece in await callbacks.last_async(run.result()):
            yield piece
        if external is not None:
            for piece in waiting(external):
                yield piece
    finally:
        await run.close()
