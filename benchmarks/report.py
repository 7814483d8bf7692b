"""The answers, as a table for people and as JSON for programs."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.row import Effort, Row
from benchmarks.servers import ROOT

PACKAGES = ("portico", "jupyter-server", "jupyter-server-proxy", "tornado", "uvicorn", "ipykernel")
HEADINGS = ("measure", "what", "value", "unit", "bar", "ratio", "", "note")


def table(rows: Sequence[Row]) -> str:
    lines = [HEADINGS, *(cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS) - 1)]
    text, measure = [], HEADINGS[0]
    for line in lines:
        if line[0].split(".")[0] != measure.split(".")[0]:
            text.append("")
        measure = line[0]
        padded = [
            cell.rjust(width) if column == 2 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=False))
        ]
        text.append("  ".join([*padded, line[-1]]).rstrip())
    return "\n".join(text)


def cells(row: Row) -> tuple[str, ...]:
    return (
        row.measure,
        row.what,
        "" if row.value is None else number(row.value),
        row.unit,
        "" if row.bar is None else str(row.bar),
        "" if row.ratio is None else f"{number(row.ratio)} × {row.ratio_to}",
        verdict(row),
        row.note,
    )


def number(value: float) -> str:
    """Three digits at least, and none that the next run would change anyway."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def verdict(row: Row) -> str:
    if row.value is None:
        return "not measured"
    return {None: "", True: "pass", False: "FAIL"}[row.passed]


def as_json(rows: Sequence[Row], effort: Effort) -> dict[str, Any]:
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": {
            "system": platform.platform(),
            "processors": os.cpu_count(),
            "python": platform.python_version(),
            "packages": {name: installed(name) for name in PACKAGES},
        },
        "effort": asdict(effort),
        "rows": [{**asdict(row), "verdict": verdict(row)} for row in rows],
    }


def write_json(rows: Sequence[Row], effort: Effort, path: Path) -> None:
    path.write_text(json.dumps(as_json(rows, effort), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def commit() -> str | None:
    """None outside of a git checkout."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
