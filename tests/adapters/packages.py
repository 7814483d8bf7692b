"""Packages that declare adapters: written into a folder as an installer leaves them, or installed by pip."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

PYPROJECT = """\
[project]
name = "{name}"
version = "1.0"

[project.entry-points."portico.adapters"]
{entries}

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
"""

LIBRARY = """\
class Board:
    def __init__(self, text="a board"):
        self.text = text

class Special(Board):
    pass

def make():
    return Board()
"""
"""A package's own code, which knows nothing of Portico."""

ADAPTER = """\
from portico.adapters import Taken, ToolList

def claims(thing):
    return hasattr(type(thing), "text") or hasattr(thing, "text")

def take(thing, options):
    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": thing.text.encode()})
    return Taken(app, kind="board", tools=ToolList.of({"add": {"type": "object"}}), capabilities=[{"type": "board"}])
"""


def lay(folder: Path, package: str, entries: dict[str, str] | str, files: dict[str, str]) -> None:
    """Write *package* into *folder*, with its metadata; *entries* are those of the group, or the file's whole text."""
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), "utf-8")
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", "utf-8")
    if not isinstance(entries, str):
        lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
        entries = f"[portico.adapters]\n{lines}"
    (info / "entry_points.txt").write_text(entries, "utf-8")


def install(source: Path, target: Path) -> None:
    """Have pip build the package in *source* and install it into *target*. hatchling is among what tests install."""
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(source)],
        check=True,
        capture_output=True,
        timeout=120,
    )
