"""What a function may ask for that callers cannot set: the request's headers, who calls, a way to say how far it is.

Such a parameter is known by its annotation: ``headers: Headers`` (starlette's), ``user: User``,
``progress: Progress``, ``cancel: Cancel``; each also as ``... | None``. Without one it is known by a default of that
type, as in ``progress=Progress()``; never by its name. It is in no schema.

Here: these types, and what a call is given. Not here: how they reach the function (`calling`).
"""

from __future__ import annotations

import asyncio
import logging
import math
import types
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from portico.calls.run import Cancel
from portico.errors import InvalidOption
from portico.functions.typed import Role
from portico.packages import loaded

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

log = logging.getLogger(__name__)

Listener = Callable[[float, float | None, str | None], object]
"""Told how far a call is: how much is done, of how much (None if that is unknown), and a message. Never waits."""

_AHEAD = 100
"""Steps that a function on a thread may be ahead of who listens; of more, the oldest are not told."""


@dataclass(frozen=True, slots=True)
class User:
    """Who calls a function, as the hub has verified it: no header and no field of the request can set it.

    A parameter that is annotated with it gets it: ``def predict(area: float, user: portico.User)``.
    """

    id: str = ""
    """The user's, or the key's; empty for anybody else."""
    name: str = ""
    """The user's; may be empty."""
    access: str = "anonymous"
    """``user``, ``key``, or ``anonymous``: nobody is logged in, or no hub stands before the function."""
    email: str = ""
    """The user's, where the hub knows it."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """No JSON makes one: inside other types it is refused as one that callers cannot send."""
        from pydantic_core import core_schema

        return core_schema.is_instance_schema(cls)


def user_of(identity: Mapping[str, Any] | None) -> User:
    """Who that is, of what a hub says in ``scope["extensions"]["portico"]``."""
    access = identity.get("access") if identity else None
    if identity and access == "user" and isinstance(user := identity.get("user"), Mapping):
        return User(
            str(user.get("id", "")),
            str(user.get("name", "")),
            "user",
            str(user.get("email", "")),
        )
    if identity and access == "key":
        return User(str(identity.get("key_id", "")), "", "key")
    return User()


class Progress:
    """Says how far a call is, to whoever waits for it: ``progress(0.5)``, ``progress(3, 10, "reading")``.

    May be called from any thread, and never waits. Once the caller has left it raises `asyncio.CancelledError`, so
    that a function that says how far it is ends.
    """

    __slots__ = ("_cancel", "_listener", "_loop", "_scheduled", "_steps")

    def __init__(self, listener: Listener | None = None, cancel: Cancel | None = None) -> None:
        """*listener* is told on the running event loop; None where nobody listens."""
        self._listener = listener
        self._cancel = cancel
        self._loop = asyncio.get_running_loop() if listener is not None else None
        self._steps: deque[tuple[float, float | None, str | None]] = deque(maxlen=_AHEAD)
        self._scheduled = False

    def __call__(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """*done* of *total*, and what is being done.

        Without *total*, a float from 0 to 1 is a fraction; of any other number it is not known how much is to do.
        Raises `InvalidOption` for what is no number.
        """
        if self._cancel is not None and self._cancel.is_set():
            raise asyncio.CancelledError("the caller has left")
        if total is None and isinstance(done, float) and 0 <= done <= 1:
            total = 1.0
        step = (_number(done), None if total is None else _number(total), None if message is None else str(message))
        if self._loop is None:
            return
        self._steps.append(step)
        if _running_loop() is self._loop:
            self.tell()
        elif not self._scheduled:
            self._scheduled = True
            try:
                self._loop.call_soon_threadsafe(self.tell)
            except RuntimeError:  # the loop is closed, so nobody listens any more
                pass

    def tell(self) -> None:
        """Tell what has come so far, on the event loop."""
        self._scheduled = False
        while self._steps:
            step = self._steps.popleft()
            if self._listener is None:
                continue
            try:
                self._listener(*step)
            except Exception:  # who listens is not the function, which is not to fail by it
                log.exception("A listener to a function's progress failed")

    def end(self) -> None:
        """Tell the last, on the event loop; what comes after it is told to nobody."""
        self.tell()
        self._listener = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What is known of the request that a call comes of."""

    headers: Sequence[tuple[bytes, bytes]] = ()
    """As they came."""
    identity: Mapping[str, Any] | None = None
    """The caller as the hub has verified it: ``scope["extensions"]["portico"]``."""
    progress: Listener | None = None
    """Told on the event loop how far the call is. None where nobody listens."""
    report: Callable[[BaseException], object] | None = None
    """Shows the function's author what it has raised. None for Portico's own logger."""


NOTHING_GIVEN = Given()


def role_of(annotation: Any) -> Role | None:
    """What a parameter with this annotation is given by us; None if callers give it."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [one for one in get_args(annotation) if one is not type(None)]
        return role_of(inner[0]) if len(inner) == 1 else None
    if annotation is User:
        return "user"
    if annotation is Progress:
        return "progress"
    if annotation is Cancel:
        return "cancel"
    headers = loaded("starlette.datastructures", "Headers")
    return "headers" if headers is not None and annotation is headers else None


def holds_role(annotation: Any) -> bool:
    """Whether a part of the type is what only we give: ``list[User]``, ``User | str``."""
    if get_origin(annotation) is Literal:
        return False
    inner = get_args(annotation)[:1] if get_origin(annotation) is Annotated else get_args(annotation)
    return any(role_of(one) is not None or holds_role(one) for one in inner)


def headers_of(headers: Sequence[tuple[bytes, bytes]]) -> Any:
    """Starlette's Headers of a request's."""
    from starlette.datastructures import Headers  # the function names it, so it is imported

    return Headers(raw=list(headers))


def _number(value: Any) -> float:
    if isinstance(value, int | float) or hasattr(type(value), "__float__"):
        number = float(value)
        if math.isfinite(number):
            return number
    raise InvalidOption(f"Progress is told in finite numbers, not {value!r:.60}.")


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
