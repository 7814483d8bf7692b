"""What a service's options and a key's duration may be."""

from __future__ import annotations

from typing import Any

import pytest

from portico.errors import InvalidOption, LinkClosed
from portico.provider.provider import Provider
from portico.provider.service import Options, expiry_seconds
from tests.provider.memory_hub import service


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("1h", 3600), ("30d", 2592000), ("2w", 1209600), (60, 60), (1.5, 1.5)],
)
def test_durations(text: str | float, seconds: float) -> None:
    assert expiry_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "h", "1", "1.5h", "-1h", "1 h", "1y", "0s", 0, -1, True, None, float("nan"), "99999w"]
)
def test_what_is_no_duration(text: Any) -> None:
    with pytest.raises(InvalidOption):
        expiry_seconds(text)


@pytest.mark.parametrize(
    "options",
    [
        {"access": "secret"},
        {"origins": ("chat.example.com",)},
        {"origins": ("https://chat.example.com/path",)},
        {"origins": ("ftp://example.com",)},
        {"replace": True, "replica": True},
        {"loop": "mine"},
    ],
)
def test_what_is_no_option(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption):
        Options(**options)


def test_a_service_that_is_not_live_makes_no_key() -> None:
    stopped = service(Provider())
    stopped.status = "stopped"
    with pytest.raises(LinkClosed, match="serve it again"):
        stopped.key()
