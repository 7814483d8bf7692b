"""Decodes a compressed request body as it comes, within a limit: gzip and deflate.

Here: bytes in, bytes out. Not here: where they come from (`body`, and the hub). Source:
RFC 9110 §8.4.1 "Content Codings"; RFC 1950, 1951, 1952.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

CODINGS = ("gzip", "deflate")

SLICE = 256 * 1024
"""Bytes that are decoded at a time: a millisecond's work, so that the loop has its turn between them."""

_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


class UnknownCoding(ValueError):
    """A Content-Encoding that is not decoded here."""


class TooLong(ValueError):
    """The body is longer than the limit, once it is decoded."""


class NotCoded(ValueError):
    """The body is not in the coding that it is said to be in, or it ends too early."""


class Decoder:
    """Feed it the body's pieces by `pieces`, then call `end`. Not more than *limit* bytes come out of it."""

    def __init__(self, coding: str, limit: int) -> None:
        self._coding = coding
        self._left = limit
        self._first = b""
        self._stream: zlib._Decompress | None = zlib.decompressobj(_GZIP) if coding == "gzip" else None

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What *data* adds, in pieces of at most `SLICE` bytes. Raises `TooLong` and `NotCoded`."""
        if self._stream is None:
            # Some senders leave out what RFC 1950 puts around "deflate"; two bytes tell.
            data, self._first = self._first + data, b""
            if len(data) < 2:
                self._first = data
                return
            wrapped = data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
            self._stream = zlib.decompressobj(_ZLIB if wrapped else _RAW)
        while data:
            try:
                piece = self._stream.decompress(data, min(SLICE, self._left + 1))
            except zlib.error:
                raise NotCoded(f"the body is not {self._coding}") from None
            self._left -= len(piece)
            if self._left < 0:
                raise TooLong
            if piece:
                yield piece
            if self._stream.eof:
                data = self._stream.unused_data
                if data and self._coding != "gzip":
                    raise NotCoded(f"something follows the {self._coding} body")
                if data:  # a gzip body may be of several members (RFC 1952 §2.2)
                    self._stream = zlib.decompressobj(_GZIP)
            else:
                data = self._stream.unconsumed_tail
                if not data and not piece:
                    return

    def end(self) -> None:
        """The body is whole. Raises `NotCoded` if it is not."""
        if self._stream is None or not self._stream.eof:
            raise NotCoded(f"the {self._coding} body ends too early")


def decoder_of(content_encoding: str, limit: int) -> Decoder | None:
    """The decoder for a Content-Encoding header; None where the body is as it is. Raises `UnknownCoding`."""
    codings = [one.strip().lower() for one in content_encoding.split(",")]
    named = [one for one in codings if one not in ("", "identity")]
    if not named:
        return None
    coding = named[0].removeprefix("x-")  # x-gzip is gzip (RFC 9110 §8.4.1.3)
    if len(named) > 1 or coding not in CODINGS:
        raise UnknownCoding(f"A body may be encoded as {' or '.join(CODINGS)}, not as {content_encoding[:40]!r}.")
    return Decoder(coding, limit)
