"""A laid out graph as PNG, by Pillow: on a light ground of its own, so that it can be read on any page.

Here: how it looks as PNG. Pillow brings the font.
"""

from __future__ import annotations

import io
import threading
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from portico.errors import PipelineError
from portico.packages import to_install
from portico.pipelines.pictures.graph_layout import INSIDE, LINE, TEXT, TITLE, Box, DrawnLine, Layout, Point

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

MOST_PIXELS = 16_000_000
"""Of a picture: 48 MB while it is drawn. A larger one is made smaller."""

_SCALE = 2.0
"""Pixels for each unit: sharp on screens of two for each of their own."""

_FINE = 2
"""How much larger it is drawn than it is given, for smooth edges."""

_COLOURS = 64
"""Of the picture: a quarter of the bytes, and no eye sees the difference."""

_STEPS = 16
"""Straight pieces of a curve between two rows."""

_one_at_a_time = threading.Lock()
"""Each picture takes memory, and there is nothing to win by several at once."""


def png(layout: Layout) -> bytes:
    """The picture. Blocks. Raises `PipelineError` (501) where Pillow is not there."""
    try:
        from PIL import Image, ImageDraw
    except ImportError:
        error = PipelineError(f"PNG needs Pillow: {to_install('pipelines', 'pillow')}. SVG and Mermaid need nothing.")
        error.status = 501
        raise error from None
    fits = (MOST_PIXELS / (layout.width * layout.height)) ** 0.5 / _FINE
    scale = min(_SCALE, fits)
    size = max(1, round(layout.width * scale)), max(1, round(layout.height * scale))
    with _one_at_a_time:
        image = Image.new("RGB", (size[0] * _FINE, size[1] * _FINE), "#ffffff")
        _Drawing(ImageDraw.Draw(image), scale * _FINE).draw(layout)
        image = image.resize(size, Image.Resampling.LANCZOS).quantize(_COLOURS)
        out = io.BytesIO()
        image.save(out, "PNG", optimize=True)
    return out.getvalue()


class _Drawing:
    def __init__(self, draw: ImageDraw, scale: float) -> None:
        self._draw = draw
        self._scale = scale
        self._fonts: dict[float, Any] = {}

    def draw(self, layout: Layout) -> None:
        for line in layout.lines:
            self._line(line)
        for line in layout.lines:
            x, middle = line.label
            first = middle - LINE * (len(line.edge.labels) - 1) / 2
            for at, label in enumerate(line.edge.labels):
                self._text((x, first + LINE * at), label, TEXT, "#3a4754", halo=True)
        for box in layout.boxes:
            self._box(box)

    def _line(self, line: DrawnLine) -> None:
        points = _curve(line.points)
        self._draw.line(self._scaled(points), fill="#6b7c93", width=self._width(1.4), joint="curve")
        (x, y), before = points[-1], points[-2]
        back = 9.0 if before[1] <= y else -9.0
        head = [(x, y), (x - 4.5, y - back), (x + 4.5, y - back)]
        self._draw.polygon(self._scaled(head), fill="#6b7c93")

    def _box(self, box: Box) -> None:
        end = box.node.kind != "component"
        corners = self._scaled([(box.x, box.y), (box.x + box.width, box.y + box.height)])
        self._draw.rounded_rectangle(
            corners,
            radius=(box.height / 2 if end else 8) * self._scale,
            fill="#e2efe6" if end else "#f2f5fa",
            outline="#4d8060" if end else "#6b7c93",
            width=self._width(1.2),
        )
        middle = box.x + box.width / 2
        y = box.y + INSIDE * 0.8 + LINE / 2
        self._text((middle, y), box.node.title, TITLE, "#16202c", bold=True)
        for line in box.node.lines:
            y += LINE
            self._text((middle, y), line, TEXT, "#4a5868")

    def _text(self, at: Point, text: str, size: float, colour: str, *, halo: bool = False, bold: bool = False) -> None:
        from PIL import ImageFont

        font = self._fonts.get(size)
        if font is None:
            font = self._fonts[size] = ImageFont.load_default(size * self._scale)
        around = self._width(2.5) if halo else self._width(0.3) if bold else 0
        self._draw.text(
            self._scaled([at])[0],
            text,
            fill=colour,
            font=font,
            anchor="mm",
            stroke_width=around,
            stroke_fill="#ffffff" if halo else colour,
        )

    def _scaled(self, points: list[Point]) -> list[Point]:
        return [(x * self._scale, y * self._scale) for x, y in points]

    def _width(self, width: float) -> int:
        return max(1, round(width * self._scale))


def _curve(points: tuple[Point, ...]) -> list[Point]:
    """The cubic curves of `graph_svg`, in straight pieces."""
    made = [points[0]]
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 == x1:
            made.append((x1, y1))
            continue
        middle = (y0 + y1) / 2
        for step in range(1, _STEPS + 1):
            t = step / _STEPS
            u = 1 - t
            across = u * u * u + 3 * u * u * t, t * t * t + 3 * u * t * t
            x = across[0] * x0 + across[1] * x1
            y = u * u * u * y0 + (3 * u * u * t + 3 * u * t * t) * middle + t * t * t * y1
            made.append((x, y))
    return made
