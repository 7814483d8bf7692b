"""The files that a command line names, and the form that they are sent as."""

from __future__ import annotations

import os
import sys
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from portico.cli.upload import FormBody, NamedFile, files_below
from portico.errors import LocalError


def parts_of(form: FormBody) -> list[tuple[str | None, str | None, bytes]]:
    """Of each part: its name, its file's name, and its content; by a reader that is not ours."""
    content = b"".join(form)
    assert form.headers["Content-Length"] == str(len(content))
    head = f"Content-Type: {form.headers['Content-Type']}\r\n\r\n".encode()
    read = message_from_bytes(head + content)
    found: list[tuple[str | None, str | None, bytes]] = []
    for part in read.get_payload() if read.is_multipart() else []:
        assert isinstance(part, Message)
        name = part.get_param("name", header="content-disposition")
        found.append((str(name), part.get_filename(), part.get_payload(decode=True)))  # type: ignore[arg-type]
    return found


def test_fields_and_files(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(range(256)) * 1000)
    (tmp_path / "empty.txt").write_bytes(b"")
    files = [NamedFile("dir/a.bin", tmp_path / "a.bin"), NamedFile("empty.txt", tmp_path / "empty.txt")]
    assert parts_of(FormBody({"question": "What?", "n": "[1]"}, files)) == [
        ("question", None, b"What?"),
        ("n", None, b"[1]"),
        ("files", "dir/a.bin", bytes(range(256)) * 1000),
        ("files", "empty.txt", b""),
    ]
    assert parts_of(FormBody({}, [])) == []


def test_no_name_ends_its_head(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    content = b"".join(FormBody({'a"b\r\nX: y': "v"}, [NamedFile('c"\r\nd', tmp_path / "f")]))
    assert b'name="a%22b%0D%0AX: y"' in content
    assert b'filename="c%22%0D%0Ad"' in content


def test_a_folder_without_what_is_hidden_or_ignored(tmp_path: Path) -> None:
    for name in (
        "a.py",
        "b/c.txt",
        "b/d.bin",
        "d.bin",
        ".hidden",
        ".git/config",
        "__pycache__/a.pyc",
        "b/__pycache__/x",
        "b/a.egg-info/x",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "link").symlink_to(tmp_path / "a.py")
        (tmp_path / "loop").symlink_to(tmp_path)
        (tmp_path / "dead").symlink_to(tmp_path / "nothing")
    links = ["link"] if sys.platform != "win32" else []
    found = files_below(tmp_path, ["*.egg-info", "b/*.bin", ""])
    assert [file.name for file in found] == ["a.py", "d.bin", *links, "b/c.txt"]
    assert all(file.path == tmp_path / file.name for file in found)


def test_what_changes_or_is_gone_is_said(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"12345")
    form = FormBody({}, [NamedFile("f", path)])
    path.write_bytes(b"123")
    with pytest.raises(LocalError, match="got shorter"):
        list(form)
    path.unlink()
    with pytest.raises(LocalError, match="cannot be read"):
        list(form)
    with pytest.raises(LocalError, match="cannot be read"):
        FormBody({}, [NamedFile("f", path)])
    with pytest.raises(LocalError, match="cannot be read"):
        files_below(tmp_path / "absent", [])


def test_a_person_sees_how_far_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "f").write_bytes(b"x" * 300_000)
    form = FormBody({}, [NamedFile("f", tmp_path / "f")], show=True)
    list(form)
    said = capsys.readouterr().err
    assert said.startswith("\rUploading 1 files: 0 %")
    assert said.endswith("\rUploading 1 files: 100 %\n")
    list(FormBody({}, [NamedFile("f", tmp_path / "f")]))
    assert capsys.readouterr().err == "", "nothing where no person looks"
