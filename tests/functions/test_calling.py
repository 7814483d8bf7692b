"""A call of a function: its result, its failure as its caller is told, and its turn."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from portico.errors import FunctionError
from portico.functions.calling import call, validate
from portico.functions.given import NOTHING_GIVEN, Given
from portico.functions.signature import typed_function


def called(function: Any, given: Given = NOTHING_GIVEN, /, **fields: Any) -> Any:
    typed = typed_function(function)
    return asyncio.run(call(typed, *validate(typed, fields), given))


def test_a_result() -> None:
    def double(number: int) -> int:
        return 2 * number

    assert called(double, number=3) == 6


def test_what_it_raises_is_told_in_one_line_and_its_author_has_the_exception() -> None:
    seen: list[BaseException] = []

    def fails() -> None:
        raise SystemExit("stop\nhere")

    with pytest.raises(FunctionError) as caught:
        called(fails, Given(report=seen.append))
    assert str(caught.value) == caught.value.detail == "SystemExit: stop here"
    assert [type(error) for error in seen] == [SystemExit]
