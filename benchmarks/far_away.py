"""A TCP proxy that makes what is behind it far away: `python -m benchmarks.far_away PORT TARGET MILLISECONDS`.

Bytes are held for half of MILLISECONDS on their way, in each direction, however many there are: the path is long, not
narrow. It prints LISTENING when it takes connections.
"""

import asyncio
import sys
from collections import deque
from typing import cast

HOST = "127.0.0.1"


class Delayed:
    """Bytes on their way to *writer*, of one direction. They arrive in order, *delay* seconds after they came."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._held: deque[tuple[float, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport | None = None

    def take(self, data: bytes) -> None:
        """*data* has come; b"" is the end."""
        self._held.append((self._loop.time() + self._delay, data))
        self._wait()

    def _wait(self) -> None:
        if self._timer is None and self._held:
            self._timer = self._loop.call_at(self._held[0][0], self._arrive)

    def _arrive(self) -> None:
        self._timer = None
        now = self._loop.time()
        assert self.transport is not None
        while self._held and self._held[0][0] <= now:
            data = self._held.popleft()[1]
            if data:
                self.transport.write(data)
            else:
                self.transport.close()
        self._wait()


class End(asyncio.Protocol):
    """One end of a connection: what it reads is *out* for the other."""

    def __init__(self, out: Delayed) -> None:
        self.out = out

    def data_received(self, data: bytes) -> None:
        self.out.take(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.out.take(b"")


class Near(End):
    """The end at which connections are taken; the other is dialled when one comes."""

    def __init__(self, port: int, delay: float) -> None:
        super().__init__(Delayed(delay))
        self._port, self._back = port, Delayed(delay)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._back.transport = cast(asyncio.Transport, transport)
        self._back.transport.pause_reading()
        self._dialling = asyncio.ensure_future(self._dial())

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        self.out.transport, _ = await loop.create_connection(lambda: End(self._back), HOST, self._port)
        assert self._back.transport is not None
        self._back.transport.resume_reading()


async def main(port: int, target: int, milliseconds: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Near(target, milliseconds / 2000), HOST, port)
    print("LISTENING", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
