"""Files that a call wants as paths are for this process's user alone, and do not outlive it for long."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from portico.functions.values import upload_folder

CALL = """
import io, sys
from portico.functions.values.uploads import CallFiles
files = CallFiles()
path = files.path("secret.txt", io.BytesIO(b"a secret"))
print(path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def start(place: Path) -> Iterator[object]:
    started: list[subprocess.Popen[str]] = []

    def start() -> tuple[subprocess.Popen[str], Path]:
        process = subprocess.Popen(
            [sys.executable, "-c", CALL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    yield start
    for process in started:
        process.kill()
        process.communicate()


def old(folder: Path) -> None:
    os.utime(folder, (1, 1))


def test_only_its_user_may_look_in(start, place: Path) -> None:
    _, path = start()
    (folder,) = place.iterdir()
    assert path.is_relative_to(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_it_goes_with_its_process(start, place: Path) -> None:
    process, path = start()
    assert path.read_text() == "a secret"
    process.communicate()
    assert list(place.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="nothing tells there whether a folder is in use")
def test_what_a_killed_process_left_goes_when_another_needs_a_folder(start, place: Path) -> None:
    process, left = start()
    _, used = start()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert left.exists()
    for folder in place.iterdir():
        old(folder)
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    (place / f"{upload_folder.PREFIX}link").symlink_to(elsewhere)
    (place / f"{upload_folder.PREFIX}file").touch()
    _, path = start()
    assert not left.exists()
    assert used.exists()
    assert path.exists()
    assert (elsewhere / "kept").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="nothing tells there whether a folder is in use")
def test_one_that_was_made_just_now_is_let_be(start, place: Path) -> None:
    new = place / f"{upload_folder.PREFIX}new"
    new.mkdir()
    start()
    assert new.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked there")
def test_a_process_that_was_forked_removes_none_of_its_parents(place: Path) -> None:
    code = CALL.replace("sys.stdin.read()", "import os\nif not os.fork(): sys.exit()\nos.wait()\nprint(path.exists())")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "True"
