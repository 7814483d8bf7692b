"""docs/protocol.md says what the code does: its tables are read and compared."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from portico.protocol import Limits, ResetCode, frames
from portico.protocol.flow_control import ANNOUNCED, MESSAGE_OVERHEAD
from portico.protocol.handshake import PeerSettings
from portico.protocol.stream import INPUT_NAMES, STATE_NAMES, TRANSITIONS

DOCS = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8")


def table(first_column: str) -> list[list[str]]:
    """The rows of the table whose header begins with *first_column*."""
    lines = DOCS.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first_column} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_transitions() -> None:
    assert table("state") == [
        [STATE_NAMES[state], INPUT_NAMES[given], STATE_NAMES[following]]
        for state, row in TRANSITIONS.items()
        for given, following in row.items()
    ]


def test_frame_types() -> None:
    assert {int(row[0], 16): row[1] for row in table("type")} == frames.NAMES


def test_codes() -> None:
    assert [(int(row[0]), row[1]) for row in table("code")] == [(code.value, code.name) for code in ResetCode]


def test_settings() -> None:
    limits = Limits()
    assert [(row[0], *map(int, row[1:4])) for row in table("setting")] == [
        (name, getattr(limits, name), *bounds) for name, bounds in ANNOUNCED.items()
    ]
    assert [field.name for field in fields(PeerSettings)] == list(ANNOUNCED)


def test_numbers_in_the_prose() -> None:
    limits = Limits()
    assert f"{limits.max_hello // 1024} KiB before" in DOCS
    assert f"nothing for {limits.ping_interval:g} s" in DOCS
    assert f"answer for {limits.pong_timeout:g} s" in DOCS
    assert f"waits {limits.hello_timeout:g} s" in DOCS
    assert f"{MESSAGE_OVERHEAD} bytes more" in DOCS
    assert f"up to {limits.max_stream_window >> 20} MiB" in DOCS
    assert f"hold {limits.max_held >> 20} MiB" in DOCS
    assert f"{limits.max_control >> 20} MiB of them" in DOCS
    assert str(frames.MAX_CREDIT) in DOCS
    assert f"`{frames.SUBPROTOCOL}`" in DOCS
