"""Chat and embedding models: functions that are marked as such, dicts and lists of them, or a server of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from portico.adapters.callables import called, chat_parameters, is_model, is_tool, what_is
from portico.adapters.looking import is_a
from portico.adapters.taken import Taken, TakeOptions
from portico.errors import NotServable

WORDS = "a function as a chat model (%serve name --chat)"

_NAMED = 5
"""Models that are named where people read of what is served: as many as fit a line."""


def claims(thing: Any) -> bool:
    """Whether *thing* is a chat model by its mark (``@portico.model``) or its parameters, or a list or dict of such."""
    if is_a(thing, dict):
        return bool(thing) and all(_is_one(value) for value in thing.values())
    if is_a(thing, (list, tuple)):
        return bool(thing) and all(what_is(one) == "chat" for one in thing)
    return _is_one(thing)


def _is_one(thing: Any) -> bool:
    return is_meant(thing) or what_is(thing) == "chat"


def is_meant(thing: Any) -> bool:
    """Whether *thing* was marked as a model by its author, or is a server of models."""
    from portico.models import ChatServer

    return is_a(thing, ChatServer) or is_model(thing)


def take(thing: Any, options: TakeOptions) -> Taken:
    """Make a server of the OpenAI API of *thing*. Raises `NotServable` for what is no function, or no models."""
    from portico.adapters import pipelines
    from portico.models import ChatServer, chat_server

    if pipelines.claims(thing):
        raise NotServable(
            "Serve a pipeline without --chat. An agent, and a wrapper with run_chat_completion, are chat models as "
            "they are; any other pipeline needs such a wrapper."
        )
    remarks = () if options.by else tuple(_guessed(thing))
    server = (
        thing
        if is_a(thing, ChatServer)
        else chat_server(thing, on_error=lambda error: options.report("the model", error))
    )
    ids = tuple(server.model_ids)
    return Taken(server, "chat", ids, _how(ids), (*remarks, *server.remarks))


def _guessed(thing: Any) -> Iterator[str]:
    """What its author is told of *thing*, which nobody said to be chat models. Raises `NotServable` if it is both."""
    parts = list(thing.values()) if is_a(thing, dict) else thing if is_a(thing, (list, tuple)) else [thing]
    for model in parts:
        if is_model(model):
            if is_tool(model):
                raise NotServable(
                    f"{called(model)} is marked with @portico.model and with @portico.tool: take one of the "
                    "two away, or add --chat (chat=True) to serve it as a chat model."
                )
        elif parameters := chat_parameters(model):
            yield (
                f"{called(model)} has {parameters}, so it is served as a chat model (as with --chat). "
                "To serve it as a function, mark it with @portico.tool."
            )


def _how(ids: tuple[str, ...]) -> str:
    """What is served, for people."""
    if len(ids) > _NAMED:
        return f"{len(ids)} models, {', '.join(ids[:_NAMED])} and others"
    return f"chat model {', '.join(ids)}"


def is_near(thing: Any) -> bool:
    """Whether *thing* would be a model if that were asked for: a function, or a dict or list that holds some."""
    if is_a(thing, (dict, list, tuple)):
        return any(map(inspect.isroutine, thing.values() if is_a(thing, dict) else thing))
    return inspect.isroutine(thing)
