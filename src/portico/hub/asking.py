"""What a hub asks of a provider by ``.control`` (docs/protocol.md): one question, and its whole answer.

The provider may be hostile, and so an answer has a size and a time. A question counts for no service: it is in nobody's
`Replica.in_flight`, and no visit.
"""

from __future__ import annotations

import asyncio
import json

from portico.errors import LocalProtocolError
from portico.hub.answers import Answer, overloaded, provider_lost, reconnecting
from portico.hub.replicas import Replica
from portico.link import Stream
from portico.protocol import Kind, ResetCode
from portico.protocol.control import FEATURE, SERVICE
from portico.protocol.events import Data, Head

MOST = 1 << 20
"""Bytes of an answer: a page of a log has less (`portico.provider.control.MOST_TEXT`)."""

MOST_SCHEMAS = 4 << 20
"""Bytes of one with the schemas of tools: of as many as fit the frame that names them, with a kilobyte each."""

SECONDS = 5.0
"""For an answer to be whole. A provider knows it without asking anybody; a cell that does not let Python run is what
there is to wait for, and a person waits no longer."""


async def ask(
    replica: Replica,
    method: str,
    path: str,
    *,
    asker: str = "",
    body: bytes = b"",
    most: int = MOST,
    seconds: float = SECONDS,
) -> tuple[int, bytes]:
    """Ask the provider of *replica* for *path* (with its query), for *asker*; returns the status, and the body.

    *asker* is a principal's id, which the provider shows its author.

    Raises an `Answer` where there is none: 501 from a provider that cannot be asked, 503 without a link, 504 after so
    many *seconds*, 502 for more than *most* bytes or a lost provider. If its task is cancelled, the question is given
    up.
    """
    if FEATURE not in replica.session.features and replica.linked:
        raise Answer(501, "cannot_ask", "The program that serves it has an older Portico, which cannot be asked.")
    if not replica.can_open:
        raise overloaded() if replica.stays else reconnecting()
    question = _Question(most)
    raw_path, _, query = path.partition("?")
    try:
        stream = replica.open(
            question,
            kind=Kind.HTTP,
            service=SERVICE,
            method=method,
            scheme="http",
            http_version="1.1",
            raw_path=raw_path.encode(),
            query=query.encode(),
            root_path="",
            client=None,
            server=None,
            subprotocols=(),
            identity=json.dumps({"asker": asker}).encode(),
            headers=[],
            fin=not body,
        )
    except LocalProtocolError as error:
        raise Answer(400, "invalid_question", f"That cannot be asked: {error}.") from None
    question.stream = stream
    try:
        if body:
            stream.send_data(body, fin=True)
        async with asyncio.timeout(seconds):
            return await question.answered
    except TimeoutError:
        raise Answer(
            504, "provider_timeout", f"The program that serves it did not answer within {seconds:g} s. Is it busy?"
        ) from None
    finally:
        question.forget()
        stream.reset(ResetCode.CANCEL, "nobody waits for the answer")  # nothing, if it is whole
        stream.release()


class _Question:
    """The stream's handler. Headers are not kept."""

    def __init__(self, most: int) -> None:
        self.stream: Stream | None = None
        """None while it is being opened."""
        self.answered: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._most = most
        self._status = 0
        self._body = bytearray()

    def on_head(self, head: Head) -> None:
        self._status = head.status
        if head.fin:
            self._end()

    def on_data(self, data: Data) -> None:
        if self.answered.done() or self.stream is None:
            return
        self._body += data.data
        if len(self._body) > self._most:
            self._body.clear()
            text = f"The program that serves it answered with more than the {self._most} bytes that are read."
            self._fail(Answer(502, "answer_too_large", text))
            self.stream.reset(ResetCode.TOO_LARGE, f"an answer has at most {self._most} bytes")
            return
        if data.data:
            self.stream.consumed(len(data.data))
        if data.fin:
            self._end()

    def on_close(self, code: int, reason: str) -> None: ...  # only WebSockets close

    def on_reset(self, code: ResetCode, reason: str) -> None:
        self._fail(reconnecting() if code is ResetCode.REFUSED else provider_lost())

    def on_writable(self) -> None: ...

    def forget(self) -> None:
        """Nobody waits for the answer any more."""
        if not self.answered.cancel() and not self.answered.cancelled():
            self.answered.exception()  # it may have come in the very turn in which its asker left

    def _end(self) -> None:
        if not self.answered.done():
            self.answered.set_result((self._status, bytes(self._body)))

    def _fail(self, answer: Answer) -> None:
        if not self.answered.done():
            self.answered.set_exception(answer)
