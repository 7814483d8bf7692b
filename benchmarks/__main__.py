"""`python -m benchmarks`: starts every path, measures, prints the table, and writes the JSON and the plot."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.measures import MEASURES, Measure, select
from benchmarks.paths import STARTERS, Stage, open_stage
from benchmarks.plot import write_plot
from benchmarks.report import table, verdict, write_json
from benchmarks.row import Effort, Row

RESULTS = Path(__file__).resolve().parent / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 when every bar was measured and cleared."""
    options = parse(arguments)
    effort = effort_of(options)
    with open_stage(options.paths, say) as stage:
        rows = [row for name, measure in options.measures.items() for row in take(name, measure, stage, effort)]
    print(table(rows))
    options.output.mkdir(parents=True, exist_ok=True)
    write_json(rows, effort, options.output / "latest.json")
    write_plot(rows, options.output / "latest.png")
    print(f"\nWritten to {options.output}/latest.json and latest.png")
    return int(any(verdict(row) in ("FAIL", "not measured") for row in rows))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="MEASURE",
        help=f"a measure, or all of a subject; may be given again ({', '.join(MEASURES)})",
    )
    parser.add_argument("--paths", nargs="+", choices=STARTERS, default=list(STARTERS), help="all by default")
    parser.add_argument("--quick", action="store_true", help="a second each, once: does everything run?")
    parser.add_argument("--seconds", type=int, help="how long one sampling of one path takes")
    parser.add_argument("--rounds", type=int, help="how often each path gets its turn")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where latest.json and latest.png go")
    options = parser.parse_args(arguments)
    try:
        options.measures = select(options.only)
    except KeyError as error:
        parser.error(f"there is no measure {error}; there are {', '.join(MEASURES)}")
    return options


def effort_of(options: argparse.Namespace) -> Effort:
    effort = Effort.quick() if options.quick else Effort()
    given = {name: getattr(options, name) for name in ("seconds", "rounds")}
    return replace(effort, **{name: value for name, value in given.items() if value is not None})


def take(name: str, measure: Measure, stage: Stage, effort: Effort) -> list[Row]:
    say(name)
    try:
        return measure(stage, effort, lambda text: say(f"  {text}"))
    except Exception as error:  # noqa: BLE001 - one measure that fails is a row of the table, not the end of it
        say(f"  {error}")
        return [Row(name, "", None, "", note=f"{type(error).__name__}: {error}")]


def say(text: str) -> None:
    """To stderr, so that stdout is the table alone."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
