"""Tables: pandas and polars DataFrames and Series, and pyarrow Tables. A list of records in JSON, CSV, Arrow.

Here: which library and which form. Not here: what each library needs (`pandas_tables`, `polars_tables`), and what of
Arrow is read (`arrow`).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final

from portico.errors import UnusableOutput
from portico.functions.values.bounds import CELLS, COLUMNS, is_failure, one_line, unreadable
from portico.functions.values.uploads import UploadedFile, media_type_of, open_bytes

CSV: Final = "text/csv"
ARROW: Final = "application/vnd.apache.arrow.stream"
ARROW_FILE: Final = "application/vnd.apache.arrow.file"
_HEAD: Final = 2**20
"""Bytes that the first line of a CSV may have."""

SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "array", "items": {"type": "object"}},
        {"type": "object", "additionalProperties": {"type": "array"}},
    ]
}
"""JSON Schema of a table as it is given: a list of records, or a list for each column."""
RECORDS: Final[dict[str, Any]] = {"type": "array", "items": {"type": "object"}}
"""JSON Schema of a table as it is answered."""


def read_frame(given: Any, library: Any) -> Any:
    """A DataFrame of *library* (`pandas_tables` or `polars_tables`) from what a caller gave.

    Raises `UnusableRequest` (422) for what is no table, or is too large.
    """
    if library.is_frame(given):
        return given
    if isinstance(given, UploadedFile):
        return _from_file(given, library)
    if isinstance(given, str):
        file, media_type = open_bytes(given)
        return _from_bytes(file.read(), media_type, "", library)
    return library.from_columns(columns_of(given))


def _from_file(file: UploadedFile, library: Any) -> Any:
    return _from_bytes(file.read(), media_type_of(file), file.filename.lower(), library)


def _from_bytes(data: bytes, media_type: str, filename: str, library: Any) -> Any:
    if data[:6] == b"ARROW1" or data[:4] == b"\xff\xff\xff\xff":
        from portico.functions.values.arrow import read_arrow

        return library.from_arrow(read_arrow(data))
    if data[:4] == b"PAR1":
        raise unreadable("Parquet is not read here: send CSV, JSON or Arrow.")
    if media_type == "application/json" or filename.endswith(".json"):
        try:
            return library.from_columns(columns_of(json.loads(data)))
        except (ValueError, RecursionError):
            raise unreadable("The file is not JSON that can be read.") from None
    separator = "\t" if media_type == "text/tab-separated-values" or filename.endswith((".tsv", ".tab")) else ","
    return library.from_csv(checked_csv(data, separator), separator)


def checked_csv(data: bytes, separator: str) -> bytes:
    """*data*, without a byte order mark, if it is UTF-8 and no larger than a table may be."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise unreadable(f"The CSV file is not UTF-8 (at byte {error.start}).") from None
    if b"\0" in data:
        raise unreadable("The CSV file holds a NUL character.")
    columns = _columns_of_csv(data, separator)
    if columns > COLUMNS:
        raise unreadable(f"The table has {columns} columns; at most {COLUMNS} can be read here.")
    rows = max(data.count(b"\n"), data.count(b"\r")) + 1
    if rows * columns > CELLS:
        raise unreadable(f"The table has more than {CELLS} cells.")
    return data


def _columns_of_csv(data: bytes, separator: str) -> int:
    head = data[:_HEAD].decode("utf-8", "ignore")
    try:
        return len(next(csv.reader(io.StringIO(head, newline=""), delimiter=separator), []))
    except csv.Error as error:
        raise unreadable(f"The first line of the CSV file cannot be read: {error}.") from None


def columns_of(given: Any) -> dict[str, list[Any]]:
    """The columns of a table in JSON: of a list of records, or of an object with a list for each column."""
    if isinstance(given, list | tuple):
        if not all(isinstance(record, dict) for record in given):
            raise unreadable("A table is a list of objects, one for each row.")
        names = dict.fromkeys(name for record in given for name in record)
        check_size(len(given), len(names))
        return {str(name): [record.get(name) for record in given] for name in names}
    if isinstance(given, dict):
        if not all(isinstance(column, list | tuple) for column in given.values()):
            raise unreadable("A table is an object with a list for each column, or a list of objects.")
        lengths = {len(column) for column in given.values()}
        if len(lengths) > 1:
            raise unreadable(
                f"The columns of a table have the same length; these have {min(lengths)} to {max(lengths)}."
            )
        check_size(max(lengths, default=0), len(given))
        return {str(name): list(column) for name, column in given.items()}
    raise unreadable("A table is a list of objects, or an object with a list for each column.")


def check_size(rows: int, columns: int) -> None:
    if columns > COLUMNS:
        raise unreadable(f"The table has {columns} columns; at most {COLUMNS} can be read here.")
    if rows * max(columns, 1) > CELLS:
        raise unreadable(f"The table has {rows} rows of {columns} columns; at most {CELLS} cells can be read here.")


def read_series(given: Any, library: Any) -> Any:
    """A Series of *library*: a list of values, an object of them by their labels, or a file with one column."""
    if library.is_series(given):
        return given
    if isinstance(given, UploadedFile | str):
        frame = read_frame(given, library)
        if frame.shape[1] != 1:
            raise unreadable(f"One column is wanted; this table has {frame.shape[1]}.")
        return library.only_column(frame)
    if isinstance(given, list | tuple):
        check_size(len(given), 1)
        return library.series_of(list(given), None)
    if isinstance(given, dict):
        check_size(len(given), 1)
        return library.series_of(list(given.values()), list(given))
    raise unreadable("A series is a list of values, or an object of them.")


def library_for(name: str) -> Any:
    """The module of this room that knows the library *name*."""
    if name == "polars":
        from portico.functions.values import polars_tables

        return polars_tables
    if name == "pyarrow":
        from portico.functions.values import arrow_tables

        return arrow_tables
    from portico.functions.values import pandas_tables

    return pandas_tables


def to_json_form(value: Any, family: str, library: str) -> Any:
    """A table as a list of records; a series as a list, or an object by its labels.

    Raises `UnusableOutput`, as the others do, for a table with a value that cannot be written so.
    """
    knows = library_for(library)
    return _written(knows.series_to_json if family == "series" else knows.to_records, value)


def to_csv(value: Any, library: str) -> bytes:
    """A table or a series as CSV: UTF-8, a line of names first, lines end with CR LF (RFC 4180)."""
    data: bytes = _written(library_for(library).to_csv, value)
    return data


def to_arrow(value: Any, library: str) -> bytes:
    """A table or a series as an Arrow IPC stream."""
    data: bytes = _written(library_for(library).to_arrow, value)
    return data


def writes_arrow(library: str) -> bool:
    """Whether a table of *library* can be given as Arrow: polars writes it itself, for pandas pyarrow does."""
    return library != "pandas" or find_spec("pyarrow") is not None


def _written(write: Callable[[Any], Any], value: Any) -> Any:
    try:
        return write(value)
    except BaseException as error:  # a date that Python has not, a column of odd objects: the function's failure
        if is_failure(error) and not isinstance(error, UnusableOutput):
            raise UnusableOutput(f"The function's table cannot be written: {one_line(error)}") from error
        raise
