"""Whose code runs: a context variable, which tasks and callbacks carry on by themselves.

It is set for each service, in the context that all of its code runs in. `owner_in_threads` carries it into threads.
"""

from __future__ import annotations

from contextvars import Context, ContextVar
from typing import Protocol


class Owner(Protocol):
    """Keeps for a service's author what its code did."""

    context: Context | None
    """What the service's code runs in copies of."""

    def report(self, doing: str, error: BaseException) -> None:
        """*error* left the code while it was *doing* something. May be called from any thread."""

    def printed(self, text: str) -> None:
        """The code has printed or logged *text*. May be called from any thread."""


OWNER: ContextVar[Owner | None] = ContextVar("portico_owner", default=None)

REPORTED: ContextVar[bool] = ContextVar("portico_reported", default=False)
"""Set by `Owner.report`: whether the present call has had its failure reported, so that nobody does it twice."""
