"""Several files changed as one: all of them, or none, whenever the process is killed. `mend` undoes what is half done.

A change has a folder of its own below *state*, with a journal that says of each file what it was and what it becomes,
and with the old files. It gets its name, ``change-...``, before the first file is touched. Once the journal is called
``done.json``, the change holds.

Here: files, by their paths below one folder. Not here: which files a deploy changes (`folder`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from portico.pipelines.deploying.file_locks import FileLock

log = logging.getLogger("portico.pipelines")

PREFIX: Final = "change-"
_UNREADY: Final = "unready-"  # what a change is called until its journal is whole

_LEFT_AFTER: Final = 3600.0
"""Seconds after which nobody writes at a journal any more: it takes milliseconds for a small file."""

_MENDED_WITHIN: Final = 10.0  # seconds
_LOOK: Final = 0.01  # seconds

_TRIES: Final = 10
"""To put a file into a folder that others take away: each of them does so once, when it has emptied it."""

_MENDING = "mending.lock"
_JOURNAL = "journal.json"
_DONE = "done.json"
_LOCK = "lock"


class FileChanges:
    """A change of files below *root*: `apply`, then `keep` or `undo`, of which the first counts. Each may block."""

    def __init__(self, root: Path, state: Path, changes: Mapping[str, bytes | None]) -> None:
        """*changes* has what each file becomes, by its path below *root*, with ``/`` between; None takes it away.

        Nothing of *root* is touched yet. Raises `OSError`.
        """
        self._root = root
        self._ending = threading.Lock()
        self._has_ended = False
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = Path(tempfile.mkdtemp(prefix=_UNREADY, dir=state))  # its mode is 0700
        self._lock = FileLock(self._folder / _LOCK)
        try:
            self._lock.take()
            self._entries = [self._entry(number, *change) for number, change in enumerate(changes.items())]
            folders = sorted({folder for path in changes for folder in _missing_folders(root, path)}, key=len)
            self._journal: dict[str, Any] = {"root": os.fspath(root), "folders": folders, "entries": self._entries}
            _write(self._folder / _JOURNAL, json.dumps(self._journal).encode())
            _sync_folder(self._folder)
            ready = state / f"{PREFIX}{self._folder.name.removeprefix(_UNREADY)}"
            if os.name == "nt":  # a folder with an open file in it cannot be renamed there
                self._lock.free()
            os.replace(self._folder, ready)
            self._folder, self._lock = ready, self._lock if self._lock.is_held else FileLock(ready / _LOCK)
            self._lock.take()
            _sync_folder(state)
        except BaseException:
            self._remove()
            raise

    def _entry(self, number: int, path: str, content: bytes | None) -> dict[str, Any]:
        old = digest_at(self._root / path)
        if old is not None:
            _link(self._root / path, self._folder / f"old-{number}")
        if content is not None:
            _write(self._folder / f"new-{number}", content, like=self._root / path if old is not None else None)
        return {"path": path, "old": old, "new": None if content is None else hashlib.sha256(content).hexdigest()}

    def apply(self) -> None:
        """Change all the files. Raises `OSError`: call `undo` then."""
        for folder in self._journal["folders"]:
            (self._root / folder).mkdir(parents=True, exist_ok=True)
        for number, entry in enumerate(self._entries):
            place = self._root / entry["path"]
            if entry["new"] is None:
                place.unlink(missing_ok=True)
            else:
                self._put(self._folder / f"new-{number}", place)
        for folder in {(self._root / entry["path"]).parent for entry in self._entries}:
            _sync_folder(folder)

    @staticmethod
    def _put(new: Path, place: Path) -> None:
        for _ in range(_TRIES):
            with contextlib.suppress(FileNotFoundError):  # another change has just taken the folder away as empty
                os.replace(new, place)
                return
            place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(new, place)

    def keep(self) -> None:
        """From here on the change holds, after a crash as well. Raises `OSError`: then all is undone."""
        with self._ending:
            if self._has_ended:
                raise InterruptedError("it was undone meanwhile, as the server ends")
            try:
                os.replace(self._folder / _JOURNAL, self._folder / _DONE)
            except BaseException:
                self._undo()
                raise
            self._has_ended = True
            _sync_folder(self._folder)
            for entry in self._entries:
                if entry["new"] is None and entry["old"] is not None:
                    self._remove_empty(Path(entry["path"]).parent)
            self._remove()

    def _remove_empty(self, folder: Path) -> None:
        """Folders in which nothing is left of what was taken away; not those right below *root*."""
        with contextlib.suppress(OSError):  # there is something in it
            while len(folder.parts) > 1:
                (self._root / folder).rmdir()
                folder = folder.parent

    def undo(self) -> None:
        """Every file as it was, unless the change holds already. Raises `OSError`: the next start tries it again."""
        with self._ending:
            self._undo()

    def _undo(self) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        try:
            _undo(self._folder, self._journal)
        except BaseException:
            self._lock.free()
            raise
        self._remove()

    def _remove(self) -> None:
        self._lock.free()
        _remove_journal(self._folder)
        with contextlib.suppress(OSError):  # others are at work, or there is more to remember
            self._folder.parent.rmdir()


def mend(state: Path) -> list[Path]:
    """Undo what was half done when its process died; gives the files that were put back or taken away."""
    mended: list[Path] = []
    left = sorted(state.glob(f"{PREFIX}*"))
    if left:
        lock = FileLock(state / _MENDING)
        _wait_for(lock)
        for folder in left:
            try:
                mended += _mend(folder)
            except OSError:  # of one folder that cannot be mended, the others are none the worse
                log.exception("What a deploy left half done in %s could not be undone", folder)
        with contextlib.suppress(OSError):
            (state / _MENDING).unlink()
        lock.free()
    for folder in state.glob(f"{_UNREADY}*"):
        with contextlib.suppress(OSError):  # its process may have made it ready just now
            if folder.stat().st_mtime < time.time() - _LEFT_AFTER:
                shutil.rmtree(folder, ignore_errors=True)
    return mended


def under_way(state: Path) -> set[str]:
    """The files, by their paths, that live processes are about to make where there are none yet."""
    paths = set()
    for folder in state.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # it has come to its end
            lock = FileLock(folder / _LOCK)
            journal = _read(folder / _JOURNAL)
            if lock.try_take():
                lock.free()
            elif journal is not None:
                paths |= {entry["path"] for entry in journal["entries"] if entry["old"] is None}
    return paths


def _wait_for(lock: FileLock) -> None:
    """Another process that mends is at it for milliseconds: what it has not undone yet must not be read."""
    until = time.monotonic() + _MENDED_WITHIN
    while not lock.try_take() and time.monotonic() < until:
        time.sleep(_LOOK)


def _mend(folder: Path) -> list[Path]:
    lock = FileLock(folder / _LOCK)
    try:
        if not lock.try_take():
            return []  # its process is at it
        journal = _read(folder / _JOURNAL)
        mended = [] if journal is None else _undo(folder, journal)
        _remove_journal(folder)
        return mended
    except FileNotFoundError:
        if folder.exists():  # else its process has ended it meanwhile
            raise
        return []
    finally:
        lock.free()


def _undo(folder: Path, journal: Mapping[str, Any]) -> list[Path]:
    root = Path(journal["root"])
    undone = []
    for number, entry in reversed([*enumerate(journal["entries"])]):
        place, old = root / entry["path"], folder / f"old-{number}"
        now = digest_at(place)
        if now == entry["old"]:
            continue
        if now != entry["new"]:
            log.warning("%s was changed by somebody else meanwhile, and stays as it is", place)
            continue
        if entry["old"] is None:
            place.unlink(missing_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            _put_back(old, place)
        undone.append(place)
    for made in reversed(journal["folders"]):
        shutil.rmtree(root / made / "__pycache__", ignore_errors=True)  # what importing the files left there
        with contextlib.suppress(OSError):  # it was not made yet, or holds what others have put there
            (root / made).rmdir()
    return undone


def _put_back(old: Path, place: Path) -> None:
    """The very file that was there. A copy first: `old` may be needed again if this is cut short."""
    again = old.with_name(f"again-{old.name}")
    again.unlink(missing_ok=True)
    _link(old, again)
    os.replace(again, place)
    again.unlink(missing_ok=True)  # where both were one file, nothing was renamed (POSIX, rename)


def _remove_journal(folder: Path) -> None:
    """The journal's name goes first: what is left of a folder without one is only removed."""
    with contextlib.suppress(OSError):
        (folder / _JOURNAL).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _missing_folders(root: Path, path: str) -> list[str]:
    """The folders of *path* below *root* that are not there yet, from the top."""
    parts = path.split("/")[:-1]
    folders = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
    return [folder for folder in folders if not (root / folder).is_dir()]


def digest_at(path: Path) -> str | None:
    """What the file holds, as a digest; None where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _link(path: Path, to: Path) -> None:
    """*path* under a second name; a copy, where the file system has no links."""
    try:
        os.link(path, to)
    except OSError:
        shutil.copy2(path, to)


def _write(path: Path, content: bytes, like: Path | None = None) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if like is not None:
        shutil.copymode(like, path)


def _sync_folder(folder: Path) -> None:
    """Names in *folder* outlast a loss of power, too, where the system has a way to say so."""
    with contextlib.suppress(OSError):  # Windows opens no folders, some file systems sync none
        place = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(place)
        finally:
            os.close(place)


def _read(path: Path) -> dict[str, Any] | None:
    """The journal; None where the change holds already. Raises `OSError`."""
    try:
        read = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise OSError(f"{path} is broken: {error}") from error
    return read if isinstance(read, dict) else None
