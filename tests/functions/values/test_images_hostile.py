"""Images from strangers: any bytes are an image or an error, and none takes more memory than its pixels."""

from __future__ import annotations

import io
import random
import struct
import time
import zlib
from typing import Any

import pytest
from PIL import Image

from portico.functions.values.images import read_image
from portico.functions.values.uploads import to_base64
from tests.functions.values.functions import refusal, tried, upload


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *more: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "data",
    [
        png(2**31 - 1, 2**31 - 1),
        png(100_000, 100_000),
        png(1, 1, chunk(b"zTXt", b"k\0\0" + zlib.compress(b"x" * 2**27))),
        png(1, 1, *[chunk(b"tEXt", b"k\0" + b"x" * 2**20)] * 70),
        b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0" * 50,
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 100, 0, 0, 54, 40, 2**30, 2**30, 1, 24, 0, 0, 0, 0, 0, 0),
    ],
    ids=range(6),
)
def test_bombs_are_refused(data: bytes) -> None:
    started = time.process_time()
    assert refusal(Image.Image, upload(data))
    assert time.process_time() - started < 5


def test_a_jpeg_that_goes_over_its_pixels_again_and_again_is_refused() -> None:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data[data.rfind(b"\xff\xda") : -2]
    assert tried(read_image, data[:-2] + last * 50 + b"\xff\xd9").size == (64, 64)
    assert "scans" in refusal(Image.Image, upload(data[:-2] + last * 1000 + b"\xff\xd9"))


def test_base64_is_read_within_the_same_bounds() -> None:
    assert "pixels" in refusal(Image.Image, to_base64(png(100_000, 100_000)))


@pytest.mark.fuzz
def test_any_bytes_are_an_image_or_an_error(fuzz_seconds: float) -> None:
    """Bytes of an image, some of which were changed, give an image or an error of the caller's, soon."""
    chance = random.Random(7)
    seeds = []
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP"):
        for mode in ("L", "RGB", "P") if kind != "JPEG" else ("L", "RGB", "CMYK"):
            file = io.BytesIO()
            image: Any = Image.effect_noise((24, 16), 60).convert(mode)
            image.save(file, kind, **({"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"} if kind in ("JPEG", "WEBP") else {}))
            seeds.append(file.getvalue())
    until = time.monotonic() + fuzz_seconds
    slowest = 0.0
    while time.monotonic() < until:
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(data))
            data[at : at + chance.randrange(3)] = chance.choice(
                [bytes([chance.randrange(256)]), b"\xff" * 4, b"\0" * 4]
            )
        started = time.process_time()
        image = tried(read_image, bytes(data))
        assert image is None or image.size[0] > 0
        slowest = max(slowest, time.process_time() - started)
    assert slowest < 5
