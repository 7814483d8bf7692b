"""``python -m tests``: what `make test` runs, part by part, and how long each has taken; arguments go to pytest.

Each part runs in two processes at once, a file of tests in one of them: first the rooms that start no server, then
those that do, where each process has a Jupyter server, a relay and a browser of its own. Each part is run, whatever
becomes of the one before.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

BUDGET = 20 * 60
"""Seconds of `make test` on two cores, after `make check` and with the environments of real peers at hand."""

WITHOUT_SERVERS = (
    *("adapters", "asgi", "calls", "card", "functions", "hub", "models"),
    *("pipelines", "protocol", "provider", "tools", "transports"),
    *("test_bounded.py", "test_environments.py", "test_house.py", "test_link.py", "test_listeners.py"),
    *("test_pieces.py", "test_rooms.py"),
)
"""Rooms and files of this folder. What serves in them, serves in the test's own process."""

WORKERS = 2
"""As many as the cores that the budget is for: more would make each other's time-outs strike."""

_AT_ONCE = (f"--numprocesses={WORKERS}", "--dist=loadfile")
_SLOWEST = "--durations=15"
_OUTCOMES = {pytest.ExitCode.OK: "passed", pytest.ExitCode.NO_TESTS_COLLECTED: "had no test that was asked for"}
_HERE = Path(__file__).parent


def parts(arguments: list[str]) -> dict[str, list[str]]:
    """The arguments of pytest, for each part."""
    rooms = [str(_HERE / room) for room in WITHOUT_SERVERS]
    return {
        "rooms without servers": [*rooms, *_AT_ONCE, _SLOWEST, *arguments],
        "rooms with servers": [*(f"--ignore={room}" for room in rooms), *_AT_ONCE, _SLOWEST, *arguments],
    }


def run(parts: dict[str, list[str]]) -> int:
    """Run pytest for each part; the exit status of the first that failed, or 0. Tells how long each has taken."""
    taken: list[str] = []
    failed = 0
    began = time.monotonic()
    for name, options in parts.items():
        start, used = time.monotonic(), os.times()
        status = subprocess.run([sys.executable, "-m", "pytest", *options], cwd=_HERE.parent, check=False).returncode
        now = os.times()
        processor = now.children_user + now.children_system - used.children_user - used.children_system
        outcome = _OUTCOMES.get(status, f"failed (pytest's exit status {status})")
        taken.append(f"{name}: {outcome} in {_minutes(time.monotonic() - start)}, {processor:.0f} s of a processor")
        failed = failed or (0 if status in _OUTCOMES else status)
    whole = time.monotonic() - began
    print("\n".join(["", *taken, f"together: {_minutes(whole)} of {_minutes(BUDGET)} that two cores may take"]))
    if whole > BUDGET:
        print("This is over the budget: see what is slowest above, and CONTRIBUTING.md, 'How long it may take'.")
    return failed


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"


if __name__ == "__main__":
    sys.exit(run(parts(sys.argv[1:])))
