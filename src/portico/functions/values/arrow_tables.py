"""What pyarrow needs of `tables`: from columns, CSV and Arrow to its Tables, and back."""

from __future__ import annotations

from typing import Any

from portico.functions.values.bounds import one_line, unreadable


def is_frame(value: Any) -> bool:
    import pyarrow

    return isinstance(value, pyarrow.Table)


def from_columns(columns: dict[str, list[Any]]) -> Any:
    import pyarrow

    try:
        return pyarrow.table(columns)
    except (pyarrow.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise unreadable(f"This cannot be a table: {one_line(error)}") from None


def from_csv(data: bytes, separator: str) -> Any:
    import pyarrow
    from pyarrow import csv

    if not data.strip():
        return pyarrow.table({})
    try:
        options = csv.ParseOptions(delimiter=separator, newlines_in_values=True)
        return csv.read_csv(pyarrow.BufferReader(data), csv.ReadOptions(use_threads=False), options)
    except (pyarrow.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise unreadable(f"The CSV file cannot be read: {one_line(error)}") from None


def from_arrow(table: Any) -> Any:
    return table


def to_records(table: Any) -> Any:
    return table.to_pylist()


def to_csv(table: Any) -> bytes:
    import pyarrow
    from pyarrow import csv

    sink = pyarrow.BufferOutputStream()
    csv.write_csv(table, sink)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def to_arrow(table: Any) -> bytes:
    """As an IPC stream."""
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data
