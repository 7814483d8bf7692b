"""Make a folder that browsers load Pyodide from, with Portico and other packages in it, compiled, for a static host.

It asks nobody else for anything: loadPyodide({indexURL: FOLDER, packages: ["portico"]}) works offline, and checks
hashes. portico export --bundle takes it. Node.js is needed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="the folder to make; an earlier bundle is made anew")
    parser.add_argument("requirements", metavar="REQUIREMENT", nargs="*", help="what goes in beside Portico: fastapi")
    parser.add_argument(
        "--pyodide-dir", metavar="DIR", required=True, help="Pyodide's own files: the npm package, or a release"
    )
    parser.add_argument("--wheels", metavar="DIR", default="", help="take wheels from there; pip fetches the others")


def run(options: argparse.Namespace) -> int:
    from tempfile import TemporaryDirectory

    from portico.browser import bundle, export, wheels
    from portico.cli import fetching

    pyodide, folder = Path(options.pyodide_dir), Path(options.folder)
    info = export.info_of(pyodide)
    given = fetching.read(Path(options.wheels)) if options.wheels else {}
    with TemporaryDirectory() as temporary:
        own = Path(temporary, "own")
        own.mkdir()
        given["portico"] = wheels.Wheel.read(wheels.portico_wheel(own))

        def needed(at_hand: dict[str, wheels.Wheel]) -> wheels.Closure:
            theirs = wheels.closure(["portico", *options.requirements], at_hand, info)
            theirs.missing |= bundle.compiler(at_hand, info).missing
            return theirs

        at_hand = fetching.fetch(needed, given, info, Path(temporary))
        bundle.write(folder, pyodide, options.requirements, at_hand, info)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(folder / export.LOCK_FILE)
    print(f"{size / 1e6:.1f} MB, for a static host or portico export --bundle {folder}", file=sys.stderr)
    return 0
