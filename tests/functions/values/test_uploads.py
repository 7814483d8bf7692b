"""Files of a call: what they become, and that nothing of them is left after it."""

from __future__ import annotations

import errno
import io
import os
import stat
import tempfile
from pathlib import Path

import fastapi
import pytest
import starlette.datastructures
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.errors import UnusableRequest
from portico.functions.values.upload_folder import process_folder
from portico.functions.values.uploads import CallFiles, base_name, from_base64, is_quick_to_read, read_text, to_base64
from tests.functions.values.functions import taken, upload


def test_a_path_is_in_a_private_folder_that_goes_with_the_call() -> None:
    files = CallFiles()
    first = taken(Path, upload(b"one", "data.csv", files=files))
    second = taken(Path, upload(b"two", "data.csv", files=files))
    assert (first.name, second.name) == ("data.csv", "data.csv")
    assert (first.read_bytes(), second.read_bytes()) == (b"one", b"two")
    folder = first.parents[1]
    if os.name == "posix":
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files.close()
    assert not folder.exists()
    files.close()


def test_files_are_closed_with_the_call() -> None:
    spooled = tempfile.SpooledTemporaryFile(max_size=10)  # noqa: SIM115 - the call closes it
    spooled.write(b"x" * 100)
    with CallFiles() as files:
        file = files.add("x", "", spooled)
        assert (file.size, len(taken(bytes, file))) == (100, 100)
    assert spooled.closed


def test_an_upload_file_is_as_in_starlette_and_fastapi() -> None:
    for kind in (starlette.datastructures.UploadFile, fastapi.UploadFile):
        file = taken(kind, upload(b"hello", "a b.txt", "text/plain"))
        assert type(file) is kind
        assert (file.filename, file.content_type, file.size) == ("a b.txt", "text/plain", 5)
        assert file.file.read() == b"hello"
        assert taken(kind, "aGVsbG8=").file.read() == b"hello"


def test_a_folder_goes_even_if_a_file_is_still_being_written_when_the_call_ends() -> None:
    files = CallFiles()

    class Slow(io.BytesIO):
        """Its call ends while it is read."""

        def read(self, size: int | None = -1, /) -> bytes:
            files.close()
            return super().read(size)

    path = files.path("a", Slow(b"hello"))
    assert not path.exists()
    assert not path.parents[1].exists()
    with pytest.raises(UnusableRequest, match="has ended"):
        files.path("b", io.BytesIO(b""))


def test_no_room_for_a_file_is_not_the_callers_error() -> None:
    class Full(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(errno.ENOSPC, "No space left on device")

    with CallFiles() as files, pytest.raises(UnusableRequest) as refused:
        taken(Path, files.add("a", "", Full(b"x")), files)
    assert refused.value.status == 507


def test_what_is_read_in_no_time() -> None:
    assert is_quick_to_read({"a": "x" * 1000, "b": [1, 2, 3], "c": None}, None)
    assert not is_quick_to_read({"a": "x" * 200_000}, None)
    assert not is_quick_to_read({"a": [[0] * 100] * 100}, None)
    assert not is_quick_to_read({"a": {"b": list(range(2000))}}, CallFiles())
    with CallFiles() as files:
        files.add("a", "", io.BytesIO())
        assert not is_quick_to_read({}, files)


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\x.txt", "x.txt"),
        ("..", "file"),
        ("", "file"),
        ("a/", "file"),
        (".bashrc", "bashrc"),
        ("a\0b\n.csv", "a_b_.csv"),
        ("CON.txt", "_CON.txt"),
        ("żółw.csv", "żółw.csv"),
        ("x" * 300 + ".parquet", "x" * 192 + ".parquet"),
        ("\ud800.txt", "_.txt"),
        ("txt\u202egpj.exe", "txt_gpj.exe"),
    ],
)
def test_names_of_files_are_cleaned(filename: str, name: str) -> None:
    assert base_name(filename) == name


@settings(deadline=None)
@given(st.text())
def test_any_name_can_be_written_and_stays_in_its_folder(filename: str) -> None:
    """A file with any name lies right in a folder of its own."""
    with CallFiles() as files:
        path = files.path(filename, io.BytesIO(b"x"))
        assert path.read_bytes() == b"x"
        assert path.resolve().parents[2] == process_folder()
        assert len(path.name.encode()) <= 200


@settings(deadline=None)
@given(st.binary())
def test_base64_of_both_alphabets_is_read(data: bytes) -> None:
    """What is written as base64 is read again, with the other alphabet and without padding too."""
    text = to_base64(data)
    assert from_base64(text) == data
    assert from_base64(text.replace("+", "-").replace("/", "_").rstrip("=")) == data
    assert read_text(f"data:image/png;base64,{text}") == (data, "image/png")


@pytest.mark.parametrize("text", ["é", "a", "a=b", "aGVs*", "data:text/plain", "data:;base64,*", "/etc/passwd!"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(UnusableRequest) as refused:
        read_text(text)
    assert refused.value.status == 422


def test_data_urls() -> None:
    assert read_text("data:,hi%20there") == (b"hi there", "")
    assert read_text("DATA:Text/Plain;charset=utf-8,x") == (b"x", "text/plain")
    assert read_text("data:;base64,aGVs%62G8%3D") == (b"hello", "")
