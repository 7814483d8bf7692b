"""Where MCP clients look for an authorization server after a 401: there is none, and a hub says so as JSON.

A page, or a redirect to a login, would be taken for one. Source: RFC 8414 §3, RFC 9728 §3, OpenID Connect Discovery §4.
"""

from __future__ import annotations

import asyncio
from typing import Final

from portico.hub.answers import Answer
from portico.hub.responders import Responder
from portico.hub.visits import Visit
from portico.types import Headers

WELL_KNOWN: Final = "/.well-known/"
NAMES: Final = ("oauth-protected-resource", "oauth-authorization-server", "openid-configuration")
"""What is asked for below `WELL_KNOWN`, with the path of the URL after it or not."""

ANSWER: Final = Answer(
    404,
    "no_oauth",
    "There is no authorization server for tools here. A key goes into the header Authorization: Bearer KEY.",
)


def asks(path: str) -> bool:
    """Whether *path* is one where clients look, at the root of a host."""
    name = path.removeprefix(WELL_KNOWN).partition("/")[0] if path.startswith(WELL_KNOWN) else ""
    return name in NAMES


def no_oauth(visit: Visit, responder: Responder) -> asyncio.Future[None] | None:
    """Say that there is none; a future that is returned says when it is written."""
    visit.say(ANSWER.code)
    headers, body = render()
    visit.sent += len(body)
    return responder.respond(ANSWER.status, headers, body, True)


def render() -> tuple[Headers, bytes]:
    """`ANSWER`, as JSON. A page of any origin may read it: it holds nothing."""
    headers, body = ANSWER.render(html=False, openai=False)
    return [*headers, (b"access-control-allow-origin", b"*")], body
