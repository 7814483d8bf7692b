"""Queries of URLs: what is read from them, and what of them an app may see. A Referer is a URL with one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote_to_bytes

from portico.hub.firewall.spellings import MARKED, Secrets, readings

_XSRF_VALUE = re.compile(rb'\s*"?(?:2\|[0-9a-f]{8}\|[0-9a-f]+\|[0-9]+|MnwxOjB8)')
"""Of tornado, whose version 2 is masked anew each time; of JupyterHub, which signs one and writes that in base64."""


def is_xsrf(value: bytes) -> bool:
    """Whether *value* is a proof against forged requests as Jupyter and JupyterHub make them, anybody's."""
    if b"%" in value:
        return any(further is None or _XSRF_VALUE.match(further) is not None for further in readings(value))
    return _XSRF_VALUE.match(value) is not None


def arguments(query: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Each argument of a query: as it stands, and its name and value decoded."""
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        yield part, _decoded(name), _decoded(value)


def _decoded(text: bytes) -> bytes:
    if b"+" in text:
        text = text.replace(b"+", b" ")
    return unquote_to_bytes(text) if b"%" in text else text


def has_argument(query: bytes, name: bytes) -> bool:
    """Whether *query* has an argument of that name, however it is written."""
    return (name in query or b"%" in query) and any(name == found.strip() for _, found, _ in arguments(query))


_HUBS_OWN = re.compile(rb"token|portico_key|_xsrf|2\||MnwxOjB8")
"""What is in every query that has something of the hub's but a secret, once it is decoded."""

_WORTH_A_LOOK = re.compile(rb"token|portico_key|_xsrf|2\||MnwxOjB8|[%\\]")
"""What is in every query that has something of the hub's but a secret that stands plain, decoded or not."""


def clean_query(query: bytes, drop: Callable[[bytes, bytes], bool], secrets: Secrets = MARKED) -> bytes:
    """A query without the arguments that *drop* names (of name and value, decoded), and without *secrets*.

    A semicolon separates arguments to some, and to others it is a part of a value. Untouched, byte for byte, if there
    is nothing to be dropped.
    """
    if _WORTH_A_LOOK.search(query) is None:  # most queries: what is not encoded is what it is
        if len(query) < secrets.shortest or not secrets.plain(query):
            return query
    elif not (_is_suspect(query) or secrets.within(query)):
        return query
    kept: list[bytes] = []
    for part in query.split(b"&"):
        if b";" in part:
            pieces = part.split(b";")
            whole = [piece for piece in pieces if not _is_hubs(piece, drop, secrets)]
            if not whole:
                continue
            if len(whole) != len(pieces):
                part = b";".join(whole)
        if not _is_hubs(part, drop, secrets):
            kept.append(part)
    return b"&".join(kept)


def _is_suspect(text: bytes) -> bool:
    """Whether *text* may hold an argument of the hub's, decoded once or more: a look at all of it, for most queries."""
    if _HUBS_OWN.search(text):
        return True
    return b"%" in text and any(further is None or _HUBS_OWN.search(further) for further in readings(text))


def _is_hubs(argument: bytes, drop: Callable[[bytes, bytes], bool], secrets: Secrets) -> bool:
    """Whether an argument of a query, as it stands, is the hub's, to anyone who decodes it once or more."""
    if secrets.within(argument):
        return True
    name, _, value = argument.partition(b"=")
    name, value = _decoded(name).strip(), _decoded(value)
    if drop(name, value) or _XSRF_VALUE.match(value):
        return True
    if b"%" in name or b"%" in value:
        name, value = _undone(name).strip(), _undone(value)
        return drop(name, value) or _XSRF_VALUE.match(value) is not None
    return False


def _undone(text: bytes) -> bytes:
    for further in readings(text):
        if further is not None:
            text = further
    return text


_HOLDS_TOKEN = re.compile(rb"(?:^|[?&;#])(?:token|_xsrf|portico_key)=")


def clean_referer(value: bytes, drop: Callable[[bytes, bytes], bool], secrets: Secrets = MARKED) -> bytes:
    """A Referer without the hub's arguments. Any ``token`` goes: the page before may have been one of the hub's.

    So does an argument that is a URL with one, as the login's ``next`` is. b"" if one is in the fragment, which no
    browser sends (RFC 9110 §10.1.3).
    """

    def goes(name: bytes, given: bytes) -> bool:
        return name == b"token" or _HOLDS_TOKEN.search(given) is not None or drop(name, given)

    if b"#" in value:
        value, _, fragment = value.partition(b"#")
        if clean_query(fragment, goes, secrets) != fragment:
            return b""
        value += b"#" + fragment
    base, mark, query = value.partition(b"?")
    if not mark:
        return value
    cleaned = clean_query(query, goes, secrets)
    return base + mark + cleaned if cleaned else base
