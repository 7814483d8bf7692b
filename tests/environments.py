"""Environments beside the tests' own, for what cannot live in it.

Each is made when it is first asked for, and anew when what it is made from has changed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path


def python(name: str, requirements: Path) -> Path:
    """The interpreter of the environment *name*, with all that the file *requirements* pins and nothing else."""
    folder = Path(sys.prefix) / name
    executable = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def make() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, symlinks=os.name != "nt")
        pip = [sys.executable, "-m", "pip", "--python", str(executable), "install", "--quiet", "--no-deps"]
        run([*pip, "--disable-pip-version-check", "--requirement", str(requirements)], requirements.parent)

    unless_made(folder / "made-from", requirements.read_bytes(), make)
    return executable


def unless_made(mark: Path, source: bytes, make: Callable[[], None]) -> None:
    """Call *make*, unless the file *mark* says that it was called for this *source* already."""
    digest = hashlib.sha256(source + sys.version.encode()).hexdigest()
    if not mark.is_file() or mark.read_text() != digest:
        make()
        mark.write_text(digest)


def run(command: list[str], folder: Path) -> None:
    """Run *command* in *folder*; raises `RuntimeError` with what it printed if it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
