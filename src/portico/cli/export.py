"""Make a static site of an app: the visitor's own browser runs it, and no server does.

The app is a Python file with an ASGI or WSGI app, with chat models, or with functions. The site works from any static
host, under any path: python -m http.server --directory SITE shows it. What the app needs, it says itself (PEP 723), or
--requirements.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portico.browser.wheels import Wheel


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("app", metavar="FILE[:APP]", help="the app's file, and what in it is the app")
    parser.add_argument("site", metavar="SITE", help="the folder to make; one of an earlier export is made anew")
    parser.add_argument("--id", metavar="NAME", default="", help="its name in the URL; made from the file's without it")
    parser.add_argument("--name", default="", help="its name for people: the page's title")
    parser.add_argument(
        "--chat",
        action="store_true",
        help="it is a function, or several, to be served as chat models, and not as functions",
    )
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
    where.add_argument(
        "--bundle",
        metavar="DIR",
        default="",
        help="copy Pyodide and the packages from there, which portico bundle has made and compiled",
    )


def run(options: argparse.Namespace) -> int:
    from portico.browser import export, wheels
    from portico.cli import fetching
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
    own = options.pyodide_dir or options.bundle
    if options.offline and not own:
        raise InvalidOption(
            "--offline needs --pyodide-dir or --bundle: Pyodide's own files have to be beside the page too"
        )
    pyodide = Path(own) if own else None
    info = export.info_of(pyodide) if pyodide else dict(wheels.INFO)
    requirements = _requirements(options, file)
    at_hand: dict[str, Wheel] | None = None
    site = Path(options.site)
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as fetched:
        if options.wheels or options.offline or options.bundle:
            at_hand = fetching.read(Path(options.wheels)) if options.wheels else {}
            at_hand.pop("portico", None)  # this one's is made
        if options.bundle and at_hand is not None:
            at_hand |= _bundled(Path(options.bundle))
        if options.offline and at_hand is not None:
            given = {"portico": wheels.Wheel.read(wheels.portico_wheel(Path(fetched))), **at_hand}
            needed = partial(wheels.closure, ["portico", *requirements], info=info)
            at_hand = fetching.fetch(needed, given, info, Path(fetched))
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
                at_hand=None if at_hand is None else tuple(at_hand.values()),
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


def _bundled(folder: Path) -> dict[str, Wheel]:
    """The wheels of a bundle. Portico's must be of this version, because the page's scripts are."""
    from portico.browser.wheels import in_folder
    from portico.errors import InvalidOption
    from portico.version import __version__

    found = in_folder(folder)
    if "portico" not in found:
        raise InvalidOption(f"--bundle: {folder} was not made by portico bundle: there is no Portico in it")
    if found["portico"].version != __version__:
        raise InvalidOption(
            f"--bundle: {folder} has Portico {found['portico'].version}, and this is {__version__}: make it anew"
        )
    return found
