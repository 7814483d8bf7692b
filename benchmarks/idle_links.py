"""Many providers in one process, that serve nothing: `python -m benchmarks.idle_links URL FIRST COUNT`.

Each has a link of its own with one service on it, as `portico serve` has, and is light: a session's reconnecting and
an app's machinery are left out. PINGs are answered. It prints LINKED when all are registered.
"""

import asyncio
import os
import secrets
import sys

from portico.errors import LinkClosed
from portico.link import Link, Stream, StreamHandler
from portico.protocol import Connection, Limits, Role
from portico.protocol.events import Ack, GoAway, Hello, LinkEvent, Open, Register, Welcome
from portico.provider.dial import dial_websocket
from portico.provider.discovery import HubAddress

AT_ONCE = 20  # dials


class IdleProvider:
    """The owner of one link."""

    def __init__(self, number: int) -> None:
        self.service = {"name": f"idle-{number}", "kind": "app", "access": "public"}
        self.registered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.link: Link | None = None

    async def run(self, address: HubAddress, at_once: asyncio.Semaphore) -> None:
        """Until the service is registered. Raises AssertionError when the relay says no."""
        async with at_once:
            limits = Limits()
            transport = await dial_websocket(address, limits)
            connection = Connection(Role.PROVIDER, limits, now=asyncio.get_running_loop().time())
            connection.send_hello(Hello(token=address.token, session=secrets.token_hex(16), epoch=1))
            self.link = Link(connection, transport, self)
            self.link.start()
            await self.registered

    def on_event(self, link: Link, event: LinkEvent) -> None:
        match event:
            case Welcome():
                link.connection.send_register(Register(1, self.service))
                link.flush_soon()
            case Ack(ok=True):
                self.registered.set_result(None)
            case Ack() | GoAway():
                self.registered.set_exception(AssertionError(f"refused: {event}"))

    def on_open(self, stream: Stream, request: Open) -> StreamHandler:
        raise AssertionError("nobody calls what is idle")

    def on_closed(self, link: Link, reason: LinkClosed) -> None:
        print(f"a link closed: {reason}", flush=True)


async def main(url: str, first: int, count: int) -> None:
    address = HubAddress(f"{url}/", os.environ["PORTICO_TOKEN"], "benchmarks")
    at_once = asyncio.Semaphore(AT_ONCE)
    providers = [IdleProvider(number) for number in range(first, first + count)]
    await asyncio.gather(*(provider.run(address, at_once) for provider in providers))
    print("LINKED", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
