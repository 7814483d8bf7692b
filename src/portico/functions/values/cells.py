"""One cell of a table as CSV has it: what is neither text nor a number becomes text that can be read again."""

from __future__ import annotations

from typing import Any

from portico.functions.values.uploads import to_base64


def csv_cell(value: Any) -> Any:
    """*value* as it is, but bytes as base64, and lists, dicts and arrays as JSON."""
    if isinstance(value, bytes | bytearray | memoryview):
        return to_base64(value)
    if isinstance(value, list | tuple | dict | set) or type(value).__module__ == "numpy":
        from pydantic_core import to_json

        return to_json(value, inf_nan_mode="null", bytes_mode="base64", fallback=_plain).decode("utf-8", "replace")
    return value


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
