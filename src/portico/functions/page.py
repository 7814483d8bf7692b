"""The page that a person gets at the URL of typed functions: a form for each, its result below, and programs to copy.

Here: the document, and the policy that it runs under. What it does is in js/packages/portico-functions, which is built
into ``static/functions`` and loaded as ``static/page.js`` and ``static/style.css``. Functions go into the
document as data, which the script only ever puts in as text. Source: CSP Level 3; WHATWG HTML, "srcdoc".
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from html import escape
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote

from portico.functions.typed import TypedFunction
from portico.types import Headers, Scope


class FunctionsPage(NamedTuple):
    """A document, with the header fields that it must be answered with."""

    body: bytes
    headers: Headers


def page(
    scope: Scope,
    functions: Mapping[str, TypedFunction],
    identity: Mapping[str, Any] | None,
    title: str = "",
    links: Mapping[str, str] = MappingProxyType({}),
    urls: Mapping[str, str] = MappingProxyType({}),
) -> FunctionsPage:
    """The page of a service with these *functions*, by name, for one request.

    *links* are other pages of the service, and *urls* are for programs: what each is called, and its path below the
    root. *identity* is the visitor as the hub has verified it: who came in without being anyone needs no key, and the
    programs show none. Without a *title* the page is called by the last part of its path.
    """
    path: str = scope["path"]
    root = str(scope.get("root_path", "")).rstrip("/")
    base = base_of(path)
    name = title or root.rpartition("/")[2] or "Functions"
    told = {
        "title": name,
        "base": base,
        "keyed": identity is not None and identity.get("access") != "anonymous",
        "functions": [_told(given, typed) for given, typed in functions.items()],
    }
    nonce = secrets.token_urlsafe(16)
    body = _PAGE.format(
        name=escape(name),
        data=_in_script(told),
        base=escape(base),
        links="".join(f'<a href="{escape(base + path)}">{escape(label)}</a>\n' for label, path in links.items()),
        urls="".join(
            f'<div><dt>{escape(label)}</dt><dd data-url="{escape(path)}" data-what="{escape(label)}"></dd></div>\n'
            for label, path in urls.items()
        ),
        nonce=nonce,
    ).encode()
    return FunctionsPage(body, [*_HEADERS, (b"content-security-policy", _policy(nonce).encode())])


def base_of(path: str) -> str:
    """The service's root, relative to the page at *path*: empty, or a path that ends with a slash."""
    return "" if path.endswith("/") or not path else f"./{quote(path.rpartition('/')[2])}/"


def _told(name: str, typed: TypedFunction) -> dict[str, Any]:
    return {
        "name": name,
        "title": typed.title,
        "description": typed.description,
        "schema": _shown(typed.input_schema),
        "streams": typed.streams,
        "progress": "progress" in typed.injected.values(),
        "get": typed.options.get,
        "uploads": [parameter.name for parameter in typed.parameters if parameter.upload],
    }


def _shown(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """*schema* without the descriptions that only repeat a field's name: the page has that above the field."""
    fields = dict(schema.get("properties", {}))
    for name, field in fields.items():
        if isinstance(field, dict) and field.get("description") == f"Parameter '{name}'":
            fields[name] = {key: value for key, value in field.items() if key != "description"}
    return {**schema, "properties": fields} if fields else schema


def _in_script(told: Any) -> str:
    """*told* as JSON that may stand in a script element, whose text ends at ``</script`` whatever is around it."""
    try:
        text = json.dumps(told, separators=(",", ":"), allow_nan=False)
    except ValueError:  # a schema may hold an author's own bounds, infinite ones too: no JSON says them
        finite = json.loads(json.dumps(told), parse_constant=lambda _: None)
        text = json.dumps(finite, separators=(",", ":"))
    return text.replace("<", "\\u003c")


# --- the document ---------------------------------------------------------------------------------------------------


def _policy(nonce: str) -> str:
    """Only scripts with this *nonce* run, and they talk to this server alone.

    Frames of a result inherit it, whose own policy is stricter yet: they are what inline styles, fonts and media are
    allowed for. Frames that load anything are not allowed, so no result can go to another page either.
    """
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
        "img-src data: blob:; font-src data:; media-src data: blob:; frame-src 'none'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
    )


_HEADERS: Headers = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"referrer-policy", b"same-origin"),
]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex"><meta name="color-scheme" content="light dark">
<title>{name} · Portico</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="{base}static/style.css">
<script nonce="{nonce}" src="{base}static/page.js" defer></script></head>
<body>
<header><div class="top"><h1 dir="auto">{name}</h1>
<nav class="links" aria-label="For programs">{links}<a href="{base}docs">API docs</a>
<a href="{base}openapi.json">OpenAPI</a></nav></div></header>
<noscript><p class="notice">Scripts are off, so there is no form here. The <a href="{base}docs">API</a> can be called
all the same.</p></noscript>
<main></main>
<footer><dl>
<div><dt>REST API</dt><dd data-url="" data-what="the URL of the API"></dd></div>
<div><dt>Tools for agents (MCP)</dt><dd data-url="mcp" data-what="the URL of the tools"></dd></div>
{urls}</dl></footer>
<p class="away" id="status" role="status"></p><p id="flash" aria-hidden="true" hidden></p>
<script type="application/json" id="functions">{data}</script>
</body></html>
"""
