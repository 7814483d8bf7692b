"""The key that a server of pipelines made, in a file that its user alone can read: the commands find it there.

One file a port, in ``portico/keys`` of the user's state directory (XDG base directories), for as long as the server
runs. It says under which addresses the server listens, and the commands call it there and nowhere else: another user
of the machine may listen on the same port of an address that is free, and is not to be sent the key.

Other users of the machine are not trusted. A file counts only if it is a plain one of this user that nobody else can
read, in a folder of this user that nobody else can write; no symbolic link is followed, and what was checked is what
is read. A lock tells the file of a server that runs from one that a killed server has left.

Blocking, and small. Not here: what the key opens (`gate`).
"""

from __future__ import annotations

import json
import os
import secrets
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from portico.errors import StoreFailed

_MAX = 64 * 1024  # bytes of a file that are read; a key and some addresses are under one thousand
_KEY_BYTES = 32  # of randomness: 256 bits, beyond any guessing
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class FoundKey:
    """What a running server has left."""

    key: str
    addresses: tuple[str, ...]
    """The IP addresses that the server listens on."""

    def __repr__(self) -> str:
        return f"FoundKey(addresses={self.addresses!r})"  # never the key


def make_key() -> str:
    return secrets.token_urlsafe(_KEY_BYTES)


def default_folder(environ: Mapping[str, str] | None = None) -> Path:
    """``portico/keys`` in the user's state directory: XDG's, Apple's or Windows' own. Raises `StoreFailed`."""
    try:
        return _default_folder(os.environ if environ is None else environ)
    except RuntimeError:  # in a container, as a user that it does not know
        raise StoreFailed("this user has no home folder: name one for the key by PORTICO_KEY_DIR") from None


def _default_folder(environ: Mapping[str, str]) -> Path:
    if sys.platform == "win32":
        base = Path(environ.get("LOCALAPPDATA", "") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        given = environ.get("XDG_STATE_HOME", "")
        base = Path(given) if given.startswith("/") else Path.home() / ".local" / "state"
    return base / "portico" / "keys"


class KeyFile:
    """The file of one server, from `leave` to `remove`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def leave(cls, key: str, port: int, addresses: Sequence[str], folder: Path) -> KeyFile:
        """Write the file for *port*, in the place of one that a server which has ended left.

        Raises `StoreFailed`, if the folder is no safe place, cannot be written, or another server that runs has
        left its key for the same port.
        """
        content = json.dumps({"port": port, "key": key, "addresses": list(addresses), "pid": os.getpid()}) + "\n"
        name = _name(port)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreFailed(f"{folder} cannot be made: {error.strerror or error}") from None
        with _opened(folder) as place:
            if _is_live(name, place):
                raise StoreFailed(f"another server of yours has its key in {folder / name} already")
            draft = f".{name}.{secrets.token_hex(8)}"
            descriptor = -1
            try:
                descriptor = _open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, place)
                if sys.platform != "win32":
                    os.fchmod(descriptor, 0o600)  # whatever the umask left of it
                os.write(descriptor, content.encode())
                _lock(descriptor)  # before it has its name: at no moment is the file of a server that runs unlocked
                _replace(draft, name, place)
            except OSError as error:
                if descriptor >= 0:
                    os.close(descriptor)
                    _unlink(draft, place)
                raise StoreFailed(f"{folder / name} cannot be written: {error.strerror or error}") from None
        return cls(folder / name, descriptor)

    def remove(self) -> None:
        """Take the file away, if it is this server's still. Never fails."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            with _opened(self.path.parent) as place:
                there = os.stat(_at(self.path.name, place), dir_fd=place.descriptor, follow_symlinks=False)
                if os.path.samestat(there, os.fstat(descriptor)):
                    if sys.platform == "win32":  # which removes no file that is open
                        os.close(descriptor)
                        descriptor = -1
                    _unlink(self.path.name, place)
        except (OSError, StoreFailed):
            pass  # the folder or the file is gone, or somebody else's: nothing is left to be removed
        finally:
            if descriptor >= 0:
                os.close(descriptor)


def find(port: int, folder: Path) -> FoundKey | None:
    """The key of the server that listens on *port*; None if none has left one that runs still.

    Raises `StoreFailed` for a file or a folder that somebody else may have made, or may read.
    """
    name = _name(port)
    where = folder / name
    try:
        with _opened(folder) as place:
            descriptor = _open(name, os.O_RDONLY, place)
            try:
                found = os.fstat(descriptor)
                if not stat.S_ISREG(found.st_mode):
                    raise StoreFailed(f"{where} is no plain file: remove it")
                if sys.platform != "win32" and (found.st_uid != os.geteuid() or found.st_mode & _OTHERS):
                    raise StoreFailed(
                        f"{where} is another user's, or others may read it: remove it, and start the server anew"
                    )
                if _is_locked(descriptor) is False:
                    return None
                content = os.read(descriptor, _MAX)
            finally:
                os.close(descriptor)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreFailed(f"{where} cannot be read: {error.strerror or error}") from None
    return _read(content, port, where)


def _read(content: bytes, port: int, where: Path) -> FoundKey:
    try:
        said = json.loads(content)
        key, addresses, of = said["key"], said["addresses"], said["port"]
    except (ValueError, KeyError, TypeError, RecursionError):
        key, addresses, of = None, (), port
    if of != port:
        raise StoreFailed(f"{where} is of another port: remove it, and start the server anew")
    is_listed = isinstance(addresses, list) and all(isinstance(each, str) for each in addresses)
    if not isinstance(key, str) or not (key.isascii() and key.isprintable()) or not is_listed:  # a header holds it
        raise StoreFailed(f"{where} is no file with a key: remove it, and start the server anew")
    return FoundKey(key, tuple(addresses))


def _name(port: int) -> str:
    return f"{int(port)}.json"


# --- files of a folder that is held open ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder that was checked. Its files are reached by its descriptor, so that no other folder takes its place."""

    folder: Path
    descriptor: int | None
    """None on Windows, whose profiles are their user's alone."""


@contextmanager
def _opened(folder: Path) -> Iterator[_Place]:
    """Raises `FileNotFoundError` or `StoreFailed`."""
    if sys.platform == "win32":
        yield _Place(folder, None)
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreFailed(f"{folder} cannot be opened: {error.strerror or error}") from None
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise StoreFailed(
                f"{folder} is another user's, or others may write it: name another folder by PORTICO_KEY_DIR, "
                "or give the server a key by PORTICO_API_KEY"
            )
        yield _Place(folder, descriptor)
    finally:
        os.close(descriptor)


def _at(name: str, place: _Place) -> str:
    return name if place.descriptor is not None else str(place.folder / name)


def _open(name: str, flags: int, place: _Place) -> int:
    # O_NOFOLLOW: no link of others is followed. O_NONBLOCK: nothing waits for who writes to a pipe of that name.
    for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT"):
        flags |= getattr(os, flag, 0)
    return os.open(_at(name, place), flags, 0o600, dir_fd=place.descriptor)


def _replace(old: str, new: str, place: _Place) -> None:
    os.replace(_at(old, place), _at(new, place), src_dir_fd=place.descriptor, dst_dir_fd=place.descriptor)


def _unlink(name: str, place: _Place) -> None:
    os.unlink(_at(name, place), dir_fd=place.descriptor)


def _is_live(name: str, place: _Place) -> bool:
    """Whether the file is that of a server which runs. What is no file of ours is none, and gets replaced."""
    try:
        descriptor = _open(name, os.O_RDONLY, place)
    except OSError:
        return False
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode) and _is_locked(descriptor) is True
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Lock a file until this process ends, or closes it (flock(2)). A file system may have no locks."""
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pass


def _is_locked(descriptor: int) -> bool | None:
    """Whether a server that runs holds the lock; None where that cannot be told."""
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False
