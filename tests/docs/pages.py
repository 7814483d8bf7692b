"""The pages of the documentation, and what stands in them: snippets, links, headings. Nothing here asserts anything."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md")))

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
_REASON = re.compile(r"<!-- not run: .+ -->")


@dataclass(frozen=True)
class Snippet:
    """A fenced block: its language, its text, the line it begins on, and why it is not run, if it says so."""

    language: str
    text: str
    line: int
    runs: bool
    reason: str


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def snippets(page: Path) -> list[Snippet]:
    """Every fenced block of *page*, in order. ``no-run`` in the info string asks for a reason on the line before."""
    text = page.read_text("utf-8")
    found = []
    for match in _FENCE.finditer(text):
        language, *flags = match["info"].split() or [""]
        before = text[: match.start()].rstrip("\n").rpartition("\n")[2]
        reason = before if _REASON.fullmatch(before) else ""
        line = text.count("\n", 0, match.start()) + 1
        found.append(Snippet(language, match["body"], line, "no-run" not in flags, reason))
    return found


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))


def links(page: Path) -> list[str]:
    """The targets of the page's links and pictures."""
    return _LINK.findall(re.sub(r"`[^`\n]*`", "", prose(page)))


def anchors(page: Path) -> set[str]:
    """The fragments by which the page's headings can be linked to, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(prose(page))}
