"""A message comes out as it went in, however it was cut, and small pieces cost little more than their bytes."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from portico.pieces import Pieces


@given(st.lists(st.binary(max_size=10) | st.integers(0, 70_000).map(bytes), max_size=20))
def test_the_whole_is_the_sum_of_its_pieces(parts: list[bytes]) -> None:
    pieces = Pieces()
    for _ in range(2):
        for part in parts:
            pieces.add(part)
        assert pieces.size == sum(map(len, parts))
        assert pieces.begun == bool(parts)
        assert pieces.take() == b"".join(parts)
        assert (pieces.size, pieces.begun) == (0, False)


def test_small_pieces_are_put_together() -> None:
    pieces = Pieces()
    for _ in range(300_000):
        pieces.add(b"x")
    for _ in range(300_000):
        pieces.add(b"")
    assert len(pieces._parts) < 10
    assert sys.getsizeof(pieces._small) + sum(map(sys.getsizeof, pieces._parts)) < 400_000
