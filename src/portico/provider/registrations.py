"""What one session has asked its hub to register: its questions, and the names that the hub may hold."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

from portico import foreign
from portico.errors import InvalidOption, LinkClosed, LocalProtocolError, NameTaken, Refused
from portico.link import Link
from portico.protocol.events import Ack, Register, Unregister
from portico.provider.presence import Presence, SessionOwner

_ACK_TIMEOUT = 15.0  # seconds for the hub to answer a registration


class Registrations:
    """For one session; what is said goes over the link that it is given."""

    def __init__(self, session: Presence, owner: SessionOwner, held: Iterable[str]) -> None:
        self._session = session
        self._owner = owner
        self._requests = 0
        self._pending: dict[int, asyncio.Future[Ack]] = {}
        self._again: dict[int, str] = {}
        """Registrations repeated after a reconnect: request number to name."""
        self.held = set(held)
        """The names that the hub may hold for this session: an answer that was lost on the way leaves it open."""

    def check(self, link: Link, descriptor: dict[str, Any]) -> None:
        """As `Presence.check`."""
        try:
            link.connection.check_register(Register(self._requests + 1, descriptor))
        except LocalProtocolError as error:
            raise _too_long(descriptor, error) from None

    async def register(self, link: Link, descriptor: dict[str, Any]) -> str:
        """As `Presence.register`."""
        name = descriptor["name"]
        self.check(link, descriptor)
        new = name not in self.held
        self.held.add(name)
        ack = await self.ask(link, lambda number: link.connection.send_register(Register(number, descriptor)))
        if not ack.ok:
            if new:
                self.held.discard(name)
            raise _refusal(ack)
        return ack.url

    async def unregister(self, link: Link, name: str) -> None:
        """Give *name* up, if the hub may hold it."""
        if name in self.held:
            await self.ask(link, lambda number: link.connection.send_unregister(Unregister(number, name)))
            self.held.discard(name)

    async def ask(self, link: Link, send: Callable[[int], None]) -> Ack:
        """Send a question by *send*, which is given its number, and wait for the answer. Raises `LinkClosed`."""
        self._requests += 1
        number = self._requests
        future: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        self._pending[number] = future
        try:
            send(number)
            link.flush_soon()
            async with asyncio.timeout(_ACK_TIMEOUT):
                return await future
        except TimeoutError:
            raise LinkClosed("the hub did not answer the registration in time") from None
        finally:
            del self._pending[number]

    def repeat(self, link: Link) -> None:
        """Bring a new link to where the last one was: take back what is served, and give up what is not any more."""
        for descriptor in self._owner.registered_on(self._session):
            name = descriptor["name"]
            try:
                self.check(link, descriptor)
            except InvalidOption as error:  # the hub has come back with other limits
                self._owner.lost(self._session, name, error)
                continue
            self._requests += 1
            self._again[self._requests] = name
            self.held.add(name)
            link.connection.send_register(Register(self._requests, descriptor))
        for name in tuple(self.held):
            if not self._owner.serves(self._session, name):
                self._requests += 1
                self.held.discard(name)
                link.connection.send_unregister(Unregister(self._requests, name))

    def answered(self, ack: Ack) -> None:
        """The hub has answered a question."""
        future = self._pending.get(ack.request)
        if future is not None and not future.done():
            future.set_result(ack)
        name = self._again.pop(ack.request, None)
        if name is not None:
            if ack.ok:
                self._owner.registered(self._session, name, ack.url)
            else:
                self.held.discard(name)
                self._owner.lost(self._session, name, _refusal(ack))

    def link_lost(self, reason: LinkClosed) -> None:
        """No question that was asked is answered any more."""
        for future in self._pending.values():
            if not future.done():
                future.set_exception(LinkClosed(str(reason)))
        self._again.clear()


def _too_long(descriptor: dict[str, Any], error: LocalProtocolError) -> InvalidOption:
    """What the author is told of a service that says more of itself than a frame holds, and which part is how long."""
    names = {"models": descriptor.get("models", []), "capabilities": descriptor.get("capabilities", [])}
    names["tools"] = descriptor.get("tools", {}).get("names", [])
    sizes = sorted(((len(json.dumps(said)), what, len(said)) for what, said in names.items() if said), reverse=True)
    parts = ", ".join(f"{count} {what} ({size} bytes)" for size, what, count in sizes)
    return InvalidOption(
        f"What the hub is to know of {descriptor['name']!r} is too long for the link: {parts}. All of it must fit one "
        f"frame ({error}). Serve it as several services."
    )


def _refusal(ack: Ack) -> Refused:
    if ack.code == "name_taken":
        return NameTaken(ack.error, {key: foreign.text(value) for key, value in ack.detail.items()})
    return Refused(ack.error, ack.code or "refused")
