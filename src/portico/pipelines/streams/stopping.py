"""Ends a pipeline's run whose answer nobody waits for any more: at its next component, tool, step or chunk.

A thread cannot be ended from outside. But Haystack asks its tracer for a span before each component, each step of an
agent and each of its tools, whether anything is traced or not; and a component that streams calls its callback for
each chunk. Both look here whether the run is still wanted, and raise `RunStopped` if it is not. A component that does
none of these for long ends when it gives its result.

Here: that look. Not here: who says that a run is not wanted: its call (`portico.calls.run.LEFT`), or the stream that
it feeds (`streaming`).
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from portico.calls.run import LEFT
from portico.packages import loaded

log = logging.getLogger(__name__)


class RunStopped(asyncio.CancelledError):
    """Nobody waits for the result of this run any more.

    A cancelling, and so no `Exception`: Haystack and other people's code take it for no failure of a component.
    """


def check_wanted() -> None:
    """Raise `RunStopped` if nobody waits for what runs here."""
    left = LEFT.get()
    if left is not None and left.is_set():
        raise RunStopped("nobody waits for this run any more")


def watch_haystack() -> bool:
    """Have Haystack's pipelines and agents look, between their steps, whether their run is wanted.

    Returns whether they do: False where Haystack is not imported. To be called before each run; costs next to nothing
    from the second time on.
    """
    tracer = loaded("haystack.tracing.tracer", "tracer")
    if tracer is None:
        return False
    if "trace" not in vars(tracer):
        _watch(tracer)
    return True


def _watch(tracer: Any) -> None:
    """Look before each span of *tracer*, the one through which all of Haystack's spans go, whoever makes them."""
    trace = tracer.trace

    def trace_if_wanted(*args: Any, **kwargs: Any) -> Any:
        check_wanted()
        return trace(*args, **kwargs)

    tracer.trace = trace_if_wanted
