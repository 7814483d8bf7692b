"""Dataclasses, TypedDicts, NamedTuples and models whose fields are arrays, tables or files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NotRequired, TypedDict

import numpy as np
import pandas as pd
import pydantic
import pytest
import typing_extensions

from portico.functions.values.annotations import annotation
from portico.functions.values.uploads import CallFiles
from tests.functions.values.functions import function_of, refusal, taken


@dataclasses.dataclass
class Data:
    weights: np.ndarray
    raw: bytes = b"x"
    tables: list[pd.DataFrame] = dataclasses.field(default_factory=list)
    number: int = 3
    made: str = dataclasses.field(init=False, default="here")


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    weights: Annotated[np.ndarray, pydantic.Field(description="of each")]
    number: int = pydantic.Field(3, gt=0)

    @pydantic.field_validator("weights")
    @classmethod
    def doubled(cls, value: np.ndarray) -> np.ndarray:
        return value * 2

    def total(self) -> float:
        return float(self.weights.sum())


class Typed(TypedDict):
    weights: np.ndarray
    number: NotRequired[int]


class TypedToo(typing_extensions.TypedDict):
    weights: np.ndarray


class Named(NamedTuple):
    weights: np.ndarray
    number: int = 3


class Holding(pydantic.BaseModel):
    path: Path


@dataclasses.dataclass
class Outer:
    inner: Data
    more: dict[str, Data] = dataclasses.field(default_factory=dict)


class Plain(pydantic.BaseModel):
    number: int


@dataclasses.dataclass
class Tree:
    number: int
    left: Tree | None = None


def test_a_dataclass() -> None:
    data = taken(Data, {"weights": [1, 2], "tables": [[{"a": 1}]], "raw": "aGVsbG8="})
    assert type(data) is Data
    assert (data.weights.tolist(), data.raw, data.number, data.made) == ([1, 2], b"hello", 3, "here")
    assert isinstance(data.tables[0], pd.DataFrame)
    outer = taken(Outer, {"inner": {"weights": [1]}, "more": {"a": {"weights": [2]}}})
    assert type(outer.more["a"]) is Data
    own = Data(np.ones(1))
    assert taken(Data, own) is own


def test_a_model_keeps_its_validators_and_methods() -> None:
    model = taken(Model, {"weights": [1, 2]})
    assert isinstance(model, Model)
    assert (model.total(), model.number) == (6.0, 3)
    assert function_of(Model).input_schema["$defs"]["Model"]["properties"]["weights"]["description"] == "of each"


@pytest.mark.parametrize("kind", [Typed, TypedToo])
def test_a_typed_dict(kind: Any) -> None:
    given = taken(kind, {"weights": [1]})
    assert (type(given), list(given), given["weights"].tolist()) == (dict, ["weights"], [1])


def test_a_named_tuple() -> None:
    named = taken(Named, [[1]])
    assert (type(named), named.weights.tolist(), named.number) == (Named, [1], 3)
    assert taken(Named, {"weights": [1], "number": 4}).number == 4


def test_a_path_in_a_model_is_a_file_too() -> None:
    with CallFiles() as files:
        assert taken(Holding, {"path": "aGVsbG8="}, files).path.read_bytes() == b"hello"
        assert "base64" in refusal(Holding, {"path": __file__}, files)


@pytest.mark.parametrize("kind", [Data, Model, Typed, Outer])
def test_the_field_that_is_wrong_is_named(kind: Any) -> None:
    given: dict[str, Any] = {"weights": [[1], [1, 2]]}
    with pytest.raises(pydantic.ValidationError) as refused:
        taken(kind, {"inner": given} if kind is Outer else given)
    (error,) = refused.value.errors()
    assert error["loc"] == (("value", "inner", "weights") if kind is Outer else ("value", "weights"))
    assert "same length" in error["msg"]


@pytest.mark.parametrize("kind", [Plain, Tree])
def test_classes_without_such_fields_are_pydantics_alone(kind: Any) -> None:
    assert annotation(kind) is None
