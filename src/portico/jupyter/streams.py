"""The bytes of a connection that was taken over from tornado's HTTP server, by callbacks.

A plain socket is handed to asyncio, which calls back without a future or a task a read: the link's every batch comes
this way. A TLS stream stays with tornado, whose SSL socket asyncio cannot take.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Protocol

from tornado.iostream import IOStream, SSLIOStream, StreamClosedError

_HIGH_WATER = 512 * 1024  # bytes that wait to be written: two batches of a link
_READ = 256 * 1024


class BytesOwner(Protocol):
    """What a stream of bytes tells its owner."""

    def bytes_received(self, data: bytes) -> None: ...

    def bytes_writable(self) -> None:
        """What waited is written, after ``writable`` was False."""

    def bytes_ended(self) -> None:
        """The connection is gone. Called once."""


class Bytes(Protocol):
    """A connection's bytes, both ways."""

    @property
    def writable(self) -> bool: ...

    def write(self, data: bytes) -> None: ...

    def drained(self) -> asyncio.Future[None] | None:
        """A future that ends when more may be written; None if that is now."""

    def pause(self) -> None:
        """Read no more, so that the sender is held back."""

    def resume(self) -> None: ...

    def close(self) -> None:
        """Close, once what was written has gone out."""

    def abort(self) -> None:
        """Break the connection."""


def take_over(stream: IOStream, owner: BytesOwner) -> Bytes:
    """Take *stream*, detached from its HTTP connection, for *owner*."""
    stream.set_nodelay(True)
    if type(stream) is IOStream and not stream.reading() and not stream._read_buffer_size:
        return _SocketBytes(stream, owner)
    return _TornadoBytes(stream, owner)


class _SocketBytes(asyncio.Protocol):
    """A plain socket under asyncio's own transport."""

    def __init__(self, stream: IOStream, owner: BytesOwner) -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._paused_writing = False
        self._closing = False
        self._ended = False
        self._drain: asyncio.Future[None] | None = None
        stream.io_loop.remove_handler(stream.socket)
        connection: socket.socket = stream.socket
        stream.socket = None  # type: ignore[assignment]  # the stream's own end must not close it
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._begin(loop, connection))

    async def _begin(self, loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
        try:
            await loop.connect_accepted_socket(lambda: self, connection)
        except OSError:
            connection.close()
            self.connection_lost(None)

    # asyncio's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=_HIGH_WATER)
        for data in self._early:
            transport.write(data)
        self._early.clear()
        if self._closing:
            transport.close()

    def data_received(self, data: bytes) -> None:
        self._owner.bytes_received(data)

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._paused_writing = True

    def resume_writing(self) -> None:
        self._paused_writing = False
        self._wake()
        self._owner.bytes_writable()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ended:
            self._ended = True
            self._wake()
            self._owner.bytes_ended()

    def _wake(self) -> None:
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)
        self._drain = None

    # the owner's calls

    @property
    def writable(self) -> bool:
        return not self._paused_writing

    def write(self, data: bytes) -> None:
        if self._transport is None:
            self._early.append(data)
        elif not self._ended:
            self._transport.write(data)

    def drained(self) -> asyncio.Future[None] | None:
        if not self._paused_writing or self._ended:
            return None
        if self._drain is None:
            self._drain = asyncio.get_running_loop().create_future()
        return self._drain

    def pause(self) -> None:
        if self._transport is not None and not self._ended:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._ended:
            self._transport.resume_reading()

    def close(self) -> None:
        self._closing = True
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        self._closing = True
        if self._transport is not None:
            self._transport.abort()


class _TornadoBytes:
    """A stream that stays with tornado: TLS, or one that has read ahead."""

    def __init__(self, stream: IOStream | SSLIOStream, owner: BytesOwner) -> None:
        self._stream = stream
        self._owner = owner
        self._resumed = asyncio.Event()
        self._resumed.set()
        self._waiting = 0
        self._drain: asyncio.Future[None] | None = None
        self._task = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        try:
            while True:
                data = await self._stream.read_bytes(_READ, partial=True)
                await self._resumed.wait()
                self._owner.bytes_received(data)
        except StreamClosedError:
            pass
        finally:
            self._stream.close()
            self._wake()
            self._owner.bytes_ended()

    @property
    def writable(self) -> bool:
        return self._waiting < _HIGH_WATER

    def write(self, data: bytes) -> None:
        if self._stream.closed():
            return
        size = len(data)
        self._waiting += size
        self._stream.write(data).add_done_callback(lambda done: self._wrote(done, size))

    def _wrote(self, done: asyncio.Future[None], size: int) -> None:
        full = self._waiting >= _HIGH_WATER
        self._waiting -= size
        if done.cancelled() or done.exception() is not None:
            return
        if full and self._waiting < _HIGH_WATER:
            self._wake()
            self._owner.bytes_writable()

    def _wake(self) -> None:
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)
        self._drain = None

    def drained(self) -> asyncio.Future[None] | None:
        if self.writable or self._stream.closed():
            return None
        if self._drain is None:
            self._drain = asyncio.get_running_loop().create_future()
        return self._drain

    def pause(self) -> None:
        self._resumed.clear()

    def resume(self) -> None:
        self._resumed.set()

    def close(self) -> None:
        if not self._stream.closed():
            self._stream.write(b"").add_done_callback(self._close_after)

    def _close_after(self, done: asyncio.Future[None]) -> None:
        done.exception()  # seen; closed is closed
        self._stream.close()

    def abort(self) -> None:
        self._stream.close()
