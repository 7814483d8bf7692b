"""What a provider says of a service: read, or refused."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.errors import Refused
from portico.hub.config import HubConfig
from portico.hub.descriptor import Descriptor


def test_the_administrator_says_which_access_there_is() -> None:
    config = HubConfig(allowed_access=frozenset({"private"}))
    assert Descriptor.read({"name": "cat"}, config).access == "private"
    for access in ("public", "key"):
        with pytest.raises(Refused, match="administrator"):
            Descriptor.read({"name": "cat", "access": access}, config)


@pytest.mark.parametrize(
    "hostile",
    [
        {"name": "Cat"}, {"name": "a--b"}, {"name": "-a"}, {"name": "a" * 31}, {"name": ""}, {}, {"name": 7},
        {"name": ["cat"]}, {"name": "cat/../dog"}, {"name": "cat\n"}, {"name": "x" * 60_000},
        {"access": "open"}, {"access": ["public"]}, {"access": None}, {"access": "x" * 60_000},
        {"title": 1}, {"title": "x" * 201}, {"title": "a\nb"}, {"title": "\x1b[2J"}, {"title": "\ud800"},
        {"kind": "x" * 21}, {"kind": None}, {"models": "gpt"}, {"models": [1]},
        {"models": ["x" * 201]}, {"models": {"a": 1}}, {"origins": ["chat.example"]}, {"origins": ["null"]},
        {"origins": ["https://a.example/path"]}, {"origins": ["https://a@b"]}, {"origins": ["javascript://x"]},
        {"origins": ["https://a.example, https://b.example"]}, {"origins": [None]}, {"origins": "https://a"},
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_hostile_descriptors_are_refused_in_a_few_words(hostile: dict[str, Any]) -> None:
    given = hostile if "name" in hostile or not hostile else {"name": "cat", **hostile}
    with pytest.raises(Refused) as raised:
        Descriptor.read(given, HubConfig())
    assert len(json.dumps(str(raised.value))) < 1000, "the answer must fit a control frame"


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.just(math.inf),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(["name", "title", "kind", "models", "access", "origins", "replace", "other"])


@given(st.dictionaries(FIELDS, JSON, max_size=8))
def test_any_descriptor_is_read_or_refused(value: dict[str, Any]) -> None:
    try:
        descriptor = Descriptor.read({"name": "cat"} | value, HubConfig())
    except Refused:
        pass
    else:
        assert descriptor.access in ("private", "key", "public")
