"""The way out: how a hub is dialled, from a CPython process and from a browser tab."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from portico.protocol import SUBPROTOCOL, Limits
from portico.provider.discovery import HubAddress
from portico.provider.thread import IN_TAB
from portico.transports.transport import Transport

Dial = Callable[[HubAddress, Limits], Awaitable[Transport]]


async def dial_websocket(address: HubAddress, limits: Limits) -> Transport:
    """By a library from a CPython process, by the tab's own WebSocket from a browser tab."""
    if IN_TAB:
        from portico.transports import browser

        return await browser.dial(address.link_url, subprotocol=SUBPROTOCOL)
    from portico.transports.websocket import dial

    tls = None
    if address.url.startswith("https:"):
        from portico.provider.tls import context_of

        tls = context_of(address)
    return await dial(
        address.link_url,
        subprotocol=SUBPROTOCOL,
        max_size=limits.max_batch,
        tls=tls,
        unix=address.socket,
        direct=bool(address.certificate),  # it is this kernel's own server
    )
