"""Keeps the last of what each service's code prints and logs, beside where it goes anyway.

Whose code writes is told by the context that it runs in (`portico.calls.owner`). Where the text is shown is not decided
here: in a kernel by that context too, which is the cell's that served the app.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import Any

from portico.calls.owner import OWNER


def keep_output() -> None:
    """Begin to keep what is written to standard output and error, if that is not so already.

    The streams are replaced, as test runners do. To replace their ``write`` would not last: IPython does that while a
    cell runs, and then puts back what was there. Handlers of logging that were made before get the new ones; what else
    holds the stream of before writes there unheard.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and type(stream) is not _Kept:
            kept = _Kept(stream)
            setattr(sys, name, kept)
            for handler in _handlers():
                if vars(handler).get("stream") is stream:  # that of the last resort asks each time
                    handler.stream = kept


def _handlers() -> list[logging.StreamHandler[Any]]:
    """Those that there are. logging has no public list of the handlers that have no name."""
    known = [reference() for reference in getattr(logging, "_handlerList", ())]
    return [handler for handler in known if isinstance(handler, logging.StreamHandler)]


class _Kept:
    """A text stream, of which what is written is kept. For all else it is that stream."""

    def __init__(self, stream: Any) -> None:
        object.__setattr__(self, "_stream", stream)

    def write(self, text: str) -> Any:
        owner = OWNER.get()
        if owner is not None and isinstance(text, str):
            owner.printed(text)
        return self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    @property  # type: ignore[misc]  # object's is not read-only
    def __class__(self) -> Any:
        """That of the stream: kernels and libraries ask whether it is one of their own."""
        return type(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "write":  # IPython's own, while a cell runs
            object.__setattr__(self, name, value)
        else:
            setattr(self._stream, name, value)

    def __iter__(self) -> Any:
        return iter(self._stream)
