"""What a service's options and a key's duration may be."""

from __future__ import annotations

import time
from typing import Any

import pytest

from portico.errors import InvalidOption, LinkClosed
from portico.hub.conditions import Conditions
from portico.hub.config import HubConfig
from portico.provider.options import Options, conditions, expiry_seconds
from portico.provider.provider import Provider
from tests.provider.published import service


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


def test_conditions_are_what_a_hub_reads() -> None:
    assert conditions() == {}
    made = conditions(expires="2h", password="sesame", cidr="10.0.0.0/8", rate="60/min", concurrency=8, max_body=1024)
    assert abs(made.pop("expires") - time.time() - 7200) < 5
    assert made == {
        "password": "sesame",
        "cidr": ["10.0.0.0/8"],
        "rate": "60/min",
        "concurrency": 8,
        "max_body": 1024,
    }
    assert Conditions.read(conditions(expires=60, cidr=["::1/128"]), HubConfig()) is not None


def test_conditions_go_with_the_descriptor_and_no_further() -> None:
    guarded = service(Provider(), conditions=conditions(password="sesame"))
    assert guarded.descriptor()["conditions"] == {"password": "sesame"}
    assert "sesame" not in repr(guarded.options) + repr(guarded)
    assert "conditions" not in service(Provider()).descriptor()
