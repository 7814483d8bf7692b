"""Streams of events, cut wherever a network cuts them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.hub.tools.events import EventReader, EventTooLong, event
from portico.hub.tools.messages import loads

LINES = st.sampled_from(["data: {}", "data:x", "data:  y", "data", ": comment", "event: message", "id: 7", "", "", "z"])
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@given(st.lists(st.tuples(LINES, ENDS), max_size=30), st.lists(st.integers(0, 300), max_size=10))
def test_where_a_stream_is_cut_makes_no_difference(lines: list[tuple[str, str]], cuts: list[int]) -> None:
    data = "".join(line + end for line, end in lines).encode()
    whole = EventReader(1 << 20).feed(data)
    reader = EventReader(1 << 20)
    places = sorted({0, *(min(cut, len(data)) for cut in cuts), len(data)})
    found = [one for start, end in pairwise(places) for one in reader.feed(data[start:end])]
    assert found == whole


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_each_event_gives_its_data(end: str) -> None:
    stream = end.join(
        [": hi", "event: message", "data: a", "data:b", "id: 1", "", "", "data: c", "", "event: x", "", "data: d"]
    )
    assert EventReader(1000).feed(stream.encode()) == [b"a\nb", b"c"]


def test_what_is_written_can_be_read() -> None:
    message = {"jsonrpc": "2.0", "method": "x", "params": {"text": "a\nb\r\n\n\u2028\ud800ü"}}
    (data,) = EventReader(1000).feed(event(message))
    assert loads(data) == message


@pytest.mark.parametrize("piece", [b"data: xxxxxxxx\n", b"data:\n", b"x", b"data: " + b"x" * 100])
def test_an_event_has_an_end(piece: bytes) -> None:
    reader = EventReader(100_000)

    def feed() -> None:
        for _ in range(100_000):
            assert reader.feed(piece) == []
            assert reader.held <= 100_000

    with pytest.raises(EventTooLong):
        feed()


def test_comments_without_end_hold_nothing() -> None:
    reader = EventReader(1000)
    for _ in range(10_000):
        assert reader.feed(b": still here\n\n") == []
        assert reader.held == 0
