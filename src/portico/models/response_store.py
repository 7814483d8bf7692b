"""Keeps responses in memory, for ``previous_response_id`` and ``GET responses/{id}``.

Here: what is kept, for how long, and who may see it. The store is bounded, and the oldest goes first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from portico.bounded import BoundedCache
from portico.calls.exchange import new_id
from portico.calls.json_text import compact
from portico.errors import APIError
from portico.models.response_tape import Tape

_TAG_BYTES = 6
"""Of 16 million stores two have the same tag, perhaps. They are both asked then."""


@dataclass(slots=True)
class Stored:
    """A response, its own input items, and all items of the conversation up to and with its output.

    One that was made in the background has a *tape* of its events.
    """

    response: dict[str, Any]
    input: list[dict[str, Any]]
    conversation: list[dict[str, Any]]
    owner: str
    tape: Tape | None = None


def owner_of(identity: Mapping[str, Any] | None) -> str:
    """Whose responses are whose: the visitor that the hub has verified. Without a hub all visitors are one."""
    return compact(dict(identity)) if identity else ""


class Store:
    """At most *entries* responses, and about *size* bytes of JSON."""

    def __init__(self, entries: int, size: int) -> None:
        self.tag = os.urandom(_TAG_BYTES).hex()
        """What the ids of its responses carry, so that a hub knows which of many stores has one. It opens nothing."""
        self._stored: BoundedCache[str, Stored] = BoundedCache(entries, size, longest=size, each=0, oldest_first=True)

    def new_id(self) -> str:
        """An id for a response that may be kept here: ``resp_<tag>_`` and 96 random bits."""
        return new_id(f"resp_{self.tag}_")

    def put(
        self,
        response: dict[str, Any],
        input: list[dict[str, Any]],
        conversation: list[dict[str, Any]],
        owner: str,
        tape: Tape | None = None,
    ) -> None:
        """Keep a response, in place of an earlier state of it."""
        size = len(compact([response, input])) + (tape.size if tape is not None else 0)
        self._stored.keep(response["id"], Stored(response, input, conversation, owner, tape), size)

    def get(self, id: str, owner: str, param: str | None = None) -> Stored:
        """A stored response. Raises `APIError` with status 404 if it is not there, or another's."""
        found = self._stored.get(id)
        if found is None or found.owner != owner:
            code = "previous_response_not_found" if param else "response_not_found"
            raise APIError(f"There is no stored response with the id {id[:100]!r}.", 404, param=param, code=code)
        self._stored.move_to_end(id)
        return found

    def has(self, id: str) -> bool:
        """Whether a response is stored, whosever it is."""
        return id in self._stored

    def delete(self, id: str, owner: str) -> None:
        """Forget a response. Raises as `get` does."""
        self.get(id, owner)
        self._stored.forget(id)

    def item(self, id: str, owner: str) -> dict[str, Any] | None:
        """An item of any stored conversation, by its own id."""
        for stored in reversed(self._stored.values()):
            if stored.owner == owner:
                for item in stored.conversation:
                    if item.get("id") == id:
                        return item
        return None
