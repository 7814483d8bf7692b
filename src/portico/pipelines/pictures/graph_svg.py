"""A laid out graph as SVG, in light or dark colours as its reader prefers. No script, nothing that is loaded.

Here: how it looks as SVG. Source: SVG 2; CSS Media Queries 5, ``prefers-color-scheme``.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

from portico.pipelines.pictures.graph_layout import INSIDE, LINE, TEXT, TITLE, Box, DrawnLine, Layout

_STYLE = """
svg { color-scheme: light dark; background: #fff; font-family: system-ui, "Segoe UI", Roboto, Arial, sans-serif; }
.box { fill: #f2f5fa; stroke: #6b7c93; stroke-width: 1.2; } .end { fill: #e2efe6; stroke: #4d8060; }
.title { fill: #16202c; font-weight: 600; } .line { fill: #4a5868; } .label { fill: #3a4754; }
.halo { stroke: #fff; stroke-width: 5; stroke-linejoin: round; paint-order: stroke; }
.edge { fill: none; stroke: #6b7c93; stroke-width: 1.4; } .head { fill: #6b7c93; }
@media (prefers-color-scheme: dark) {
svg { background: #14181d; } .box { fill: #222a33; stroke: #8595a8; } .end { fill: #1e3327; stroke: #6fae87; }
.title { fill: #f0f4f8; } .line { fill: #b6c2cf; } .label { fill: #c4ced8; } .halo { stroke: #14181d; }
.edge { stroke: #8595a8; } .head { fill: #8595a8; } }
"""


def svg(layout: Layout) -> str:
    """The picture as an SVG document."""
    width, height = f"{layout.width:.0f}", f"{layout.height:.0f}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-labelledby="t">',
        f'<title id="t">{_text(layout.graph.title)}</title>',
        f"<style>{_STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        'orient="auto"><path class="head" d="M0 0 10 5 0 10z"/></marker></defs>',
        *(f'<path class="edge" marker-end="url(#head)" d="{_path(line)}"/>' for line in layout.lines),
        *(_labels(line) for line in layout.lines),
        *(_box(box) for box in layout.boxes),
        "</svg>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _path(line: DrawnLine) -> str:
    (x, y), *rest = line.points
    parts = [f"M{x:.1f} {y:.1f}"]
    for to_x, to_y in rest:
        middle = (y + to_y) / 2
        parts.append(f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
    return " ".join(parts)


def _labels(line: DrawnLine) -> str:
    x, middle = line.label
    first = middle - LINE * (len(line.edge.labels) - 1) / 2
    return "".join(
        f'<text class="label halo" x="{x:.1f}" y="{first + LINE * at:.1f}" {_CENTRED} font-size="{TEXT:.0f}">'
        f"{_text(label)}</text>"
        for at, label in enumerate(line.edge.labels)
    )


_CENTRED = 'text-anchor="middle" dominant-baseline="central"'


def _box(box: Box) -> str:
    middle = box.x + box.width / 2
    y = box.y + INSIDE * 0.8 + LINE / 2
    end = box.node.kind != "component"
    lines = [
        f'<rect class="box{" end" if end else ""}" x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="{box.height / 2 if end else 8:.1f}"/>',
        f'<text class="title" x="{middle:.1f}" y="{y:.1f}" {_CENTRED} font-size="{TITLE:.0f}">'
        f"{_text(box.node.title)}</text>",
    ]
    for line in box.node.lines:
        y += LINE
        lines.append(
            f'<text class="line" x="{middle:.1f}" y="{y:.1f}" {_CENTRED} font-size="{TEXT:.0f}">{_text(line)}</text>'
        )
    return "".join(lines)


def _text(text: str) -> str:
    """*text* as XML takes it, which has no control characters and no halves of characters."""
    return escape("".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text))
