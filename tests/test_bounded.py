"""However it is filled, a cache holds no more entries and bytes than it may, and what it says is what it was told."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from portico.bounded import BoundedCache


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5000)), max_size=200),
    st.integers(1, 10),
    st.integers(1000, 10_000),
)
def test_it_is_bounded_and_true(puts: list[tuple[int, int]], most: int, most_bytes: int) -> None:
    cache: BoundedCache[int, int] = BoundedCache(most, most_bytes, longest=2000, always={-1: -1})
    sizes: dict[int, int] = {}
    for key, size in puts:
        assert cache.keep(key, size, size) == size
        sizes[key] = size
        assert len(cache) <= most + 1
        assert cache[-1] == -1
        kept = [key for key in cache if key >= 0]
        assert sum(cache[key] for key in kept) <= most_bytes
        assert all(cache[key] <= 2000 for key in kept)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 500), st.booleans()), max_size=200),
    st.integers(1, 10),
    st.one_of(st.none(), st.integers(100, 2000)),
)
def test_the_newest_are_kept(moves: list[tuple[int, int, bool]], most: int, most_bytes: int | None) -> None:
    """What is kept is always the longest end of all that was put in, each at its last place, that fits."""
    cache: BoundedCache[int, int] = BoundedCache(most, most_bytes, longest=400, each=10, oldest_first=True)
    sizes: dict[int, int] = {}
    """As it should be, the oldest first."""
    for key, size, goes in moves:
        sizes.pop(key, None)
        if goes:
            cache.forget(key)
        else:
            assert cache.keep(key, size, size) == size
            if size <= min(400, most_bytes - 10 if most_bytes is not None else 400):
                sizes[key] = size + 10
            while len(sizes) > most or (most_bytes is not None and sum(sizes.values()) > most_bytes):
                del sizes[next(iter(sizes))]
        assert list(cache) == list(sizes)
    if most_bytes is not None:
        assert cache._held == sum(size + 10 for size in cache.values())
    cache.clear()
    assert not cache
    assert cache._held == 0


def test_what_is_kept_anew_is_the_newest() -> None:
    cache: BoundedCache[str, int] = BoundedCache(2, None, oldest_first=True)
    for key in ("a", "b", "a", "c"):
        cache.keep(key, 1)
    assert list(cache) == ["a", "c"]
    assert cache.get("b") is None
    assert cache.forget("b") is None
    assert cache.forget("a") == 1
    assert list(cache) == ["c"]


def test_what_grew_too_long_is_not_kept_as_it_was() -> None:
    for oldest_first in (False, True):
        cache: BoundedCache[str, int] = BoundedCache(longest=100, oldest_first=oldest_first)
        cache.keep("a", 1, 10)
        cache.keep("b", 1, 10)
        cache.keep("a", 2, 101)
        assert dict(cache) == {"b": 1}


def test_what_is_long_is_not_kept_and_pushes_nothing_out() -> None:
    cache: BoundedCache[str, int] = BoundedCache(longest=100)
    cache.keep("a", 1, 1)
    cache.keep("b" * 101, 2, 101)
    assert dict(cache) == {"a": 1}


def test_memory_stays_where_it_is_however_many_are_kept() -> None:
    cache: BoundedCache[bytes, bytes] = BoundedCache(100_000, 1 << 20)
    tracemalloc.start()
    try:
        for number in range(30_000):
            name = b"%06d" % number + bytes(number % 2000)
            cache.keep(name, name.upper(), 2 * len(name))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 3 << 20


def test_a_hit_is_a_dicts_own() -> None:
    assert BoundedCache.get is dict.get
    assert BoundedCache.__getitem__ is dict.__getitem__
