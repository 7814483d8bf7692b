"""What a wrapper's file says that it needs, by inline script metadata (PEP 723), against what is installed.

    # /// script
    # requires-python = ">=3.11"
    # dependencies = ["haystack-ai>=3", "trafilatura"]
    # ///

Nothing is installed: a file that is deployed is not to change the server that it runs in. What is missing is said, with
the command that installs it.

Source: PEP 723; PEP 508 for one requirement.
"""

from __future__ import annotations

import platform
import re
import shlex
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from portico.errors import PipelineError
from portico.packages import pip_install
from portico.pipelines.loading import FILE

_OPENING = re.compile(r"# /// ([a-zA-Z0-9-]+)[ \t]*")
_CLOSING = re.compile(r"# ///[ \t]*")
_NEWLINE = re.compile(r"\r\n?|\n")


def check(name: str, folder: Path) -> None:
    """Compare what *folder*'s wrapper says that it needs with what is installed. It may say nothing.

    Raises `PipelineError`, which says what is missing, and how it is installed.
    """
    try:
        text = (folder / FILE).read_text("utf-8")
    except (OSError, UnicodeDecodeError):  # that is said when it is loaded
        return
    check_text(name, text)


def check_text(name: str, text: str) -> None:
    """The same of the *text* of a wrapper's file."""
    try:
        metadata = read(text)
    except ValueError as error:
        raise _refusal(name, f"its requirements (PEP 723) cannot be read: {error}") from error
    python = metadata.get("requires-python")
    if python is not None and not _fits_python(name, python):
        raise _refusal(name, f"it needs Python {python}, and this is {platform.python_version()}")
    wanted = metadata.get("dependencies", [])
    if not isinstance(wanted, list) or not all(isinstance(one, str) for one in wanted):
        raise _refusal(name, "its requirements (PEP 723) cannot be read: 'dependencies' must be a list of strings")
    lacking = {one: why for one in wanted if (why := _lack(name, one))}
    if lacking:
        said = "; ".join(f"{one} ({why})" for one, why in lacking.items())
        raise _refusal(
            name, f"it needs what is not installed: {said}. Install it: {pip_install(*map(shlex.quote, lacking))}"
        )


def read(text: str) -> dict[str, Any]:
    """The metadata that the *text* of a file holds. Raises `ValueError` for what is no TOML, or is there twice."""
    blocks = [lines for kind, lines in _blocks(text) if kind == "script"]
    if not blocks:
        return {}
    if len(blocks) > 1:
        raise ValueError("there are several blocks")
    return tomllib.loads("\n".join(line[2:] for line in blocks[0]))


def _blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """The blocks of metadata: the kind of each, and its lines. It ends at the last end in its run of comments.

    PEP 723 has a pattern for them, which would go back over a long run of comments again and again.
    """
    run: list[str] = []
    for line in (*_NEWLINE.split(text), ""):
        if line == "#" or line.startswith("# "):
            run.append(line)
            continue
        ends = [at for at, each in enumerate(run) if _CLOSING.fullmatch(each)]
        for at, each in enumerate(run[: ends[-1] - 1] if ends else ()):
            if opening := _OPENING.fullmatch(each):
                yield opening[1], run[at + 1 : ends[-1]]
                break
        run = []


def _fits_python(name: str, wanted: Any) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(wanted).contains(platform.python_version(), prereleases=True)
    except (InvalidSpecifier, AttributeError, TypeError):
        raise _refusal(name, f"its requirements (PEP 723) cannot be read: requires-python = {wanted!r:.100}") from None


def _lack(name: str, text: str) -> str:
    """Why a requirement is not met; "" if it is, or is for other systems than this."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        wanted = Requirement(text)
    except InvalidRequirement as error:
        why = str(error).partition("\n")[0]
        raise _refusal(name, f"its requirements (PEP 723) cannot be read: {text!r:.100}: {why}") from None
    if wanted.marker is not None and not wanted.marker.evaluate():
        return ""
    try:
        installed = distribution(wanted.name)
    except PackageNotFoundError:
        return "missing"
    if not wanted.specifier.contains(installed.version, prereleases=True):
        return f"{installed.version} is installed"
    return ""


def _refusal(name: str, why: str) -> PipelineError:
    return PipelineError(f"Failed to load pipeline module '{name}' - {why}")
