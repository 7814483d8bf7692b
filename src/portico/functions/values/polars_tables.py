"""What polars needs of `tables`: from columns, CSV and Arrow to its DataFrames and Series, and back."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from portico.functions.values.bounds import is_failure, one_line, unreadable
from portico.functions.values.cells import check_nested, csv_cell


def is_frame(value: Any) -> bool:
    import polars

    return isinstance(value, polars.DataFrame)


def is_series(value: Any) -> bool:
    import polars

    return isinstance(value, polars.Series)


def from_columns(columns: dict[str, list[Any]]) -> Any:
    import polars

    check_nested(columns)
    return _read("This cannot be a table", lambda: polars.DataFrame(columns, strict=False))


def from_csv(data: bytes, separator: str) -> Any:
    import polars

    if not data.strip():
        return polars.DataFrame()
    return _read(
        "The CSV file cannot be read",
        lambda: polars.read_csv(data, separator=separator, infer_schema_length=None, raise_if_empty=False),
    )


def from_arrow(table: Any) -> Any:
    import polars

    def read() -> Any:
        frame = polars.DataFrame(polars.from_arrow(table))
        frame.columns = table.column_names  # an empty name would be another
        return frame

    return _read("The Arrow table cannot be read", read)


def series_of(values: list[Any], labels: list[Any] | None) -> Any:
    import polars

    check_nested({"value": values})
    return _read("This cannot be a series", lambda: polars.Series(values=values, strict=False))


def _read(what: str, read: Callable[[], Any]) -> Any:
    """What *read* returns; an error of polars becomes one that says *what*."""
    try:
        return read()
    except BaseException as error:
        if is_failure(error):
            raise unreadable(f"{what}: {one_line(error)}") from None
        raise


def only_column(frame: Any) -> Any:
    return frame.to_series(0)


def flat(frame: Any) -> Any:
    """*frame* as a DataFrame with its rows at hand."""
    import polars

    if isinstance(frame, polars.LazyFrame):
        return frame.collect()
    if isinstance(frame, polars.Series):
        return frame.to_frame(frame.name or "value")
    return frame


def to_records(frame: Any) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = flat(frame).to_dicts()
    return records


def series_to_json(series: Any) -> Any:
    return series.to_list()


def to_csv(frame: Any) -> bytes:
    """As CSV; a column of lists or of structs as JSON in its cells."""
    import polars

    table = flat(frame)
    for name, kind in table.schema.items():
        if kind.is_nested() or kind in (polars.Binary, polars.Object):
            cells = [csv_cell(cell) for cell in table[name].to_list()]
            table = table.with_columns(polars.Series(name, cells, dtype=polars.String, strict=False))
    text: str = table.write_csv(line_terminator="\r\n")
    return text.encode()


def to_arrow(frame: Any) -> bytes:
    """As an Arrow IPC stream, of the types that every reader knows."""
    import polars

    file = io.BytesIO()
    flat(frame).write_ipc_stream(file, compat_level=polars.CompatLevel.oldest())
    return file.getvalue()
