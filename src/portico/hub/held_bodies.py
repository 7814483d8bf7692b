"""How much of messages a hub holds while it finds out what they are: of each, of each caller, and in all.

Bodies of requests for models until their model has come, of requests for tools and of the answers to those until they
are whole. The first bytes of each are free, so that ordinary requests pass while somebody fills what there is. Who is
refused may come again: what is held is held for as long as a body takes to come, and to be taken by its app.
"""

from __future__ import annotations

from portico.bounded import BoundedShares
from portico.hub.answers import Answer
from portico.hub.fair_use import a_quarter

MOST_OF_A_BODY = 32 * 1024 * 1024
"""Bytes of one body: SDKs send ``messages``, images and all, before ``model``."""

MOST_IN_ALL = 256 * 1024 * 1024
"""Bytes: eight of the largest bodies; of the usual ones, of less than a megabyte, hundreds."""

FREE = 64 * 1024
"""Bytes of each body that count for nobody. Their number is that of requests under way, which is bounded."""

_RETRY_AFTER = 2  # seconds: most bodies have come and gone by then

_MODEL_FIRST = "put the model first in the JSON"


class HeldBodies(BoundedShares):
    """What all requests of a hub hold together, in bytes."""

    __slots__ = ("_way_out", "_what")

    def __init__(
        self, in_all: int = MOST_IN_ALL, what: str = "have not named their model yet", way_out: str = _MODEL_FIRST
    ) -> None:
        """*what* says of which requests bodies are held, and *way_out* what one who is refused may do, for people."""
        super().__init__(in_all, a_quarter(in_all))
        self._what = what
        self._way_out = way_out

    def begin(self, caller: str, most: int | None = None, too_long: str = "") -> HeldBody:
        """For one more body, of *caller*: a key, a user or a network.

        One that has more than *most* bytes is refused, in the words of *too_long*.
        """
        most = MOST_OF_A_BODY if most is None else most
        return HeldBody(self, caller, most, too_long or f"The model was not named within {most} bytes.")

    def full(self, *, of_a_caller: bool) -> Answer:
        """429 for the caller's share, 503 for all; each with Retry-After."""
        if of_a_caller:
            status, text = (
                429,
                f"Requests of yours that {self._what} hold {self.of_a_caller:,} bytes. Send fewer at a time",
            )
        else:
            status, text = 503, f"Too many large requests that {self._what} are under way. Try again in a moment"
        return Answer(status, "too_much_held", f"{text}, or {self._way_out}.", retry_after=_RETRY_AFTER)


class HeldBody:
    """Of one request, or of one answer. What it took is given back once, by `release`."""

    __slots__ = ("_caller", "_counted", "_most", "_of", "_size", "_too_long")

    def __init__(self, of: HeldBodies, caller: str, most: int, too_long: str) -> None:
        self._of = of
        self._caller = caller
        self._most = most
        self._too_long = too_long
        self._size = 0
        self._counted = 0

    def grow(self, count: int) -> None:
        """*count* bytes more came. Raises an `Answer` (413, 429, 503)."""
        self._size += count
        if self._size > self._most:
            raise Answer(413, "too_large", self._too_long)
        more = self._size - FREE - self._counted
        if more > 0:
            self._of.take(self._caller, more)
            self._counted += more

    def release(self) -> None:
        """Nothing of it is held any more; what comes after that is counted anew."""
        counted, self._counted, self._size = self._counted, 0, 0
        if counted:
            self._of.give_back(self._caller, counted)
