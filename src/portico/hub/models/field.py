"""Finding the top-level ``model`` of a JSON body while it comes in, without parsing the rest.

SDKs send ``messages`` before ``model``, and messages may hold megabytes of images. So nothing but the top level is read
sign by sign, and that has a bounded number of fields; what is nested, and long strings, are skipped in blocks by what
bytes can do at once. Whatever the body is made of, a megabyte costs some milliseconds, and no byte is looked at again
because another piece came. Whether what is skipped is valid JSON is for the service that gets it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

_LONGEST_KEY = 64  # bytes; a longer key is not the one we want
_LONGEST_VALUE = 8 * 1024  # bytes; a descriptor, with all its models, has less than eight times as many
_MOST_FIELDS = 256  # at the top level; the API has some forty
_DEEPEST = 512

# A block grows while nothing ends in it, so that what is short costs little, and what is long is read in few steps.
_FIRST_BLOCK = 64  # bytes; in so few a nested value's end is looked for byte by byte
_LARGEST_BLOCK = 64 * 1024

_TOKEN = re.compile(rb"[ \t\n\r]*+([-+.0-9A-Za-z]++|[^ \t\n\r])?")  # RFC 8259 §2
_QUOTE, _OPENING, _CLOSING = b'"'[0], b"[{", b"]}"

_SIGNS = bytes.maketrans(b"[{]}", b"1100")
_NO_SIGNS = bytes(set(range(256)) - set(b'[{]}"'))


def _walked(byte: int) -> tuple[int, int]:
    """Of eight brackets, as bits (1 opens, 0 closes): by how much the depth changes, and how far down it gets."""
    depth = lowest = 0
    for place in range(7, -1, -1):
        depth += 1 if byte >> place & 1 else -1
        lowest = min(lowest, depth)
    return depth, lowest


_WALKED: Final = tuple(_walked(byte) for byte in range(256))

# What may come next at the top level.
_OBJECT, _FIRST_KEY, _KEY, _COLON, _VALUE, _COMMA = range(6)


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

    def __init__(self, field: str = "model", body: bytearray | None = None) -> None:
        """*body* is what another has been fed: feed this one from now on, at first with nothing. It is not copied."""
        self._field = field
        self.body = bytearray() if body is None else body
        """All that was fed."""
        self.found: Found | None = None
        self._position = 0
        """What is before it was read."""
        self._next = _OBJECT
        self._fields = 0
        self._wanted = False
        """The next value is the one."""
        self._scalar_end = -1
        """Where a number or a word ended with the piece: it may go on in the next one."""
        self._string_start = -1
        """Of a string at the top level that has begun."""
        self._depth = 1
        """More, in a nested value."""
        self._in_string = False
        """Of a nested value."""
        self._block = _FIRST_BLOCK
        self._closing = False
        """The end of the nested value is in the block."""

    def feed(self, data: bytes) -> Found | None:
        """Take more of the body. Raises `NotAnObject` as soon as the field cannot be found any more."""
        if self.found is None:
            self.body += data
            while self.found is None:
                if self._depth > 1:
                    goes_on = self._skip_nested()
                elif self._string_start >= 0:
                    goes_on = self._skip_string()
                else:
                    goes_on = self._token()
                if not goes_on:
                    break
        return self.found

    # Each of these returns False when it needs more of the body.

    def _token(self) -> bool:
        """Read one token at the top level."""
        match = _TOKEN.match(self.body, self._position)
        assert match is not None
        self._position = match.end()
        token, start = match.group(1), match.start(1)
        if token is None:
            return False
        expected = self._next
        if expected == _OBJECT:
            if token != b"{":
                raise NotAnObject("the body is not a JSON object")
            self._next = _FIRST_KEY
        elif token == b"}" and expected in (_FIRST_KEY, _COMMA):
            raise NotAnObject(f"the body has no {self._field}")
        elif token == b'"' and expected in (_FIRST_KEY, _KEY, _VALUE):
            self._begin(start)
        elif token == b":" and expected == _COLON:
            self._next = _VALUE
        elif token == b"," and expected == _COMMA:
            self._next = _KEY
        elif expected == _VALUE and self._wanted:
            raise NotAnObject(f"{self._field} must be a string")
        elif token in (b"{", b"[") and expected == _VALUE:
            self._depth, self._in_string, self._block = 2, False, _FIRST_BLOCK
        elif token[-1:].isalnum() or token[-1:] in b"-+.":
            if expected != _VALUE and not (expected == _COMMA and start == self._scalar_end):
                raise NotAnObject("the body is not JSON")
            self._next, self._scalar_end = _COMMA, match.end()
        else:
            raise NotAnObject("the body is not JSON")
        return True

    def _begin(self, start: int) -> None:
        self._string_start, self._block = start, _FIRST_BLOCK
        if self._next != _VALUE:
            self._fields += 1
            if self._fields > _MOST_FIELDS:
                raise NotAnObject(f"the body has no {self._field} among its first {_MOST_FIELDS} fields")

    def _skip_string(self) -> bool:
        """Go on in a string at the top level, a block further."""
        block = self._take()
        if not block:
            return False
        end = block.find(b'"')
        self._position += len(block) if end < 0 else end + 1
        if self._wanted and self._position - self._string_start > _LONGEST_VALUE:
            raise NotAnObject(f"{self._field} is longer than {_LONGEST_VALUE} bytes")
        if end >= 0:
            self._string_ended(self._position)
        return True

    def _string_ended(self, end: int) -> None:
        start, self._string_start = self._string_start, -1
        if self._next == _VALUE:
            self._next = _COMMA
            if self._wanted:
                self.found = Found(self._decode(start, end), start, end)
        else:
            self._next = _COLON
            self._wanted = end - start <= _LONGEST_KEY and self._decode(start, end) == self._field

    def _skip_nested(self) -> bool:
        """Go on in a nested value, a block further."""
        block = self._take()
        if not block:
            return False
        signs, in_string = _brackets(block, self._in_string)
        closed = signs.count(b"0")
        if closed < self._depth - 1 or not _comes_to_its_end(signs, self._depth):
            self._position += len(block)
            self._depth += len(signs) - 2 * closed
            self._in_string = in_string
            if self._depth > _DEEPEST:
                raise NotAnObject("the body is nested too deeply")
        elif len(block) > _FIRST_BLOCK:
            self._block, self._closing = len(block) // 2, True
        else:
            self._find_end(block)
        return True

    def _find_end(self, block: bytes) -> None:
        """Go on to after the last bracket of the nested value, which is in *block*."""
        depth, in_string = self._depth, self._in_string
        for place, byte in enumerate(block):
            if byte == _QUOTE:
                in_string = not in_string
            elif in_string:
                continue
            elif byte in _OPENING:
                depth += 1
            elif byte in _CLOSING:
                depth -= 1
                if depth == 1:
                    self._position += place + 1
                    break
        self._depth, self._in_string, self._closing, self._next = 1, False, False, _COMMA

    def _take(self) -> bytes:
        """The next block, with what is escaped in it blanked out: each quote in it begins a string or ends one.

        It ends before a backslash whose other half has not come.
        """
        size = self._block
        if not self._closing:
            self._block = min(2 * size, _LARGEST_BLOCK)
        with memoryview(self.body) as body:
            block = bytes(body[self._position : self._position + size])
        if b"\\" in block:
            block = block.replace(b"\\\\", b"__").replace(b'\\"', b"__")
            if block.endswith(b"\\"):
                block = block[:-1]
        return block

    def _decode(self, start: int, end: int) -> str:
        try:
            return str(json.loads(bytes(self.body[start:end])))
        except ValueError:
            raise NotAnObject("the body is not JSON") from None

    def replaced(self, value: str) -> bytes:
        """All that was fed, with *value* in the place of the one that was found."""
        assert self.found is not None
        with memoryview(self.body) as body:
            return b"".join((body[: self.found.start], json.dumps(value).encode(), body[self.found.end :]))


def _brackets(block: bytes, in_string: bool) -> tuple[bytes, bool]:
    """The brackets of *block* that are in no string, ``1`` for each that opens and ``0`` for each that closes.

    And whether a string goes on after it. *in_string* says whether one goes on at its beginning.
    """
    signs = block.translate(_SIGNS, _NO_SIGNS)
    if in_string:
        signs = b'"' + signs
    if b'"' not in signs:
        return signs, False
    in_string = signs.count(b'"') % 2 == 1
    # Two quotes with no bracket between them: what is on both sides is in a string, or is not, as it was before.
    signs = signs.replace(b'""', b"")
    if b'"' in signs:
        signs = b"".join(signs.split(b'"')[::2])
    return signs, in_string


def _comes_to_its_end(signs: bytes, depth: int) -> bool:
    """Whether the depth, *depth* at first, comes down to 1 somewhere in *signs*. Eight brackets are taken at a time."""
    whole = signs + b"1" * (-len(signs) % 8)
    for byte in int(whole, 2).to_bytes(len(whole) // 8, "big"):
        change, lowest = _WALKED[byte]
        if depth + lowest <= 1:
            return True
        depth += change
    return False
