"""Pyodide with Portico, as a release has it: a folder for any static host, with all Python in it compiled.

A browser that loads Pyodide otherwise compiles Python's own library and each package's modules at every visit, which
takes longer than all else. `write` lays out the folder; ``compile.mjs`` compiles, with pyodide-build in Pyodide itself,
so that the bytecode is that of its Python. Nothing is fetched here: the caller does that (`portico.cli.bundle`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from portico.browser import export, wheels
from portico.errors import InvalidOption, PorticoError

COMPILER = ("pyodide-build>=0.39", "click", "packaging", "platformdirs", "rich")
"""pyodide-build, and what its ``py-compile`` imports: much less than it needs to build packages."""

WITHIN = 600
"""Seconds that compiling may take. Portico's and FastAPI's take five, and Python's library five more."""


def write(
    folder: Path, pyodide: Path, wanted: Iterable[str], at_hand: Mapping[str, wheels.Wheel], info: dict[str, str]
) -> None:
    """Make *folder*, or make it anew if it is a bundle: Pyodide, Portico, *wanted*, and what these need.

    *at_hand* are the wheels to take them from, by name, the compiler's among them. Raises `InvalidOption` for what
    cannot be, `PorticoError` if compiling fails.
    """
    wanted = tuple(wanted)
    node = shutil.which("node")
    if node is None:
        raise InvalidOption("Node.js is needed to compile a bundle, and there is none here")
    found = wheels.closure(["portico", *wanted], at_hand, info)
    tools = compiler(at_hand, info)
    if missing := found.missing | tools.missing:
        raise InvalidOption(f"no wheel is at hand for: {', '.join(sorted(missing.values()))}")
    export.check_runtime(pyodide)
    _check(folder)
    with TemporaryDirectory() as temporary:
        made = Path(temporary)
        for name in export.RUNTIME:
            shutil.copy(pyodide / name, made)
        for wheel in found.wheels.values():
            shutil.copy(wheel.path, made)
        _compile(node, pyodide, made, [wheel.path for wheel in tools.wheels.values()])
        compiled = wheels.in_folder(made)
        found = wheels.closure(["portico", *wanted], compiled, info)
        (made / export.LOCK_FILE).write_text(wheels.lock(found, info), "utf-8")
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.whl"):
            old.unlink()
        for file in made.iterdir():
            shutil.copy(file, folder)


def compiler(at_hand: Mapping[str, wheels.Wheel], info: Mapping[str, str]) -> wheels.Closure:
    """What compiles, among the wheels *at_hand*, and what of it is missing there."""
    lean = {name: wheel.alone() if name == "pyodide-build" else wheel for name, wheel in at_hand.items()}
    return wheels.closure(COMPILER, lean, info)


def _check(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InvalidOption(f"{folder} is no folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / export.LOCK_FILE).is_file():
        raise InvalidOption(f"{folder} holds something else: give a new folder, or one of an earlier bundle")


def _compile(node: str, pyodide: Path, folder: Path, tools: list[Path]) -> None:
    import subprocess

    script = Path(__file__).with_name("compile.mjs")
    command = [node, str(script), str(pyodide), str(folder), *map(str, tools)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WITHIN)
    except subprocess.TimeoutExpired:
        raise PorticoError(f"the bundle was not compiled within {WITHIN} seconds") from None
    if done.returncode:
        raise PorticoError(f"the bundle could not be compiled: {done.stderr.strip()[-2000:]}")
