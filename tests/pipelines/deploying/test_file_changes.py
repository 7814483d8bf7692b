"""Several files are changed as one: all of them or none, whenever the process is killed, and however it fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from portico.pipelines.deploying.file_changes import FileChanges, mend

BEFORE = {
    "p/a.py": b"old a",
    "p/old/er/gone.py": b"goes",
    "p/data/b.bin": bytes(range(256)),
    "p/gone.txt": b"goes",
    "p/mine.txt": b"stays",
}
CHANGES = {
    "p/old/er/gone.py": None,
    "p/a.py": b"new a",
    "p/data/b.bin": b"",
    "p/gone.txt": None,
    "p/new/deep/c.py": b"c",
    "q.yml": b"q",
}
AFTER = {"p/a.py": b"new a", "p/data/b.bin": b"", "p/mine.txt": b"stays", "p/new/deep/c.py": b"c", "q.yml": b"q"}

KILLED_AT = """
import os, signal, sys
from pathlib import Path
from portico.pipelines.deploying.file_changes import FileChanges

changing = {"os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "os.chmod", "os.symlink"}
left = int(sys.argv[2])
root = Path(sys.argv[1])

def count(event, arguments):
    global left
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if (event in changing or writes) and os.fspath(arguments[0]).startswith(os.fspath(root)):
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

sys.addaudithook(count)
change = FileChanges(root, root / ".state", {changes!r})
change.apply()
change.{end}()
"""
"""A process that is killed before the n-th time that it changes anything on the disk."""


def lay(root: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def lying(root: Path) -> dict[str, bytes]:
    """All files of *root*, but for what is kept of changes."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".state" not in path.parts
    }


def folders(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_dir()}


def test_a_change_that_is_kept_leaves_the_new_files_alone(tmp_path: Path) -> None:
    lay(tmp_path, BEFORE)
    change = FileChanges(tmp_path, tmp_path / ".state", CHANGES)
    assert lying(tmp_path) == BEFORE
    change.apply()
    assert lying(tmp_path) == AFTER
    change.keep()
    assert lying(tmp_path) == AFTER
    assert folders(tmp_path) == {"p", "p/data", "p/new", "p/new/deep"}
    assert mend(tmp_path / ".state") == []


def test_a_change_that_is_undone_leaves_the_very_files_that_were_there(tmp_path: Path) -> None:
    lay(tmp_path, BEFORE)
    (tmp_path / "p/a.py").chmod(0o750)
    before = {path: (tmp_path / path).stat() for path in BEFORE}
    change = FileChanges(tmp_path, tmp_path / ".state", CHANGES)
    change.apply()
    assert (tmp_path / "p/a.py").stat().st_mode == before["p/a.py"].st_mode
    change.undo()
    assert lying(tmp_path) == BEFORE
    assert folders(tmp_path) == {"p", "p/data", "p/old", "p/old/er"}
    for path, was in before.items():
        now = (tmp_path / path).stat()
        assert (now.st_ino, now.st_mode, now.st_mtime_ns) == (was.st_ino, was.st_mode, was.st_mtime_ns)


def test_a_file_that_another_has_written_meanwhile_is_the_others(tmp_path: Path) -> None:
    lay(tmp_path, BEFORE)
    change = FileChanges(tmp_path, tmp_path / ".state", CHANGES)
    change.apply()
    (tmp_path / "p/a.py").write_bytes(b"edited by hand")
    change.undo()
    assert lying(tmp_path) == {**BEFORE, "p/a.py": b"edited by hand"}


def test_what_is_under_way_is_not_mended(tmp_path: Path) -> None:
    lay(tmp_path, BEFORE)
    change = FileChanges(tmp_path, tmp_path / ".state", CHANGES)
    change.apply()
    assert mend(tmp_path / ".state") == []
    assert lying(tmp_path) == AFTER
    change.keep()


def test_what_cannot_be_written_is_undone(tmp_path: Path) -> None:
    lay(tmp_path, {**BEFORE, "q.yml/is a folder": b""})
    with pytest.raises(OSError, match=r"q\.yml"):
        FileChanges(tmp_path, tmp_path / ".state", CHANGES)
    assert lying(tmp_path) == {**BEFORE, "q.yml/is a folder": b""}
    assert not (tmp_path / ".state").exists()


@pytest.mark.parametrize("end", ["keep", "undo"])
def test_killed_at_any_step_all_files_are_as_before_or_all_as_after_once_it_is_mended(tmp_path: Path, end: str) -> None:
    seen = []
    for step in range(1000):
        root = tmp_path / str(step)
        lay(root, BEFORE)
        program = KILLED_AT.replace("{changes!r}", repr(CHANGES)).replace("{end}", end)
        ended = subprocess.run([sys.executable, "-c", program, root, str(step)], timeout=60, check=False)
        mend(root / ".state")
        files = lying(root)
        assert files in (BEFORE, AFTER)
        there = {path for path in folders(root) if not path.startswith(".state")}
        if files == BEFORE:
            assert there == {"p", "p/data", "p/old", "p/old/er"}
        else:  # what is empty goes last
            assert there - {"p/old", "p/old/er"} == {"p", "p/data", "p/new", "p/new/deep"}
        seen.append(files == AFTER)
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL
    assert step > 20, "it was killed at each of its steps"
    if end == "keep":
        assert seen == sorted(seen), "before, and from one step on after"
        assert seen[-1]
    else:
        assert not any(seen)


def test_mending_that_is_cut_short_is_ended_by_the_next(tmp_path: Path) -> None:
    lay(tmp_path, BEFORE)
    program = KILLED_AT.replace("{changes!r}", repr(CHANGES)).replace("change.{end}()", "os.kill(os.getpid(), 9)")
    subprocess.run([sys.executable, "-c", program, tmp_path, "1000"], timeout=60, check=False)
    assert lying(tmp_path) == AFTER
    again = (
        program.split("change = ")[0]
        + "from portico.pipelines.deploying.file_changes import mend\nmend(root / '.state')\n"
    )
    for step in range(1000):
        ended = subprocess.run([sys.executable, "-c", again, tmp_path, str(step)], timeout=60, check=False)
        if ended.returncode == 0:
            break
    assert step > 2
    assert lying(tmp_path) == BEFORE
    assert os.listdir(tmp_path) == ["p"] or sorted(os.listdir(tmp_path)) == [".state", "p"]


def test_a_folder_that_another_change_takes_away_meanwhile_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "a").write_bytes(b"old")
    there = FileChanges(tmp_path, tmp_path / ".state", {"records/b": b"new"})
    gone = FileChanges(tmp_path, tmp_path / ".state", {"records/a": None})
    (tmp_path / "records" / "a").unlink()
    (tmp_path / "records").rmdir()
    gone.apply()
    gone.keep()
    there.apply()
    there.keep()
    assert (tmp_path / "records" / "b").read_bytes() == b"new"
