"""What the tests of Pyodide need: its files, wheels for it, a wheel of this tree, and a lock file over them.

The files come from the npm packages of js/package-lock.json, the wheels from the package index, by requirements.txt;
each is fetched when it is first asked for, and anew when what names it has changed. Nothing comes from a CDN.
``python -m tests.pyodide.environment`` fetches it all.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from portico.browser import export
from portico.browser import wheels as lockable
from portico.cli import main
from tests.environments import ROOT, kept, run, unless_made

JAVASCRIPT = ROOT / "js"
PYODIDE = JAVASCRIPT / "node_modules" / "pyodide"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
COMPILER = Path(__file__).with_name("compiler.txt")


def node() -> str:
    """Node.js, with js/ installed. Raises `LookupError` where there is none."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise LookupError("Node.js and npm are not installed.")
    lock = (JAVASCRIPT / "package-lock.json").read_bytes()
    unless_made(JAVASCRIPT / "node_modules" / ".made-from", lock, lambda: run([npm, "ci", "--silent"], JAVASCRIPT, 600))
    return node


def npm(*arguments: str) -> str:
    """Run npm in js/; what it printed. Raises `LookupError` without Node.js, `RuntimeError` if it fails."""
    node()
    return run([shutil.which("npm") or "npm", *arguments], JAVASCRIPT, 300)


def wheels(name: str = "pyodide-wheels", requirements: Path = REQUIREMENTS) -> Path:
    """The folder *name* of wheels for Pyodide: those of *requirements* and no more."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]

    def make(folder: Path) -> None:
        run([*pip, *lockable.tags(lockable.INFO), "--dest", str(folder), "--requirement", str(requirements)], ROOT)

    return kept(name, requirements.read_bytes(), make)


def portico_wheel(folder: Path) -> Path:
    """A wheel of this tree, made in *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    run([*pip, "--wheel-dir", str(folder), str(ROOT)], ROOT, 120)
    [wheel] = folder.glob("portico-*.whl")
    return wheel


def bundle(folder: Path, further: Iterable[Path] = ()) -> Path:
    """A folder to load Pyodide from, with Portico and all wheels in its lock file; as a static host would have it.

    *further* are wheels beside those of requirements.txt.
    """
    node()
    folder.mkdir(parents=True, exist_ok=True)
    for name in export.RUNTIME:
        shutil.copy(PYODIDE / name, folder)
    for wheel in (*wheels().glob("*.whl"), *further):
        shutil.copy(wheel, folder)
    portico_wheel(folder)
    info, at_hand = export.info_of(PYODIDE), lockable.in_folder(folder)
    found = lockable.closure(at_hand, at_hand, info)
    assert not found.missing, f"add to {REQUIREMENTS.name}: {found.missing}"
    (folder / export.LOCK_FILE).write_text(lockable.lock(found, info), "utf-8")
    return folder


def release(folder: Path, at_hand: Path, more: Iterable[str] = (), further: Iterable[Path] = ()) -> Path:
    """The bundle of a release, with FastAPI, made in *folder*; its wheels, not compiled, are laid into *at_hand*.

    *more* packages go in, whose wheels are *further*.
    """
    node()
    at_hand.mkdir(parents=True, exist_ok=True)
    for wheel in (*wheels().glob("*.whl"), *wheels("compiler-wheels", COMPILER).glob("*.whl"), *further):
        shutil.copy(wheel, at_hand)
    options = ("--pyodide-dir", str(PYODIDE), "--wheels", str(at_hand))
    if main(["bundle", str(folder), "fastapi", *more, *options]):
        raise RuntimeError("the bundle could not be made: standard error says why")
    return folder


if __name__ == "__main__":
    print(node())
    print(wheels(), wheels("compiler-wheels", COMPILER), sep="\n")
