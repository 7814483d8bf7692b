"""Environments beside the tests' own, for real peers that cannot live in it: packages, wheels, what npm installs.

Each is kept by the hash of what it is made from, below `FOLDER`: it is made when it is first asked for, and anew when
its lock or requirements file has changed. Two runs of the tests may ask at once: one makes it, and the other waits.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".cache" / "environments"
"""git-ignored. A machine of CI may keep it from run to run: what is stale is never used."""

_DIGITS = 16  # of a hash: a name that no other text has, and short enough to be read


def kept(name: str, source: bytes, make: Callable[[Path], object], folder: Path | None = None) -> Path:
    """The folder that *make* fills, given its path, from *source*; the one of another source by this *name* is removed.

    *source* is what the result follows from: as a rule, a lock file's bytes. The interpreter's version counts too.
    Raises what *make* raises, and makes it again when it is next asked for. *folder* is where all such are kept.
    """
    digest = hashlib.sha256(source + sys.version.encode()).hexdigest()[:_DIGITS]
    of_name = (folder or FOLDER) / name
    place = of_name / digest
    whole = of_name / f"{digest}.made"
    with one_at_a_time(of_name):
        if not whole.exists():
            for old in [*of_name.glob("*.made"), *(path for path in of_name.iterdir() if path.is_dir())]:
                old.unlink() if old.is_file() else shutil.rmtree(old)
            place.mkdir()
            make(place)
            whole.touch()
    return place


def unless_made(mark: Path, source: bytes, make: Callable[[], object]) -> None:
    """Call *make* unless the file *mark* says that it was called for this *source*.

    For what can lie in one place only, as npm's ``node_modules`` beside the programs that import from it.
    """
    digest = hashlib.sha256(source + sys.version.encode()).hexdigest()
    with one_at_a_time(FOLDER / "in-place" / hashlib.sha256(os.fsencode(mark)).hexdigest()[:_DIGITS]):
        if not mark.is_file() or mark.read_text() != digest:
            make()
            mark.write_text(digest)


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Keep other processes out of *folder*, which is made, for as long as the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # it goes with the process, however that ends
        yield


def python(name: str, requirements: Path) -> Path:
    """The interpreter of the environment *name*, with all that the file *requirements* pins and nothing else."""

    def make(folder: Path) -> None:
        venv.create(folder, symlinks=os.name != "nt")
        pip = [sys.executable, "-m", "pip", "--python", str(_interpreter(folder)), "install", "--quiet", "--no-deps"]
        run([*pip, "--disable-pip-version-check", "--requirement", str(requirements)], requirements.parent)

    return _interpreter(kept(name, requirements.read_bytes(), make))


def _interpreter(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def run(command: list[str], folder: Path, timeout: float = 600, **variables: str) -> str:
    """Run *command* in *folder* for at most *timeout* seconds, with further *variables*; what it printed.

    Raises `RuntimeError` with all that it printed if it fails.
    """
    env = os.environ | {"CI": "true"} | variables  # npm and others draw no progress there
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout, env=env)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return done.stdout
