"""What a provider has published, by hub and name; and what is to take such a place once it is live.

It is told what happens, and asks nobody. Keeping it true is the provider's task.
"""

from __future__ import annotations

from collections.abc import Iterator

from portico.provider.presence import Presence
from portico.provider.publication import Publication
from portico.provider.service import Service


class Board:
    """One name on one hub is one publication's. A service has its name to itself, whichever hub it is on."""

    def __init__(self) -> None:
        self.services: dict[str, Service] = {}
        """By name."""
        self._at: dict[tuple[Presence, str], Publication] = {}
        """What is asked for by a hub; of a service that moves, what is there until it has."""
        self._behind: dict[Publication, Publication] = {}
        """In whose place each is that is not live yet."""

    def at(self, session: Presence, name: str) -> Publication | None:
        """What answers for *name* on the hub of *session*."""
        return self._at.get((session, name))

    def __iter__(self) -> Iterator[Publication]:
        """All that is in its place."""
        yield from list(self._at.values())

    def all(self) -> list[Publication]:
        """All that is in its place, and behind it."""
        return list(dict.fromkeys((*self._at.values(), *self._behind.values())))

    def on(self, session: Presence) -> list[Publication]:
        """Of all that, what is published on *session*, or about to be."""
        return [publication for publication in self.all() if publication.session is session]

    def holds(self, publication: Publication) -> bool:
        """Whether it is in its place, and none of its name is to come."""
        return self._in_place(publication) == publication

    def put(self, publication: Publication) -> None:
        """Put it into the place of what has its name, which is to be back if this does not become live."""
        assert publication.session is not None
        former = self._in_place(publication)
        if former is not None:
            self._behind[publication] = former
        self._at[publication.session, publication.name] = publication
        if isinstance(publication, Service):
            self.services[publication.name] = publication

    def settle(self, publication: Publication) -> list[Publication]:
        """It is live: forget what is behind it, and return that."""
        formers: list[Publication] = []
        former = self._behind.pop(publication, None)
        while former is not None:
            formers.append(former)
            self._forget(former)
            former = self._behind.pop(former, None)
        return formers

    def remove(self, publication: Publication) -> Publication | None:
        """It is gone, wherever it was. Returns what is back in its place, if it was in it, and there is such."""
        former = self._behind.pop(publication, None)
        later = next((later for later, behind in self._behind.items() if behind == publication), None)
        in_place = self.holds(publication)
        self._forget(publication)
        if later is not None:
            if former is not None:
                self._behind[later] = former
            else:
                del self._behind[later]
        elif in_place and former is not None:
            if isinstance(former, Service):
                self.services[former.name] = former
            self._bring_back(former)
            return former
        return None

    def clear(self) -> None:
        """Forget all."""
        self.services.clear()
        self._at.clear()
        self._behind.clear()

    def _in_place(self, publication: Publication) -> Publication | None:
        if isinstance(publication, Service):
            return self.services.get(publication.name)
        return self._at.get((publication.session, publication.name)) if publication.session is not None else None

    def _bring_back(self, publication: Publication) -> None:
        """Let it answer again, and what is behind it, wherever nothing else does."""
        one: Publication | None = publication
        while one is not None and one.session is not None:
            self._at.setdefault((one.session, one.name), one)
            one = self._behind.get(one)

    def _forget(self, publication: Publication) -> None:
        if publication.session is not None:
            key = (publication.session, publication.name)
            if self._at.get(key) == publication:
                del self._at[key]
        if isinstance(publication, Service) and self.services.get(publication.name) == publication:
            del self.services[publication.name]
