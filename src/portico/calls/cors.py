"""Which other sites' pages may read an app's answers: the headers of CORS, and the answer to a preflight.

Here: one app's list of origins, held against requests. Credentials of browsers are never allowed. What a hub says of a
service's origins is its own affair. Source: Fetch standard, "CORS protocol".
"""

from __future__ import annotations

from collections.abc import Iterable

from portico.types import Headers, Scope


class Origins:
    """Origins whose pages may call, or ``"*"`` for all. *shown* are the headers of answers that they may read."""

    def __init__(self, allowed: str | Iterable[str], shown: str) -> None:
        self._allowed = frozenset((allowed,) if isinstance(allowed, str) else allowed)
        self._any = "*" in self._allowed
        self._shown = shown.encode("ascii")
        self._anyone: Headers = [
            (b"access-control-allow-origin", b"*"),
            (b"access-control-expose-headers", self._shown),
        ]

    def allows(self, scope: Scope) -> bool:
        """Whether the request comes from no other page, or from one that may call."""
        origin = header_of(scope, b"origin")
        return self._any or origin is None or origin.decode("latin-1") in self._allowed

    def headers(self, scope: Scope) -> Headers:
        """What each answer to the request says of it."""
        origin = header_of(scope, b"origin")
        if origin is None or not self.allows(scope):
            return []
        if self._any:
            return self._anyone
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", self._shown),
            (b"vary", b"origin"),
        ]

    def preflight(self, scope: Scope, methods: bytes) -> Headers:
        """What the answer to an OPTIONS says besides `headers`; nothing, unless it is a preflight that is granted."""
        if not header_of(scope, b"access-control-request-method") or not self.allows(scope):
            return []
        headers: Headers = [(b"access-control-allow-methods", methods)]
        if asked := header_of(scope, b"access-control-request-headers"):
            headers.append((b"access-control-allow-headers", asked))
        headers.append((b"access-control-max-age", b"600"))
        headers.append((b"vary", b"access-control-request-headers"))
        return headers


def header_of(scope: Scope, name: bytes) -> bytes | None:
    """The first value of the request's header *name*, which is in lower case."""
    return next((value for key, value in scope.get("headers", []) if key.lower() == name), None)
