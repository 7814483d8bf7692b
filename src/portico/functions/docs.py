"""The page at ``docs``: Swagger UI over the service's own description, with nothing from elsewhere.

Its files come with the package ``fastapi-offline``, and are served below the service's own URL; the page runs them and
no other script. All addresses in it are relative to it, so that it works below any path.
"""

from __future__ import annotations

import importlib.util
import secrets
from html import escape
from pathlib import Path

from portico.calls.exchange import Exchange
from portico.packages import to_install
from portico.types import Headers

FOLDER = "static/docs/"
"""Where the page's files are, below the service's URL."""

START = """'use strict'
const target = document.getElementById('docs')
const url = new URL(target.dataset.url, location.href).href
SwaggerUIBundle({
  url, domNode: target, deepLinking: true, layout: 'BaseLayout', presets: [SwaggerUIBundle.presets.apis],
  displayRequestDuration: true, tryItOutEnabled: true, validatorUrl: null,
})
"""

_SWAGGER = ("swagger-ui-bundle.js", "swagger-ui.css")

REDOC = "redoc.standalone.js"
"""ReDoc's file, for a page of it: pipelines have one."""

LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
"""A picture that ReDoc would load from its maker, and is not given: nothing is loaded from elsewhere."""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex">
<title>{title} · docs</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" nonce="{nonce}" href="{folder}swagger-ui.css"></head>
<body><main id="docs" data-url="openapi.json"><noscript>Scripts are off. The same is in
<a href="openapi.json">openapi.json</a>.</noscript></main>
<script nonce="{nonce}" src="{folder}swagger-ui-bundle.js"></script>
<script nonce="{nonce}" src="{folder}start.js"></script>
</body></html>
"""

_WITHOUT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title} · docs</title></head>
<body><main><h1>{title}</h1><p>This page needs the package fastapi-offline where the service runs:
<code>{command}</code>. The description itself is in <a href="openapi.json">openapi.json</a>.
</p></main></body></html>
"""


def files() -> dict[str, Path]:
    """The files of Swagger UI and ReDoc by name; none without the package that brings them. It is not imported."""
    found = importlib.util.find_spec("fastapi_offline")
    if found is None or not found.submodule_search_locations:
        return {}
    folder = Path(found.submodule_search_locations[0], "static")
    return {name: folder / name for name in (*_SWAGGER, REDOC) if (folder / name).is_file()}


def command() -> str:
    """What installs the package that brings the files."""
    return to_install("functions", "fastapi-offline")


def page(title: str) -> tuple[str, Headers]:
    """The page, and the headers that go with it."""
    nonce = secrets.token_urlsafe(16)
    template = _PAGE if files().keys() >= set(_SWAGGER) else _WITHOUT
    text = template.format(title=escape(title), nonce=nonce, folder=FOLDER, command=escape(command(), quote=False))
    # Only the page's own files run, by the nonce of this one answer. Swagger UI has its icons in data: URLs.
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
    )
    return text, page_headers(policy)


def page_headers(policy: str) -> Headers:
    """The headers of a page with that Content-Security-Policy."""
    return [
        (b"content-security-policy", policy.encode("ascii")),
        (b"cache-control", b"no-store"),  # a nonce is for one answer
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"SAMEORIGIN"),
        (b"referrer-policy", b"same-origin"),
    ]


async def left_slash(exchange: Exchange, page: str) -> bool:
    """Send who came with a slash at the end to *page*: its addresses are relative to a path without one.

    False for who came without.
    """
    if not exchange.scope["path"].endswith("/"):
        return False
    await exchange.head(307, [(b"location", f"../{page}".encode()), (b"content-length", b"0")])
    await exchange.end()
    return True
