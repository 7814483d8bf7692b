"""Sees to it that no service answers with a page for browsers under the base URL of all models.

There all services speak from one origin. For pages each has a path or a host of its own.
"""

from __future__ import annotations

import asyncio

from portico.hub.answers import Answer
from portico.hub.responders import Responder
from portico.types import Headers


class NoPage:
    """The responder of a service: hands its answer on as an API's, which is no page of the base URL's origin.

    A service has a path, or a host, of its own for pages; here all of them speak from one place.
    """

    __slots__ = ("_begun", "_responder")

    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._begun = False

    def end_with(self, answer: Answer) -> None:
        """Answer in the service's place, or break off what it has begun to say."""
        if self._begun:
            self._responder.cut()
        else:
            self._responder.answer(answer)

    def respond(self, status: int, headers: Headers, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        self._begun = True
        headers = [pair for pair in headers if pair[0] not in _OF_A_PAGE]
        headers += ((b"content-security-policy", b"sandbox"), (b"x-content-type-options", b"nosniff"))
        return self._responder.respond(status, headers, body, fin)

    def write(self, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        return self._responder.write(body, fin)

    def answer(self, answer: Answer) -> None:
        self._responder.answer(answer)

    def cut(self) -> None:
        self._responder.cut()


_OF_A_PAGE = frozenset({b"set-cookie", b"content-security-policy", b"x-content-type-options"})
