"""Types in signatures that are values of their own, wherever in an annotation they are."""

from __future__ import annotations

import io
import subprocess
import sys
import typing
from pathlib import Path
from typing import Annotated, Any

import fastapi
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest
import starlette.datastructures
from numpy.typing import NDArray
from PIL import Image
from pydantic import AfterValidator, Field

from portico.functions.values.annotations import annotation, is_upload, takes_several
from portico.functions.values.uploads import CallFiles
from tests.functions.values.functions import function_of, input_schema, refusal, taken, upload

FILES = [
    bytes,
    bytearray,
    Path,
    io.BytesIO,
    typing.BinaryIO,
    starlette.datastructures.UploadFile,
    fastapi.UploadFile,
    np.ndarray,
    NDArray[np.float32],
    pd.DataFrame,
    pd.Series,
    pl.DataFrame,
    pl.LazyFrame,
    pl.Series,
    pa.Table,
    Image.Image,
]


@pytest.mark.parametrize("kind", FILES, ids=str)
def test_a_parameter_of_such_a_type_may_be_sent_as_a_file(kind: Any) -> None:
    (parameter,) = function_of(kind).parameters
    assert parameter.upload
    assert input_schema(kind)["x-portico-upload"]


@pytest.mark.parametrize("kind", [int, str, list[int], dict[str, float], np.float32, pd.Timestamp], ids=str)
def test_other_parameters_are_no_files(kind: Any) -> None:
    (parameter,) = function_of(kind).parameters
    assert not parameter.upload


@pytest.mark.parametrize(
    "kind", [int, str, list[int], Any, typing.Callable[[int], int], None, typing.Literal["a"]], ids=str
)
def test_what_is_not_special_stays_as_it_is(kind: Any) -> None:
    assert annotation(kind) is None


def test_a_type_is_found_inside_others() -> None:
    red = io.BytesIO()
    Image.new("RGB", (2, 1), "red").save(red, "PNG")
    image = upload(red.getvalue())
    assert taken(Image.Image | None, None) is None
    assert taken(typing.Optional[Image.Image], image).size == (2, 1)  # noqa: UP045
    assert [each.size for each in taken(list[Image.Image], [image, image])] == [(2, 1), (2, 1)]
    assert taken(dict[str, np.ndarray], {"a": [1, 2]})["a"].tolist() == [1, 2]
    assert taken(tuple[np.ndarray, int], [[1, 2], 3])[0].tolist() == [1, 2]
    assert taken(Annotated[np.ndarray, Field(description="points")], [1]).tolist() == [1]
    assert taken(np.ndarray | str, "text") == "text"


def test_what_an_annotation_says_besides_holds() -> None:
    assert taken(Annotated[bytes, Field(max_length=5)], "aGVsbG8=") == b"hello"
    assert "at most 3" in refusal(Annotated[bytes, Field(max_length=3)], "aGVsbG8=")
    assert taken(Annotated[bytes, AfterValidator(bytes.upper)], "aGVsbG8=") == b"HELLO"
    assert taken(pydantic.Base64Bytes, "aGVsbG8=") == b"hello"
    assert "greater than 3" in refusal(Annotated[np.float32, Field(gt=3)], 1)
    assert "at most 1 item" in refusal(Annotated[list[bytes], Field(max_length=1)], ["", ""])


def test_whether_several_files_are_taken() -> None:
    assert takes_several(annotation(list[bytes]))
    assert takes_several(annotation(list[Path] | None))
    assert takes_several(annotation(tuple[bytes, ...]))
    assert not takes_several(annotation(bytes))
    assert not takes_several(annotation(np.ndarray))
    assert not takes_several(annotation(dict[str, bytes]))
    assert not is_upload(annotation(dict[str, bytes]))
    assert not takes_several(annotation(bytes | None))


def test_where_files_are_is_told_to_forms() -> None:
    assert is_upload(annotation(list[bytes] | None))
    assert input_schema(Image.Image)["contentMediaType"] == "image/*"
    assert input_schema(list[bytes])["items"]["x-portico-upload"] == ["*/*"]


@pytest.mark.parametrize("kind", [pd.Timestamp, pd.Timedelta])
def test_a_moment_is_a_short_text(kind: Any) -> None:
    """pandas takes time that grows with the square of a text: minutes for a MiB of digits."""
    assert "send text such as" in refusal(kind, "9" * 30_000_000)


def test_a_path_of_the_machine_cannot_be_named() -> None:
    with CallFiles() as files:
        assert "base64" in refusal(Path, __file__, files)
        assert "multipart" in refusal(Path, "aGVsbG8=")
        assert taken(Path, "aGVsbG8=", files).read_bytes() == b"hello"


LAZY = """
import json, sys
from portico.functions.signature import typed_function
from portico.functions.values.encodings import encode

def plain(a: int, b: list[str], c: bytes = b"") -> dict[str, float]: ...

typed = typed_function(plain)
encode({"a": 1.5}, "", typed)
encode({"a": 1.5}, "text/plain, application/vnd.portico.display+json;q=0.5", typed)
print(json.dumps(sorted({"numpy", "pandas", "polars", "pyarrow", "PIL", "matplotlib", "IPython"} & set(sys.modules))))
"""


def test_no_library_is_imported_that_the_user_has_not() -> None:
    done = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
