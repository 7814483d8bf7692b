"""Files for a pipeline: which ones a command line names, and the form that they are sent as, piece by piece.

Source: RFC 7578 (multipart/form-data); the HTML standard, "multipart form data", for names with quotes in them.
"""

from __future__ import annotations

import mimetypes
import os
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from portico.errors import LocalError

_PIECE = 64 * 1024  # bytes that are read of a file at a time
_SHOW_FROM = 1 << 20  # bytes; less is sent before anybody could read how far it is


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file, and the path that it is sent under, with ``/`` between its parts."""

    name: str
    path: Path


def files_below(folder: Path, ignored: Sequence[str]) -> list[NamedFile]:
    """All plain files in *folder* and the folders in it, in order.

    Without those that are hidden or match one of *ignored* (as `PurePath.match` has it: ``*.pyc``, ``data/*.bin``), by
    themselves or by a folder. Symbolic links to folders are not followed. Raises `LocalError`.
    """
    found = []
    for place, folders, names in os.walk(folder, onerror=_raise):
        here = PurePosixPath(Path(place).relative_to(folder).as_posix())
        folders[:] = sorted(name for name in folders if not _is_left_out(here / name, ignored))
        for name in sorted(names):
            path = Path(place, name)
            if not _is_left_out(here / name, ignored) and path.is_file():
                found.append(NamedFile((here / name).as_posix(), path))
    return found


def _is_left_out(path: PurePosixPath, ignored: Sequence[str]) -> bool:
    name = path.name
    return name.startswith(".") or name == "__pycache__" or any(path.match(one) for one in ignored if one)


def _raise(error: OSError) -> None:
    raise LocalError(f"{error.filename} cannot be read: {error.strerror or error}")


class FormBody:
    """A form as the body of a request: *fields*, and *files* under the name ``files``. Iterate it once."""

    def __init__(self, fields: Mapping[str, str], files: Sequence[NamedFile], *, show: bool | None = None) -> None:
        """*show*: whether standard error is told how far it is; by default where a person looks at it.

        Raises `LocalError` for a file that is not there.
        """
        self._boundary = f"portico-{secrets.token_hex(16)}"
        self._fields = "".join(
            f'--{self._boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ).encode(errors="replace")
        self._files = [(self._head_of(file), file, _size_of(file.path)) for file in files]
        self._end = f"--{self._boundary}--\r\n".encode()
        self.size = len(self._fields) + sum(len(head) + size + 2 for head, _, size in self._files) + len(self._end)
        """Bytes."""
        self._show = sys.stderr.isatty() and self.size >= _SHOW_FROM if show is None else show

    def _head_of(self, file: NamedFile) -> bytes:
        media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        return (
            f'--{self._boundary}\r\nContent-Disposition: form-data; name="files"; filename="{_quoted(file.name)}"\r\n'
            f"Content-Type: {media_type}\r\n\r\n"
        ).encode(errors="replace")

    @property
    def headers(self) -> dict[str, str]:
        return {
            "Content-Type": f"multipart/form-data; boundary={self._boundary}",
            "Content-Length": str(self.size),
        }

    def __iter__(self) -> Iterator[bytes]:
        """Raises `LocalError` for a file that changed meanwhile."""
        sent, told = 0, -1
        for piece in self._pieces():
            yield piece
            sent += len(piece)
            if self._show and (percent := sent * 100 // self.size) != told:
                told = percent
                ending = "\n" if sent == self.size else ""
                print(f"\rUploading {len(self._files)} files: {percent} %", end=ending, file=sys.stderr, flush=True)

    def _pieces(self) -> Iterator[bytes]:
        if self._fields:
            yield self._fields
        for head, file, size in self._files:
            yield head
            try:
                with file.path.open("rb") as source:
                    left = size
                    while left and (piece := source.read(min(_PIECE, left))):
                        left -= len(piece)
                        yield piece
            except OSError as error:
                raise LocalError(f"{file.path} cannot be read: {error.strerror or error}") from None
            if left:
                raise LocalError(f"{file.path} got shorter while it was sent")
            yield b"\r\n"
        yield self._end


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise LocalError(f"{path} cannot be read: {error.strerror or error}") from None


def _quoted(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
