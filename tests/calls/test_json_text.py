"""JSON goes out in ASCII, without spaces, and whole: whatever a value holds."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.calls.json_text import compact, quoted
from portico.errors import UnusableOutput

TEXTS = st.text(st.characters(codec=None), max_size=8) | st.sampled_from(
    ["\ud83d", "\ude00", "\ud83d\ude00", "\u2028", "\\ud8"]
)


def mended(text):
    """What a strict reader may see of *text*: pairs are characters, and a lone half is U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@given(TEXTS)
def test_a_text(text):
    """Any text comes out as ASCII on one line, and is read as itself, but for halves of surrogate pairs."""
    written = quoted(text)
    assert written.isascii()
    assert written.splitlines() == [written]
    assert json.loads(written) == mended(text)
    assert json.loads(compact(text)) == mended(text)


def test_a_value():
    assert compact({"a": [1, "\u00e9", None], "b": {}}) == '{"a":[1,"\\u00e9",null],"b":{}}'


def loop():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize("value", [float("nan"), {"a": float("inf")}, object(), b"x", {1, 2}, loop()])
def test_what_json_does_not_know(value):
    with pytest.raises(UnusableOutput, match="cannot be written as JSON"):
        compact(value)
