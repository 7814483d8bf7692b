"""Make a static site of an app: the visitor's own browser runs it, and no server does.

The app is a Python file with an ASGI or WSGI app, or with chat models. The site works from any static host, under any
path: python -m http.server --directory SITE shows it. What the app needs, it says itself (PEP 723), or --requirements.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from portico.browser.wheels import Wheel


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("app", metavar="FILE[:APP]", help="the app's file, and what in it is the app")
    parser.add_argument("site", metavar="SITE", help="the folder to make; one of an earlier export is made anew")
    parser.add_argument("--id", metavar="NAME", default="", help="its name in the URL; made from the file's without it")
    parser.add_argument("--name", default="", help="its name for people: the page's title")
    parser.add_argument("--chat", action="store_true", help="it is a function, or several, to be served as chat models")
    parser.add_argument(
        "--include", metavar="PATH", action="append", default=[], help="another file or folder that the app needs"
    )

    needs = parser.add_argument_group("packages")
    needs.add_argument("--requirements", metavar="FILE", default="", help="what the app needs, as pip has it")
    needs.add_argument(
        "--wheels", metavar="DIR", default="", help="put the needed wheels of this folder beside the page"
    )
    needs.add_argument(
        "--offline", action="store_true", help="fetch the needed wheels now, with pip, and put them beside the page"
    )

    python = parser.add_argument_group("Python in the browser")
    where = python.add_mutually_exclusive_group()
    where.add_argument(
        "--pyodide-url", metavar="URL", default="", help="load Pyodide from there; its own CDN without it"
    )
    where.add_argument("--pyodide-dir", metavar="DIR", default="", help="copy Pyodide from there, and load the copy")


def run(options: argparse.Namespace) -> int:
    from portico.browser import export, wheels
    from portico.errors import InvalidName, InvalidOption
    from portico.types import service_name, suggest_name

    file, attribute = split(options.app)
    if not file.is_file():
        raise InvalidOption(f"there is no file {file}")
    if not file.stem.isidentifier():
        raise InvalidOption(f"{file.name} cannot be imported as a module: give it a name of letters, digits and _")
    name = options.id or suggest_name(attribute or file.stem) or "app"
    try:
        service_name(name)
    except InvalidName as error:
        raise InvalidName(f"--id: {error}") from None
    if options.offline and not options.pyodide_dir:
        raise InvalidOption("--offline needs --pyodide-dir: Pyodide's own files have to be beside the page too")
    pyodide = Path(options.pyodide_dir) if options.pyodide_dir else None
    info = export.info_of(pyodide) if pyodide else dict(wheels.INFO)
    requirements = _requirements(options, file)
    at_hand: tuple[Wheel, ...] | None = None
    site = Path(options.site)
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as fetched:
        if options.wheels or options.offline:
            at_hand = tuple(_read(Path(options.wheels))) if options.wheels else ()
        if options.offline:
            at_hand = _fetch(requirements, at_hand or (), info, Path(fetched))
        export.write(
            export.Site(
                app=file,
                attribute=attribute,
                title=options.name or name,
                name=name,
                chat=options.chat,
                requirements=requirements,
                include=tuple(Path(path) for path in options.include),
                pyodide_url=options.pyodide_url or export.PYODIDE_URL,
                pyodide_folder=pyodide,
                at_hand=at_hand,
                info=info,
            ),
            site,
        )
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    print(site / "index.html")
    print(
        f"{size / 1e6:.1f} MB. To see it: python -m http.server --bind 127.0.0.1 --directory {site}",
        file=sys.stderr,
    )
    return 0


def split(target: str) -> tuple[Path, str]:
    """The file and what in it is the app, which may be ''."""
    path, colon, attribute = target.rpartition(":")
    if colon and path.endswith(".py"):
        return Path(path), attribute
    return Path(target), ""


def _requirements(options: argparse.Namespace, file: Path) -> tuple[str, ...]:
    from portico.browser import export

    if options.requirements:
        return export.file_requirements(Path(options.requirements))
    source = file.read_text("utf-8")
    named = export.script_requirements(source)
    if named is None:
        named = export.imported_requirements(source, file.parent)
        if named:
            print(f"portico: {file.name} says no requirements; it imports: {', '.join(named)}", file=sys.stderr)
    return named


def _read(folder: Path) -> Iterable[Wheel]:
    from portico.browser.wheels import Wheel
    from portico.errors import InvalidOption

    paths = sorted(folder.glob("*.whl"))
    if not paths:
        raise InvalidOption(f"--wheels: there are no wheels in {folder}")
    return [Wheel.read(path) for path in paths]


def _fetch(wanted: tuple[str, ...], given: Iterable[Wheel], info: dict[str, str], folder: Path) -> tuple[Wheel, ...]:
    """The wheels *given* and those that pip fetches, until all is there that is needed.

    pip by itself would look at the markers of this machine's platform; it is told what to fetch, one round of needs
    after the other.
    """
    from portico.browser import wheels
    from portico.errors import InvalidOption

    at_hand = {wheel.name: wheel for wheel in given}
    portico = wheels.portico_wheel(folder)
    at_hand["portico"] = wheels.Wheel.read(portico)
    asked: set[str] = set()
    while missing := wheels.closure(["portico", *wanted], at_hand, info).missing:
        if asked & set(missing):
            raise InvalidOption(f"pip fetched no wheel for: {', '.join(sorted(asked & set(missing)))}")
        asked |= set(missing)
        print(f"portico: fetching {', '.join(sorted(missing))}", file=sys.stderr)
        _download(list(missing.values()), info, folder)
        at_hand |= {wheel.name: wheel for wheel in map(wheels.Wheel.read, sorted(folder.glob("*.whl")))}
    return tuple(at_hand.values())


def _download(requirements: list[str], info: dict[str, str], folder: Path) -> None:
    import subprocess

    from portico.browser.wheels import tags
    from portico.errors import InvalidOption

    bare = [requirement.partition(";")[0].strip() for requirement in requirements]  # their markers hold in the browser
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*command, *tags(info), "--dest", str(folder), *bare], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        raise InvalidOption(f"pip could not fetch {', '.join(bare)}: {said[-1] if said else done.stderr[-500:]}")
