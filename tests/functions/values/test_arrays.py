"""NumPy arrays: nested lists and .npy files in, lists, .npy and CSV out."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from portico.functions.values import bounds
from tests.functions.values.functions import answered, input_schema, refusal, result_of, taken, upload


def npy(array: Any, **how: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **how)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "given", "dtype", "lists"),
    [
        (np.ndarray, [[1, 2], [3, 4]], "int64", [[1, 2], [3, 4]]),
        (np.ndarray, [1, 2.5], "float64", [1, 2.5]),
        (np.ndarray, [True, False], "bool", [True, False]),
        (np.ndarray, ["a", "żółw"], "<U4", ["a", "żółw"]),
        (np.ndarray, 3, "int64", 3),
        (np.ndarray, [], "float64", []),
        (np.ndarray, [[], []], "float64", [[], []]),
        (NDArray[np.float32], [1, 2], "float32", [1, 2]),
        (NDArray[np.uint8], [1.0, 255], "uint8", [1, 255]),
        (NDArray[np.int64], ["12", "-3"], "int64", [12, -3]),
        (NDArray[np.complex128], ["1+2j", 3], "complex128", [1 + 2j, 3]),
        (NDArray[np.datetime64], ["2026-11-30"], "<M8[D]", None),
        (NDArray[np.floating], [1.5], "float64", [1.5]),
        (np.ndarray[tuple[int, int], np.dtype[np.int8]], [[1], [2]], "int8", [[1], [2]]),
    ],
)
def test_nested_lists_become_an_array(kind: Any, given: Any, dtype: str, lists: Any) -> None:
    array = taken(kind, given)
    assert array.dtype == dtype
    if lists is not None:
        assert array.tolist() == lists


def test_null_is_nan() -> None:
    array = taken(NDArray[np.float32], [[1, None], [None, 2]])
    assert np.isnan(array).tolist() == [[False, True], [True, False]]
    assert np.isnan(taken(np.ndarray, [1, None])).tolist() == [False, True]


@pytest.mark.parametrize(
    ("kind", "given", "why"),
    [
        (np.ndarray, [[1, 2], [3]], "same length"),
        (np.ndarray, [1, [2]], "same length"),
        (np.ndarray, [1, "a"], "mixes text"),
        (np.ndarray, [None, "a"], "mixes text"),
        (NDArray[np.float64], [2**80, ""], "mixes text"),
        (NDArray[np.bool_], ["true"], "cannot be a boolean"),
        (np.ndarray, [{"a": 1}], "objects in it"),
        (np.ndarray, {"a": 1}, "objects in it"),
        (NDArray[np.int8], [300], "does not fit into int8"),
        (NDArray[np.uint8], [-1], "does not fit into uint8"),
        (NDArray[np.uint8], [1.5], "fraction"),
        (NDArray[np.int64], [1, None], "A null cannot be in an array of int64"),
        (NDArray[np.float32], [1e300], "does not fit into float32"),
        (NDArray[np.float64], ["x"], "cannot be an array of float64"),
        (np.ndarray[tuple[int, int], np.dtype[np.int8]], [1, 2], "2 dimensions"),
    ],
)
def test_what_is_no_such_array_is_refused(kind: Any, given: Any, why: str) -> None:
    assert why in refusal(kind, given)


def test_lists_may_be_nested_so_deep_only() -> None:
    deep: Any = 1
    for _ in range(bounds.DIMENSIONS):
        deep = [deep]
    assert taken(np.ndarray, deep).ndim == bounds.DIMENSIONS
    assert "32 dimensions" in refusal(np.ndarray, [deep])


def test_one_long_text_among_many_does_not_take_memory_for_all() -> None:
    for kind in (np.ndarray, NDArray[np.float32], NDArray[np.datetime64], NDArray[np.complex64], NDArray[np.str_]):
        assert "MiB" in refusal(kind, ["1" * 100_000, *["1"] * 10_000])


def test_a_file_is_read() -> None:
    for array in (np.arange(6, dtype="int16").reshape(2, 3), np.zeros((0, 3)), np.array(1.5), np.array(["a", "é"])):
        again = taken(np.ndarray, upload(npy(array)))
        assert again.dtype == array.dtype
        assert again.shape == array.shape
        assert (again == array).all()
    fortran = np.asfortranarray(np.arange(6).reshape(2, 3))
    assert (taken(np.ndarray, upload(npy(fortran))) == fortran).all()
    assert taken(np.ndarray, upload(b"[[1, 2]]", "a.json")).tolist() == [[1, 2]]


def test_complex_numbers_are_no_others() -> None:
    assert "complex" in refusal(NDArray[np.float64], upload(npy(np.array([1j]))))
    assert np.isinf(taken(NDArray[np.complex64], [1e300])).all()


def test_nothing_is_unpickled() -> None:
    assert "Python objects" in refusal(np.ndarray, upload(npy(np.array([{}], dtype=object), allow_pickle=True)))


def claiming(shape: Any, descr: Any = "<f8", data: bytes = b"") -> bytes:
    """A .npy file whose header says that."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + data


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (claiming((10**6,)), "not as long as its header says"),
        (claiming((1,), data=b"x" * 9), "not as long as its header says"),
        (claiming((10**14,)), "MiB"),
        (claiming((10**9, 10**9, 10**9)), "MiB"),
        (claiming((10**14,), "|V0"), "elements"),
        (claiming((-1,)), "shape that cannot be"),
        (claiming((1,) * 40, data=b"x" * 8), "shape that cannot be"),
        (claiming((1,), "<f99"), "cannot be read"),
        (claiming((1,), "|O"), "Python objects"),
        (claiming((1,), [("a", "|O")]), "Python objects"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "cannot be read"),
        (b"\x93NUMPY\x09\x00", "unknown version"),
        (b"\x93NUMPY", "cannot be read"),
        (b"", "not an array"),
    ],
    ids=range(14),
)
def test_a_header_that_lies_takes_no_memory(data: bytes, why: str) -> None:
    assert why in refusal(np.ndarray, upload(data))


@pytest.mark.parametrize(
    ("array", "lists"),
    [
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        (np.array([1.5, np.nan, np.inf, -np.inf]), [1.5, None, None, None]),
        (np.array([0.5], dtype="float16"), [0.5]),
        (np.array([0.5], dtype="longdouble"), [0.5]),
        (np.array([1 + 2j, 3]), ["1+2j", "3+0j"]),
        (np.array(["2026-11-30T12:00:00", "NaT"], dtype="M8[ns]"), ["2026-11-30T12:00:00.000000000", None]),
        (np.array([90], dtype="m8[s]"), ["PT1M30S"]),
        (np.array(["a", "é"]), ["a", "é"]),
        (np.array([b"a"]), ["YQ=="]),
        (np.array([{"a": np.float32(1)}, None], dtype=object), [{"a": 1.0}, None]),
        (np.array([(1, "x")], dtype=[("n", "i4"), ("s", "U1")]), [{"n": 1, "s": "x"}]),
        (np.ma.masked_array([1, 2], [False, True]), [1, None]),
        (np.array(5), 5),
        (np.zeros((0, 2)), []),
    ],
)
def test_an_array_is_answered_as_lists(array: Any, lists: Any) -> None:
    assert result_of(array) == lists
    assert result_of(array, np.ndarray) == lists
    assert result_of({"deep": [array]}) == {"deep": [lists]}


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float32(1.5), 1.5),
        (np.float64("nan"), None),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.datetime64("2026-11-30"), "2026-11-30"),
        (np.complex64(1j), "1j"),
    ],
)
def test_scalars_are_answered_as_numbers_and_text(value: Any, plain: Any) -> None:
    assert result_of(value) == plain
    assert result_of({"a": [value]}) == {"a": [plain]}


def test_scalars_are_read() -> None:
    value = taken(np.float32, 1.5)
    assert (type(value), value) == (np.float32, 1.5)
    assert type(taken(np.int8, 3)) is np.int8
    assert taken(np.datetime64, "2026-11-30") == np.datetime64("2026-11-30")
    assert "does not fit into int8" in refusal(np.int8, 300)
    for kind in (np.int8, np.float64, np.datetime64):
        assert f"{kind.__name__} is wanted" in refusal(kind, [1])
        assert f"{kind.__name__} is wanted" in refusal(kind, None)


def test_an_array_is_answered_as_a_file() -> None:
    array = np.arange(6, dtype="float32").reshape(2, 3)
    for accept in ("application/x-npy", "application/octet-stream"):
        encoded = answered(array, accept)
        assert encoded.media_type == accept
        again = np.load(io.BytesIO(encoded.body), allow_pickle=False)
        assert (again.dtype, again.tolist()) == (array.dtype, array.tolist())
    assert answered(array, "text/csv").body == b"0.0,1.0,2.0\r\n3.0,4.0,5.0\r\n"
    assert answered(np.arange(2), "text/csv").body == b"0\r\n1\r\n"


def test_the_schema_tells_the_type() -> None:
    assert input_schema(np.ndarray)["type"] == "array"
    assert input_schema(np.ndarray[tuple[int, int], np.dtype[np.int8]])["items"]["items"] == {"type": "integer"}
