"""What is kept beside the tests' own environment: made once for each source, by one process at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import environments

MAKES = """
import sys
from pathlib import Path
from tests.environments import kept

def make(folder):
    print("made", flush=True)
    sys.stdin.readline()  # the test says when it is done
    (folder / "whole").touch()

folder = kept("peer", b"lock", make, Path(sys.argv[1]))
print((folder / "whole").exists(), flush=True)
"""


def test_it_is_kept_until_its_source_changes(tmp_path: Path) -> None:
    made: list[Path] = []
    first = environments.kept("peer", b"1", made.append, tmp_path)
    assert first.is_dir()
    assert environments.kept("peer", b"1", made.append, tmp_path) == first
    beside = environments.kept("peer-of-another-name", b"1", made.append, tmp_path)
    second = environments.kept("peer", b"2", made.append, tmp_path)
    assert made == [first, beside, second]
    assert not first.exists(), "what is stale takes no room"
    assert beside.is_dir()


def test_what_was_not_made_to_the_end_is_made_again(tmp_path: Path) -> None:
    def fails(folder: Path) -> None:
        (folder / "half").touch()
        raise RuntimeError("the index cannot be reached")

    with pytest.raises(RuntimeError):
        environments.kept("peer", b"1", fails, tmp_path)
    again = environments.kept("peer", b"1", lambda folder: (folder / "whole").touch(), tmp_path)
    assert [path.name for path in again.iterdir()] == ["whole"]


def test_of_two_processes_one_makes_it_and_the_other_waits(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKES, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": environments.ROOT}
    with subprocess.Popen(command, env=os.environ, **pipes) as first:  # type: ignore[call-overload]
        assert first.stdout.readline() == "made\n"
        with subprocess.Popen(command, env=os.environ, **pipes) as second:  # type: ignore[call-overload]
            first.stdin.write("\n")
            first.stdin.flush()
            assert first.stdout.readline() == "True\n"
            assert second.communicate(timeout=60)[0] == "True\n"


def test_what_lies_in_one_place_only_is_made_anew_there(tmp_path: Path) -> None:
    made: list[int] = []
    mark = tmp_path / "mark"
    for source in (b"1", b"1", b"2"):
        environments.unless_made(mark, source, lambda: made.append(1))
    assert len(made) == 2
    mark.unlink()
    environments.unless_made(mark, b"2", lambda: made.append(1))
    assert len(made) == 3


def test_a_command_that_fails_says_what_it_printed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no such package"):
        environments.run([sys.executable, "-c", "import sys; sys.exit('no such package')"], tmp_path)
