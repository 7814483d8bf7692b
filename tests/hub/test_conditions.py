"""Conditions on access: what may be asked for."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.errors import Refused
from portico.hub.conditions import Conditions
from portico.hub.config import HubConfig

CONFIG = HubConfig(passwords=True)


def read(**value: Any) -> Conditions:
    found = Conditions.read(value, CONFIG)
    assert found is not None
    return found


@pytest.mark.parametrize("value", [None, {}, {"password": None}, {"rate": None, "cidr": None}])
def test_no_conditions_are_none(value: object) -> None:
    assert Conditions.read(value, CONFIG) is None


def test_what_is_asked_for_is_shown_but_for_the_password() -> None:
    asked: dict[str, Any] = {
        "password": "open sesame",
        "cidr": ["10.0.0.0/8", "2001:db8::/32"],
        "expires": 2_000_000_000,
        "rate": "60/min",
        "concurrency": 8,
        "max_body": 1024,
    }
    found = read(**asked)
    assert found.public() == asked | {"password": True}
    assert "sesame" not in repr(found)
    assert b"sesame" not in (found.password or b"")
    assert found == read(**asked), "a replica that asks for the same has the same"
    assert found != read(**asked | {"password": "another"})


@pytest.mark.parametrize(
    "value",
    [
        [],
        "password",
        {"pasword": "x"},
        {"password": ""},
        {"password": 5},
        {"password": "x" * 1001},
        {"cidr": "10.0.0.0/8"},
        {"cidr": []},
        {"cidr": ["10.0.0.0/33"]},
        {"cidr": ["localhost"]},
        {"cidr": [10]},
        {"cidr": ["10.0.0.0/8"] * 101},
        {"expires": "tomorrow"},
        {"expires": True},
        {"expires": float("nan")},
        {"expires": float("inf")},
        {"expires": 0},
        {"rate": 5},
        {"rate": "often"},
        {"rate": "0/s"},
        {"rate": "5/week"},
        {"rate": "-5/s"},
        {"rate": "\u0665/s"},
        {"concurrency": 0},
        {"concurrency": 1.5},
        {"concurrency": True},
        {"max_body": -1},
        {"max_body": "1MB"},
    ],
)
def test_what_cannot_be_kept_is_refused(value: object) -> None:
    with pytest.raises(Refused) as caught:
        Conditions.read(value, CONFIG)
    assert caught.value.code == "invalid_option"


def test_a_hub_without_the_form_takes_no_password() -> None:
    with pytest.raises(Refused) as caught:
        Conditions.read({"password": "x"}, HubConfig())
    assert caught.value.code == "access"
    assert Conditions.read({"rate": "5/s"}, HubConfig()) is not None


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(["password", "cidr", "expires", "rate", "concurrency", "max_body", "x"]), x
            )
        ),
    )
)
def test_anything_gives_conditions_or_a_refusal(value: object) -> None:
    try:
        Conditions.read(value, CONFIG)
    except Refused:
        pass


def test_conditions_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        read(rate="5/s").rate = None  # type: ignore[misc]
