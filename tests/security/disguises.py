"""Every way in which these tests hide a secret, and every place in which they hide it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote


def spellings(secret: str) -> dict[str, str]:
    """*secret* as some program behind would read it back, by what was done to it."""
    every = "".join(f"%{byte:02X}" for byte in secret.encode())
    mixed = "".join(f"%{byte:02x}" if byte % 2 else chr(byte) for byte in secret.encode())
    made = {
        "plain": secret,
        "in quotes": f'"{secret}"',
        "percent-encoded": every,
        "half percent-encoded": mixed,
        "twice": quote(every),
        "twice in other letters": every.replace("%", "%25").lower(),
        "four times": every.replace("%", "%25252525"),
        "each digit of it too": "".join(f"%{ord(digit):02x}" if digit != "%" else "%25" for digit in mixed),
        "octal": "".join(f"\\{byte:03o}" for byte in secret.encode()),
        "escaped": "".join(f"\\u{byte:04x}" for byte in secret.encode()),
        "escaped in hexadecimal": "".join(f"\\x{byte:02X}" for byte in secret.encode()),
        "escaped in braces": "".join(f"\\u{{{byte:x}}}" for byte in secret.encode()),
        "escaped in long braces": "".join(f"\\x{{{byte:06x}}}" for byte in secret.encode()),
        "escaped as Python does": "".join(f"\\U{byte:08x}" for byte in secret.encode()),
        "escape()": "".join(f"%u{byte:04X}" for byte in secret.encode()),
        "escape() twice": "".join(f"%25u{byte:04x}" for byte in secret.encode()),
        "quoted pairs": "".join(f"\\{letter}" if letter in ".-|" else letter for letter in secret),
    }
    for before in ("", "a", "ab", "abc"):
        made[f"base64 after {before!r}"] = base64.b64encode(f"{before}{secret}".encode()).decode()
        made[f"base64url after {before!r}"] = (
            base64.urlsafe_b64encode(f"{before}{secret}~~?".encode()).decode().rstrip("=")
        )
    made["base64, percent-encoded"] = quote(made["base64 after 'a'"].replace("=", "%3D"))
    return made


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


HEADERS = (
    *("X-Api-Key", "Api-Key", "X-Goog-Api-Key", "X-Auth-Token", "Origin", "User-Agent", "Accept", "X-Made-Up"),
    *("X-CSRFToken", "X-CSRF-Token", "X-XSRF-TOKEN", "X-XSRFToken", "Proxy-Authorization", "X_Api_Key"),
    *("X-Original-URL", "Link", "If-None-Match", "Sec-WebSocket-Protocol", "Content-Disposition"),
)


@dataclass(frozen=True)
class Carrier:
    """A request that holds a secret somewhere."""

    what: str
    hidden: str
    """The secret as it is written there: no app may see it."""
    headers: tuple[tuple[str, str], ...] = ()
    query: str = ""

    def shown_to(self, told: dict[str, Any]) -> bool:
        """Whether an echoing app was *told* it."""
        values = [value for pair in told["headers"] for value in pair]
        return any(self.hidden in text for text in (*values, told["query"], *told["subprotocols"]))


def carriers(secret: str) -> Iterator[Carrier]:
    for how, text in spellings(secret).items():
        for name in HEADERS:
            yield Carrier(f"{how} in {name}", text, ((name, text),))
        yield Carrier(f"{how} in a cookie", text, (("Cookie", f"a=1; theirs={text}; b=2"),))
        yield Carrier(f"{how} in a cookie's name", text, (("Cookie", f"a=1; {text}=1"),))
        for where in ("https://h.example/p?a=1&x={}", "https://h.example/{}/p", "https://u:{}@h.example/", "/p#x={}"):
            yield Carrier(f"{how} in the Referer {where}", text, (("Referer", where.format(text)),))
        for scheme in ("Token", "Basic", "Digest k=", "Whatever"):
            yield Carrier(f"{how} by {scheme}", text, (("Authorization", f"{scheme} {text}"),))
        if not set(text) & set(' \\"?'):
            for argument in ("x={}", "{}=1", "a=1;x={}", "a=1;{}", "next=/lab%3Ftoken={}", "x=a+{}+b"):
                query = "?a=1&" + argument.format(text) + "&b=2"
                yield Carrier(f"{how} in the query {argument}", text, query=query)
        for pair in (f"user:{text}", f"{text}:password", text, f"u:{text}:more"):
            value = basic(pair)
            yield Carrier(f"{how} in Basic {pair[:8]}", value[6:], (("Authorization", value),))
    own, sloppy = basic("own:own"), basic(f"user:{secret}")
    for what, values in (
        ("with a tab", [sloppy.replace(" ", "\t")]),
        ("without its end", [sloppy.rstrip("=")]),
        ("with spaces inside", [sloppy[:30] + " " + sloppy[30:]]),
        ("second", [own, sloppy]),
        ("first", [sloppy, own]),
    ):
        yield Carrier(f"Basic {what}", sloppy[12:30], tuple(("Authorization", value) for value in values))
    bare = base64.urlsafe_b64encode(secret.encode()).decode().rstrip("=")
    for text, offered in ((secret, "openai-insecure-api-key.{}"), (bare, "base64url.bearer.authorization.k8s.io.{}")):
        value = f"chat, {offered.format(text)}, v1"
        yield Carrier(f"among subprotocols {offered}", text, (("Sec-WebSocket-Protocol", value),))
