"""What pandas needs of `tables`: from columns, CSV and Arrow to its DataFrames and Series, and back."""

from __future__ import annotations

import io
from typing import Any

from portico.functions.values.bounds import one_line, unreadable
from portico.functions.values.cells import csv_cell


def is_frame(value: Any) -> bool:
    import pandas

    return isinstance(value, pandas.DataFrame)


def is_series(value: Any) -> bool:
    import pandas

    return isinstance(value, pandas.Series)


def from_columns(columns: dict[str, list[Any]]) -> Any:
    import pandas

    try:
        return pandas.DataFrame(columns)
    except Exception as error:  # noqa: BLE001 - its guesses at types may raise anything for odd values
        raise unreadable(f"This cannot be a table: {one_line(error)}") from None


def from_csv(data: bytes, separator: str) -> Any:
    import pandas

    try:
        return pandas.read_csv(io.BytesIO(data), sep=separator, index_col=False, low_memory=False)
    except pandas.errors.EmptyDataError:
        return pandas.DataFrame()
    except Exception as error:  # noqa: BLE001 - as above: parser errors, and what guessing types raises
        raise unreadable(f"The CSV file cannot be read: {one_line(error)}") from None


def from_arrow(table: Any) -> Any:
    try:
        return table.to_pandas(ignore_metadata=True)  # which would name types and an index, in Python's terms
    except Exception as error:  # noqa: BLE001 - a value that no pandas type holds, such as a date out of range
        raise unreadable(f"The Arrow table cannot be read: {one_line(error)}") from None


def series_of(values: list[Any], labels: list[Any] | None) -> Any:
    import pandas

    try:
        return pandas.Series(values, index=labels)
    except Exception as error:  # noqa: BLE001 - as in from_columns
        raise unreadable(f"This cannot be a series: {one_line(error)}") from None


def only_column(frame: Any) -> Any:
    return frame.iloc[:, 0]


def flat(frame: Any) -> Any:
    """*frame* with its index as columns where that says something, and with different texts as names of columns."""
    import pandas

    if isinstance(frame, pandas.Series):
        frame = frame.to_frame(name="value" if frame.name is None else frame.name)
    elif isinstance(frame, pandas.Index):
        frame = frame.to_frame(index=False)
    if _has_labels(frame.index):
        index = frame.index
        names = [("index" if name is None else name) for name in index.names]
        if index.nlevels > 1:
            names = [f"level_{at}" if name is None else name for at, name in enumerate(index.names)]
        levels = [index.get_level_values(at).to_series(index=range(len(index))) for at in range(index.nlevels)]
        columns = [frame.iloc[:, at].reset_index(drop=True) for at in range(frame.shape[1])]
        flat = pandas.concat([*levels, *columns], axis=1) if levels or columns else pandas.DataFrame()
        flat.columns = unique([*names, *map(_name, frame.columns)])
        return flat
    flat = frame.reset_index(drop=True)
    flat.columns = unique([_name(name) for name in frame.columns])
    return flat


def _name(name: Any) -> str:
    return ".".join(map(str, name)) if isinstance(name, tuple) else str(name)


def _has_labels(index: Any) -> bool:
    """Whether an index says something: it has a name, or other labels than numbers, which a filter leaves behind."""
    return index.nlevels > 1 or index.name is not None or index.dtype.kind not in "iu"


def to_records(frame: Any) -> list[dict[str, Any]]:
    frame = flat(frame)
    lists = [to_list(frame.iloc[:, at]) for at in range(frame.shape[1])]
    if not lists:
        return [{} for _ in range(len(frame))]
    names = list(frame.columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*lists, strict=True)]


def to_list(series: Any) -> list[Any]:
    """The values of a column as Python objects, None for what is missing."""
    kind = getattr(series.dtype, "kind", "O")
    if kind in "iufb" and series.dtype.__class__.__module__.startswith("numpy"):
        values: list[Any] = series.tolist()
        return values
    missing = series.isna().tolist()
    return [None if gone else _cell(value) for value, gone in zip(series.tolist(), missing, strict=True)]


def _cell(value: Any) -> Any:
    import pandas

    if isinstance(value, pandas.Timestamp):
        try:
            return value.isoformat()
        except (NotImplementedError, ValueError, OverflowError):  # a year that Python's own dates do not have
            return str(value.to_datetime64())
    if isinstance(value, pandas.Timedelta):
        return value.isoformat()
    if isinstance(value, pandas.Period | pandas.Interval):
        return str(value)
    return value


def series_to_json(series: Any) -> Any:
    """A list of the values; or an object of them by their labels, where those are different and say something."""
    import pandas

    values = to_list(series)
    if isinstance(series, pandas.Index) or not _has_labels(series.index):
        return values
    labels = [_name(_cell(label)) for label in series.index.tolist()]
    if len(set(labels)) == len(labels):
        return dict(zip(labels, values, strict=True))
    return to_records(series)


def to_csv(frame: Any) -> bytes:
    """As CSV; bytes as base64, and lists, dicts and arrays as JSON in their cells."""
    table = flat(frame)
    for name in table.columns:
        if table[name].dtype == object:
            table[name] = table[name].map(csv_cell, na_action="ignore")
    text: str = table.to_csv(index=False, lineterminator="\r\n")
    return text.encode("utf-8", "replace")


def to_arrow(frame: Any) -> bytes:
    """As an Arrow IPC stream, by pyarrow."""
    import pyarrow

    from portico.functions.values.arrow_tables import to_arrow as arrow_bytes

    return arrow_bytes(pyarrow.Table.from_pandas(flat(frame), preserve_index=False).replace_schema_metadata(None))


def unique(names: list[Any]) -> list[str]:
    """*names* as different texts: of two columns ``a`` the second is ``a.1``."""
    taken = {str(name) for name in names}
    used: set[str] = set()
    result = []
    for each in map(str, names):
        name, count = each, 0
        while name in used or (count and name in taken):
            count += 1
            name = f"{each}.{count}"
        used.add(name)
        result.append(name)
    return result


def read_moment(given: Any, kind: Any) -> Any:
    """A pandas Timestamp or Timedelta from text (ISO 8601), or from seconds for a Timedelta."""
    import pandas

    if isinstance(given, kind):
        return given
    try:
        if kind is pandas.Timedelta and isinstance(given, int | float) and not isinstance(given, bool):
            moment = kind(given, unit="s")
        elif (isinstance(given, str) and len(given) <= _LONGEST_MOMENT) or hasattr(given, "isoformat"):
            moment = kind(given)
        else:
            raise TypeError
    except (ValueError, TypeError, OverflowError):
        raise unreadable(f"This is no {kind.__name__}: send text such as {_MOMENTS[kind.__name__]}.") from None
    if moment is pandas.NaT:
        raise unreadable(f"This is no {kind.__name__}.")
    return moment


_LONGEST_MOMENT = 200
"""Characters of a text that may be one: pandas takes 25 seconds for a million digits, and four times that for two."""
_MOMENTS = {"Timestamp": "2026-11-30T12:00:00Z", "Timedelta": "P1DT2H"}
