"""A WebSocket that a browser tab opens to a hub: the tab's own, for Python under Pyodide.

Its callbacks are the browser's: a message is handed to the link within ``onmessage``, so that nothing in a tab that is
hidden, whose timers the browser slows down, waits for one. What crosses between JavaScript and Python is one copy of
the bytes a message. A browser does not say when its socket takes more, only how much it holds (``bufferedAmount``), so
that is looked at when messages come, and every few milliseconds.
"""

from __future__ import annotations

import asyncio
from typing import Any

import js
from pyodide.ffi import JsException, create_proxy, to_js

from portico import foreign
from portico.errors import LinkClosed, Refused
from portico.transports.transport import LinkReceiver

_OPEN_TIMEOUT = 10.0  # seconds for TCP, TLS and the upgrade
_HIGH_WATER = 1024 * 1024  # bytes: four batches, so that some are written while the next are made
_LOOK_AGAIN = 0.004  # seconds between looks at a full socket; browsers make less of it 4 ms anyway
_MAX_REASON = 120  # bytes of a close reason; RFC 6455 §5.5 has room for 123


class BrowserTransport:
    """A `Transport` over one WebSocket of the browser; made by `dial`."""

    def __init__(self, socket: Any) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = socket
        self._send = socket.send
        self._receiver: LinkReceiver | None = None
        self._early: list[bytes] = []
        self._most: int | None = None
        self._lost_reason: str | None = None
        self._said_close = False
        self._buffered = 0
        """As much as the socket may hold: what it held when it was last asked, and what was sent since."""
        self._looking = False
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._proxies = {
            name: create_proxy(handler)
            for name, handler in (("onopen", self._open), ("onmessage", self._message), ("onclose", self._close))
        }
        for name, proxy in self._proxies.items():
            setattr(socket, name, proxy)
        self._left: Any = None
        if hasattr(js, "document"):  # a worker is not told that its page goes; its socket goes with it
            self._left = create_proxy(self._page_left)
            js.addEventListener("pagehide", self._left)

    async def opened(self) -> None:
        """Wait until the socket is open. Raises `LinkClosed`."""
        try:
            async with asyncio.timeout(_OPEN_TIMEOUT):
                await asyncio.shield(self._opened)
        except TimeoutError:
            self.close(1000, "it took too long")
            raise LinkClosed("no answer in time") from None

    # --- for the link -------------------------------------------------------------------------------------------

    @property
    def writable(self) -> bool:
        if self._buffered < _HIGH_WATER:
            return True
        if self._lost_reason is not None:
            return False
        self._buffered = self._socket.bufferedAmount
        if self._buffered < _HIGH_WATER:
            return True
        if not self._looking:
            self._looking = True
            self._loop.call_later(_LOOK_AGAIN, self._look)
        return False

    def start(self, receiver: LinkReceiver) -> None:
        self._receiver = receiver
        early, self._early = self._early, []
        for message in early:
            receiver.message_received(message)
        if self._lost_reason is not None:
            receiver.transport_closed(self._lost_reason)

    def allow(self, size: int) -> None:
        self._most = size

    def send(self, message: bytes) -> None:
        if self._lost_reason is None and not self._said_close:
            self._buffered += len(message)
            self._send(to_js(message))

    def close(self, code: int = 1000, reason: str = "") -> None:
        if self._lost_reason is None and not self._said_close:
            self._said_close = True
            # a page may say 1000, or a code of its own
            said = code if code == 1000 else 3000 + code
            self._socket.close(said, reason.encode()[:_MAX_REASON].decode(errors="ignore"))

    # --- from the browser ---------------------------------------------------------------------------------------

    def _open(self, event: Any) -> None:
        if not self._opened.done():
            self._opened.set_result(None)

    def _message(self, event: Any) -> None:
        if self._said_close:
            return
        data = event.data
        if isinstance(data, str):
            self.close(1003, "a link's messages are binary")
            return
        if self._most is not None and data.byteLength > self._most:  # the browser holds it; Python need not as well
            self.close(1009, f"a message has at most {self._most} bytes")
            return
        message: bytes = data.to_bytes()  # its proxy goes with its last reference, at once
        if self._receiver is None:
            self._early.append(message)
            return
        self._receiver.message_received(message)
        self._write()  # what the message asks for, a PONG above all, goes out here and now

    def _close(self, event: Any) -> None:
        if self._lost_reason is not None:
            return
        said = f": {foreign.text(event.reason)}" if event.reason else ""
        self._lose(f"the connection was closed, code {event.code}{said}" if event.wasClean else "the connection broke")

    def _page_left(self, event: Any) -> None:
        """The page goes, perhaps to be shown again: then another link is dialled."""
        self.close(1000, "the page was left")
        self._lose("the page was left")

    def _lose(self, reason: str) -> None:
        if self._lost_reason is not None:
            return
        self._lost_reason = reason
        proxies = [*self._proxies.values()]
        for name in self._proxies:
            setattr(self._socket, name, None)
        if self._left is not None:
            js.removeEventListener("pagehide", self._left)
            proxies.append(self._left)
        self._loop.call_soon(_destroy, proxies)  # this may be within a call of one of them
        if not self._opened.done():
            self._opened.set_exception(LinkClosed(reason))
            self._opened.exception()  # nobody may wait for it any more
        if self._receiver is not None:
            self._receiver.transport_closed(reason)

    def _look(self) -> None:
        self._looking = False
        self._write()

    def _write(self) -> None:
        if self.writable and self._receiver is not None and self._lost_reason is None:
            self._receiver.transport_writable()


def _destroy(proxies: list[Any]) -> None:
    for proxy in proxies:
        proxy.destroy()


async def dial(url: str, *, subprotocol: str) -> BrowserTransport:
    """Open a WebSocket to *url* (``ws://`` or ``wss://``).

    A browser sends the page's Origin and the host's cookies with it, and says nothing of why a server did not let it
    in. Raises `Refused` for what the browser will not dial, `LinkClosed` otherwise.
    """
    try:
        socket = js.WebSocket.new(url, subprotocol)
    except JsException as error:  # a page over TLS may not dial ws://, for one
        raise Refused(f"the browser does not dial {url}: {error}") from None
    socket.binaryType = "arraybuffer"
    transport = BrowserTransport(socket)
    try:
        await transport.opened()
    except LinkClosed as error:
        raise LinkClosed(f"{url} cannot be reached, or does not let this page in: {error}") from None
    if socket.protocol != subprotocol:
        transport.close()
        raise Refused(f"{url} is a WebSocket, but not a hub's link (it does not speak {subprotocol})")
    return transport
