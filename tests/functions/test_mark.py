"""``@portico.tool`` notes what its author says, and leaves the function as it was."""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
from typing import Any

import pytest
from pydantic import BaseModel

from portico.errors import InvalidName, InvalidOption, NotServable
from portico.functions.calling import call, validate
from portico.functions.mark import options_of, tool
from portico.functions.signature import typed_function
from portico.functions.typed import FunctionOptions


def test_the_function_stays_as_it_was() -> None:
    def plain(one: int, other: int) -> int:
        return one + other

    assert tool(plain) is plain
    assert options_of(plain) == FunctionOptions()
    assert plain(1, 2) == 3
    assert options_of(test_the_function_stays_as_it_was) is None


def test_what_its_author_says() -> None:
    @tool(
        name="plus",
        title="Plus",
        description="Adds.",
        get=True,
        concurrency=1,
        read_only=True,
        destructive=False,
        idempotent=True,
        open_world=False,
        agents=False,
    )
    def add(one: int, other: int) -> int:
        """Not this."""
        return one + other

    assert add(1, 2) == 3
    hints = {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": False}
    assert options_of(add) == FunctionOptions(
        name="plus",
        title="Plus",
        description="Adds.",
        get=True,
        concurrency=1,
        tool=False,
        annotations=hints,
    )
    typed = typed_function(add)
    assert (typed.name, typed.title, typed.description, typed.summary) == ("plus", "Plus", "Adds.", "Adds.")
    assert typed_function(add, "other").name == "other"


def made_elsewhere() -> Any:
    class Local(BaseModel):
        z: int

    @tool
    def function(one: Local, more: dict[str, list[Local]] = {}) -> Local:  # noqa: B006
        return one

    @tool
    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return function, wrapped


def test_local_types_are_known_after_the_function_that_defined_them_has_ended() -> None:
    for function in made_elsewhere():
        typed = typed_function(function)
        assert set(typed.input_schema["$defs"]) == {"Local"}
        assert asyncio.run(call(typed, *validate(typed, {"one": {"z": 3}}))).z == 3


class Things:
    @tool(name="of_it")
    def of_an_object(self, one: int) -> int:
        return one

    @tool(name="of_class")
    @classmethod
    def of_a_class(cls, one: int) -> int:
        return one

    @classmethod
    @tool(name="of_class_too")
    def of_a_class_too(cls, one: int) -> int:
        return one

    @tool(name="of_none")
    @staticmethod
    def of_none(one: int) -> int:
        return one

    @tool(name="later")
    async def later(self, one: int) -> int:
        return one


@tool(name="wrapped")
@functools.lru_cache
def cached(one: int) -> int:
    return one


class Slots:
    __slots__ = ()

    def __call__(self, one: int) -> int:
        return one


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (Things().of_an_object, "of_it"),
        (Things().of_a_class, "of_class"),
        (Things.of_a_class_too, "of_class_too"),
        (Things.of_none, "of_none"),
        (Things().later, "later"),
        (cached, "wrapped"),
        (tool(name="bound")(Slots().__call__), "bound"),
        (tool(name="slots")(Slots()), "slots"),
    ],
)
def test_whatever_can_be_called_can_be_marked(function: Any, name: str) -> None:
    typed = typed_function(function)
    assert typed.name == name
    assert asyncio.run(call(typed, *validate(typed, {"one": 3}))) == 3


def test_what_takes_no_attribute() -> None:
    assert typed_function(tool(name="root")(math.sqrt)).name == "root"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"name": "two words"}, InvalidName),
        ({"name": "mcp"}, InvalidName),
        ({"name": 3}, InvalidName),
        ({"title": 3}, InvalidOption),
        ({"description": ["x"]}, InvalidOption),
        ({"concurrency": 0}, InvalidOption),
        ({"concurrency": -1}, InvalidOption),
        ({"concurrency": True}, InvalidOption),
        ({"concurrency": 1.5}, InvalidOption),
        ({"get": "yes"}, InvalidOption),
        ({"agents": 1}, InvalidOption),
        ({"read_only": "no"}, InvalidOption),
    ],
)
def test_what_cannot_be_said(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        tool(**options)


def test_what_cannot_be_marked() -> None:
    with pytest.raises(InvalidOption, match="name='plus'"):
        tool("plus")  # type: ignore[call-overload]
    with pytest.raises(NotServable):
        tool(3)  # type: ignore[call-overload]
    with pytest.raises(NotServable):
        tool(name="x")([])  # type: ignore[type-var]


def test_hints_are_keyword_arguments_alone() -> None:
    parameters = list(inspect.signature(tool).parameters.values())
    assert [one.kind for one in parameters[1:]] == [inspect.Parameter.KEYWORD_ONLY] * (len(parameters) - 1)
