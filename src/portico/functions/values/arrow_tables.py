"""What pyarrow needs of `tables`: from columns, CSV and Arrow to its Tables, and back."""

from __future__ import annotations

from typing import Any

from portico.functions.values.bounds import one_line, unreadable
from portico.functions.values.cells import check_nested, csv_cell


def is_frame(value: Any) -> bool:
    import pyarrow

    return isinstance(value, pyarrow.Table)


def from_columns(columns: dict[str, list[Any]]) -> Any:
    import pyarrow

    check_nested(columns)
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
    """As CSV; bytes as base64, and lists and structs as JSON in their cells."""
    import pyarrow
    from pyarrow import csv, types

    for at, field in enumerate(table.schema):
        if types.is_nested(field.type) or types.is_binary(field.type) or types.is_large_binary(field.type):
            cells = [csv_cell(cell) for cell in table.column(at).to_pylist()]
            table = table.set_column(at, field.name, pyarrow.array(cells, pyarrow.string()))
        elif types.is_dictionary(field.type):
            table = table.set_column(at, field.name, table.column(at).cast(field.type.value_type))
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
