"""What is wrong is found in bounded time and memory; what is right is read alike, small or large."""

import time
from dataclasses import dataclass
from typing import Any, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from portico.functions import mistakes
from portico.functions.calling import validate
from portico.functions.signature import typed_function
from tests.functions.visiting import run, server


class Node(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int
    b: str
    children: list["Node"] = []


@dataclass
class Point:
    x: float


class Named(TypedDict):
    name: str


def take(
    nodes: list[Node] = [],  # noqa: B006
    table: dict[str, int] | None = None,
    mixed: list[int | Point | list[str]] | None = None,
    named: list[Named] | None = None,
    pair: tuple[int, ...] = (),
    flags: set[int] | None = None,
) -> None:
    pass


TYPED = typed_function(take)
MANY = 200_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"nodes": [{}] * MANY},
        {"nodes": [{"a": 1, "b": "x", "children": [{}] * MANY}]},
        {"nodes": [{str(number): 1 for number in range(MANY)}]},
        {"table": {str(number): "x" for number in range(MANY)}},
        {"mixed": [None] * MANY},
        {"mixed": [[1] * MANY]},
        {"named": [{}] * MANY},
        {"pair": ["x"] * MANY},
        {"flags": ["x"] * MANY},
        {str(number): 1 for number in range(MANY)},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_body_full_of_mistakes_has_few(wrong):
    began = time.thread_time()
    with pytest.raises(ValidationError) as caught:
        validate(TYPED, wrong)
    assert caught.value.error_count() < 20
    assert time.thread_time() - began < 0.2


def test_a_visitor_is_told_of_the_first():
    answer = run(server(take), body={"table": {str(number): "x" for number in range(5000)}})
    assert answer.status == 422
    assert [one["loc"] for one in answer.json["detail"]] == [["body", "table", "0"]]


def test_every_mistake_of_what_is_small_is_named():
    with pytest.raises(ValidationError) as caught:
        validate(TYPED, {"pair": ["x"] * 900})
    assert caught.value.error_count() == 900


def nodes(depth: int) -> st.SearchStrategy[dict[str, Any]]:
    inner = st.lists(nodes(depth - 1), max_size=3) if depth else st.just([])
    return st.fixed_dictionaries({"a": st.integers(), "b": st.text()}, optional={"children": inner})


BODIES = st.fixed_dictionaries(
    {},
    optional={
        "nodes": st.lists(nodes(2), max_size=4),
        "table": st.none() | st.dictionaries(st.text(), st.integers() | st.text(max_size=1), max_size=4),
        "mixed": st.lists(st.integers() | st.fixed_dictionaries({"x": st.floats()}) | st.lists(st.text()), max_size=4),
        "named": st.lists(st.fixed_dictionaries({"name": st.text()}), max_size=4),
        "pair": st.lists(st.integers(), max_size=4),
        "other": st.integers(),
    },
)


@given(BODIES)
def test_what_is_right_is_read_alike_and_what_is_wrong_is_refused_alike(body):
    """Whatever comes, both validators give the same, or both refuse it."""

    def read(small: int) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mistakes, "SMALL", small)
            try:
                return repr(validate(TYPED, body))
            except ValidationError as error:
                return error.errors()[0]["loc"][0]

    assert read(10**6) == read(-1)


def test_a_large_body_that_is_right():
    assert validate(TYPED, {"pair": list(range(100_000))}) == ([], {"pair": tuple(range(100_000))})


def test_sizes_are_counted_at_any_depth():
    assert mistakes.is_small({"a": [1] * 900, "b": {"c": [1] * 50}})
    assert not mistakes.is_small({"a": [[1] * 10] * 100})
    assert not mistakes.is_small({str(number): 1 for number in range(1001)})
    assert mistakes.is_small({"a": "x" * 10_000})
