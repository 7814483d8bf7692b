"""Where the files of calls lie that a function wants as paths: one folder a process, which no other user may look into.

Each call has a folder of its own in it, which goes with the call (`uploads`). What is left where a process was killed
goes as soon as another one of the same user needs such a folder. A folder is known to be in use by a lock on it, which
its process holds until it ends, however it ends; cleaners of the system heed such locks, too.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path
from typing import Final

from portico.calls.run import THREADS

try:
    import fcntl
except ImportError:  # Windows, where nothing tells whether a folder is in use
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

PREFIX: Final = "portico-files-"

_NEW: Final = 60.0
"""Seconds for which a folder is let be, whether it is locked or not: its process may have made it just now."""
_MOST_LOOKED_AT: Final = 10_000
"""Entries of the system's folder that are looked at: some milliseconds."""

_own: tuple[Path, int] | None = None
"""The folder, and the process that it is of: one that was forked has to make its own."""


def process_folder() -> Path:
    """This process's folder. It is made, and what others have left is removed, if there is none. Raises `OSError`."""
    global _own
    if _own is not None and _own[1] == os.getpid() and _own[0].is_dir():
        return _own[0]
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))  # its mode is 0700
    _own = folder, os.getpid()
    if fcntl is not None and THREADS:  # a browser tab has its files for itself
        _lock(folder)
        _remove_left(folder.parent)
    atexit.register(_remove, folder, os.getpid())
    return folder


def _lock(folder: Path) -> None:
    """Hold the folder's lock until this process ends."""
    place = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)  # open for as long as the process lasts
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # a file system without locks: nobody else can have it
        os.close(place)


def _remove_left(among: Path) -> None:
    """Remove what is left of processes of the same user that were killed."""
    try:
        with os.scandir(among) as entries:
            names = [entry for entry in itertools.islice(entries, _MOST_LOOKED_AT) if entry.name.startswith(PREFIX)]
        for entry in names:
            found = entry.stat(follow_symlinks=False)
            is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
            if is_ours and found.st_mtime < time.time() - _NEW:
                _remove_if_left(Path(entry.path))
    except OSError:  # others may remove them meanwhile
        log.debug("What was left of other processes could not be looked at", exc_info=True)


def _remove_if_left(folder: Path) -> None:
    place = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:  # it is in use
        pass
    finally:
        os.close(place)


def _remove(folder: Path, process: int) -> None:
    if process == os.getpid():
        shutil.rmtree(folder, ignore_errors=True)
