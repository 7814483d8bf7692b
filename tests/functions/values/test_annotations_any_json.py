"""Whatever JSON a caller sends for a special type: the function gets a value of it, or the caller is told why not."""

from __future__ import annotations

import io
import typing
from pathlib import Path
from typing import Any

import fastapi
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from portico.functions.calling import validate
from portico.functions.values.uploads import CallFiles
from tests.functions.values.functions import function_of
from tests.functions.values.test_classes import Data, Model, Named, Typed

KINDS: list[Any] = [
    np.ndarray,
    NDArray[np.float32],
    NDArray[np.uint8],
    NDArray[np.str_],
    NDArray[np.datetime64],
    NDArray[np.bool_],
    NDArray[np.object_],
    np.ndarray[tuple[int, int], np.dtype[np.int16]],
    np.float16,
    np.int8,
    np.bool_,
    np.str_,
    np.datetime64,
    np.number,
    pd.DataFrame,
    pd.Series,
    pd.Timestamp,
    pd.Timedelta,
    pl.DataFrame,
    pl.LazyFrame,
    pl.Series,
    pa.Table,
    Image.Image,
    bytes,
    bytearray,
    io.BytesIO,
    typing.BinaryIO,
    Path,
    fastapi.UploadFile,
    list[bytes],
    dict[str, np.ndarray],
    np.ndarray | None,
    pd.DataFrame | str,
    tuple[np.ndarray, bytes],
    Data,
    Model,
    Typed,
    Named,
]

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(
        ["", "aGVsbG8=", "data:,x", "data:image/png;base64,iVBORw0KGgo=", "2026-11-30", "P1D", "1e400", "nan", "k93"]
    )
)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["weights", "raw", "number", "a", ""]) | st.text(max_size=3), inner, max_size=4
        )
    ),
    max_leaves=15,
)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_any_json_is_a_value_or_the_callers_error(kind: Any) -> None:
    """Any JSON value gives the function a value, or a `ValidationError`; nothing else is raised."""
    typed = function_of(kind)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(JSON)
    def holds(value: Any) -> None:
        with CallFiles() as files:
            try:
                validate(typed, {"value": value}, files)
            except ValidationError as error:
                for each in error.errors():
                    assert each["loc"][0] == "value"
                    assert each["msg"]

    holds()
