"""Arrow data from strangers: what is small and stands for much is refused, and nothing ends the process."""

from __future__ import annotations

import decimal
import io
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from portico.errors import UnusableRequest
from portico.functions.values import bounds
from portico.functions.values.arrow import read_arrow

FORMS = [pa.ipc.new_file, pa.ipc.new_stream]


def written(table: pa.Table, form: Any = pa.ipc.new_stream, compression: str | None = None) -> bytes:
    sink = pa.BufferOutputStream()
    with form(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


TABLE = pa.table(
    {
        "i": [1, None, 3],
        "s": ["x", "ż", None],
        "l": [[1], [2, 3], None],
        "o": [{"a": 1, "q": "u"}, {"a": 2, "q": None}, None],
        "d": pa.array(["u", "v", "u"]).dictionary_encode(),
        "v": pa.array(["u", "v" * 30, None], pa.string_view()),
        "lv": pa.array([["u"], [None], None], pa.large_list(pa.string_view())),
        "e": [decimal.Decimal("1.5")] * 3,
        "b": [b"1", b"", None],
        "n": [None] * 3,
        "f": pa.array([[1, 2]] * 3, pa.list_(pa.int8(), 2)),
        "t": pa.array([0, 1, None], pa.timestamp("us", "Europe/Warsaw")),
    }
)


@pytest.mark.parametrize("form", FORMS, ids=["file", "stream"])
@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
def test_a_table_of_all_types_is_read(form: Any, compression: str | None) -> None:
    again = read_arrow(written(TABLE, form, compression))
    assert again.to_pylist() == TABLE.to_pylist() * 2
    assert again.column_names == TABLE.column_names


@pytest.mark.parametrize("compression", ["uncompressed", "zstd", "lz4"])
def test_what_polars_writes_is_read(compression: Any) -> None:
    frame = pl.DataFrame({"a": ["x"], "c": [[1, 2]], "l": [["a"]], "o": [{"k": "v"}]}).with_columns(
        k=pl.Series(["u"], dtype=pl.Categorical)
    )
    for write in (frame.write_ipc, frame.write_ipc_stream):
        file = io.BytesIO()
        write(file, compression=compression)
        assert read_arrow(file.getvalue()).to_pylist() == frame.to_dicts()


def one_text_seen_often() -> pa.Table:
    text = pa.array(["x" * 10**6], pa.string_view())
    _, views, data = text.buffers()
    often = pa.py_buffer(views.to_pybytes() * 1000)
    return pa.table({"v": pa.Array.from_buffers(pa.string_view(), 1000, [None, often, data])})


SMALL_AND_LARGE = {
    "nulls": (pa.table({"n": pa.nulls(bounds.CELLS + 1)}), None, "cells"),
    "packed zeros": (pa.table({"z": pa.array(bytes(bounds.IN_MEMORY // 2 + 16) for _ in range(1))}), "zstd", "MiB"),
    "views of one text": (one_text_seen_often(), None, "MiB"),
    "views of one text in lists": (
        pa.table({"v": pa.ListArray.from_arrays([0, 1000], one_text_seen_often()["v"].chunk(0))}),
        None,
        "MiB",
    ),
    "run ends": (
        pa.table({"r": pa.RunEndEncodedArray.from_arrays(pa.array([9], pa.int32()), pa.array(["x"]))}),
        None,
        "type run_end_encoded",
    ),
    "views of a list": (pa.table({"r": pa.array([[1]], pa.list_view(pa.int8()))}), None, "type list_view"),
    "a union": (
        pa.table({"u": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])}),
        None,
        "type sparse_union",
    ),
    "a type of its own": (pa.table({"x": pa.array(["{}"], pa.json_())}), None, "type extension"),
    "columns": (pa.table({f"c{at}": pa.array([], pa.int8()) for at in range(bounds.COLUMNS + 1)}), None, "columns"),
}


@pytest.mark.parametrize("form", FORMS, ids=["file", "stream"])
@pytest.mark.parametrize("name", SMALL_AND_LARGE)
def test_what_is_small_and_stands_for_much_is_refused(name: str, form: Any) -> None:
    table, compression, why = SMALL_AND_LARGE[name]
    data = written(table, form, compression)
    assert len(data) < 2**22
    with pytest.raises(UnusableRequest, match=why) as refused:
        read_arrow(data)
    assert refused.value.status == 422


def test_a_null_text_that_points_nowhere_does_not_end_the_process() -> None:
    text = pa.array(["u", "v" * 30, None], pa.string_view())
    valid, views, data = text.buffers()
    nowhere = views.to_pybytes()[:32] + struct.pack("<iiii", 2**31 - 1, 0, 77, 2**30)
    broken = pa.Array.from_buffers(pa.string_view(), 3, [valid, pa.py_buffer(nowhere), data])
    table = read_arrow(written(pa.table({"v": broken})))
    assert table.to_pandas()["v"].tolist()[:2] == ["u", "v" * 30]


def test_without_pyarrow_other_forms_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    data = written(TABLE)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UnusableRequest, match="pyarrow is not installed: send CSV or JSON"):
        read_arrow(data)


@pytest.mark.parametrize("data", [b"", b"ARROW1", b"ARROW1" * 10, b"\xff" * 100, written(TABLE)[:200]], ids=range(5))
def test_what_is_cut_off_is_refused(data: bytes) -> None:
    with pytest.raises(UnusableRequest):
        read_arrow(data)


def test_offsets_that_go_back_are_refused() -> None:
    data = bytearray(written(pa.table({"s": ["ab", "cd", "ef"]})))
    at = data.find(struct.pack("<iiii", 0, 2, 4, 6))
    data[at + 4 : at + 8] = struct.pack("<i", 2**30)
    with pytest.raises(UnusableRequest, match="cannot be read"):
        read_arrow(bytes(data))


FUZZ = """
import base64, json, sys
from portico.errors import UnusableRequest, UnusableOutput
from portico.functions.values import pandas_tables, polars_tables
from portico.functions.values.tables import to_json_form
from portico.functions.values.arrow import read_arrow

for line in sys.stdin:
    print(line[:40].strip(), flush=True)
    try:
        table = read_arrow(base64.b64decode(line))
    except UnusableRequest:
        continue
    for library, name in ((pandas_tables, "pandas"), (polars_tables, "polars")):
        try:
            to_json_form(library.from_arrow(table), "frame", name)
        except (UnusableRequest, UnusableOutput):
            continue
"""


@pytest.mark.fuzz
def test_any_bytes_give_a_table_or_an_error(fuzz_seconds: float, tmp_path: Path) -> None:
    """Bytes that were Arrow's before some of them were changed give a table or a refusal, and never end the process."""
    import base64
    import time

    chance = random.Random(8)
    seeds = [written(TABLE, form, compression) for form in FORMS for compression in (None, "zstd", "lz4")]
    seeds += [written(TABLE.select([name]), pa.ipc.new_stream) for name in TABLE.column_names]
    script = tmp_path / "fuzz.py"
    script.write_text(FUZZ)
    errors = tmp_path / "errors"
    with errors.open("w") as log:
        reader = subprocess.Popen(
            [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert reader.stdin is not None
    assert reader.stdout is not None
    until = time.monotonic() + fuzz_seconds
    last = b""
    while time.monotonic() < until:
        last = bytes(changed(bytearray(chance.choice(seeds)), chance))
        line = base64.b64encode(last).decode()
        try:
            reader.stdin.write(f"{line}\n")
            reader.stdin.flush()
        except BrokenPipeError:
            break
        if not reader.stdout.readline():
            break
    reader.stdin.close()
    status = reader.wait(60)
    reader.stdout.close()
    assert status == 0, f"{last!r}\n{errors.read_text()[-3000:]}"


def changed(data: bytearray, chance: random.Random) -> bytearray:
    words = [b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\1\0\0\0"]
    for _ in range(chance.choice([1, 1, 2, 3, 8])):
        at = chance.randrange(len(data))
        way = chance.randrange(4)
        if way == 0:
            data[at] = chance.randrange(256)
        elif way == 1:
            data[at] ^= 1 << chance.randrange(8)
        elif way == 2:
            data[at : at + 4] = chance.choice(words)
        else:
            del data[at : at + chance.randrange(9)]
    return data or bytearray(b"x")
