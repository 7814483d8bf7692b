"""What an adapter is given, and what it gives: the same for ours and for those of other packages."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from portico.adapters.wiring import NO_WIRING, Wiring
from portico.asgi.carrier import Report
from portico.asgi.wsgi import THREADS
from portico.card.state import CallState
from portico.protocol.offer import NO_TOOLS, ToolList
from portico.types import Scope

logger = logging.getLogger(__name__)


def _log(doing: str, error: BaseException) -> None:
    logger.error("%s", doing, exc_info=error)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOptions:
    """What was asked for besides the thing itself."""

    by: str = ""
    """The adapter of ours that was asked for (``--chat``): ``chat`` or ``event_functions``. Empty for any that fits."""
    name: str = ""
    """The service's."""
    title: str = ""
    """What its author calls it for people; empty if nothing was said."""
    mount: str | None = None
    """Where the app believes that it lives: ``root_path``, ``strip``, or None for what suits it (`asgi.mount`)."""
    threads: int = THREADS
    """How many requests a WSGI app works on at a time."""
    report: Report = _log
    """Shows an exception to the author, in the service's log: what the code was doing, and the exception."""
    context: Callable[[Scope], dict[str, Any]] | None = None
    """For ``event_functions``: what each is told of its caller."""
    require_context: bool = False
    """For ``event_functions``: whether each is given that as an argument of its own."""
    wiring: Wiring = NO_WIRING
    """For pipelines."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A thing made ready to be served, and what is said of it."""

    app: Any
    """An ASGI app. One that another package's adapter gives may be a WSGI app, too."""
    kind: str = "app"
    """What it is, in a word: ``app``, ``chat``, or another of at most 20 characters."""
    models: Sequence[str] = ()
    """The ids of its models."""
    how: str = ""
    """What was found, and how it is served, for people."""
    remarks: Sequence[str] = ()
    """What its author should be told of it."""
    tools: ToolList = NO_TOOLS
    """The tools that agents may call."""
    capabilities: Sequence[dict[str, Any]] = ()
    """What it can do that a request may ask for: sets of attributes, whose values are texts, numbers, booleans, and
    lists of these."""
    call: CallState | None = None
    """How a program calls it, as an example, if more is needed than its URL."""


class Adapter(Protocol):
    """Turns one kind of thing into an app. A module with these two functions is one, too."""

    def claims(self, thing: Any) -> bool:
        """Whether *thing* is of this kind. Others may take it in the end, so nothing of it is changed here."""

    def take(self, thing: Any, options: TakeOptions) -> Taken:
        """Make an app of *thing*, which it claims.

        Raises `portico.errors.NotServable` with what its author should know, where *thing* cannot be served as it is.
        """
