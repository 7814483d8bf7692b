"""A lock that a process holds on a file, until it frees it or ends, however it ends.

Source: flock(2); on Windows the locks of the C library. In a browser tab there is one process, and every lock is had.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


class FileLock:
    """One lock. While it is held, no other `FileLock` of that file can be, in this process either."""

    def __init__(self, path: Path) -> None:
        """*path* is made where it is not there; its folder has to be."""
        self._path = path
        self._place: int | None = None

    @property
    def is_held(self) -> bool:
        return self._place is not None

    def take(self) -> None:
        """Raises `BlockingIOError` if another has it, and `OSError`."""
        if not self.try_take():
            raise BlockingIOError(f"{self._path} is locked")

    def try_take(self) -> bool:
        """Whether it is held by this object now. Raises `OSError` where the file cannot be opened."""
        if self._place is not None:
            return True
        place = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            _lock(place)
        except BlockingIOError:
            os.close(place)
            return False
        except OSError:  # a file system without locks: nobody else can have it
            pass
        self._place = place
        return True

    def free(self) -> None:
        """Let others have it. Nothing happens where it is not held."""
        if self._place is not None:
            place, self._place = self._place, None
            os.close(place)


def _lock(place: int) -> None:
    """Raises `BlockingIOError` where another has it, and another `OSError` where there are no locks."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(place, msvcrt.LK_NBLCK, 1)
        except OSError:
            raise BlockingIOError from None
    elif sys.platform != "emscripten":
        import fcntl

        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
