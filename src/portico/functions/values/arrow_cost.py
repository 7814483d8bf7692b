"""How many values a message of Arrow claims to have, and how many bytes it unpacks to: read from its metadata alone.

The metadata are flatbuffers, of which a few fields are read here, by position; anything out of place is a
`BrokenArrow`. Source: Arrow's format/Message.fbs and format/File.fbs; FlatBuffers internals.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

_SCHEMA: Final = 1
_DICTIONARY: Final = 2
_BATCH: Final = 3
_MOST_BLOCKS: Final = 2**20
"""Batches that a file's footer lists."""


class BrokenArrow(ValueError):
    """The metadata are not Arrow's."""


@dataclass(slots=True)
class Cost:
    """What has been counted so far."""

    values: int = 0
    """Of all columns, and of what is nested in them."""
    bytes: int = 0
    """Of all buffers, unpacked."""


def cost_of_message(metadata: bytes, body: memoryview, cost: Cost) -> None:
    """Add to *cost* what a message claims. Raises `BrokenArrow`."""
    try:
        message = _Table(metadata, _uint(metadata, 0))
        kind = message.byte(1)
        if kind not in (_DICTIONARY, _BATCH):
            return
        header = message.table(2)
        batch = header.table(1) if kind == _DICTIONARY else header
        _add_batch(batch, body, cost)
    except (struct.error, IndexError):
        raise BrokenArrow("its metadata are cut off") from None


def cost_of_file(data: bytes) -> Cost:
    """What all the messages claim that a file's footer lists. Raises `BrokenArrow`."""
    cost = Cost()
    try:
        (size,) = struct.unpack_from("<i", data, len(data) - 10)
        if data[-6:] != b"ARROW1" or size <= 0 or size > len(data) - 18:
            raise BrokenArrow("it has no footer")
        start = len(data) - 10 - size
        footer = _Table(data[start : start + size], _uint(data, start))
        whole = memoryview(data)
        for offset, length, body_length in [*_blocks(footer, 2), *_blocks(footer, 3)]:
            if min(offset, length, body_length) < 0 or offset + length + body_length > len(data):
                raise BrokenArrow("a part of it lies outside")
            metadata = data[offset : offset + length]
            skipped = 8 if metadata[:4] == b"\xff\xff\xff\xff" else 4
            body = whole[offset + length : offset + length + body_length]
            cost_of_message(metadata[skipped:], body, cost)
    except (struct.error, IndexError):
        raise BrokenArrow("its metadata are cut off") from None
    return cost


def _blocks(footer: _Table, field: int) -> list[tuple[int, int, int]]:
    at, count = footer.vector(field)
    if count > _MOST_BLOCKS:
        raise BrokenArrow("it has too many parts")
    return [struct.unpack_from("<qi4xq", footer.data, at + 24 * index) for index in range(count)]


def _add_batch(batch: _Table, body: memoryview, cost: Cost) -> None:
    data = batch.data
    at, count = batch.vector(1)
    if not count:
        cost.values += max(batch.long(0), 0)  # rows of no column
    for node in range(count):
        length, _ = struct.unpack_from("<qq", data, at + 16 * node)
        cost.values += max(length, 0)
    at, count = batch.vector(2)
    compressed = batch.has(3)
    for buffer in range(count):
        offset, length = struct.unpack_from("<qq", data, at + 16 * buffer)
        if offset < 0 or length < 0 or offset + length > len(body):
            raise BrokenArrow("a buffer of it lies outside")
        if compressed and length >= 8:
            (unpacked,) = struct.unpack_from("<q", body, offset)
            if unpacked != -1:  # which means: not compressed after all
                length = unpacked
                if length < 0:
                    raise BrokenArrow("a buffer of it has a negative size")
        cost.bytes += length


@dataclass(slots=True)
class _Table:
    """A table of a flatbuffer: where each of its fields is, is said by its vtable."""

    data: bytes
    at: int

    def _field(self, number: int) -> int:
        """Where a field is; 0 if it is not there."""
        (back,) = struct.unpack_from("<i", self.data, self.at)
        vtable = self.at - back
        if not 0 <= vtable <= len(self.data) - 4:
            raise BrokenArrow("its metadata are broken")
        (size,) = struct.unpack_from("<H", self.data, vtable)
        place = 4 + 2 * number
        if place + 2 > size:
            return 0
        (offset,) = struct.unpack_from("<H", self.data, vtable + place)
        return self.at + offset if offset else 0

    def has(self, number: int) -> bool:
        return self._field(number) != 0

    def byte(self, number: int) -> int:
        at = self._field(number)
        return self.data[at] if at else 0

    def long(self, number: int) -> int:
        at = self._field(number)
        return int(struct.unpack_from("<q", self.data, at)[0]) if at else 0

    def table(self, number: int) -> _Table:
        at = self._field(number)
        if not at:
            raise BrokenArrow("its metadata lack a part")
        return _Table(self.data, at + _uint(self.data, at))

    def vector(self, number: int) -> tuple[int, int]:
        """Where a vector's items begin, and how many there are."""
        at = self._field(number)
        if not at:
            return 0, 0
        at += _uint(self.data, at)
        return at + 4, _uint(self.data, at)


def _uint(data: bytes, at: int) -> int:
    return int(struct.unpack_from("<I", data, at)[0])
