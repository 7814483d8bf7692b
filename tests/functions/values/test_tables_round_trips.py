"""Tables of any columns come back as they were sent, and any bytes are a table or an error."""

from __future__ import annotations

import csv
import datetime
import io
import random
import time
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.functions.values.tables import library_for, read_frame
from tests.functions.values.functions import answered, result_of, taken, tried, upload

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "bool": st.booleans(),
    "text": TEXT,
    "date": st.datetimes(datetime.datetime(1678, 1, 1), datetime.datetime(2261, 1, 1)),
    "zoned": st.datetimes(
        datetime.datetime(1971, 1, 1), datetime.datetime(2037, 1, 1), timezones=st.just(datetime.UTC)
    ),
}


@st.composite
def columns(draw: st.DrawFn) -> dict[str, list[Any]]:
    rows = draw(st.integers(0, 4))
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    kinds = [draw(st.sampled_from(sorted(CELLS))) for _ in names]
    return {
        name: draw(
            st.lists(CELLS[kind] | (st.none() if kind != "bool" else st.booleans()), min_size=rows, max_size=rows)
        )
        for name, kind in zip(names, kinds, strict=True)
    }


def as_text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.datetime) else value


@settings(max_examples=60, deadline=None)
@given(columns())
def test_a_table_comes_back_from_json(given_columns: dict[str, list[Any]]) -> None:
    """What is answered as JSON, and sent again, has the same names and the same values."""
    for frame in (pl.DataFrame(given_columns, strict=False), pd.DataFrame(given_columns), pa.table(given_columns)):
        records = result_of(frame)
        assert len(records) == len(next(iter(given_columns.values())))
        if not records:
            continue
        again = taken(type(frame), records)
        assert result_of(again) == records
        assert list(records[0]) == list(given_columns)


@settings(max_examples=60, deadline=None)
@given(columns())
def test_a_table_comes_back_from_arrow(given_columns: dict[str, list[Any]]) -> None:
    """What is answered as Arrow, and uploaded again, is the same table."""
    frame = pl.DataFrame(given_columns, strict=False)
    assert taken(pl.DataFrame, upload(answered(frame, "application/vnd.apache.arrow.stream").body)).equals(frame)
    table = pa.table(given_columns)
    assert taken(pa.Table, upload(answered(table, "application/vnd.apache.arrow.stream").body)).equals(table)
    pandas = pd.DataFrame(given_columns)
    again = taken(pd.DataFrame, upload(answered(pandas, "application/vnd.apache.arrow.stream").body))
    assert result_of(again) == result_of(pandas)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(TEXT, min_size=2, max_size=2), max_size=4), st.lists(NAMES, min_size=2, max_size=2, unique=True)
)
def test_text_comes_back_from_csv(rows: list[list[str]], names: list[str]) -> None:
    """Quotes, commas and line ends in cells and names of columns are what they were."""
    frames = [
        pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row"),
        pd.DataFrame(rows, columns=names),
        pa.table({name: pa.array([row[at] for row in rows], pa.string()) for at, name in enumerate(names)}),
    ]
    for frame in frames:
        text = answered(frame, "text/csv").body.decode()
        assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == [names, *rows]


def test_categories_come_back() -> None:
    frame = pd.DataFrame({"c": pd.Categorical(["x", None, "y"], categories=["y", "x"])})
    again = taken(pd.DataFrame, upload(answered(frame, "application/vnd.apache.arrow.stream").body))
    assert again["c"].cat.categories.tolist() == ["y", "x"]
    assert result_of(again) == result_of(frame)


def test_zones_come_back() -> None:
    frame = pd.DataFrame({"t": pd.to_datetime(["2026-11-30T12:00"]).tz_localize("Europe/Warsaw")})
    again = taken(pd.DataFrame, upload(answered(frame, "application/vnd.apache.arrow.stream").body))
    assert str(again["t"].dt.tz) == "Europe/Warsaw"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=20,
)
TABLES = st.lists(st.dictionaries(st.text(max_size=3), JSON, max_size=3), max_size=4) | st.dictionaries(
    st.text(max_size=3), st.lists(JSON, max_size=3), max_size=3
)


@settings(max_examples=150, deadline=None)
@given(JSON | TABLES)
def test_any_json_is_a_table_or_an_error(value: Any) -> None:
    """Any JSON value gives a table of each library, or an error of the caller's."""
    for name in ("pandas", "polars", "pyarrow"):
        library = library_for(name)
        table = tried(read_frame, value, library)
        assert table is None or library.is_frame(table)


@pytest.mark.fuzz
@pytest.mark.parametrize("name", ["pandas", "polars", "pyarrow"])
def test_any_csv_is_a_table_or_an_error(name: str, fuzz_seconds: float) -> None:
    """Pieces of CSV in any order, and any bytes, give a table or an error of the caller's, soon."""
    chance = random.Random(5)
    pieces = [b"a", b",", b"\n", b"\r\n", b"\r", b'"', b'""', b"1", b"-1.5e300", b"NaN", b"inf", b"9" * 40, b"\t", b" "]
    pieces += ["ż".encode(), b"\xff", b"\0", b"2026-11-30", b"true", b"null", b";", b"'", b"\\", b"#", b"a,b\n1,2\n"]
    library = library_for(name)
    until = time.monotonic() + fuzz_seconds / 2
    slowest = 0.0
    while time.monotonic() < until:
        data = b"".join(chance.choices(pieces, k=chance.randrange(40)))
        started = time.process_time()
        table = tried(read_frame, upload(data, chance.choice(["a.csv", "a.tsv", "a.json", ""])), library)
        assert table is None or library.is_frame(table)
        slowest = max(slowest, time.process_time() - started)
    assert slowest < 5
