"""What is bounded: the table in docs/security.md against the settings. No limit is left out, and none is made up."""

from __future__ import annotations

import dataclasses
import re

import pytest

from portico.hub.config import HubConfig
from portico.jupyter.extension import PorticoApp
from portico.protocol import Limits
from portico.relay.config import SETTINGS, RelayConfig
from tests.docs.pages import DOCS

SECTION = (DOCS / "security.md").read_text("utf-8").partition("\n## What is bounded\n")[2].partition("\n## ")[0]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in SECTION.splitlines() if line.startswith("| ")]

FIELDS = {
    field.name
    for config in (HubConfig, RelayConfig, Limits)
    for field in dataclasses.fields(config)
    if field.name.startswith("max_")
}

NO_BOUND_OF_WHAT_IS_HELD = {
    # how long something lasts
    "max_key_lifetime",
    "max_token_lifetime",
    # the link's own measures, which are in docs/protocol.md
    "max_data",
    "max_batch",
    "max_header_block",
    "max_stream_window",
    "max_control",
    "max_control_frame",
    "max_hello",
}

DEFAULTS = {
    name: getattr(config, name)
    for config in (Limits(), HubConfig(), RelayConfig(domain="share.example.org"))
    for name in FIELDS
    if hasattr(config, name)
}


def test_each_row_says_what_whose_how_many_and_what_then() -> None:
    head, _, *rows = ROWS
    assert head == ["what", "counts for", "default", "at the limit"]
    assert len(rows) > 10
    assert [row for row in rows if len(row) != 4 or not all(row)] == []


@pytest.mark.parametrize("name", sorted(FIELDS - NO_BOUND_OF_WHAT_IS_HELD))
def test_every_limit_that_can_be_set_is_in_the_table_with_its_default(name: str) -> None:
    rows = [row for row in ROWS if f"(`{name}`)" in row[0] + row[1]]
    assert len(rows) == 1, "one row says what it is"
    default, said = DEFAULTS[name], rows[0][2]
    if default is None:
        assert re.search(r"quarter|none", said), said
    else:
        mib = f"{default >> 20} MiB" if default >= 1 << 20 else f"{default:,}"
        assert said.startswith(mib), said


def test_no_setting_in_the_table_is_made_up() -> None:
    named = set(re.findall(r"`(\w+)`", "".join(row[0] + row[1] + row[2] for row in ROWS)))
    settings = {name for name in named if "_" in name}
    assert settings <= FIELDS | set(SETTINGS) | set(PorticoApp.class_own_traits(config=True))


def test_every_limit_can_be_set() -> None:
    for field in FIELDS - NO_BOUND_OF_WHAT_IS_HELD:
        assert field in SETTINGS, field
