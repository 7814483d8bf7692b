"""What `take` makes of ours: who claims what, and what is said of a thing that nobody claims."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

import flask
import pytest
from fastapi import APIRouter, FastAPI

import portico
from portico.adapters import TakeOptions
from portico.adapters.take import take
from portico.errors import InvalidOption, NotServable
from portico.models import ChatServer, chat_server


def reply(messages: list[dict[str, str]]) -> str:
    return "hello"


@portico.model("cat")
def cat(messages: list[dict[str, str]]) -> str:
    return "meow"


class Lies:
    """It gives another class than its own, as mocks with a ``spec`` do."""

    __class__ = ChatServer  # type: ignore[assignment]


class RaisesAtEachName:
    def __getattr__(self, name: str) -> Any:
        raise KeyError(name)

    def __repr__(self) -> str:
        raise RuntimeError("it has no text either")


class RaisesAtAll:
    def __getattribute__(self, name: str) -> Any:
        raise ValueError(name)


class Exits:
    def __getattr__(self, name: str) -> Any:
        raise SystemExit(name)

    def __repr__(self) -> str:
        raise SystemExit


class Meta(type):
    def __getattribute__(cls, name: str) -> Any:
        raise ValueError(name)


class RaisesAsAClass(metaclass=Meta): ...


class HasEveryName:
    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self


@pytest.mark.parametrize(
    ("thing", "kind", "models", "how"),
    [
        (FastAPI(), "app", (), "FastAPI, an ASGI app"),
        (APIRouter(), "app", (), "APIRouter, an ASGI app"),
        (flask.Flask("empty"), "app", (), "Flask, a WSGI app"),
        (cat, "chat", ("cat",), "chat model cat"),
        ([cat], "chat", ("cat",), "chat model cat"),
        ({"a": cat, "b": reply}, "chat", ("a", "b"), "chat model a, b"),
        (chat_server({"x": reply}), "chat", ("x",), "chat model x"),
        (
            {f"m{number}": reply for number in range(9)},
            "chat",
            tuple(f"m{n}" for n in range(9)),
            "9 models, m0, m1, m2",
        ),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
def test_ours_are_taken_by_what_they_are(thing: Any, kind: str, models: tuple[str, ...], how: str) -> None:
    taken = take(thing)
    assert (taken.kind, tuple(taken.models), taken.how.startswith(how)) == (kind, models, True), taken.how
    assert taken.tools.names == tuple(taken.capabilities) == ()


def test_what_is_asked_for_comes_first() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    assert take(reply, TakeOptions(by="chat")).models == ("reply",)
    assert take(app).kind == "app"
    assert take(app, TakeOptions(by="chat")).kind == "chat"
    assert take({"index": reply}).kind == "chat"
    assert take({"index": reply}, TakeOptions(by="event_functions")).how == "functions of events"


def test_options_that_there_are_not_are_refused_for_any_kind() -> None:
    for thing in (FastAPI(), cat):
        with pytest.raises(InvalidOption, match="'root_path' or 'strip', not 'prefix'"):
            take(thing, TakeOptions(mount="prefix"))
        with pytest.raises(InvalidOption, match="threads is a number from 1 to"):
            take(thing, TakeOptions(threads=0))
        with pytest.raises(InvalidOption, match="by chat or event_functions, not by 'dog'"):
            take(thing, TakeOptions(by="dog"))


@pytest.mark.parametrize(
    ("thing", "says"),
    [
        (42, r"^42 \(of type int\) is no app\. What can be served: a function, a list or dict of functions, "),
        (None, r"^None \(of type NoneType\) is no app"),
        ("x" * 100, r"^'x+\.\.\. \(of type str\) is no app"),
        (FastAPI, r"\(of type type\) is callable, but not as an app is\. It is a class: serve an object of it"),
        (object(), r"^<object object at .* is no app"),
        (MagicMock(), r"^<MagicMock id=.* \(of type unittest.mock.MagicMock\) is callable, but not as an app is"),
        (MagicMock(spec=ChatServer), r"^<MagicMock spec='ChatServer'"),
        (MagicMock(spec=dict), r"^<MagicMock spec='dict'"),
        (Lies(), r"^<.*Lies.* is no app"),
        (RaisesAtEachName(), r"^<RaisesAtEachName> \(of type .*RaisesAtEachName\) is no app"),
        (RaisesAtAll(), r"^<.*RaisesAtAll object at .* \(of type .*RaisesAtAll\) is no app"),
        (Exits(), r"^<Exits> \(of type .*Exits\) is no app"),
        (RaisesAsAClass, r"^<class .*RaisesAsAClass'> \(of type .*Meta\) is callable, but not as an app is"),
        (RaisesAsAClass(), r"^<.*RaisesAsAClass object at .* is no app"),
        (HasEveryName(), r"is callable, but not as an app is"),
        ([], r"^\[\] \(of type list\) is no app"),
        ({}, r"^{} \(of type dict\) is no app"),
        ({"a": {"b": reply}}, r"\(of type dict\) is no app"),
    ],
    ids=lambda value: type.__dict__["__name__"].__get__(type(value)),
)  # fmt: skip
def test_what_is_nothing_that_can_be_served_is_told_what_would_be(thing: Any, says: str) -> None:
    with pytest.raises(NotServable, match=says):
        take(thing)


def test_a_dict_that_holds_itself_is_refused() -> None:
    ring: dict[str, Any] = {}
    ring["ring"] = ring
    with pytest.raises(NotServable, match="is no app"):
        take(ring)


def test_a_class_whose_objects_would_not_do_either_is_not_said_to_need_one() -> None:
    class Untyped:
        def price(self, area):  # type: ignore[no-untyped-def]
            return area

    with pytest.raises(NotServable, match=r"Not served: Untyped\.price\. It says no types") as raised:
        take(Untyped)
    assert "serve an object of it" not in str(raised.value)


def choices(thing: Any) -> str:
    """What could be served instead, as the refusal of *thing* has it."""
    with pytest.raises(NotServable) as raised:
        take(thing)
    return str(raised.value).partition("What can be served: ")[2]


def test_the_nearest_is_named_first() -> None:
    assert choices(FastAPI).startswith("an ASGI app")
    assert choices(MagicMock()).startswith("a function")
    assert choices({"a": FastAPI}).startswith("a function, a list or dict of functions, an object with typed methods")
