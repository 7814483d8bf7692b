"""Chat and embedding models: functions that are marked as such, dicts and lists of them, or a server of them."""

from __future__ import annotations

import inspect
from typing import Any

from portico.adapters.looking import is_a, look
from portico.adapters.taken import Taken, TakeOptions

WORDS = "a function as a chat model (%serve name --chat)"

_NAMED = 5
"""Models that are named where people read of what is served: as many as fit a line."""


def claims(thing: Any) -> bool:
    """Whether *thing* was marked as a model (``@portico.model``), or is a list of such, or a dict of functions."""
    if is_a(thing, dict):
        return bool(thing) and all(_is_one(value) or inspect.isroutine(value) for value in thing.values())
    if is_a(thing, (list, tuple)):
        return bool(thing) and all(_is_marked(one) for one in thing)
    return _is_one(thing)


def _is_one(thing: Any) -> bool:
    from portico.models import ChatServer

    return is_a(thing, ChatServer) or _is_marked(thing)


def _is_marked(thing: Any) -> bool:
    from portico.models.registry import info_of

    return look(info_of, thing, otherwise=None) is not None


def take(thing: Any, options: TakeOptions) -> Taken:
    """Make a server of the OpenAI API of *thing*. Raises `NotServable` for what is no function, or no models."""
    from portico.models import ChatServer, chat_server

    server = (
        thing
        if is_a(thing, ChatServer)
        else chat_server(thing, on_error=lambda error: options.report("the model", error))
    )
    ids = tuple(server.model_ids)
    return Taken(server, "chat", ids, _how(ids), tuple(server.remarks))


def _how(ids: tuple[str, ...]) -> str:
    """What is served, for people."""
    if len(ids) > _NAMED:
        return f"{len(ids)} models, {', '.join(ids[:_NAMED])} and others"
    return f"chat model {', '.join(ids)}"


def is_near(thing: Any) -> bool:
    """Whether *thing* would be a model if that were asked for: a function, or a dict or list that holds some."""
    if is_a(thing, (list, tuple)):
        return any(map(inspect.isroutine, thing))
    if is_a(thing, dict):
        return any(map(inspect.isroutine, thing.values()))
    return inspect.isroutine(thing)
