"""Files that came with a call, and what they become by a parameter's type: bytes, a path, an `UploadFile`.

Here: the record that the server part hands over for each file of a form, the folder for paths, and bytes as text in
JSON (base64, or a ``data:`` URL). Not here: how a form is read (`portico.functions.request`), and what tables, arrays
and images make of a file.

The server part makes one `CallFiles` for each call, adds the files, gives them in place of values, and closes it after
the call, and after its stream, however that ends.
"""

from __future__ import annotations

import binascii
import io
import os
import re
import shutil
import tempfile
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final
from urllib.parse import unquote_to_bytes

from portico.calls.run import THREADS
from portico.errors import UnusableRequest
from portico.functions.values.bounds import IN_MEMORY, mebibytes, unreadable
from portico.functions.values.upload_folder import process_folder

if THREADS:
    import threading

_NAME_BYTES = 200
"""Of a file's name: file systems take 255, and whoever works on the file may add an ending."""
_UNWANTED = re.compile(r'[\x00-\x1f\x7f<>:"|?*\u200e\u200f\u202a-\u202e\u2066-\u2069]|[\ud800-\udfff]')
"""What no name of a file needs: control characters, what Windows refuses, and what turns the direction of text."""
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)")
"""Names that mean a device in Windows."""

_QUICK: Final = 1000
"""Values in lists and objects, or hundreds of characters, that are read within about a millisecond."""


@dataclass(frozen=True, slots=True, eq=False)
class UploadedFile:
    """One file of a form."""

    filename: str
    """As the caller says it: never to be used as a path. See `base_name`."""
    content_type: str
    """As the caller says it; may be empty, and may be wrong."""
    file: BinaryIO
    """Its bytes, from the first on; in memory or spooled to a disk."""
    size: int
    """In bytes."""
    files: CallFiles
    """All of this call."""

    def read(self) -> bytes:
        """All of its bytes. Raises `UnusableRequest` (422) for more than may be held in memory."""
        self.check_size()
        self.file.seek(0)
        return self.file.read()

    def check_size(self) -> None:
        """Raise `UnusableRequest` (422) if it is more than may be held in memory."""
        if self.size > IN_MEMORY:
            raise unreadable(f"The file has {mebibytes(self.size)}; at most {mebibytes(IN_MEMORY)} can be read here.")


class CallFiles:
    """The files of one call, and a private folder for those that are wanted as paths."""

    def __init__(self) -> None:
        self._files: list[BinaryIO] = []
        self._folder: str | None = None
        self._count = 0
        self._writing = 0
        self._closed = False
        # Arguments may be read on a thread whose call has ended meanwhile.
        self._lock: AbstractContextManager[object] = threading.Lock() if THREADS else nullcontext()

    @property
    def any_came(self) -> bool:
        return bool(self._files)

    def add(self, filename: str, content_type: str, file: BinaryIO, size: int | None = None) -> UploadedFile:
        """Take over *file*, which is closed with the others. Its size is found out, if it is not given."""
        self._files.append(file)
        if size is None:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
        return UploadedFile(filename, content_type, file, size, self)

    def path(self, filename: str, file: BinaryIO) -> Path:
        """Write *file* into the private folder, under its cleaned name; it is there until the call has ended.

        Raises `UnusableRequest`: 507 where there is no room for it, 422 where the call has ended.
        """
        try:
            folder = self._begin_writing()
        except OSError as error:
            raise UnusableRequest("There is no room here to keep a file.", 507, code="no_room") from error
        path = folder / base_name(filename)
        try:
            folder.mkdir(mode=0o700)
            file.seek(0)
            with open(path, "xb") as target:
                shutil.copyfileobj(file, target, 2**20)
        except OSError as error:
            raise UnusableRequest("There is no room here to keep a file.", 507, code="no_room") from error
        finally:
            self._end_writing()
        return path

    def _begin_writing(self) -> Path:
        with self._lock:
            if self._closed:
                raise unreadable("The call has ended.")
            if self._folder is None:
                self._folder = tempfile.mkdtemp(dir=process_folder())  # its mode is 0700
            self._count += 1
            self._writing += 1
            return Path(self._folder, str(self._count))  # one each: two files may have one name

    def _end_writing(self) -> None:
        with self._lock:
            self._writing -= 1
            last = self._closed and not self._writing
        if last:
            self._remove()

    def close(self) -> None:
        """Close all files and remove the folder. Safe to call again."""
        with self._lock:
            self._closed = True
            writing = self._writing > 0
        for file in self._files:
            file.close()
        self._files.clear()
        if not writing:
            self._remove()

    def _remove(self) -> None:
        if self._folder is not None:
            # On Windows what is still open cannot be removed: it is, when the process ends.
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> CallFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def is_quick_to_read(given: Any, files: CallFiles | None) -> bool:
    """Whether all that was *given*, by the parameters' names, is read in no time, so that an event loop may do it."""
    if files is not None and files.any_came:
        return False
    left = _QUICK
    level = [given]
    while level:
        each = level.pop()
        if isinstance(each, str):
            left -= len(each) // 100
        elif isinstance(each, list | dict):
            left -= len(each)
            if left > 0:
                level.extend(each.values() if isinstance(each, dict) else each)
        if left <= 0:
            return False
    return True


def base_name(filename: str) -> str:
    """*filename* as one part of a path, safe on any system: no folder, no leading dot, at most 200 bytes."""
    name = _UNWANTED.sub("_", filename.replace("\\", "/").rpartition("/")[2]).strip(" .")
    if _RESERVED.match(name):
        name = f"_{name}"
    stem, dot, ending = name.rpartition(".")
    if len(name.encode()) > _NAME_BYTES:
        ending = dot + ending if stem and len(ending.encode()) <= 20 else ""
        name = name.encode()[: _NAME_BYTES - len(ending.encode())].decode("utf-8", "ignore") + ending
    return name or "file"


def read_text(text: str) -> tuple[bytes, str]:
    """The bytes that *text* stands for, base64 or a ``data:`` URL (RFC 2397), and their media type if it says one.

    Raises `UnusableRequest` (422) for other text.
    """
    if text[:5].lower() != "data:":
        return from_base64(text), ""
    head, comma, data = text[5:].partition(",")
    if not comma:
        raise unreadable("A data: URL needs a comma before its data.")
    media_type, *parameters = (part.strip() for part in head.split(";", 8))
    if parameters and parameters[-1].lower() == "base64":
        return from_base64(unquote_to_bytes(data).decode("latin-1") if "%" in data else data), media_type.lower()
    return unquote_to_bytes(data), media_type.lower()


def from_base64(text: str) -> bytes:
    """Decode base64 of either alphabet (RFC 4648 §4, §5), with line ends and without padding too."""
    try:
        data = text.encode("ascii").translate(None, b" \t\r\n").replace(b"-", b"+").replace(b"_", b"/").rstrip(b"=")
        return binascii.a2b_base64(data + b"=" * (-len(data) % 4), strict_mode=True)
    except ValueError:  # what is not ASCII, too
        raise unreadable("A file in JSON is base64 text or a data: URL; or send it by multipart/form-data.") from None


def to_base64(data: bytes | bytearray | memoryview) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def data_url(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{to_base64(data)}"


def read_bytes(given: Any) -> bytes:
    """The bytes that a caller gave: a file, text as in `read_text`, or bytes from Python code."""
    if isinstance(given, UploadedFile):
        return given.read()
    if isinstance(given, str):
        return read_text(given)[0]
    if isinstance(given, bytes | bytearray | memoryview):
        return bytes(given)
    raise unreadable("Send a file by multipart/form-data, or its bytes as base64 text.")


def open_bytes(given: Any) -> tuple[BinaryIO, str]:
    """What a caller gave as a file at its beginning, and its media type if that is known."""
    if isinstance(given, UploadedFile):
        given.check_size()
        given.file.seek(0)
        return given.file, media_type_of(given)
    if isinstance(given, str):
        data, media_type = read_text(given)
        return io.BytesIO(data), media_type
    return io.BytesIO(read_bytes(given)), ""


def media_type_of(file: UploadedFile) -> str:
    """What the caller says that it is, without parameters, in lower case."""
    return file.content_type.partition(";")[0].strip().lower()


def read_path(given: Any, files: CallFiles | None) -> Path:
    """A file in the call's private folder. Text is never taken for a path of this machine."""
    if isinstance(given, UploadedFile):
        return given.files.path(given.filename, given.file)
    if files is None:
        raise unreadable("Send the file by multipart/form-data.")
    return files.path("file", io.BytesIO(read_bytes(given)))


def read_upload(given: Any, kind: Any, files: CallFiles | None) -> Any:
    """A starlette `UploadFile`, or FastAPI's: *kind* says which."""
    from starlette.datastructures import Headers

    if isinstance(given, kind):
        return given
    if not isinstance(given, UploadedFile):
        stream, media_type = open_bytes(given)
        given = (CallFiles() if files is None else files).add("", media_type, stream)
    headers = Headers({"content-type": given.content_type} if given.content_type else {})
    given.file.seek(0)
    return kind(given.file, size=given.size, filename=given.filename or None, headers=headers)


def read_stream(given: Any, kind: Any) -> BinaryIO:
    """An open file: the uploaded one itself, or one in memory where *kind* is `io.BytesIO`."""
    if kind is io.BytesIO:
        return io.BytesIO(read_bytes(given))
    if isinstance(given, UploadedFile):
        given.file.seek(0)
        return given.file
    return open_bytes(given)[0]
