"""The answers as a picture: throughput by path, and how each figure stands to its bar."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no display is needed, nor looked for

from matplotlib import pyplot
from matplotlib.axes import Axes

from benchmarks.report import number
from benchmarks.row import Row

OURS, THEIRS, PASSED, FAILED = "#d1495b", "#8d99ae", "#2a9d8f", "#d1495b"
MARGIN_SHOWN = 10.0  # times the bar; what is further off is drawn there


def write_plot(rows: Sequence[Row], path: Path) -> None:
    rates = [row for row in rows if row.measure == "throughput" and row.unit == "requests/s"]
    barred = [row for row in rows if row.bar is not None and row.value is not None]
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(15, 2 + 0.32 * max(len(rates), len(barred), 6)), layout="constrained"
    )
    draw_throughput(left, sorted(rates, key=lambda row: row.value or 0))
    draw_bars(right, barred)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def draw_throughput(axes: Axes, rates: Sequence[Row]) -> None:
    values = [row.value or 0 for row in rates]
    bars = axes.barh(
        [row.what for row in rates],
        values,
        color=[OURS if row.what == "portico" else THEIRS for row in rates],
    )
    labels = [f"{number(row.value or 0)}" + (f"  ({row.ratio:.1f} ×)" if row.ratio else "") for row in rates]
    axes.bar_label(bars, labels, padding=4)
    axes.margins(x=0.25)
    axes.set_title("Small GETs, 16 at a time: requests/s (× jupyter-server-proxy)")
    axes.spines[["top", "right"]].set_visible(False)


def draw_bars(axes: Axes, barred: Sequence[Row]) -> None:
    """Each figure as a multiple of its bar, turned so that right of the line is better."""
    shown = list(reversed(barred))
    margins = [max(1 / MARGIN_SHOWN, min(MARGIN_SHOWN, margin(row))) for row in shown]
    axes.scatter(margins, range(len(shown)), color=[PASSED if row.passed else FAILED for row in shown], zorder=3)
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlim(0.8 / MARGIN_SHOWN, MARGIN_SHOWN * 1.2)
    axes.set_yticks(
        range(len(shown)),
        [f"{row.measure}: {row.what} {number(row.value or 0)} {row.unit} ({row.bar})" for row in shown],
        fontsize=8,
    )
    axes.grid(axis="x", alpha=0.3)
    axes.set_title("Times better than the bar")
    axes.spines[["top", "right"]].set_visible(False)


def margin(row: Row) -> float:
    assert row.bar is not None
    assert row.value is not None
    if row.bar.kind == "at least":
        return row.value / row.bar.limit
    return row.bar.limit / row.value if row.value > 0 else MARGIN_SHOWN
