"""Arrays of any type and shape come back as they were sent, and any bytes are an array or an error."""

from __future__ import annotations

import io
import json
import random
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from portico.functions.values.arrays import read_array, read_npy
from tests.functions.values.functions import answered, result_of, taken, tried, upload

DTYPES = (
    npst.boolean_dtypes()
    | npst.integer_dtypes(endianness="=")
    | npst.floating_dtypes(endianness="=", sizes=(16, 32, 64))
    | npst.complex_number_dtypes(endianness="=", sizes=(64, 128))
)
SHAPES = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
ARRAYS = npst.arrays(DTYPES, SHAPES)


@settings(deadline=None)
@given(ARRAYS)
def test_an_array_comes_back_from_a_file(array: Any) -> None:
    """What is answered as .npy, and uploaded again, is the same array."""
    again = taken(np.ndarray, upload(answered(array, "application/x-npy").body))
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)


@settings(deadline=None)
@given(ARRAYS.filter(lambda array: 0 not in array.shape))
def test_an_array_comes_back_from_json(array: Any) -> None:
    """What is answered as JSON, and sent again to a parameter of its type, is the same; what is not finite is NaN."""
    lists = json.loads(answered(array).body)["result"]
    if array.dtype.kind in "fc":
        array = np.where(np.isfinite(array), array, np.array(np.nan, array.dtype))
    if array.dtype.kind == "c" and np.isnan(array).any():
        return  # NaN in complex numbers is text, of each part
    kind = np.ndarray[Any, np.dtype[array.dtype.type]]
    again = taken(kind, lists)
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)


TEXTS = npst.arrays(npst.unicode_string_dtypes(max_len=5), npst.array_shapes(max_dims=2, max_side=3))
TIMES = npst.arrays(npst.datetime64_dtypes(max_period="s", min_period="ns"), npst.array_shapes(max_dims=2, max_side=3))


@settings(deadline=None)
@given(TEXTS)
def test_text_comes_back(array: Any) -> None:
    """Text of any kind is the same after both ways."""
    try:
        "".join(array.ravel().tolist()).encode()
    except UnicodeEncodeError:
        return  # half of a surrogate pair
    again = taken(NDArray[np.str_], json.loads(answered(array).body)["result"])
    assert again.tolist() == array.tolist()


@settings(deadline=None)
@given(TIMES)
def test_times_are_written(array: Any) -> None:
    """Any time has a text, and none is null."""
    lists = result_of(array)
    assert np.isnat(array).tolist() == np.equal(np.array(lists, dtype=object), None).tolist()


LISTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=20,
)
KINDS = [None, "f4", "f8", "i1", "u8", "?", "U3", "M8[s]", "m8[s]", "c8", "S2", "O", "V4"]


@settings(max_examples=400, deadline=None)
@given(LISTS, st.sampled_from(KINDS))
def test_any_json_is_an_array_or_an_error(value: Any, dtype: str | None) -> None:
    """Any JSON value gives an array of the type that is asked for, or an error of the caller's."""
    wanted = None if dtype is None else np.dtype(dtype)
    array = tried(read_array, value, wanted)
    assert array is None or isinstance(array, np.ndarray)
    if wanted is not None and array is not None:
        assert array.dtype.kind == wanted.kind


@pytest.mark.fuzz
def test_any_bytes_are_an_array_or_an_error(fuzz_seconds: float) -> None:
    """Bytes of a .npy file, some of which were changed, give an array of as many bytes at most, or an error."""
    chance = random.Random(3)
    seeds = []
    for array in (
        np.arange(6, dtype="<i2").reshape(2, 3),
        np.zeros((0, 3)),
        np.array(["a", "b"]),
        np.array([(1, "x")], dtype=[("n", "i4"), ("s", "U1")]),
        np.asfortranarray(np.ones((2, 2))),
    ):
        for version in ((1, 0), (2, 0), (3, 0)):
            file = io.BytesIO()
            np.lib.format.write_array(file, array, version=version)
            seeds.append(file.getvalue())
    words = [
        b"9" * 12,
        b"-1",
        b"|O",
        b"V0",
        b"(",
        b")",
        b"'",
        b",",
        b"{",
        b"\0",
        b"\xff\xff",
        b"**9",
        b"[('a','<f8')]*99",
    ]
    until = time.monotonic() + fuzz_seconds
    slowest = 0.0
    while time.monotonic() < until:
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(1, 5)):
            at = chance.randrange(len(data))
            data[at : at + chance.randrange(4)] = chance.choice([*words, bytes([chance.randrange(256)])])
        started = time.process_time()
        array = tried(read_npy, io.BytesIO(bytes(data)))
        if array is not None:
            assert array.nbytes <= len(data)
            assert not array.dtype.hasobject
        slowest = max(slowest, time.process_time() - started)
    assert slowest < 2
