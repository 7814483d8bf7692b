"""An app as a static site: a folder that any static host can serve, where the visitor's own browser runs the app.

`write` makes the folder of a `Site`. The page, its worker and its service worker are built from js/ and lie in
``portico/static/site``. Nothing is fetched here: the caller does that (`portico.cli.export`).
"""

from __future__ import annotations

import ast
import html
import json
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from portico.browser import wheels
from portico.errors import InvalidOption

PYODIDE_URL = f"https://cdn.jsdelivr.net/pyodide/v{wheels.PYODIDE}/full/"
"""Where Pyodide is published, and where it looks for its own files by itself."""

RUNTIME = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
"""The files of Pyodide itself."""

LOCK_FILE = "pyodide-lock.json"

_STATIC = Path(__file__).parents[1] / "static" / "site"
_OWN = ("app", "portico", "portico-preview", "packages", "pyodide")
"""The folders of a site."""

_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")  # PEP 723


@dataclass(frozen=True, kw_only=True)
class Site:
    """What is to be exported."""

    app: Path
    """The app's file."""
    attribute: str = ""
    """What in it is the app; found by itself without."""
    title: str
    name: str
    """In the URL of the app."""
    chat: bool = False
    requirements: tuple[str, ...] = ()
    include: tuple[Path, ...] = ()
    """Further files and folders, which come to lie beside the app's as they do now."""
    pyodide_url: str = PYODIDE_URL
    pyodide_folder: Path | None = None
    """Copied into the site, and loaded from there."""
    at_hand: tuple[wheels.Wheel, ...] | None = None
    """Wheels, of which the needed ones are put beside the page. None: the visitor's micropip fetches packages.

    Portico's own is made, unless it is among them.
    """
    info: dict[str, str] = field(default_factory=lambda: dict(wheels.INFO))


def write(site: Site, folder: Path) -> None:
    """Make *folder*, or write it anew if it is an exported site. Raises `InvalidOption` for what cannot be."""
    _clear(folder)
    for name in _OWN[:4]:
        (folder / name).mkdir()
    shutil.copy(_STATIC / "page.js", folder / "portico")
    shutil.copy(_STATIC / "worker.js", folder / "portico")
    shutil.copy(_STATIC / "service-worker.js", folder / "portico-preview")
    files = list(_copy_app(site, folder / "app"))
    if site.at_hand is None:
        portico = wheels.portico_wheel(folder / "packages")
        packages, install, lock_file = [], [f"./packages/{portico.name}", *site.requirements], None
    else:
        packages, install, lock_file = _lay_wheels(site, folder / "packages"), [], f"packages/{LOCK_FILE}"
    pyodide = site.pyodide_url
    if site.pyodide_folder is not None:
        _copy_pyodide(site.pyodide_folder, folder / "pyodide", installer=bool(install))
        pyodide = "pyodide/"
    module = site.app.stem
    settings = {
        "title": site.title,
        "name": site.name,
        "app": f"{module}:{site.attribute}" if site.attribute else module,
        "chat": site.chat,
        "files": files,
        "pyodide": pyodide,
        "lockFile": lock_file,
        "packages": packages,
        "install": install,
    }
    page = (_STATIC / "index.html").read_text("utf-8")
    # A script's text ends at "</script", whatever is around it.
    page = page.replace("{{settings}}", json.dumps(settings).replace("<", "\\u003c"))
    (folder / "index.html").write_text(page.replace("{{title}}", html.escape(site.title)), "utf-8")


def _clear(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InvalidOption(f"{folder} is no folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "portico" / "page.js").is_file():
        raise InvalidOption(f"{folder} holds something else: give a new folder, or one of an earlier export")
    folder.mkdir(parents=True, exist_ok=True)
    for name in _OWN:
        shutil.rmtree(folder / name, ignore_errors=True)


def _copy_app(site: Site, folder: Path) -> Iterator[str]:
    """Copy the app and what goes with it; the paths in *folder*, the app's own file first."""
    home = site.app.resolve().parent
    for path in (site.app, *site.include):
        if not path.exists():
            raise InvalidOption(f"there is no file {path}")
        if not path.resolve().is_relative_to(home):
            raise InvalidOption(f"{path} does not lie beside {site.app.name}, nor in a folder there")
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if not file.is_file() or "__pycache__" in file.parts:
                continue
            where = file.resolve().relative_to(home)
            target = folder / where
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
            yield where.as_posix()


def _lay_wheels(site: Site, folder: Path) -> list[str]:
    """Put the needed wheels and a lock file into *folder*; the names to load."""
    at_hand = {wheel.name: wheel for wheel in site.at_hand or ()}
    if "portico" not in at_hand:
        at_hand["portico"] = wheels.Wheel.read(wheels.portico_wheel(folder))
    found = wheels.closure(["portico", *site.requirements], at_hand, site.info)
    if found.missing:
        raise InvalidOption(f"no wheel is at hand for: {', '.join(sorted(found.missing.values()))}")
    for wheel in found.wheels.values():
        if wheel.path.parent != folder:
            shutil.copy(wheel.path, folder)
    (folder / LOCK_FILE).write_text(wheels.lock(found, site.info), "utf-8")
    return sorted(found.wheels)


def _copy_pyodide(source: Path, target: Path, *, installer: bool) -> None:
    check_runtime(source)
    target.mkdir()
    for name in (*RUNTIME, LOCK_FILE):
        shutil.copy(source / name, target)
    if installer:
        packages = json.loads((source / LOCK_FILE).read_text("utf-8"))["packages"]
        file = source / packages.get("micropip", {}).get("file_name", "micropip.whl")
        if not file.is_file():
            raise InvalidOption(
                f"{source} has no micropip, which would install packages at the visitor's: "
                "put them beside the page, with --offline, --wheels or --bundle"
            )
        shutil.copy(file, target)


def check_runtime(pyodide: Path) -> None:
    """Raises `InvalidOption` if it is not a folder with all files of Pyodide."""
    for name in (*RUNTIME, LOCK_FILE):
        if not (pyodide / name).is_file():
            raise InvalidOption(f"{pyodide} is no folder of Pyodide: {name} is missing")


def info_of(pyodide: Path) -> dict[str, str]:
    """What a folder of Pyodide says of itself: its Python, and what its wheels are built for."""
    try:
        info = json.loads((pyodide / LOCK_FILE).read_text("utf-8"))["info"]
    except (OSError, ValueError, KeyError):
        raise InvalidOption(f"{pyodide} is no folder of Pyodide: it has no {LOCK_FILE}") from None
    return {key: str(info[key]) for key in wheels.INFO}


# --- what an app needs --------------------------------------------------------------------------------------------


def script_requirements(source: str) -> tuple[str, ...] | None:
    """The dependencies that a file names in its own metadata (PEP 723); None without any. Raises `InvalidOption`."""
    blocks = [match for match in _BLOCK.finditer(source) if match["type"] == "script"]
    if not blocks:
        return None
    if len(blocks) > 1:
        raise InvalidOption("the file has more than one block of script metadata")
    lines = blocks[0]["content"].splitlines(keepends=True)
    text = "".join(line[2:] if line.startswith("# ") else line[1:] for line in lines)
    try:
        named: Any = tomllib.loads(text).get("dependencies")
    except tomllib.TOMLDecodeError as error:
        raise InvalidOption(f"the file's script metadata cannot be read: {error}") from None
    if named is None:
        return None
    if not isinstance(named, list) or not all(isinstance(one, str) for one in named):
        raise InvalidOption("the dependencies in the file's script metadata are no list of requirements")
    return tuple(named)


def file_requirements(path: Path) -> tuple[str, ...]:
    """The requirements of a file as pip has it, one a line; no options. Raises `InvalidOption`."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise InvalidOption(f"{path} cannot be read: {error.strerror}") from None
    named = [re.sub(r"(^|\s)#.*", "", line).strip() for line in lines]
    for line in named:
        if line.startswith("-"):
            raise InvalidOption(f"{path}: only requirements can be used, not {line!r}")
    return tuple(line for line in named if line)


def imported_requirements(source: str, beside: Path) -> tuple[str, ...]:
    """The packages that a file imports at its top: what they are called where they are installed, else as imported.

    Modules of Python, of Portico and those that lie *beside* the file are left out.
    """
    from importlib.metadata import packages_distributions

    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise InvalidOption(f"the file is no Python: {error}") from None
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").partition(".")[0])
    known = packages_distributions()
    foreign = names - set(sys.stdlib_module_names) - {"portico", "pyodide", "js", "micropip", "__future__"}
    return tuple(
        sorted(
            {
                wheels.canonical(known.get(name, [name])[0])
                for name in foreign
                if not (beside / f"{name}.py").exists() and not (beside / name).is_dir()
            }
        )
    )
