"""Cells of a table: what is neither text nor a number in CSV, and how much objects and lists in cells may take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portico.functions.values.bounds import DEEP, NESTED, unreadable
from portico.functions.values.uploads import to_base64


def csv_cell(value: Any) -> Any:
    """*value* as it is, but bytes as base64, and lists, dicts and arrays as JSON: text that can be read again."""
    if isinstance(value, bytes | bytearray | memoryview):
        return to_base64(value)
    if isinstance(value, list | tuple | dict | set) or type(value).__module__ == "numpy":
        from pydantic_core import to_json

        return to_json(value, inf_nan_mode="null", bytes_mode="base64", fallback=_plain).decode("utf-8", "replace")
    return value


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def check_nested(columns: Mapping[str, list[Any]]) -> None:
    """Raise `UnusableRequest` (422) if objects and lists in cells are too deep, or have too many different fields.

    Polars and Arrow make a column of each field that any object has, with a value for each row: a few bytes a row, each
    with another field, would be as many values as the square of the rows.
    """
    cost = 0
    for name, column in columns.items():
        level: list[tuple[Any, int]] = [(cell, 0) for cell in column if cell.__class__ in (dict, list)]
        if not level:
            continue
        fields: dict[tuple[int, str], int] = {}
        values = len(column)
        for _ in range(DEEP):
            values += sum(len(value) for value, _ in level)
            level = _inside(level, fields)
            if cost + len(fields) * values > NESTED:
                raise unreadable(f"The objects in the column {name[:100]!r} have too many different fields.")
            if not level:
                break
        else:
            raise unreadable(f"The column {name[:100]!r} is nested too deeply.")
        cost += len(fields) * values


def _inside(level: list[tuple[Any, int]], fields: dict[tuple[int, str], int]) -> list[tuple[Any, int]]:
    """The objects and lists in those of *level*, each with the number of its field, which *fields* has by its path."""
    inner: list[tuple[Any, int]] = []
    for value, path in level:
        if value.__class__ is list:
            inner += [(each, path) for each in value if each.__class__ in (dict, list)]
            continue
        for field, each in value.items():
            place = fields.setdefault((path, str(field)), len(fields) + 1)
            if each.__class__ in (dict, list):
                inner.append((each, place))
    return inner
