"""The scripts and stylesheets of the service's own pages, below ``static/``: read once, from files that are known here.

What a visitor asks for is looked up by its name, and never made a path of.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

from portico.calls.exchange import Exchange
from portico.functions import docs
from portico.types import Headers

FOLDER = "static/"
"""Below the service's URL."""

_OWN = Path(__file__).parents[1] / "static" / "functions"
"""The page's, as it is built from js/."""

_TYPES = {
    ".js": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".png": b"image/png",
    ".woff2": b"font/woff2",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file."""

    body: bytes
    media_type: bytes
    etag: str


def is_there(route: str) -> bool:
    """Whether a file is at *route*, such as ``static/page.js``."""
    return route.startswith(FOLDER) and route in _files()


def asset(route: str) -> Asset | None:
    """What is at *route*; None if nothing is. It may read a file."""
    files = _files()
    return _read(route, files[route]) if route in files else None


async def answer(exchange: Exchange, found: Asset) -> None:
    """Answer with *found*, or with 304 for a browser that has it already (RFC 9110 §13.1.2)."""
    headers: Headers = [
        (b"etag", found.etag.encode("ascii")),
        (b"cache-control", b"no-cache"),  # kept, and asked for again: another version of Portico has others
        (b"x-content-type-options", b"nosniff"),
        (b"cross-origin-resource-policy", b"same-origin"),
    ]
    known = [tag.strip().removeprefix("W/") for tag in exchange.headers.get("if-none-match", "").split(",")]
    if found.etag in known:
        await exchange.head(304, headers)
        await exchange.end()
        return
    await exchange.whole(found.body, found.media_type, 200, headers)


def _files() -> dict[str, Path | None]:
    """By route; None for what is no file. The package that brings those of docs may be installed at any time."""
    found: dict[str, Path | None] = {f"{docs.FOLDER}{name}": path for name, path in docs.files().items()}
    return {**found, f"{docs.FOLDER}start.js": None, **_own_files()}


@functools.cache
def _own_files() -> dict[str, Path]:
    if not _OWN.is_dir():
        return {}
    return {f"{FOLDER}{path.name}": path for path in _OWN.iterdir() if path.suffix in _TYPES}


@functools.cache
def _read(route: str, path: Path | None) -> Asset:
    body = docs.START.encode() if path is None else path.read_bytes()
    if path is not None and path.name == docs.REDOC:
        body = body.replace(docs.LOGO, b"data:,")
    return Asset(body, _TYPES[route[route.rindex(".") :]], f'"{hashlib.sha256(body).hexdigest()[:32]}"')
