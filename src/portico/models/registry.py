"""Which models a server has: the `model` decorator, the table of ids, and how a function is swapped while it is served.

Here: names, kinds and functions. Not here: how a function is called (`injection`, `portico.calls.run`).
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeVar, overload, runtime_checkable

from portico.errors import APIError, InvalidOption, InvalidRequest, ModelNotFound, NotServable

Function = Callable[..., Any]
F = TypeVar("F", bound=Function)
Kind = Literal["chat", "embedding"]

_MARK = "__portico_model__"


@runtime_checkable
class Tokenizer(Protocol):
    """What ``tokenizer=`` takes, unless it is a function from a text to its number of tokens or to the tokens."""

    def encode(self, text: str, /) -> Any: ...


AnyTokenizer = Tokenizer | Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known of a model beside its function."""

    id: str
    kind: Kind = "chat"
    tokenizer: AnyTokenizer | None = None
    owned_by: str = "portico"


class Live:
    """A function that is looked up anew for each request, so that re-running its cell swaps the model.

    ``Live(lambda: namespace["cat"])``: *resolve* takes nothing and returns the current function. While it raises
    `NameError`, `KeyError` or `AttributeError`, or returns None, clients get 503.
    """

    def __init__(self, resolve: Callable[[], Function | None]) -> None:
        self.resolve = resolve


Servable = Function | Live
Models = Servable | Mapping[str, Servable] | Iterable[Servable]


@overload
def model(id: F, /) -> F: ...
@overload
def model(
    id: str | None = None,
    *,
    kind: Kind | None = None,
    embeddings: bool = False,
    tokenizer: AnyTokenizer | None = None,
    owned_by: str = "portico",
) -> Callable[[F], F]: ...
def model(
    id: Any = None,
    *,
    kind: Kind | None = None,
    embeddings: bool = False,
    tokenizer: AnyTokenizer | None = None,
    owned_by: str = "portico",
) -> Any:
    """Mark a function as a model; the function stays as it was and can be called as before.

    ``id`` is what clients ask for as ``model``, any text; by default the function's name. ``kind`` is ``"chat"``, or
    ``"embedding"`` for a function from a list of texts to their vectors (``embeddings=True`` says the same).
    ``tokenizer`` counts tokens: a function from a text to a number or to a list of tokens, or an object with
    ``encode``; where it is given, usage is exact and ``max_tokens`` is enforced. If it has ``decode`` too, clients may
    send token ids in the place of text. ``owned_by`` is shown in the list of models.

    Raises `InvalidOption` for an id that is no text, or an unknown kind.
    """
    if callable(id):
        return model()(id)
    if id is not None and (not isinstance(id, str) or not id.strip()):
        raise InvalidOption(f"A model's id is a text that is not empty, not {id!r}.")
    chosen = kind or ("embedding" if embeddings else "chat")
    if chosen not in ("chat", "embedding"):
        raise InvalidOption(f"A model's kind is 'chat' or 'embedding', not {kind!r}.")
    if embeddings and chosen == "chat":
        raise InvalidOption("embeddings=True and kind='chat' contradict each other.")

    def mark(function: F) -> F:
        if not callable(function):
            raise NotServable(f"A model is a function; {type(function).__name__} cannot be called.")
        info = ModelInfo(id or _name_of(function), chosen, tokenizer, owned_by)
        try:
            setattr(function, _MARK, info)
        except AttributeError:  # a bound method, a builtin, a class with slots: these take no attribute
            wrapped: Any = functools.partial(function)
            setattr(wrapped, _MARK, info)
            return wrapped  # type: ignore[no-any-return]
        return function

    return mark


def info_of(function: object) -> ModelInfo | None:
    """What `model` has noted on *function*, if it was decorated."""
    info = getattr(function, _MARK, None)
    return info if isinstance(info, ModelInfo) else None


def _name_of(function: Function) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", None)
    return name if name and name != "<lambda>" else "model" if name else type(function).__name__


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A row of the table: a model, its function (or how to find it) and when it was added (Unix seconds)."""

    info: ModelInfo
    servable: Servable
    created: int

    def function(self) -> Function:
        """The function as it is now. Raises `APIError` with status 503 where a `Live` one cannot be found."""
        if not isinstance(self.servable, Live):
            return self.servable
        try:
            found = self.servable.resolve()
        except (NameError, KeyError, AttributeError):  # the cell's variable was deleted
            found = None
        if not callable(found):
            raise APIError(
                f"The model {self.info.id!r} is not defined at the moment.",
                503,
                code="model_unavailable",
                param="model",
                retry_after=5,
            )
        return found


class ModelTable:
    """The models of one server, in the order in which they were given."""

    def __init__(self, models: Models, tokenizer: AnyTokenizer | None = None, may_be_empty: bool = False) -> None:
        self._tokenizer = tokenizer
        self._may_be_empty = may_be_empty
        self.entries: dict[str, ServedModel] = {}
        self.replace(models)

    def replace(self, models: Models) -> None:
        """Take *models* in place of the present ones. Requests that run go on with the function they began with."""
        entries: dict[str, ServedModel] = {}
        for id, servable in _pairs(models):
            if id in entries:
                raise InvalidOption(f"Two models have the id {id!r}; give each its own.")
            info = info_of(_peek(servable)) or ModelInfo(id)
            if info.tokenizer is None and self._tokenizer is not None:
                info = replace(info, tokenizer=self._tokenizer)
            old = self.entries.get(id)
            entries[id] = ServedModel(replace(info, id=id), servable, old.created if old else int(time.time()))
        if not entries and not self._may_be_empty:
            raise NotServable("There is no model to serve: give a function, or a dict of them.")
        self.entries = entries

    def find(self, id: Any, kind: Kind) -> ServedModel:
        """The model that a request asks for.

        *id* None or empty means that the body names none, which is fine where there is one model of that kind. Raises
        `InvalidRequest` (wrong type, wrong kind, none named) and `ModelNotFound`.
        """
        if id is None or id == "":
            of_kind = [entry for entry in self.entries.values() if entry.info.kind == kind]
            if len(of_kind) == 1:
                return of_kind[0]
            if id is None:
                raise InvalidRequest("You must provide a model parameter.", "model")
        if not isinstance(id, str):
            raise InvalidRequest(f"'model' must be a string, not {_json_type(id)}.", "model")
        entry = self.entries.get(id)
        if entry is None:
            known = ", ".join(repr(name) for name in list(self.entries)[:20])
            raise ModelNotFound(f"The model {id[:200]!r} does not exist. This server has: {known}.")
        if entry.info.kind != kind:
            what = "an embedding model" if kind == "chat" else "a chat model"
            raise InvalidRequest(f"{id!r} is {what}, which this endpoint cannot use.", "model", "wrong_model_kind")
        return entry


def _peek(servable: Servable) -> object:
    """The function behind a `Live` one if it is there yet, for what the decorator noted on it."""
    if not isinstance(servable, Live):
        return servable
    try:
        return servable.resolve()
    except (NameError, KeyError, AttributeError):
        return None


def _pairs(models: Models) -> list[tuple[str, Servable]]:
    if isinstance(models, Mapping):
        pairs = list(models.items())
    elif isinstance(models, Live) or callable(models):
        pairs = [(_id_of(models), models)]
    elif isinstance(models, Iterable) and not isinstance(models, str | bytes):
        pairs = [(_id_of(one), one) for one in models]
    else:
        raise NotServable(f"Models are a function, a dict or a list of functions, not {type(models).__name__}.")
    for id, servable in pairs:
        if not isinstance(id, str) or not id.strip():
            raise InvalidOption(f"A model's id is a text that is not empty, not {id!r}.")
        if not isinstance(servable, Live) and not callable(servable):
            raise NotServable(f"The model {id!r} is a {type(servable).__name__}, which cannot be called.")
    return pairs


def _id_of(servable: Servable) -> str:
    found = _peek(servable)
    info = info_of(found)
    if info is not None:
        return info.id
    if not callable(found):
        raise NotServable("A model needs a function, or an id: give a dict {id: function}.")
    return _name_of(found)


def _json_type(value: object) -> str:
    names = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return names.get(type(value), "null" if value is None else type(value).__name__)
