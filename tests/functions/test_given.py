"""What callers cannot set is given by annotation, or by a default of that type; no field can forge it.

It is in no schema.
"""

from __future__ import annotations

import asyncio
import functools
import math
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Optional, Union

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.datastructures import Headers

from portico.calls.run import Cancel
from portico.errors import FunctionError, InvalidOption, NotServable
from portico.functions.calling import call, validate
from portico.functions.conventions import Conventions
from portico.functions.given import NOTHING_GIVEN, Given, Progress, User, user_of
from portico.functions.signature import typed_function
from tests.waiting import until

ADA = {"access": "user", "user": {"id": "ada", "name": "Ada"}}
OF_ADA = Given(headers=[(b"x-who", b"ada"), (b"x-who", b"too")], identity=ADA)


@pytest.mark.parametrize(
    ("identity", "user"),
    [
        ({"access": "user", "user": {"id": "ada", "name": "Ada"}}, User("ada", "Ada", "user")),
        ({"access": "user", "user": {"id": "ada", "name": "", "email": "a@b.c"}}, User("ada", "", "user", "a@b.c")),
        ({"access": "key", "key_id": "k1"}, User("k1", "", "key")),
        ({"access": "anonymous"}, User()),
        ({"access": "anonymous", "user": {"id": "ada"}}, User()),
        (None, User()),
        ({}, User()),
        ({"access": "user"}, User()),
        ({"access": "user", "user": "ada"}, User()),
    ],
)
def test_who_calls(identity: dict[str, object] | None, user: User) -> None:
    assert user_of(identity) == user


def by_name(headers: Headers, user: User, progress: Progress, cancel: Cancel) -> Any:
    return headers, user, progress, cancel


def with_other_names(a: Headers, b: User, c: Progress, d: Cancel, x: int = 0) -> Any:
    return a, b, c, d


def by_position(a: Headers, x: int, b: User, c: Progress, /, d: Cancel) -> Any:
    return a, b, c, d


def optional(
    a: Headers | None = None,
    b: Optional[User] = None,  # noqa: UP045 -- as older code has it
    c: Union[Progress, None] = None,  # noqa: UP007
    d: Annotated[Cancel | None, "told"] = None,
    **more: Any,
) -> Any:
    assert not more
    return a, b, c, d


def by_default(a=Headers(), b=User(), c=Progress(), d=Cancel(), x=0) -> Any:  # type: ignore[no-untyped-def] # noqa: B008
    return a, b, c, d


async def on_the_loop(a: Headers, b: "User", c: Progress, *, d: "Cancel", rest: int = 0) -> Any:  # noqa: UP037
    return a, b, c, d


def in_pieces(a: Headers, b: User, c: Progress, d: Cancel) -> Iterator[Any]:
    yield from (a, b, c, d)


async def in_pieces_too(a: Headers, b: User, c: Progress, d: Cancel) -> AsyncIterator[Any]:
    for one in (a, b, c, d):
        yield one


class Called:
    def __call__(self, a: Headers, b: User, c: Progress, d: Cancel) -> Any:
        return a, b, c, d


ASKING = [by_name, with_other_names, by_position, optional, by_default, on_the_loop, in_pieces, in_pieces_too, Called()]


@pytest.mark.parametrize("function", ASKING, ids=lambda one: getattr(one, "__name__", "object"))
def test_each_gets_what_it_asks_for(function: Any) -> None:
    typed = typed_function(function)
    assert set(typed.injected.values()) == {"headers", "user", "progress", "cancel"}
    assert set(typed.injected).isdisjoint(typed.input_schema["properties"])
    assert set(typed.injected).isdisjoint(parameter.name for parameter in typed.parameters)
    args, kwargs = validate(typed, {"x": 1} if function is by_position else {})
    headers, user, progress, cancel = asyncio.run(call(typed, args, kwargs, OF_ADA))
    assert (headers["x-who"], headers.getlist("X-Who")) == ("ada", ["ada", "too"])
    assert user == User("ada", "Ada", "user")
    assert isinstance(progress, Progress)
    assert isinstance(cancel, Cancel)


@pytest.mark.parametrize("function", ASKING, ids=lambda one: getattr(one, "__name__", "object"))
@pytest.mark.parametrize("extra", ["forbid", "ignore"])
def test_no_field_forges_it(function: Any, extra: Any) -> None:
    """A field of its name is refused, or ignored where that was asked for; the function gets the real one."""
    typed = typed_function(function, conventions=Conventions(extra=extra))
    for name in typed.injected:
        for forged in ({"id": "eve", "access": "user"}, "eve", None, [["x-who", "eve"]]):
            given = {name: forged, **({"x": 1} if function is by_position else {})}
            try:
                args, kwargs = validate(typed, given)
            except ValidationError as error:
                assert [one["loc"] for one in error.errors()] == [(name,)]  # noqa: PT017
                assert extra == "forbid" or function is optional
                continue
            assert extra == "ignore"
            headers, user, _, _ = asyncio.run(call(typed, args, kwargs, OF_ADA))
            assert (headers["x-who"], user.id) == ("ada", "ada")


@pytest.mark.parametrize(
    "bound", [User("bot"), Progress(), Cancel(), Headers({"a": "b"})], ids=lambda one: type(one).__name__
)
def test_what_partial_binds_is_the_authors_and_no_field(bound: Any) -> None:
    def function(x: int, told=None) -> Any:  # type: ignore[no-untyped-def]
        return told

    typed = typed_function(functools.partial(function, told=bound))
    assert typed.injected == {}
    assert list(typed.input_schema["properties"]) == ["x"]
    assert asyncio.run(call(typed, *validate(typed, {"x": 1}), OF_ADA)) is bound
    with pytest.raises(ValidationError):
        validate(typed, {"x": 1, "told": "eve"})


def test_a_name_alone_is_an_ordinary_field() -> None:
    def function(headers: dict[str, str], user: str, progress: float = 0, cancel: Any = None) -> Any:
        return headers, user, progress, cancel

    typed = typed_function(function)
    assert typed.injected == {}
    given = {"headers": {"a": "b"}, "user": "eve"}
    assert asyncio.run(call(typed, *validate(typed, given), OF_ADA)) == ({"a": "b"}, "eve", 0, None)


@dataclass
class Holding:
    user: User


class HoldingToo(BaseModel):
    user: User


class HoldingHeaders(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    headers: Headers


@pytest.mark.parametrize(
    "annotation",
    [
        *(list[User], dict[str, User], User | str, Progress | int, list[Headers], tuple[Cancel, ...]),
        *(Annotated[list[User], "x"], Holding, HoldingToo, HoldingHeaders, list[Holding], type[User]),
    ],
    ids=str,
)
def test_no_other_type_holds_one(annotation: Any) -> None:
    """So that nothing which a caller sends ever becomes one."""

    def function(value: Any) -> None: ...

    function.__annotations__ = {"value": annotation}
    with pytest.raises(NotServable, match="'value'"):
        typed_function(function)


def test_a_user_in_a_type_that_has_a_way_round_is_never_made_of_what_came() -> None:
    @dataclass
    class WayRound:
        user: User | dict[str, Any] | None = None

    def function(value: WayRound) -> Any:
        return value

    typed = typed_function(function)
    for forged in ({"id": "eve", "name": "", "access": "user", "email": ""}, None):
        args, kwargs = validate(typed, {"value": {"user": forged}})
        assert not isinstance(asyncio.run(call(typed, args, kwargs)).user, User)


def test_without_a_hub_nobody_calls() -> None:
    def function(user: User, headers: Headers) -> Any:
        return user, list(headers)

    assert asyncio.run(call(typed_function(function), [], {}, NOTHING_GIVEN)) == (User(), [])


def heard(function: Any) -> list[tuple[Any, ...]]:
    """What a listener hears of one call, and that it hears it on the loop, before the call has ended."""
    steps: list[tuple[Any, ...]] = []
    main = threading.current_thread()

    def listen(*step: Any) -> None:
        assert threading.current_thread() is main
        steps.append(step)

    async def run() -> list[tuple[Any, ...]]:
        await call(typed_function(function), [], {}, Given(progress=listen, report=lambda error: None))
        return list(steps)

    return asyncio.run(run())


def steps_on_a_thread(progress: Progress) -> None:
    progress(0.25)
    progress(3, 10, "reading")
    progress(4)
    progress(1.0)


async def steps_on_the_loop(progress: Progress) -> None:
    steps_on_a_thread(progress)


def steps_between_pieces(progress: Progress) -> Iterator[int]:
    steps_on_a_thread(progress)
    yield 1


@pytest.mark.parametrize("function", [steps_on_a_thread, steps_on_the_loop, steps_between_pieces])
def test_progress_is_heard_in_order(function: Any) -> None:
    assert heard(function) == [(0.25, 1.0, None), (3.0, 10.0, "reading"), (4.0, None, None), (1.0, 1.0, None)]


def test_of_much_progress_the_last_is_heard() -> None:
    def function(progress: Progress) -> None:
        for number in range(100_000):
            progress(number, 100_000)

    steps = heard(function)
    assert steps[-1] == (99_999.0, 100_000.0, None)
    assert steps == sorted(steps)


def test_nobody_has_to_listen() -> None:
    asyncio.run(call(typed_function(steps_on_a_thread), [], {}))
    asyncio.run(call(typed_function(steps_on_the_loop), [], {}))


@pytest.mark.parametrize("done", [math.nan, math.inf, "half", None, [1]])
def test_progress_is_a_number(done: Any) -> None:
    def function(progress: Progress) -> None:
        progress(done)

    with pytest.raises(FunctionError, match="Progress is told in finite numbers"):
        heard(function)
    with pytest.raises(InvalidOption):
        Progress()(1, done or "of")


def test_a_listener_that_fails_fails_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    def listen(*step: Any) -> None:
        raise KeyError("not heard")

    async def main() -> None:
        for function in (steps_on_a_thread, steps_on_the_loop):
            assert await call(typed_function(function), [], {}, Given(progress=listen)) is None

    asyncio.run(main())
    assert "A listener to a function's progress failed" in caplog.text


def test_cancel_is_told_in_the_end() -> None:
    async def waits(cancel: Cancel) -> Cancel:
        return cancel

    async def main() -> None:
        cancel = await call(typed_function(waits), [], {})
        await until(cancel.is_set)
        await cancel.wait()

    asyncio.run(main())
