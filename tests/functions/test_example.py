"""Examples of calls: what is shown to be pasted is what the function takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from portico.functions.calling import validate
from portico.functions.example import arguments_of, files_of
from portico.functions.signature import typed_function


class City(Enum):
    BERN = "Bern"


@dataclass
class Point:
    x: float
    y: float = 0


class Flat(BaseModel):
    area: Annotated[float, Field(gt=10)]
    rooms: list[Point]
    city: City = City.BERN


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


class Chain(BaseModel):
    """Each has a further one: there is no last."""

    next: Chain | None


class Entry(TypedDict):
    key: str
    value: int


def several(area: float, city: City, when: date, flat: Flat, entry: Entry, tags: list[str], rooms: int = 2) -> None: ...


def bounded(
    share: Annotated[float, Field(ge=0, le=0.5)],
    most: Annotated[int, Field(lt=1)],
    step: Annotated[int, Field(ge=7, multiple_of=5)],
    code: Annotated[str, Field(min_length=6, max_length=8)],
    short: Annotated[str, Field(max_length=2)],
    pair: tuple[int, str],
    three: Annotated[list[int], Field(min_length=3)],
) -> None: ...


def kinds(
    a: Literal["x", "y"], b: int | None, c: str | int, d: bool, e: None, f: UUID, g: datetime, h: Decimal
) -> None: ...


def nested(tree: Tree, table: dict[str, float], any_value, matrix: list[list[float]]) -> None:  # type: ignore[no-untyped-def]
    ...


def shown(area: Annotated[float, Field(examples=[70])], kind: Annotated[str, Field(default="flat")]) -> None: ...


def optional(area: float = 70.0, rooms: int = 2) -> None: ...


def nothing() -> None: ...


@pytest.mark.parametrize("function", [several, bounded, kinds, nested, shown, optional, nothing])
def test_an_example_is_what_the_function_takes(function: Callable[..., Any]) -> None:
    typed = typed_function(function)
    made = arguments_of(typed)
    validate(typed, json.loads(json.dumps(made)))


def test_an_example_has_what_must_be_given_or_else_one_thing() -> None:
    assert list(arguments_of(typed_function(several))) == ["area", "city", "when", "flat", "entry", "tags"]
    assert arguments_of(typed_function(optional)) == {"area": 70.0}
    assert arguments_of(typed_function(nothing)) == {}
    assert arguments_of(typed_function(shown)) == {"area": 70}
    assert files_of(typed_function(several)) == ()


def endless(
    chain: Chain,
    text: Annotated[str, Field(min_length=10**9)],
    many: Annotated[list[int], Field(min_length=10**9)],
) -> None: ...


def test_what_has_no_end_and_what_is_too_long_is_cut() -> None:
    assert len(json.dumps(arguments_of(typed_function(endless)))) < 1000
