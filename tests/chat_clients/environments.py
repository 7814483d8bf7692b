"""Where the clients live that are no part of the tests' own environment: JavaScript packages, and older Python ones.

Each is made when it is first asked for, and anew when what it is made from has changed.
``python -m tests.chat_clients.environments`` makes both.
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

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
JAVASCRIPT = HERE / "js"


def python() -> Path:
    """The interpreter of the environment for the clients of requirements.txt."""
    folder = Path(sys.prefix) / "chat-clients"
    executable = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def make() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, symlinks=os.name != "nt")
        pip = [sys.executable, "-m", "pip", "--python", str(executable), "install", "--quiet", "--no-deps"]
        _run([*pip, "--disable-pip-version-check", "--requirement", str(REQUIREMENTS)])

    _unless_made(folder / "made-from", REQUIREMENTS.read_bytes(), make)
    return executable


def node() -> str:
    """Node.js, with the packages of js/package-lock.json installed. Raises `LookupError` where there is none."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise LookupError("Node.js and npm are not installed.")
    lock = (JAVASCRIPT / "package-lock.json").read_bytes()
    _unless_made(JAVASCRIPT / "node_modules" / ".made-from", lock, lambda: _run([npm, "ci", "--silent"]))
    return node


def _unless_made(mark: Path, source: bytes, make: Callable[[], None]) -> None:
    digest = hashlib.sha256(source + sys.version.encode()).hexdigest()
    if not mark.is_file() or mark.read_text() != digest:
        make()
        mark.write_text(digest)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=JAVASCRIPT, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")


if __name__ == "__main__":
    print(python())
    print(node())
