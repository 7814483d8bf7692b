"""What the other end of a link or of a request sent for people to read: text, and URLs. It may be hostile.

Here alone it is decided what of it may be shown: on a card, in a terminal, in an exception, in a log. It is called
where such things come in, so that whatever shows them need not ask. Escaping for HTML is left to what writes HTML.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from portico.log_text import one_line

MOST_TEXT = 1000
"""Characters of an error or a reason: Portico's own have at most some hundred."""

MOST_URL = 2000
"""Characters: what every browser and a QR code take."""

_MOST_DEPTH = 8  # of objects within objects; Portico's own have two
_MOST_VALUE = 16 * 1024  # characters of a text in an object: tokens are among them

_NEVER = re.compile(r'[\s"<>\\^`{|}]')  # no part of a URL (RFC 3986 §2), and what ends a quotation


def text(value: object, most: int = MOST_TEXT) -> str:
    """*value* on one line of at most *most* characters; control characters and marks that turn the writing, escaped."""
    return one_line(value if isinstance(value, str) else str(value), most)


def web_url(value: object) -> str:
    """*value*, if it is the absolute URL of a page. Raises `ValueError`, which says what is wrong, for anything else.

    That is http or https, a host, no name or password before it, and nothing that a URL may not hold (RFC 3986).
    """
    if not isinstance(value, str) or not value:
        raise ValueError("it is not a text")
    if len(value) > MOST_URL:
        raise ValueError(f"it has more than {MOST_URL} characters")
    if not value.isprintable() or _NEVER.search(value):
        raise ValueError(f"{text(value, 100)} holds a character that no URL may hold")
    parts = urlsplit(value)  # raises ValueError for brackets that do not match
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{text(value, 100)} is not http:// or https:// and a host")
    if "@" in parts.netloc:
        raise ValueError(f"{text(value, 100)} has a user's name before its host")
    _ = parts.port  # raises ValueError for one that is none
    return value


def server_url(value: object) -> str:
    """As `web_url`; also the URL of a server on a Unix socket, as Jupyter writes it (``http+unix://%2Fpath%2Fof%2Fit/``).

    Browsers know no such scheme.
    """
    if isinstance(value, str) and value.startswith(_ON_A_SOCKET):
        web_url("http://" + value.removeprefix(_ON_A_SOCKET))
        return value
    return web_url(value)


_ON_A_SOCKET = "http+unix://"


def json_object(value: dict[str, Any]) -> dict[str, Any]:
    """An object of JSON with every text in it as `text` gives it, and nothing that is nested deeper than is meant."""
    return {text(key, 100): _value(inner, 1) for key, inner in value.items()}


def _value(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return text(value, _MOST_VALUE)
    if isinstance(value, dict | list) and depth >= _MOST_DEPTH:
        return None
    if isinstance(value, dict):
        return {text(key, 100): _value(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [_value(inner, depth + 1) for inner in value]
    return value
