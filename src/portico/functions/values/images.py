"""PIL images: PNG, JPEG, WebP, GIF and BMP in; PNG, JPEG and WebP out.

Formats that run other programs (EPS), hold many layers, or are seldom sent are not read: each is one more decoder that
strangers reach.
"""

from __future__ import annotations

import io
from typing import Any, BinaryIO, Final

from portico.errors import UnusableRequest
from portico.functions.values.bounds import PIXELS, unreadable
from portico.functions.values.uploads import data_url, open_bytes

FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
"""Which of Pillow's decoders may look at what strangers send."""
MEDIA_TYPES: Final = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp")

SCANS: Final = 100
"""Passes over a JPEG image: progressive ones have ten. Each goes over all pixels, for as little as twenty bytes."""
_TOO_MANY: Final = f"The image has too many pixels: at most {PIXELS} can be read here."

WRITTEN: Final = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
"""In which formats an image is given, by media type: Pillow's name."""
_MODES: Final = {
    "PNG": {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"},
    "JPEG": {"L", "RGB"},
    "WEBP": {"RGB", "RGBA"},
}
"""Which modes each format can hold as they are."""


def read_image(given: Any) -> Any:
    """The image in a file, or in base64 text, all of it decoded.

    Raises `UnusableRequest` (422) for what is none, or has too many pixels.
    """
    from PIL import Image, UnidentifiedImageError

    if isinstance(given, Image.Image):
        return given
    file, _ = open_bytes(given)
    try:
        image = Image.open(file, formats=FORMATS)
        if image.width * image.height > PIXELS:
            raise unreadable(_TOO_MANY)
        if image.format in ("JPEG", "MPO") and _scans(file) > SCANS:
            raise unreadable(f"The JPEG file has more than {SCANS} scans.")
        image.load()
    except UnusableRequest:
        raise
    except Exception as error:  # noqa: BLE001 - a decoder may raise anything, and all of it means that this is no image
        if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):  # Pillow's own bound
            raise unreadable(_TOO_MANY) from None
        text = "is no image of a known kind" if isinstance(error, UnidentifiedImageError) else "cannot be decoded"
        raise unreadable(f"The file {text}: send PNG, JPEG, WebP, GIF or BMP.") from None
    return image


def _scans(file: BinaryIO) -> int:
    """How many scans a JPEG file has, or a few more: those of thumbnails in it. Source: ITU-T T.81, B.1.1."""
    place = file.tell()
    file.seek(0)
    count, last = 0, b""
    while piece := file.read(2**20):
        count += (last + piece).count(b"\xff\xda")
        last = piece[-1:]
    file.seek(place)
    return count


def to_bytes(image: Any, media_type: str = "image/png") -> bytes:
    """*image* as a file of *media_type*, one of `WRITTEN`."""
    kind = WRITTEN[media_type]
    if image.mode not in _MODES[kind]:
        image = _convert(image, kind)
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def _convert(image: Any, kind: str) -> Any:
    from PIL import Image

    if image.mode == "I" and kind == "PNG":
        return image.convert("I;16")
    transparent = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    if not transparent:
        return image.convert("L" if image.mode in ("1", "F", "I", "I;16") and kind == "JPEG" else "RGB")
    image = image.convert("RGBA")
    if kind != "JPEG":
        return image
    white = Image.new("RGB", image.size, "white")  # as pages show it; black is what dropping the transparency gives
    white.paste(image, mask=image.getchannel("A"))
    return white


def to_data_url(image: Any) -> str:
    return data_url(to_bytes(image), "image/png")
