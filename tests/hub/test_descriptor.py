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
from portico.protocol import offer
from tests.docs.pages import DOCS


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
        {"tools": None}, {"tools": ["add"]}, {"tools": {"names": "add", "digest": "d"}}, {"tools": {"names": {"a": 1}}},
        {"tools": {"names": ["add"]}}, {"tools": {"names": ["add"], "digest": ""}},
        {"tools": {"names": ["add"], "digest": 7}}, {"tools": {"names": ["add"], "digest": "d" * 129}},
        {"tools": {"names": ["a", "b", "a"], "digest": "d"}}, {"tools": {"names": ["x" * 129], "digest": "d"}},
        {"tools": {"names": [""], "digest": "d"}}, {"tools": {"names": ["a\nb"], "digest": "d"}},
        {"tools": {"names": [["a"]], "digest": "d"}}, {"tools": {"names": [{"a": 1}], "digest": "d"}},
        {"tools": {"names": [], "digest": "\x1b[2J"}}, {"tools": {"names": ["add"], "digest": ["d"]}},
        {"capabilities": None}, {"capabilities": {"gpus": 2}}, {"capabilities": "gpus"}, {"capabilities": [{}]},
        {"capabilities": [["gpus", 2]]}, {"capabilities": [{"a": 1}] * 65}, {"capabilities": [{"a": None}]},
        {"capabilities": [{str(number): 1 for number in range(33)}]}, {"capabilities": [{"": 1}]},
        {"capabilities": [{"x" * 65: 1}]}, {"capabilities": [{"a\nb": 1}]}, {"capabilities": [{"a": "b\nc"}]},
        {"capabilities": [{"a": "x" * 201}]}, {"capabilities": [{"a": [[1]]}]}, {"capabilities": [{"a": {"b": 1}}]},
        {"capabilities": [{"a": [1] * 65}]}, {"capabilities": [{"a": [None]}]}, {"capabilities": [{"a": 2**53}]},
        {"capabilities": [{"a": -(10**300)}]}, {"capabilities": [{"a": math.nan}]}, {"capabilities": [{"a": math.inf}]},
        {f"more{number}": 1 for number in range(33)}, {"more": "x" * 16_400}, {"x" * 16_400: 1},
        {"more": json.loads("[" * 17 + "]" * 17)}, {"more": json.loads('{"a":' * 300 + "1" + "}" * 300)},
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
FIELDS = st.sampled_from(
    ["name", "title", "kind", "models", "tools", "capabilities", "access", "origins", "replace", "other"]
)


@given(st.dictionaries(FIELDS, JSON, max_size=8))
def test_any_descriptor_is_read_or_refused(value: dict[str, Any]) -> None:
    try:
        descriptor = Descriptor.read({"name": "cat"} | value, HubConfig())
    except Refused:
        pass
    else:
        assert descriptor.access in ("private", "key", "public")


OFFERED: dict[str, Any] = {
    "kind": "board",
    "models": ["cat", "dog"],
    "tools": {"names": ["add", "multiply"], "digest": "9f86d081"},
    "capabilities": [{"type": "generate", "gpus": 2, "fast": True, "at": [1, 0.5, "x", False]}, {"type": "embed"}],
}


def test_what_is_offered_is_read_whole() -> None:
    read = Descriptor.read({"name": "cat"} | OFFERED, HubConfig())
    assert (read.kind, read.models) == ("board", ("cat", "dog"))
    assert read.tools.told() == OFFERED["tools"]
    assert list(read.capabilities) == OFFERED["capabilities"]
    assert [type(one) for one in read.capabilities[0]["at"]] == [int, float, str, bool]


@pytest.mark.parametrize("nothing", [{}, {"tools": {}, "capabilities": [], "models": []}, {"tools": {"names": []}}])
def test_a_service_may_offer_nothing(nothing: dict[str, Any]) -> None:
    read = Descriptor.read({"name": "cat"} | nothing, HubConfig())
    assert (read.tools.names, read.tools.digest, read.capabilities, read.models, read.more) == ((), "", (), (), {})


def test_fields_that_are_not_known_are_kept_as_they_came() -> None:
    more = {"later": {"a": [1, None, "\x1b"]}, "url": "https://evil.example/", "status": "live"}
    read = Descriptor.read({"name": "cat", "replace": True, "replica": False} | more, HubConfig())
    assert read.more == more
    assert Descriptor.read({"name": "cat", "deep": json.loads("[" * 16 + "]" * 16)}, HubConfig()).more


def test_bounds_are_those_of_the_page() -> None:
    """docs/protocol.md, "What a service offers"."""
    section = (
        (DOCS / "protocol.md").read_text("utf-8").partition("\n### What a service offers\n")[2].partition("\n## ")[0]
    )
    numbers = (offer.MAX_KIND, offer.MAX_MODEL, offer.MAX_TOOL, offer.MAX_DIGEST, offer.MAX_CAPABILITIES)
    numbers += (offer.MAX_ATTRIBUTES, offer.MAX_ATTRIBUTE, offer.MAX_TEXT, offer.MAX_VALUES, offer.MAX_NUMBER)
    numbers += (offer.MAX_MORE, offer.MAX_MORE_BYTES // 1024, offer.MAX_MORE_DEPTH)
    assert [number for number in numbers if str(number) not in section] == []
