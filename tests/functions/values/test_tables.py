"""DataFrames and Series of pandas and polars, and pyarrow Tables: both ways."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from portico.functions.values import bounds
from tests.functions.values.functions import answered, refusal, result_of, taken, upload

FRAMES = [pd.DataFrame, pl.DataFrame, pa.Table]


def columns(table: Any) -> dict[str, list[Any]]:
    if isinstance(table, pa.Table):
        return dict(table.to_pydict())
    if isinstance(table, pl.DataFrame):
        return table.to_dict(as_series=False)
    return {str(name): table[name].tolist() for name in table.columns}


def arrow(table: pa.Table, file: bool = False) -> bytes:
    sink = pa.BufferOutputStream()
    with (pa.ipc.new_file if file else pa.ipc.new_stream)(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


WANTED = {"a": [1, 2], "b": ["x", "ż"]}


@pytest.mark.parametrize("kind", FRAMES, ids=lambda kind: kind.__module__.split(".")[0])
@pytest.mark.parametrize(
    "given",
    [
        [{"a": 1, "b": "x"}, {"a": 2, "b": "ż"}],
        {"a": [1, 2], "b": ["x", "ż"]},
        upload("a,b\n1,x\n2,ż\n".encode()),
        upload("\ufeffa,b\r\n1,x\r\n2,ż".encode(), "t.csv", "text/csv"),
        upload("a\tb\n1\tx\n2\tż\n".encode(), "t.tsv"),
        upload('[{"a": 1, "b": "x"}, {"a": 2, "b": "ż"}]'.encode(), "t.json"),
        upload(arrow(pa.table(WANTED)), "t.arrows"),
        upload(arrow(pa.table(WANTED), file=True), "t.arrow"),
    ],
    ids=["records", "columns", "csv", "csv with a mark", "tsv", "json", "arrow stream", "arrow file"],
)
def test_a_table_comes_in_any_form(kind: Any, given: Any) -> None:
    table = taken(kind, given)
    assert isinstance(table, kind)
    assert columns(table) == WANTED


@pytest.mark.parametrize("kind", FRAMES, ids=lambda kind: kind.__module__.split(".")[0])
@pytest.mark.parametrize(
    ("given", "why"),
    [
        (3, "list of objects"),
        ([1, 2], "list of objects"),
        ({"a": 1}, "a list for each column"),
        ({"a": [1], "b": [1, 2]}, "same length"),
        (upload(b"\xff\xfe"), "UTF-8"),
        (upload(b"a,b\n1,2,3\n4,5,6,7\n"), "cannot be read"),
        (upload(b"PAR1xxx"), "Parquet"),
        (upload(b"ARROW1xxx"), "cannot be read"),
        (upload(b"\xff\xff\xff\xffxxxx"), "cannot be read"),
        (upload(b"{", "a.json"), "not JSON"),
        ([{f"c{at}": 1} for at in range(bounds.COLUMNS + 1)], "columns"),
        ([{f"c{at}": 1 for at in range(9000)}, *[{}] * 2000], "cells"),
        (upload(b"," * bounds.COLUMNS), "columns"),
        (upload(b",,,,,,,,,\n" * (bounds.CELLS // 10 + 1)), "cells"),
    ],
    ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)
def test_what_is_no_table_or_too_large_is_refused(kind: Any, given: Any, why: str) -> None:
    assert why in refusal(kind, given)


def deep(levels: int) -> Any:
    value: Any = 1
    for at in range(levels):
        value = [value] if at % 2 else {"x": value}
    return value


@pytest.mark.parametrize("kind", [pl.DataFrame, pl.Series, pa.Table], ids=str)
@pytest.mark.parametrize("inner", [lambda cell: cell, lambda cell: [cell], lambda cell: {"in": [cell]}], ids=range(3))
def test_another_field_in_each_row_is_refused_before_it_takes_memory(kind: Any, inner: Any) -> None:
    cells = [inner({f"k{at}": 1}) for at in range(5000)]
    assert "too many different fields" in refusal(kind, cells if kind is pl.Series else {"a": cells})
    if kind is not pl.Series:
        fewer = [inner({f"k{at}": 1}) for at in range(900)]
        assert "too many different fields" in refusal(kind, {f"c{at}": fewer for at in range(6)})


@pytest.mark.parametrize("kind", FRAMES, ids=lambda kind: kind.__module__.split(".")[0])
def test_objects_and_lists_may_be_in_cells(kind: Any) -> None:
    records = [{"a": {"x": at, "y": [1, 2]}, "b": [{"z": 1}]} for at in range(1000)]
    assert result_of(taken(kind, records)) == records
    assert result_of(taken(kind, [{"a": deep(8)}])) == [{"a": deep(8)}]
    if kind is not pd.DataFrame:
        assert "nested too deeply" in refusal(kind, [{"a": deep(900)}])


def test_records_need_not_have_the_same_fields() -> None:
    table = taken(pl.DataFrame, [{"a": 1}, {"b": "x"}])
    assert table.to_dicts() == [{"a": 1, "b": None}, {"a": None, "b": "x"}]


@pytest.mark.parametrize("kind", FRAMES, ids=lambda kind: kind.__module__.split(".")[0])
@pytest.mark.parametrize(
    "given", [[], {}, upload(b""), upload(b"\n")], ids=["list", "object", "no bytes", "a line end"]
)
def test_an_empty_table_is_a_table(kind: Any, given: Any) -> None:
    assert columns(taken(kind, given)) == {}


def test_a_series_is_a_list_or_an_object() -> None:
    assert taken(pd.Series, [1, 2]).tolist() == [1, 2]
    assert taken(pd.Series, {"a": 1})["a"] == 1
    assert taken(pl.Series, [1, None]).to_list() == [1, None]
    assert taken(pd.Series, upload(b"x\n1\n2\n")).tolist() == [1, 2]
    assert "One column" in refusal(pd.Series, upload(b"x,y\n1,2\n"))


@pytest.mark.parametrize(
    ("frame", "records"),
    [
        (pd.DataFrame({"a": [1, 2], "b": ["x", None]}), [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
        (pd.DataFrame({"a": [1.5, float("nan")]}), [{"a": 1.5}, {"a": None}]),
        (pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}), [{"a": 1}, {"a": None}]),
        (pd.DataFrame({"c": pd.Categorical(["x", None])}), [{"c": "x"}, {"c": None}]),
        (
            pd.DataFrame({"t": pd.to_datetime(["2026-11-30 12:00", None]).tz_localize("Europe/Warsaw")}),
            [{"t": "2026-11-30T12:00:00+01:00"}, {"t": None}],
        ),
        (pd.DataFrame({"d": pd.to_timedelta(["90s"])}), [{"d": "P0DT0H1M30S"}]),
        (pd.DataFrame({"p": pd.period_range("2026-01", periods=1, freq="M")}), [{"p": "2026-01"}]),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), [{"a": 1, "a.1": 2}]),
        (pd.DataFrame([[1]], columns=[7]), [{"7": 1}]),
        (pd.DataFrame({"a": [1]}, index=["x"]), [{"index": "x", "a": 1}]),
        (pd.DataFrame({"a": [1, 2]})[lambda frame: frame.a > 1], [{"a": 2}]),
        (pd.DataFrame({"k": ["x"], "v": [1]}).groupby("k").sum(), [{"k": "x", "v": 1}]),
        (pd.DataFrame({("a", "b"): [1]}), [{"a.b": 1}]),
        (pd.DataFrame(), []),
        (pd.DataFrame({"a": []}), []),
        (pl.DataFrame({"a": [1, None], "l": [[1], [2]]}), [{"a": 1, "l": [1]}, {"a": None, "l": [2]}]),
        (pl.LazyFrame({"a": [1]}), [{"a": 1}]),
        (pa.table({"a": [1], "b": [b"\xff"]}), [{"a": 1, "b": "/w=="}]),
    ],
    ids=range(18),
)
def test_a_table_is_answered_as_records(frame: Any, records: Any) -> None:
    assert result_of(frame) == records
    assert result_of(frame, type(frame)) == records
    assert result_of({"deep": [frame]}) == {"deep": [records]}


def test_a_series_is_answered_as_a_list_or_by_its_labels() -> None:
    assert result_of(pd.Series([1, 2])) == [1, 2]
    assert result_of(pd.Series([1.5, None])) == [1.5, None]
    assert result_of(pd.Series(["x", "x", "y"]).value_counts()) == {"x": 2, "y": 1}
    assert result_of(pd.Series([1, 2], index=["a", "a"])) == [{"index": "a", "value": 1}, {"index": "a", "value": 2}]
    assert result_of(pd.Index(["a", "b"])) == ["a", "b"]
    assert result_of(pl.Series([1, None])) == [1, None]


@pytest.mark.parametrize(
    "frame", [pd.DataFrame(WANTED), pl.DataFrame(WANTED), pl.LazyFrame(WANTED), pa.table(WANTED)], ids=range(4)
)
def test_a_table_is_answered_as_csv_and_arrow(frame: Any) -> None:
    encoded = answered(frame, "text/csv")
    assert encoded.media_type == "text/csv; charset=utf-8"
    assert pd.read_csv(io.BytesIO(encoded.body)).to_dict("list") == WANTED
    encoded = answered(frame, "application/vnd.apache.arrow.stream")
    assert pa.ipc.open_stream(encoded.body).read_all().to_pydict() == WANTED
