"""Packages that may be there or not: what is loaded of one, and how a missing one is installed where this runs."""

from __future__ import annotations

import builtins
import sys
from typing import Any

IN_TAB = sys.platform == "emscripten"


def to_install(extra: str, *packages: str) -> str:
    """The command that installs *packages*, which belong to Portico's *extra*: ``pip install 'portico[relay]'``.

    In a browser tab it names the packages: micropip does not look at extras of what the site itself brings, as it
    brings Portico; and an extra may ask for packages that have no wheel for Pyodide.
    """
    return pip_install(*packages) if IN_TAB else pip_install(f"'portico[{extra}]'")


def pip_install(*packages: str) -> str:
    """The command that installs *packages*, each as a shell takes it: in a notebook it is a magic."""
    pip = "%pip" if IN_TAB or getattr(builtins, "__IPYTHON__", False) else "pip"
    return f"{pip} install {' '.join(packages)}"


def loaded(module: str, name: str) -> Any:
    """What *module* calls *name*, if it was imported by somebody; else None.

    Also while a thread imports it still, when a module is known already and has only a part of its names.
    """
    return getattr(sys.modules.get(module), name, None)
