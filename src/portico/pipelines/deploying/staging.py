"""`Staged`: where a wrapper's files lie while its `setup` runs, if they are to replace others, or are not to be saved.

What is deployed over files that are there is tried in a folder beside them, so that nothing of theirs is touched before
it is known to work; the old deployment reads its own files meanwhile. That folder looks as the pipeline's will: what
stays of it is linked into it. Once the files are in their place, a link to that place takes the folder's, and modules
are told where they are: `__file__`, read before or after, leads to the files that count.

Here: that folder. Not here: how files get into their place (`file_changes`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from types import ModuleType
from typing import Final

from portico.pipelines.deploying.file_locks import FileLock

log = logging.getLogger("portico.pipelines")

PREFIX: Final = "staged-"

_LOCK: Final = "lock"
_NEW: Final = 60.0
"""Seconds for which a folder is let be, whether it is locked or not: its process may have made it just now."""


class Staged:
    """One such folder: `path`, called as the pipeline. It is there until `remove`. Each call may block."""

    def __init__(self, name: str, files: Mapping[str, bytes], among: Path | None = None) -> None:
        """*among* is a folder to make it in, on the file system of what it may replace; None for the system's own.

        Raises `OSError`.
        """
        if among is not None:
            among.mkdir(parents=True, exist_ok=True, mode=0o700)
        prefix = PREFIX if among is not None else f"portico-{PREFIX}"
        self._folder = Path(tempfile.mkdtemp(prefix=prefix, dir=among)).resolve()
        self._lock = FileLock(self._folder / _LOCK)
        self._files = files
        self.path = self._folder / name
        try:
            self._lock.take()
            self.path.mkdir()
            for key, content in files.items():
                place = self.path / key
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
        except BaseException:
            self.remove()
            raise

    def link(self, place: Path, gone: Collection[str]) -> None:
        """Have all that stays of the folder *place*: what is neither replaced nor *gone*. Raises `OSError`."""
        if place.is_dir():
            _link_rest(place, self.path, {*self._files, *gone})

    def moved(self, place: Path) -> None:
        """The files lie at *place* now: have all that knows of `path` find them there. Raises `OSError`."""
        self._hand_on(self.path, place)
        aside = self._folder / "aside"
        os.replace(self.path, aside)
        try:
            os.symlink(place, self.path, target_is_directory=True)
        except OSError:  # Windows lets few make links: what was read of `path` goes on with these files
            os.replace(aside, self.path)
        else:
            shutil.rmtree(aside, ignore_errors=True)
        rename_modules(self.path, place)

    def _hand_on(self, folder: Path, place: Path) -> None:
        """What `setup` itself has made beside the files goes with them, where there is nothing of that name yet."""
        for entry in [*os.scandir(folder)]:
            there = place / entry.name
            if entry.is_symlink() or entry.name == "__pycache__":
                continue
            if not there.exists():
                with contextlib.suppress(OSError):  # a file that `setup` keeps open on Windows
                    os.replace(entry.path, there)
            elif entry.is_dir() and there.is_dir():
                self._hand_on(Path(entry.path), there)

    def remove(self) -> None:
        self._lock.free()
        shutil.rmtree(self._folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # others are at work, or there is more to remember
            if self._folder.name.startswith(PREFIX):
                self._folder.parent.rmdir()


def remove_left(among: Path) -> None:
    """Remove what processes have left that were killed."""
    for folder in among.glob(f"{PREFIX}*"):
        lock = FileLock(folder / _LOCK)
        try:
            if folder.stat().st_mtime < time.time() - _NEW and lock.try_take():
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # its process removes it just now
            log.debug("%s could not be looked at", folder, exc_info=True)
        finally:
            lock.free()


def rename_modules(old: Path, new: Path) -> None:
    """Have the modules that were imported from the folder *old* say that they lie in *new*."""
    for module in sys.modules.copy().values():
        if isinstance(module, ModuleType):
            file, paths, spec = (vars(module).get(name) for name in ("__file__", "__path__", "__spec__"))
            if (renamed := _renamed(file, old, new)) is not None:
                module.__file__ = renamed
            if isinstance(paths, list):
                paths[:] = [_renamed(path, old, new) or path for path in paths]
            if spec is not None and (renamed := _renamed(spec.origin, old, new)) is not None:
                spec.origin = renamed


def _renamed(path: object, old: Path, new: Path) -> str | None:
    if isinstance(path, str) and (path == str(old) or path.startswith(f"{old}{os.sep}")):
        return f"{new}{path[len(str(old)) :]}"
    return None


def _link_rest(source: Path, target: Path, without: Collection[str], above: str = "") -> None:
    folders = {key[len(above) :].split("/")[0] for key in without if "/" in key.removeprefix(above)}
    for entry in [*os.scandir(source)]:
        key, there = f"{above}{entry.name}", target / entry.name
        if key in without or entry.name == "__pycache__":
            continue
        inside = {other for other in without if other.startswith(f"{key}/")}
        if entry.name in folders and inside and entry.is_dir(follow_symlinks=False):
            there.mkdir(exist_ok=True)
            _link_rest(Path(entry.path), there, inside, f"{key}/")
        elif not there.exists():
            _link(Path(entry.path), there)


def _link(path: Path, to: Path) -> None:
    try:
        os.symlink(path, to, target_is_directory=path.is_dir())
    except OSError:  # Windows lets few make links
        if path.is_dir():
            shutil.copytree(path, to, symlinks=True)
        else:
            shutil.copy2(path, to)
