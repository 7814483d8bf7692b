"""The table in docs/design.md of what differs from uvicorn, written from the table that the conformance suite holds.

``python -m tests.docs.differences`` writes it into the page; a test says when that is due.
"""

from __future__ import annotations

from tests.conformance.differences import DOCUMENTED
from tests.docs.pages import DOCS

PAGE = DOCS / "design.md"
BEGIN = "<!-- differences: written by python -m tests.docs.differences -->\n"
END = "<!-- end of differences -->"

WHERE = {
    "portico-jupyter*": "Jupyter server",
    "portico-relay-*": "relay",
    "portico-relay-by-host": "relay by host",
    "portico-relay-as-asgi": "relay under uvicorn alone",
}
"""Which hub a pattern of carriers means to a reader."""


def table() -> str:
    """One row for each documented difference of Portico, in the order of the suite's table."""
    rows = ["| where | what |", "|---|---|"]
    for line in DOCUMENTED:
        if line.carriers.startswith("portico"):
            where = WHERE.get(line.carriers, "every hub")
            rows.append(f"| {where} | {line.reason} |")
    return "\n".join(dict.fromkeys(rows)) + "\n"


def written(page: str) -> str:
    """*page* with the table of now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table() + END + after


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
