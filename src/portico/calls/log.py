"""What went wrong in a service's app, kept for its author. No visitor ever sees it."""

from __future__ import annotations

import functools
import logging
import os
import re
import secrets
import sys
import sysconfig
import textwrap
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from contextvars import Context
from pathlib import Path

from portico.calls.owner import OWNER, REPORTED
from portico.listeners import Listeners

_KEPT = 100
_MAX_OUTPUT = 20_000  # characters of what the code printed: some hundred lines, more than is read in a notebook
_MOST_JOINED = 1000  # characters of a line without an end, to which more is added: each time it is copied
_MAX_TRACEBACK = 20_000  # characters: a recursion error's traceback is longer than anyone reads

_PORTICO = str(Path(__file__).parents[1]) + os.sep

logger = logging.getLogger("portico.service")

HAS_THREADS = sys.platform != "emscripten"
if HAS_THREADS:
    import threading


class Entry:
    """One exception: when (seconds since 1970), what the app was doing, its last line, and the whole traceback.

    ``own`` is the part of the traceback that lies in the author's code: not in a library, nor in Python's own.
    Made in well under a millisecond, for a visitor may have the answer already and its author may look: source lines
    are read when they are asked for. Holds no frame, and so none of the app's objects.
    """

    number = 0
    """As `Line.number`, once a `Log` has it."""

    def __init__(self, doing: str, error: BaseException, rename: Callable[[str], str] = str) -> None:
        """*rename* as in `Log`."""
        self.time = time.time()
        self.doing = doing
        self._whole = traceback.TracebackException.from_exception(error, lookup_lines=False)
        _begin_after_ours(self._whole)
        self._rename = rename

    @functools.cached_property
    def summary(self) -> str:
        return "".join(self._whole.format_exception_only()).strip()

    @functools.cached_property
    def traceback(self) -> str:
        return self._shown("".join(self._whole.format()))

    @functools.cached_property
    def own(self) -> str:
        frames = traceback.StackSummary.from_list([frame for frame in self._whole.stack if _is_own(frame.filename)])
        return self._shown(textwrap.dedent("".join(frames.format())))

    def _shown(self, text: str) -> str:
        text = self._rename(text)
        if len(text) > _MAX_TRACEBACK:
            text = text[: _MAX_TRACEBACK // 2] + "\n...\n" + text[-_MAX_TRACEBACK // 2 :]
        return text

    def __str__(self) -> str:
        return f"{time.strftime('%H:%M:%S', time.localtime(self.time))} {self.doing}\n{self.traceback}"

    def __repr__(self) -> str:
        return f"<{self.doing}: {self.summary}>"


def _begin_after_ours(raised: traceback.TracebackException) -> None:
    """Leave out the frames by which Portico called the author's code: they say nothing to its author.

    What has no other frames stays whole: that is a defect of Portico's own.
    """
    waiting = [raised]
    while waiting:
        one = waiting.pop()
        ours = next((index for index, frame in enumerate(one.stack) if not frame.filename.startswith(_PORTICO)), 0)
        del one.stack[:ours]
        waiting += [before for before in (one.__cause__, one.__context__) if before is not None]


class Line:
    """A line that the code has printed or logged, or a piece of one: when, and the text, with its newline."""

    __slots__ = ("kind", "number", "text", "time")

    def __init__(self, number: int, kind: str, text: str) -> None:
        self.number = number
        """Counts all that came into the log, exceptions too, from 1."""
        self.kind = kind
        """``output``, or ``note``: Portico's own word to the author."""
        self.text = text
        self.time = time.time()


class Log:
    """The newest 100 entries. Prints like the text a person wants to read."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.context: Context | None = None
        self._entries: deque[Entry] = deque(maxlen=_KEPT)
        self._output: deque[Line] = deque()
        self._output_size = 0
        # One that its holder may take again: what is made while it is held may set off the garbage collector, and
        # code that prints with it.
        self._writing = threading.RLock() if HAS_THREADS else nullcontext()
        self._last = 0
        """The newest number."""
        self._read = 0
        """The newest number that a reader was given: it is not to miss what comes later."""
        self.id = secrets.token_hex(8)
        """Tells this log's numbers from those of the next service of that name."""
        self.total = 0
        self._listeners: Listeners[Entry] = Listeners()
        self.rename: Callable[[str], str] = str
        """Puts the names that its author knows into a traceback: a notebook's cells are in files of passing names."""

    def subscribe(self, listener: Callable[[Entry], object]) -> Callable[[], None]:
        """Show each new entry to the author by *listener*, on whichever thread it comes; returns what ends that.

        While there is none, entries go to the logger ``portico.service``.
        """
        return self._listeners.subscribe(listener)

    def report(self, doing: str, error: BaseException) -> None:
        """Keep *error*, which left the app while it was *doing* something (``GET /hello``)."""
        REPORTED.set(True)
        entry = Entry(doing, error, self.rename)
        with self._writing:
            self._last = entry.number = self._last + 1
            self._entries.append(entry)
            self.total += 1
        token = OWNER.set(None)  # else what is logged here would be kept, as what the code has logged
        try:
            if self._listeners:
                self._listeners.tell(entry)
            else:
                logger.error("%s: %s\n%s", self._name, doing, entry.traceback)
        finally:
            OWNER.reset(token)

    def note(self, text: str) -> None:
        """Keep a line for the author that is about no exception; without a listener it goes to the logger."""
        self._keep(f"{text}\n", "note")
        if not self._listeners:
            token = OWNER.set(None)
            try:
                logger.warning("%s: %s", self._name, text)
            finally:
                OWNER.reset(token)

    def printed(self, text: str) -> None:
        """Keep *text*, which the service's code has printed or logged; of all of it the last 20,000 characters."""
        self._keep(text, "output")

    def _keep(self, text: str, kind: str) -> None:
        if not text:
            return
        text = text[-_MAX_OUTPUT:]
        with self._writing:
            newest = self._output[-1] if self._output else None
            if (
                newest is not None
                and newest.number == self._last > self._read
                and newest.kind == kind
                and len(newest.text) < _MOST_JOINED
                and not newest.text.endswith("\n")
            ):
                newest.text += text  # `print` writes a line and its end apart, and some code each character
            else:
                self._last += 1
                self._output.append(Line(self._last, kind, text))
            self._output_size += len(text)
            while (excess := self._output_size - _MAX_OUTPUT) > 0:
                first = self._output[0]
                if len(first.text) > excess:
                    first.text = first.text[excess:]
                else:
                    self._output.popleft()
                    excess = len(first.text)
                self._output_size -= excess

    @property
    def output(self) -> str:
        """The last of what the service's code has printed and logged."""
        with self._writing:
            return "".join([line.text for line in self._output])

    def read(self, after: int = 0) -> list[Entry | Line]:
        """All that is kept with a number above *after*, in order. To what is given here no text is added any more."""
        with self._writing:
            every: list[Entry | Line] = [*self._entries, *self._output]
            kept = [one for one in every if one.number > after]
            self._read = self._last
        return sorted(kept, key=lambda one: one.number)

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Entry:
        return self._entries[index]

    def clear(self) -> None:
        with self._writing:
            self._entries.clear()
            self._output.clear()
            self._output_size = 0

    def __repr__(self) -> str:
        entries = "\n".join(str(entry) for entry in self._entries)
        output = self.output.rstrip("\n")
        if not output:
            return entries or f"<log of {self._name}: nothing went wrong>"
        return f"{entries or 'No error.'}\n--- the last that {self._name} printed and logged ---\n{output}"


def _is_own(filename: str) -> bool:
    """Whether the author of an app may have written *filename*."""
    return not filename.startswith(_libraries()) and not _is_compiled(filename)


def _is_compiled(filename: str) -> bool:
    """Whether it is the path of a module in its wheel: what those that were compiled ahead are called by."""
    if filename.startswith("<") or os.path.isabs(filename):
        return False
    top = filename.partition("/")[0].removesuffix(".py")
    known = top in sys.stdlib_module_names or top in ("pyodide", "_pyodide")
    return known or any(os.path.isfile(f"{folder}{filename}c") for folder in _libraries() if folder.endswith(os.sep))


@functools.cache
def _libraries() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    # Pyodide's begin with two slashes, and the names of its files with one
    folders = {re.sub("^//", "/", paths[kind]) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders.add(str(Path(os.__file__).parent))  # Pyodide's own is in a zip file, which sysconfig does not know of
    return ("<frozen ", *(folder + os.sep for folder in (*folders, str(Path(__file__).parents[1]))))
