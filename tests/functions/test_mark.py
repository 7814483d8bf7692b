"""``@portico.tool`` notes what its author says, and leaves the function as it was."""

from __future__ import annotations

from portico.functions.mark import options_of, tool
from portico.functions.typed import FunctionOptions


def test_the_function_stays_as_it_was() -> None:
    @tool
    def add(one: int, other: int) -> int:
        return one + other

    @tool(name="plus", title="Plus", get=True, concurrency=1, read_only=True, destructive=False, agents=False)
    def add_too(one: int, other: int) -> int:
        return one + other

    assert add(1, 2) == add_too(1, 2) == 3
    assert options_of(add) == FunctionOptions()
    assert options_of(add_too) == FunctionOptions(
        name="plus",
        title="Plus",
        get=True,
        concurrency=1,
        tool=False,
        annotations={"readOnlyHint": True, "destructiveHint": False},
    )
    assert options_of(test_the_function_stays_as_it_was) is None
