"""Wheels for the browser's Python: read from a folder, or fetched with pip. Laying them out is not here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from portico.errors import InvalidOption

if TYPE_CHECKING:
    from portico.browser.wheels import Closure, Wheel


def read(folder: Path) -> dict[str, Wheel]:
    """The wheels of a folder, by name. Raises `InvalidOption` if there are none."""
    from portico.browser.wheels import in_folder

    found = in_folder(folder)
    if not found:
        raise InvalidOption(f"--wheels: there are no wheels in {folder}")
    return found


def fetch(
    needed: Callable[[dict[str, Wheel]], Closure], given: dict[str, Wheel], info: dict[str, str], folder: Path
) -> dict[str, Wheel]:
    """The wheels *given* and those that pip fetches to *folder*, until nothing is missing of what is *needed*.

    pip by itself would look at the markers of this machine's platform; it is told what to fetch, one round of needs
    after the other.
    """
    from portico.browser.wheels import in_folder

    at_hand = dict(given)
    asked: set[str] = set()
    while missing := needed(at_hand).missing:
        if asked & set(missing):
            raise InvalidOption(f"pip fetched no wheel for: {', '.join(sorted(asked & set(missing)))}")
        asked |= set(missing)
        print(f"portico: fetching {', '.join(sorted(missing))}", file=sys.stderr)
        _download(list(missing.values()), info, folder)
        at_hand = in_folder(folder) | at_hand
    return at_hand


def _download(requirements: list[str], info: dict[str, str], folder: Path) -> None:
    import subprocess

    from portico.browser.wheels import tags

    bare = [requirement.partition(";")[0].strip() for requirement in requirements]  # their markers hold in the browser
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*command, *tags(info), "--dest", str(folder), *bare], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        raise InvalidOption(f"pip could not fetch {', '.join(bare)}: {said[-1] if said else done.stderr[-500:]}")
