"""How a package that is missing is installed where this runs: the command that the author of an app is told."""

from __future__ import annotations

import builtins
import sys

IN_TAB = sys.platform == "emscripten"


def to_install(extra: str, *packages: str) -> str:
    """The command that installs *packages*, which belong to Portico's *extra*: ``pip install 'portico[relay]'``.

    In a browser tab it names the packages: micropip does not look at extras of what the site itself brings, as it
    brings Portico; and an extra may ask for packages that have no wheel for Pyodide.
    """
    pip = "%pip" if IN_TAB or getattr(builtins, "__IPYTHON__", False) else "pip"
    return f"{pip} install {' '.join(packages)}" if IN_TAB else f"{pip} install 'portico[{extra}]'"
