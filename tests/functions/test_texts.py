"""Texts of queries and forms, and what they stand for by the parameters' types."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest

from portico.functions.signature import typed_function
from portico.functions.texts import values_of
from portico.functions.values.uploads import CallFiles

FILE = CallFiles().add("a", "", io.BytesIO(b"x"))


def stands_for(kind: Any, *texts: Any) -> Any:
    def it(value: Any) -> None: ...

    it.__annotations__["value"] = kind
    return values_of({"value": list(texts)}, typed_function(it)).get("value", "nothing")


@pytest.mark.parametrize(
    ("kind", "texts", "value"),
    [
        (str, ["3"], "3"),
        (int, ["3"], 3),
        (list[int], ["1", "2"], [1, 2]),
        (list[int], ["[1, 2]"], [1, 2]),
        (bytes, [FILE], FILE),
        (bytes, ["aGVsbG8="], "aGVsbG8="),
        (bytes | None, [""], "nothing"),
        (list[bytes], [FILE], [FILE]),
        (list[bytes], [FILE, FILE], [FILE, FILE]),
        (list[bytes], ["aGVsbG8="], ["aGVsbG8="]),
        (list[bytes] | None, [FILE], [FILE]),
        (np.ndarray, [FILE], FILE),
        (np.ndarray | None, [FILE], FILE),
        (np.ndarray, ["[[1, 2]]"], [[1, 2]]),
        (np.ndarray, ["1", "2"], [1, 2]),
        (pd.DataFrame, [FILE], FILE),
        (pd.DataFrame | None, [FILE], FILE),
        (pd.DataFrame, ['[{"a": 1}]'], [{"a": 1}]),
        (pd.DataFrame, ['{"a": [1]}'], [{"a": [1]}]),
        (list[pd.DataFrame], [FILE], [FILE]),
    ],
    ids=lambda one: "file" if " at 0x" in str(one) else str(one),
)
def test_a_text_or_a_file_stands_for_a_value_of_the_type(kind: Any, texts: list[Any], value: Any) -> None:
    assert stands_for(kind, *texts) == value
