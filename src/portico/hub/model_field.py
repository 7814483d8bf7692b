"""Finding the top-level ``model`` of a JSON body while it comes in, without parsing the rest.

SDKs send ``messages`` before ``model``, and messages may hold megabytes of images: strings are skipped by search, and
nothing but the wanted field is decoded. Whether the JSON is valid otherwise is for whoever it is passed on to.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_IN_STRING = re.compile(rb'["\\]')
_OUTSIDE = re.compile(rb'["{}\[\]:,]|[^\s"{}\[\]:,]')
_LONGEST_KEY = 64  # bytes; a longer key is not the one we want
_DEEPEST = 512


class NotAnObject(ValueError):
    """The body is no JSON object, or its ``model`` is no string: ``str()`` says which."""


@dataclass(frozen=True, slots=True)
class Found:
    """The field's value, and where it stands in the bytes that were fed: from its first quote to after its last."""

    value: str
    start: int
    end: int


class ModelField:
    """Feed it the body's pieces, until `found` is set or the body has ended."""

    def __init__(self, field: str = "model") -> None:
        self._field = field
        self.body = bytearray()
        """All that was fed."""
        self.found: Found | None = None
        self._position = 0
        self._depth = 0
        self._string_start = -1
        self._is_key = False
        """The next string at the top level is a key."""
        self._wanted = False
        """The next value is the one."""

    def feed(self, data: bytes) -> Found | None:
        """Take more of the body. Raises `NotAnObject` as soon as the field cannot be found any more."""
        if self.found is None:
            self.body += data
            self._scan()
        return self.found

    def _scan(self) -> None:
        body = self.body
        while self.found is None:
            if self._string_start >= 0:
                match = _IN_STRING.search(body, self._position)
                if match is None:
                    self._position = len(body)
                    return
                if match.group() == b"\\":
                    if match.end() >= len(body):
                        self._position = match.start()  # what it escapes is not here yet
                        return
                    self._position = match.end() + 1
                else:
                    self._position = match.end()
                    self._string_ended(match.end())
                continue
            match = _OUTSIDE.search(body, self._position)
            if match is None:
                self._position = len(body)
                return
            self._position = match.end()
            self._token(match.group(), match.start())

    def _token(self, token: bytes, start: int) -> None:
        if self._depth == 0 and token != b"{":
            raise NotAnObject("the body is not a JSON object")
        if self._wanted and token not in (b'"', b":"):
            raise NotAnObject(f"{self._field} must be a string")
        if token == b'"':
            self._string_start = start
        elif token in (b"{", b"["):
            self._depth += 1
            self._is_key = self._depth == 1
            if self._depth > _DEEPEST:
                raise NotAnObject("the body is nested too deeply")
        elif token in (b"}", b"]"):
            self._depth -= 1
            if self._depth == 0:
                raise NotAnObject(f"the body has no {self._field}")
        elif token == b"," and self._depth == 1:
            self._is_key = True

    def _string_ended(self, end: int) -> None:
        start, self._string_start = self._string_start, -1
        if self._depth != 1:
            return
        if self._wanted:
            self.found = Found(self._decode(start, end), start, end)
        elif self._is_key:
            self._is_key = False
            self._wanted = end - start <= _LONGEST_KEY and self._decode(start, end) == self._field

    def _decode(self, start: int, end: int) -> str:
        try:
            return str(json.loads(bytes(self.body[start:end])))
        except ValueError:
            raise NotAnObject("the body is not JSON") from None

    def replaced(self, value: str) -> bytes:
        """All that was fed, with *value* in the place of the one that was found."""
        assert self.found is not None
        return bytes(self.body[: self.found.start]) + json.dumps(value).encode() + bytes(self.body[self.found.end :])
