"""`streaming_generator`: a pipeline's run, or an agent's, as a generator of its chunks.

Here: the generator, for code that is no coroutine. Not here: `async_streaming_generator` (`async_streaming`); which
components stream (`streaming_components`); the author's callbacks (`stream_callbacks`).
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Mapping
from typing import Any

from portico.calls.run import THREADS
from portico.pipelines.streams.pipeline_kinds import StreamedRun, streamed
from portico.pipelines.streams.stopping import watch_haystack
from portico.pipelines.streams.stream_callbacks import (
    Callbacks,
    OnPipelineEnd,
    OnReasoning,
    OnToolCallEnd,
    OnToolCallStart,
)
from portico.pipelines.streams.streaming_components import Choice, serializable

POLL = 0.01
"""Seconds between looks at an author's own queue: it has no way to say that something has come, whatever its class."""


def streaming_generator(
    pipeline: Any,
    *,
    pipeline_run_args: Mapping[str, Any] | None = None,
    on_tool_call_start: OnToolCallStart = None,
    on_tool_call_end: OnToolCallEnd = None,
    on_reasoning: OnReasoning = None,
    on_pipeline_end: OnPipelineEnd = None,
    streaming_components: Choice = None,
    include_outputs_from: Collection[str] | None = None,
    external_event_queue: Any = None,
) -> Generator[Any, None, None]:
    """Run *pipeline* (a Haystack ``Pipeline`` or ``Agent``) on a thread, and yield each ``StreamingChunk`` as it comes.

    The run begins with the first ``next``. It ends with the generator: once that is closed, or nobody waits any more
    for the call in which it runs, it ends at its next chunk or component.

    *pipeline_run_args*: what ``pipeline.run`` takes as ``data``, or an agent's ``run`` by name. It is not changed.
    *streaming_components*: the names of the components that stream, or ``"all"``. By default what the setting
    ``PORTICO_STREAMING_COMPONENTS`` says, else only the last one that can. *include_outputs_from*: as ``pipeline.run``
    has it. *external_event_queue*: a queue whose items (chunks, events, texts, dicts) come out, too, in their place.

    The callbacks may give a text, an event, or a list of them, which come out before the chunk that they are about:
    *on_tool_call_start* is given ``(name, arguments, id)``; *on_tool_call_end* ``(name, arguments, result, failed)``;
    *on_reasoning* ``(text, extra)``; *on_pipeline_end* the result of the run, and its text is the last chunk. Their
    exceptions go to the log.

    Raises `ValueError`, at once, if it is neither a pipeline nor an agent, or nothing in it can stream. The generator
    raises what the run raises, after its last chunk.
    """
    run = streamed(pipeline, pipeline_run_args, streaming_components, include_outputs_from)
    callbacks = Callbacks(on_tool_call_start, on_tool_call_end, on_reasoning, on_pipeline_end)
    pieces = _on_thread if THREADS else _inline
    return pieces(run, callbacks, external_event_queue)


def _on_thread(streamed: StreamedRun, callbacks: Callbacks, external: Any) -> Generator[Any, None, None]:
    from portico.pipelines.streams.thread_run import ThreadRun  # not where there are no threads

    watch_haystack()
    run = ThreadRun(lambda put: streamed.run(serializable(put)))
    hear = callbacks.hear
    try:
        while (pieces := run.take(None if external is None else POLL)) is not None:
            for piece in pieces:
                if external is not None:
                    yield from _waiting(external, callbacks)
                if hear:
                    yield from callbacks.pieces(piece)
                yield piece
            if external is not None:
                yield from _waiting(external, callbacks)
        if external is not None:
            yield from _waiting(external, callbacks)
        if run.error is not None:
            raise run.error
        yield from callbacks.last(run.result)
        if external is not None:
            yield from _waiting(external, callbacks)
    finally:
        run.close()


def _inline(streamed: StreamedRun, callbacks: Callbacks, external: Any) -> Generator[Any, None, None]:
    """Where there are no threads: the run first, and its chunks after it."""
    pieces: list[Any] = []
    result = streamed.run(serializable(pieces.append))
    for piece in pieces:
        yield from callbacks.pieces(piece)
        yield piece
    yield from callbacks.last(result)
    if external is not None:
        yield from _waiting(external, callbacks)


def _waiting(external: Any, callbacks: Callbacks) -> Iterator[Any]:
    for piece in waiting(external):
        yield from callbacks.pieces(piece)
        yield piece


def waiting(queue: Any) -> Iterator[Any]:
    """The items that an author's queue has at present: a `queue.Queue`, an `asyncio.Queue`, or one like them."""
    while not queue.empty():
        yield queue.get_nowait()
