"""A compressed request body under the base URL of all models: decoded on its way, as its model is read from it.

A service would read it as well, but not the hub; so what it is passed on is decoded, and within a limit. Bodies for a
service's own URL go through as they are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from portico.calls.content_coding import CODINGS, Decoder, NotCoded, TooLong, UnknownCoding, decoder_of
from portico.hub.answers import Answer
from portico.hub.request import VisitorRequest
from portico.types import Headers

logger = logging.getLogger(__name__)


class EncodedBody:
    """Takes the body as a `portico.hub.responders.Upload` does, and hands it on decoded.

    *upload* and *done* take what is decoded; *refuse* is told once of a body that cannot be.
    """

    __slots__ = ("_decoder", "_decoding", "_done", "_ended", "_limit", "_over", "_refuse", "_upload")

    def __init__(
        self,
        decoder: Decoder,
        limit: int,
        upload: Callable[[bytes], asyncio.Future[None] | None],
        done: Callable[[], None],
        refuse: Callable[[Answer], None],
    ) -> None:
        self._decoder = decoder
        self._limit = limit
        self._upload = upload
        self._done = done
        self._refuse = refuse
        self._decoding = self._ended = self._over = False

    def upload(self, data: bytes) -> asyncio.Future[None] | None:
        """Take *data*. The future that is returned says when to read more."""
        if self._over:
            return None
        self._decoding = True
        return asyncio.ensure_future(self._decode(data))

    def upload_done(self) -> None:
        """The body is whole."""
        self._ended = True
        if not self._decoding:
            self._finish()

    async def _decode(self, data: bytes) -> None:
        try:
            for piece in self._decoder.pieces(data):
                wait = self._upload(piece)
                if wait is not None:
                    await wait
                else:
                    await asyncio.sleep(0)  # a little that becomes a lot must not keep the loop
                if self._over:
                    return
        except TooLong:
            self._stop(Answer(413, "too_large", f"The body is longer than {self._limit} bytes once it is decoded."))
        except NotCoded as error:
            self._stop(Answer(400, "invalid_body", f"{str(error).capitalize()}."))
        except Exception:  # nobody else would hear of it
            logger.exception("a compressed body could not be passed on")
            self._stop(Answer(500, "internal_error", "The hub failed on this request."))
        finally:
            self._decoding = False
        if self._ended:
            self._finish()

    def _finish(self) -> None:
        if self._over:
            return
        try:
            self._decoder.end()
        except NotCoded as error:
            self._stop(Answer(400, "invalid_body", f"{str(error).capitalize()}."))
            return
        self._over = True
        self._done()

    def _stop(self, answer: Answer) -> None:
        if not self._over:
            self._over = True
            self._refuse(answer)


def decoder_for(request: VisitorRequest, limit: int) -> Decoder | None:
    """The decoder of a request's body; None where it is not encoded. Raises an `Answer`."""
    encoding = ",".join(value.decode("latin-1") for name, value in request.headers if name == b"content-encoding")
    try:
        decoder = decoder_of(encoding, limit)
    except UnknownCoding as error:
        accepted = (b"accept-encoding", ", ".join(CODINGS).encode())  # RFC 9110 §15.5.16
        raise Answer(415, "content_encoding", str(error), headers=(accepted,)) from None
    return decoder


def decoded_headers(headers: Headers) -> Headers:
    """The fields of a request whose body is passed on decoded."""
    return [pair for pair in headers if pair[0] not in (b"content-encoding", b"content-length")]
