"""Writes JSON that any client can read: in ASCII, without spaces, and never with half of a surrogate pair.

Here: a value or a text as JSON. Not here: reading JSON (`body`), and what an answer holds.
"""

from __future__ import annotations

import json
import re
from json.encoder import encode_basestring_ascii
from typing import Any

from portico.errors import UnusableOutput

_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)")


def compact(value: Any) -> str:
    """*value* as JSON in ASCII, without spaces. Raises `UnusableOutput` for what JSON does not know."""
    try:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnusableOutput("The function gave a value that cannot be written as JSON.") from error
    if "\\ud" in text:
        return _ESCAPE.sub(lambda match: "\\ufffd" if match[1] else match[0], text)
    return text


def quoted(text: str) -> str:
    """*text* as a JSON string, in ASCII: some clients split lines at U+2028 or U+0085.

    A lone surrogate, which no strict parser takes, becomes U+FFFD.
    """
    if not text.isascii() and _SURROGATE.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return encode_basestring_ascii(text)
