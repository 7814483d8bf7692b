"""PIL images: what files of them become, and how they are given."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from portico.functions.values import bounds
from portico.functions.values.uploads import to_base64
from tests.functions.values.functions import answered, refusal, result_of, taken, upload


def file_of(image: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_files_of_each_kind_are_read(kind: str) -> None:
    data = file_of(Image.new("RGB", (3, 2), "red"), kind)
    image = taken(Image.Image, upload(data))
    assert (image.size, image.convert("RGB").getpixel((0, 0))[0] > 250) == ((3, 2), True)
    assert taken(Image.Image, to_base64(data)).size == (3, 2)
    assert taken(Image.Image, f"data:image/{kind.lower()};base64,{to_base64(data)}").size == (3, 2)


@pytest.mark.parametrize("data", [b"", b"nothing", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"II*\0" + b"\0" * 50])
def test_other_files_are_refused(data: bytes) -> None:
    assert "no image of a known kind" in refusal(Image.Image, upload(data))


def test_a_broken_image_is_the_callers_error() -> None:
    whole = file_of(Image.effect_noise((64, 64), 50))
    assert "cannot be decoded" in refusal(Image.Image, upload(whole[:-200]))


def test_an_image_of_too_many_pixels_is_not_decoded() -> None:
    many = file_of(Image.new("1", (bounds.PIXELS // 1000 + 1, 1000)))
    assert len(many) < 100_000
    assert "pixels" in refusal(Image.Image, upload(many))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "I", "F", "I;16"])
@pytest.mark.parametrize(("media_type", "kind"), [("image/png", "PNG"), ("image/jpeg", "JPEG"), ("image/webp", "WEBP")])
def test_images_of_any_mode_are_given_in_each_format(mode: str, media_type: str, kind: str) -> None:
    encoded = answered(Image.new(mode, (3, 2)), media_type)
    assert encoded.media_type == media_type
    again = Image.open(io.BytesIO(encoded.body))
    assert (again.format, again.size) == (kind, (3, 2))


def test_what_is_transparent_is_white_in_a_jpeg() -> None:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    again: Any = Image.open(io.BytesIO(answered(clear, "image/jpeg").body))
    assert again.getpixel((4, 4)) == (255, 255, 255)


def test_in_json_an_image_is_a_data_url_that_can_be_sent_again() -> None:
    url = result_of(Image.new("RGB", (3, 2), "red"))
    assert url.startswith("data:image/png;base64,")
    assert taken(Image.Image, url).getpixel((0, 0)) == (255, 0, 0)
    assert result_of({"all": [Image.new("L", (1, 1))]}, dict[str, list[Image.Image]])["all"][0].startswith("data:")
