"""Services to publish, and small apps for them."""

from __future__ import annotations

import asyncio
from typing import Any

from portico.provider.options import Options
from portico.provider.provider import Provider
from portico.provider.service import Service
from portico.types import ASGIApp, service_name


def service(provider: Provider, name: str = "app", **options: Any) -> Service:
    return Service(service_name(name), Options(**options), "app", (), "an app of the test", provider=provider)


def saying(word: bytes, ended: list[bytes] | None = None, hold: asyncio.Event | None = None) -> ASGIApp:
    """An app that answers *word*, once *hold* is set, and notes it in *ended* when it shuts down."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            if ended is not None:
                ended.append(word)
            await send({"type": "lifespan.shutdown.complete"})
            return
        if hold is not None:
            await hold.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": word})

    return app
