"""A result as JSON, whatever it holds."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import typing
import uuid
from collections import OrderedDict, deque
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pydantic
import pytest

from portico.errors import UnusableOutput
from portico.functions.values.json_form import json_value, to_json
from tests.functions.values.functions import function_of, result_of


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Report:
    name: str
    table: pd.DataFrame
    weights: np.ndarray


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    weights: np.ndarray
    when: datetime.date = datetime.date(2026, 11, 30)


class Point(NamedTuple):
    x: float
    y: np.float32


class Typed(typing.TypedDict):
    frame: pd.DataFrame


REPORT = Report("r", pd.DataFrame({"a": [1]}), np.ones(2))


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (decimal.Decimal("1.10"), "1.10"),
        (datetime.datetime(2026, 11, 30, 12, tzinfo=datetime.UTC), "2026-11-30T12:00:00Z"),
        (datetime.timedelta(seconds=90), "PT1M30S"),
        (Color.RED, "red"),
        ({Color.RED: 1}, {"red": 1}),
        (uuid.UUID(int=0), "00000000-0000-0000-0000-000000000000"),
        ({3}, [3]),
        (frozenset([3]), [3]),
        (range(3), [0, 1, 2]),
        (deque([np.int64(1)]), [1]),
        (OrderedDict(a=np.ones(1)), {"a": [1.0]}),
        ({np.int64(3): 1, 2.5: 2, None: 3, (1, 2): 4}, {"3": 1, "2.5": 2, "None": 3, "1,2": 4}),
        (b"\xfb\xff", "+/8="),
        ({"a": [b"abc"]}, {"a": ["YWJj"]}),
        (float("inf"), None),
        ([1.0, float("nan")], [1.0, None]),
        (2**80, 2**80),
        (REPORT, {"name": "r", "table": [{"a": 1}], "weights": [1.0, 1.0]}),
        ([REPORT], [{"name": "r", "table": [{"a": 1}], "weights": [1.0, 1.0]}]),
        (Model(weights=np.ones(1)), {"weights": [1.0], "when": "2026-11-30"}),
        (Point(1, np.float32(2)), [1, 2.0]),
        (pd.NA, None),
        (pd.NaT, None),
        (pd.Timestamp("2026-11-30"), "2026-11-30T00:00:00"),
        (pd.Interval(0, 1), "(0, 1]"),
        ("\ud800x", "\ufffdx"),
        ({"a": ["\ud800", float("nan"), np.float32(1)]}, {"a": ["\ufffd", None, 1.0]}),
    ],
    ids=range(27),
)
def test_a_result_without_an_annotation(value: Any, json: Any) -> None:
    assert result_of(value) == json


@pytest.mark.parametrize(
    ("kind", "value", "json"),
    [
        (float, np.float32(1.5), 1.5),
        (float, float("nan"), None),
        (int, np.int64(3), 3),
        (bool, np.bool_(True), True),
        (list[float], np.ones(2), [1.0, 1.0]),
        (dict[str, np.ndarray], {"a": np.ones(1)}, {"a": [1.0]}),
        (Report, REPORT, {"name": "r", "table": [{"a": 1}], "weights": [1.0, 1.0]}),
        (list[Report], [REPORT], [{"name": "r", "table": [{"a": 1}], "weights": [1.0, 1.0]}]),
        (Model, Model(weights=np.ones(1)), {"weights": [1.0], "when": "2026-11-30"}),
        (Typed, {"frame": pd.DataFrame({"a": [1]})}, {"frame": [{"a": 1}]}),
        (pd.DataFrame | None, None, None),
        (bytes, b"\xfb\xff", "+/8="),
        (Color, Color.RED, "red"),
        (set[int], {3}, [3]),
        (str, "\ud800", "\ufffd"),
    ],
    ids=range(15),
)
def test_a_result_of_an_annotated_type(kind: Any, value: Any, json: Any) -> None:
    assert result_of(value, kind) == json
    assert json_value(value, function_of(result=kind)) == json


@dataclasses.dataclass
class Raw:
    data: bytes
    more: list[Raw] = dataclasses.field(default_factory=list)


class RawTyped(typing.TypedDict):
    data: bytes


class RawNamed(NamedTuple):
    data: bytes


class RawModel(pydantic.BaseModel):
    data: bytes


@pytest.mark.parametrize(
    ("kind", "value", "json"),
    [
        (Raw, Raw(b"abc", [Raw(b"\xfb\xff")]), {"data": "YWJj", "more": [{"data": "+/8=", "more": []}]}),
        (list[RawTyped], [{"data": b"abc"}], [{"data": "YWJj"}]),
        (dict[str, RawNamed] | None, {"a": RawNamed(b"abc")}, {"a": ["YWJj"]}),
        (RawModel, RawModel(data=b"abc"), {"data": "abc"}),
    ],
    ids=range(4),
)
def test_bytes_are_base64_wherever_they_are_but_in_models(kind: Any, value: Any, json: Any) -> None:
    assert result_of(value, kind) == json
    assert result_of(value) == json


def test_bytes_in_a_model_that_are_no_text_are_an_error_that_says_what_to_do() -> None:
    for kind in (RawModel, Any):
        with pytest.raises(UnusableOutput, match="ser_json_bytes"):
            result_of(RawModel(data=b"\xff"), kind)


def test_a_schema_tells_what_is_in_a_dataclass() -> None:
    schema = function_of(result=Report).output_schema
    assert schema is not None
    assert schema["$defs"]["Report"]["properties"]["table"]["items"] == {"type": "object"}
    model = function_of(result=Model).output_schema
    assert model is not None
    assert list(model["$defs"]["Model"]["properties"]) == ["weights", "when"]


def test_what_refers_to_itself_is_the_functions_error() -> None:
    endless: list[Any] = []
    endless.append(endless)
    for kind in (Any, list):
        with pytest.raises(UnusableOutput, match="refers to itself"):
            result_of(endless, kind)


def test_what_json_cannot_hold_is_named_wherever_it_is() -> None:
    for value in ({"a": [object()]}, [object()], object()):
        with pytest.raises(UnusableOutput, match=r"The function gave a value of type object"):
            result_of(value)


class Tensor:
    """As torch's and JAX's are."""

    shape = (2,)

    def tolist(self) -> list[float]:
        return [1.0, float("nan")]


def test_tensors_of_other_libraries() -> None:
    assert result_of({"a": Tensor()}) == {"a": [1.0, None]}
    assert result_of(Tensor(), Tensor) == [1.0, None]


def test_an_item_of_a_stream() -> None:
    assert to_json({"a": np.ones(1)}) == '{"a":[1.0]}'


class Aliased(pydantic.BaseModel):
    size: int = pydantic.Field(alias="Size")
    inner: Aliased | None = pydantic.Field(default=None, serialization_alias="in")


def test_a_result_has_the_names_that_its_schema_has() -> None:
    made = Aliased(Size=1, inner=Aliased(Size=2))
    wanted = {"Size": 1, "in": {"Size": 2, "in": None}}
    assert json_value(made, function_of(result=Aliased)) == wanted
    assert json_value(made, function_of(result=Any)) == wanted
    assert json_value([made], function_of(result=list[Aliased])) == [wanted]
    schema = function_of(result=Aliased).output_schema
    assert schema is not None
    assert sorted(schema["$defs"]["Aliased"]["properties"]) == ["Size", "in"]
