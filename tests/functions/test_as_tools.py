"""Typed functions as tools: what agents are told of them, how they are called, and what goes wrong in a call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import HTTPException
from pydantic import AfterValidator

from portico.errors import UnusableOutput
from portico.functions.as_tools import tool_of, tools_of
from portico.functions.given import Progress, User
from portico.functions.mark import tool
from portico.functions.signature import typed_function
from portico.tools.tool import Tool, ToolCaller, ToolResult
from tests.tools.served import run

NOBODY = ToolCaller(headers=[])


def predict(area: float, rooms: int = 2) -> float:
    """Price of a flat.

    Args:
        area: square metres
    """
    return area * 1000 * rooms


def made(function: Any, report: Any = None) -> Tool:
    return tool_of(typed_function(function), report)


def called(
    function: Any, caller: ToolCaller = NOBODY, report: Any = lambda error: None, **arguments: Any
) -> ToolResult:
    results: list[ToolResult] = []

    async def test() -> None:
        results.append(await made(function, report).call(arguments, caller))

    run(test())
    return results[0]


def text(result: ToolResult) -> str:
    (block,) = result.content
    return str(block["text"])


def test_what_agents_are_told() -> None:
    definition = made(predict).definition()
    assert definition["title"] == "Predict"
    assert definition["description"] == "Price of a flat."
    assert definition["inputSchema"]["properties"]["area"]["description"] == "square metres"
    assert definition["inputSchema"]["required"] == ["area"]
    assert definition["outputSchema"]["properties"] == {"result": {"type": "number"}}


def test_hints_are_passed_on_and_some_functions_are_not_told_of() -> None:
    @tool(read_only=True, destructive=False, name="price")
    def one() -> int:
        return 1

    @tool(agents=False)
    def other() -> int:
        return 1

    (listed,) = tools_of([typed_function(one), typed_function(other)])
    assert listed.name == "price"
    assert listed.annotations == {"readOnlyHint": True, "destructiveHint": False}


def test_a_call() -> None:
    result = called(predict, area=2)
    assert (result.is_error, result.structured, text(result)) == (False, {"result": 4000.0}, "4000.0")


def test_wrong_arguments_are_named_and_not_repeated() -> None:
    result = called(predict, area="a secret", rooms=[1], floors=3)
    assert result.is_error
    told = text(result)
    assert told.startswith("predict cannot be called with these arguments:\n- area: Input should be a valid number")
    assert "\n- rooms: " in told
    assert "\n- floors: " in told
    assert "secret" not in told
    assert "- area: Field required" in text(called(predict))


def test_what_is_wrong_inside_an_argument_is_named() -> None:
    def function(points: list[dict[str, int]]) -> int:
        return len(points)

    assert "- points.1.x: " in text(called(function, points=[{"x": 1}, {"x": "y"}]))


def test_of_many_wrong_arguments_some_are_told() -> None:
    def function(numbers: list[int]) -> int:
        return 1

    assert len(text(called(function, numbers=["x"] * 900))) < 5000
    assert "numbers.19: " in text(called(function, numbers=["x"] * 900))
    assert "- numbers.0: " in text(called(function, numbers=["x"] * 20_000))  # of what is large, the first
    assert len(text(called(function, **{"x" * 100_000: 1}))) < 1000


def test_a_failure_is_told_without_its_traceback() -> None:
    shown: list[BaseException] = []

    def function() -> int:
        raise ValueError("too few\nrooms")

    result = called(function, report=shown.append)
    assert (result.is_error, text(result)) == (True, "ValueError: too few rooms")
    assert [str(error) for error in shown] == ["too few\nrooms"]


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit()])
def test_whatever_a_function_raises_is_its_calls_failure(error: BaseException) -> None:
    def function() -> int:
        raise error

    assert called(function).is_error


def test_an_http_exception_says_what_its_author_wrote() -> None:
    def function() -> int:
        raise HTTPException(404, "There is no such flat.")

    result = called(function)
    assert (result.is_error, text(result)) == (True, "There is no such flat.")


def test_a_result_that_cannot_be_told_is_a_failure_and_its_author_hears_of_it() -> None:
    shown: list[BaseException] = []

    def function() -> int:
        return "no"  # type: ignore[return-value]

    result = called(function, report=shown.append)
    assert result.is_error
    assert "not what its annotation says" in text(result)
    assert [type(error) for error in shown] == [UnusableOutput]


def test_what_a_function_is_given_comes_from_the_request_alone() -> None:
    def function(user: User, note: str = "") -> str:
        return f"{user.id} {user.access}"

    caller = ToolCaller(headers=[(b"x-user", b"bob")], identity={"access": "key", "key_id": "ada"})
    assert text(called(function, caller)) == "ada key"
    forged = called(function, caller, user={"id": "root"})
    assert forged.is_error
    assert "user" not in made(function).input_schema["properties"]


def test_progress_is_told_from_threads_too() -> None:
    told: list[tuple[float, float | None, str | None]] = []

    def function(progress: Progress) -> int:
        progress(1, 2, "half")
        return threading.get_ident()

    def listener(done: float, total: float | None, message: str | None) -> None:
        told.append((done, total, message))

    called(function, ToolCaller(headers=[], progress=listener))
    assert told == [(1, 2, "half")]


def test_a_file_is_there_while_the_function_runs(tmp_path: Path) -> None:
    paths: list[Path] = []

    def function(file: Path) -> int:
        paths.append(file)
        return len(file.read_bytes())

    assert called(function, file="YWJj").structured == {"result": 3}
    assert not paths[0].exists()


def test_a_generator_is_joined_and_its_failure_told() -> None:
    def function(fail: bool = False) -> Iterator[str]:
        yield "a"
        if fail:
            raise ValueError("halfway")
        yield "b"

    assert text(called(function)) == "ab"
    result = called(function, fail=True)
    assert (result.is_error, text(result)) == (True, "ValueError: halfway")


def test_who_cancels_the_call_stops_the_function() -> None:
    stopped = threading.Event()

    def function() -> Iterator[str]:
        try:
            while True:
                yield "x"
        finally:
            stopped.set()

    async def test() -> None:
        call = asyncio.ensure_future(made(function).call({}, NOBODY))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await asyncio.to_thread(stopped.wait, 1.0)

    run(test())


def test_one_that_is_busy_says_so() -> None:
    @tool(concurrency=1)
    async def function() -> int:
        await asyncio.sleep(0)
        return 1

    async def test() -> None:
        one = made(function)
        results = await asyncio.gather(*(one.call({}, NOBODY) for _ in range(200)))
        refused = [result for result in results if result.is_error]
        assert 0 < len(refused) < 200
        assert all("wait" in text(result) for result in refused)

    run(test())


def test_what_the_code_of_a_type_raises_is_a_result_and_shown_to_the_author() -> None:
    def check(value: str) -> str:
        raise KeyError(value)

    def take(value: Annotated[str, AfterValidator(check)]) -> str:
        return value

    seen: list[BaseException] = []
    result = called(take, report=seen.append, value="x")
    assert result.is_error
    assert text(result) == "KeyError: 'x'"
    assert [type(error) for error in seen] == [KeyError]
