"""What is tried with values that are one of several types, and hold such values again, is bounded."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

from portico.functions.signature import typed_function
from tests.functions.test_as_tools import called, text
from tests.functions.visiting import run, server


class Add(BaseModel):
    kind: Literal["add"]
    left: Expression
    right: Expression | None = None


class Mul(BaseModel):
    kind: Literal["mul"]
    left: Expression
    right: Expression | None = None


@dataclass
class Neg:
    kind: Literal["neg"]
    left: Expression


Expression = Add | Mul | Neg | int


class One(BaseModel):
    kind: Literal["one"]
    inner: Annotated[One | Two, Field(discriminator="kind")] | None = None


class Two(BaseModel):
    kind: Literal["two"]
    inner: Annotated[One | Two, Field(discriminator="kind")] | None = None


class Linked(BaseModel):
    next: Linked | None = None


AnyJSON = TypeAliasType("AnyJSON", "list[AnyJSON] | dict[str, AnyJSON] | str | int | None")
Lists = TypeAliasType("Lists", "list[Lists] | tuple[Lists, ...] | set[Lists] | dict[str, Lists] | int")


def choices(kind: Any) -> int:
    def take(value: Any) -> None: ...

    take.__annotations__ = {"value": kind}
    return typed_function(take).passing.choices


@pytest.mark.parametrize(
    ("kind", "most"),
    [
        (Expression, 3),
        (list[Expression] | None, 3),
        (Lists, 3),
        (AnyJSON, 1),
        (One | Two, 1),
        (Linked, 1),
        (int | str | list[int] | tuple[int, ...], 1),
        (Any, 1),
    ],
    ids=str,
)
def test_how_many_choices_are_tried(kind: Any, most: int) -> None:
    assert choices(kind) == most


def chain(depth: int, innermost: Any) -> Any:
    for _ in range(depth):
        innermost = {"kind": "neg", "left": innermost}
    return innermost


def take(value: Expression) -> str:
    return type(value).__name__


@pytest.mark.parametrize("innermost", [1, "x"])
def test_a_value_that_would_take_hours_is_refused_at_once(innermost: Any) -> None:
    began = time.process_time()
    answer = run(server(take), body={"value": chain(40, innermost)})
    assert time.process_time() - began < 2
    assert answer.status == 422
    assert answer.json["detail"][0]["type"] == "too_deep"
    result = called(take, value=chain(40, innermost))
    assert result.is_error
    assert "too many lists and objects within each other" in text(result)


def test_what_is_not_so_deep_is_taken() -> None:
    assert run(server(take), body={"value": chain(8, 1)}).json == {"result": "Neg"}
    many = {"kind": "add", "left": chain(3, 1), "right": chain(4, 2)}
    assert run(server(take), body={"value": many}).json == {"result": "Add"}


def test_choices_that_are_told_apart_may_be_as_deep_as_any_json() -> None:
    def told(value: One | Two, more: AnyJSON = None) -> str:
        return type(value).__name__

    value: Any = {"kind": "one"}
    more: Any = []
    for _ in range(50):
        value, more = {"kind": "two", "inner": value}, [more]
    assert run(server(told), body={"value": value, "more": more}).json == {"result": "Two"}
