"""One run of a pipeline on a thread of its own, and the chunks that come from there.

Here: the thread, the bounded hand-over, and its end. Not here: what becomes of a chunk (`streaming`), and runs on an
event loop (`async_streaming`). In a browser, where there are no threads, this module is never imported.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable
from typing import Any

from portico.calls.endings import UNUSUAL, as_exception
from portico.calls.run import LEFT, Cancel
from portico.pipelines.streams.stopping import RunStopped

log = logging.getLogger(__name__)

AHEAD = 256
"""Chunks that a pipeline may be ahead of who reads them. Few enough to bound what is held (some hundred bytes each),
and more than components give at once before they wait for something that a reader might do."""

JOIN = 1.0
"""Seconds to wait, when the stream is closed, for the thread to end: within this it does, if its components stream."""


class ThreadRun:
    """Runs *run*, which is given a callback for chunks, on a thread. Its chunks come by `take`.

    The run is stopped by `stop`, and by the call in which it is made, once nobody waits for that.
    """

    def __init__(self, run: Callable[[Callable[[Any], None]], Any]) -> None:
        self.result: Any = None
        """What the run returned; to be looked at after the last piece, where it raised nothing."""
        self.error: BaseException | None = None
        """What the run raised; to be looked at after the last piece."""
        self.left = Cancel()
        self._run = run
        self._changed = threading.Condition()
        self._pieces: list[Any] = []
        self._ended = False
        self._call = LEFT.get()
        context = contextvars.copy_context()
        context.run(LEFT.set, self.left)
        self._thread = threading.Thread(target=context.run, args=(self._work,), name="portico-pipeline", daemon=True)
        self._thread.start()
        if self._call is not None:
            self._call.listen(self.stop)

    def take(self, timeout: float | None = None) -> list[Any] | None:
        """The pieces that have come, none if *timeout* seconds are over; None after the last: then `error` is set.

        Raises `RunStopped` if the call in which this is is not wanted any more.
        """
        with self._changed:
            if not self._pieces and not self._ended:
                self._changed.wait(timeout)
            if self._pieces and not self.left.is_set():
                pieces, self._pieces = self._pieces, []
                self._changed.notify_all()
                return pieces
            if not self._ended:
                return []
        if self.left.is_set():
            raise RunStopped("nobody waits for this run any more")
        return None

    def stop(self) -> None:
        """Have the run end at its next chunk or component. Returns at once; may be called again, from any thread."""
        self.left.set()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """`stop`, and wait a moment for the thread to end."""
        if self._call is not None:
            self._call.ignore(self.stop)
        self.stop()
        self._thread.join(JOIN)
        if self._thread.is_alive():
            log.warning(
                "A pipeline still runs, though its stream was closed %g s ago: it ends when the component that runs "
                "gives a chunk, or its result.",
                JOIN,
            )

    def _put(self, chunk: Any) -> None:
        """The callback of the components that stream."""
        changed = self._changed
        with changed:
            while len(self._pieces) >= AHEAD and not self.left.is_set():
                changed.wait()
            if self.left.is_set():
                raise RunStopped("nobody waits for this run any more")
            self._pieces.append(chunk)
            changed.notify_all()

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            self.result = self._run(self._put)
        except RunStopped:
            pass  # as `stop` asked; whoever takes is told by `left`
        except BaseException as raised:  # it is for who reads the stream, whatever it is
            error = raised
            if self.left.is_set() and not isinstance(raised, asyncio.CancelledError):
                log.warning("A pipeline failed while it was being stopped", exc_info=raised)
        with self._changed:
            self.error = as_exception(error) if isinstance(error, UNUSUAL) else error
            self._ended = True
            self._changed.notify_all()
