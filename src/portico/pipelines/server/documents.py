"""The pages that describe a server of pipelines, and what they need: ``docs``, ``redoc``, ``openapi.json``, scripts.

Nothing of them comes from elsewhere: the package ``fastapi-offline`` brings the scripts. ``docs`` is the page of
functions (`portico.functions.docs`); ReDoc's stands here. Not here: the document itself (`openapi`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from html import escape
from typing import Any

from portico.calls.exchange import Exchange
from portico.calls.in_thread import in_thread
from portico.calls.json_text import compact
from portico.errors import UnusableRequest
from portico.functions import assets, docs
from portico.pipelines.server.endpoints import FixedRoute
from portico.types import Headers

Describe = Callable[[], dict[str, Any]]
"""Gives the document. It may be called on any thread, and take a second."""

_REDOC = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex">
<title>{title} · redoc</title>
<link rel="icon" href="data:,"></head>
<body><main><redoc spec-url="openapi.json"></redoc><noscript>Scripts are off. The same is in
<a href="openapi.json">openapi.json</a>.</noscript></main>
<script nonce="{nonce}" src="{folder}redoc.standalone.js"></script>
</body></html>
"""

_WITHOUT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title} · redoc</title></head>
<body><main><h1>{title}</h1><p>This page needs the package fastapi-offline where the server runs:
<code>{command}</code>. The description itself is in <a href="openapi.json">openapi.json</a>.
</p></main></body></html>
"""


class Documents:
    """Their routes, for one server."""

    def __init__(self, title: str, describe: Describe) -> None:
        self.title = title
        self.describe = describe
        self.table = (
            _route("docs", self._docs, "text/html"),
            _route("redoc", self._redoc, "text/html"),
            _route("openapi.json", self._openapi, "application/json"),
            _route("static/docs/{file}", self._file, "*/*"),
        )

    async def _openapi(self, exchange: Exchange, rest: str) -> None:
        root = str(exchange.scope.get("root_path", "")).rstrip("/")
        await exchange.whole(await in_thread(self._text, root), b"application/json")

    def _text(self, root: str) -> bytes:
        told = self.describe()
        return compact({**told, "servers": [{"url": root}]} if root else told).encode("ascii")

    async def _docs(self, exchange: Exchange, rest: str) -> None:
        if not await docs.left_slash(exchange, "docs"):
            text, headers = docs.page(self.title)
            await exchange.whole(text.encode(), b"text/html; charset=utf-8", 200, headers)

    async def _redoc(self, exchange: Exchange, rest: str) -> None:
        if not await docs.left_slash(exchange, "redoc"):
            text, headers = redoc_page(self.title)
            await exchange.whole(text.encode(), b"text/html; charset=utf-8", 200, headers)

    async def _file(self, exchange: Exchange, rest: str) -> None:
        found = await in_thread(assets.asset, f"{docs.FOLDER}{rest}")
        if found is None:
            raise UnusableRequest("Not Found", 404)
        await assets.answer(exchange, found)


def redoc_page(title: str) -> tuple[str, Headers]:
    """ReDoc's page, and the headers that go with it."""
    nonce = secrets.token_urlsafe(16)
    template = _REDOC if docs.REDOC in docs.files() else _WITHOUT
    text = template.format(title=escape(title), nonce=nonce, folder=docs.FOLDER, command=escape(docs.command()))
    # ReDoc writes its styles into the page as it draws, and searches in a worker that it makes of a text.
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; worker-src blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
    )
    return text, docs.page_headers(policy)


def _route(path: str, answer: Any, media_type: str) -> FixedRoute:
    return FixedRoute(
        path=path,
        method="GET",
        answer=answer,
        tag="documents",
        id=path,
        summary=path,
        media_type=media_type,
        needs_key=False,
        is_described=False,
    )
