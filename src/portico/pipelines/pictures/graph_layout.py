"""Where the boxes and lines of a graph are: in rows from the top down, with few crossings, and labels on the lines.

The layered way of drawing: rows by the longest path, with lines that go back turned round for that; rows ordered by the
mean place of what they are joined to; places as near as can be to those means. Source: K. Sugiyama, S. Tagawa, M. Toda,
"Methods for Visual Understanding of Hierarchical System Structures" (1981); the places by isotonic regression (pool
adjacent violators). Knows neither Haystack nor any format of pictures.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from portico.errors import PipelineError
from portico.pipelines.pictures.graph import Graph, GraphEdge, Node

TITLE, TEXT = 15.0, 12.0
"""Sizes of letters, in units of the picture, which are pixels at its usual size."""
LINE = 17.0
"""From one line of text to the next."""
INSIDE = 14.0
"""From a box's edge to its text."""
BESIDE, BETWEEN = 28.0, 22.0
"""Between two boxes of a row, and between two rows."""
AROUND = 24.0
"""From what is drawn to the edge of the picture."""

MOST = 500
"""Components: far more than anybody can read in one picture, and a second's work."""

MOST_PLACES = 20_000
"""Rows that all lines pass together: some seconds' work."""

_SWEEPS = 12
"""How often the order of the rows is bettered: it changes little after some."""

_STRAIGHT = 8.0
"""How much more it counts that a line is straight than that a box is in the middle of what it is joined to."""

_APART = 26.0
"""Between the ends of two lines at one box, where it is wide enough."""

_NARROW, _WIDE = (
    frozenset("iljtfrI.,:;|!'()[]{} "),
    frozenset("mwMW@%\N{HORIZONTAL ELLIPSIS}\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"),
)

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A node and where it is: its upper left corner, and its size."""

    node: Node
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """An edge and where it goes. Between two points it leaves and arrives upright."""

    edge: GraphEdge
    points: tuple[Point, ...]
    """From the sender to the receiver."""
    label: Point
    """The middle of its labels."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A picture."""

    graph: Graph
    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[DrawnLine, ...]


def width_of(text: str, size: float) -> float:
    """About how wide *text* is in a font without serifs; rather more than less."""
    return size * sum(_letter(one) for one in text)


def _letter(one: str) -> float:
    if one in _NARROW:
        return 0.36
    if one in _WIDE:
        return 1.0
    if unicodedata.east_asian_width(one) in "WF":
        return 1.05
    return 0.7 if one.isupper() else 0.6


class _Place:
    """A node, or where a line passes a row."""

    __slots__ = ("above", "below", "height", "passed", "rank", "width", "x", "y")

    def __init__(self, rank: int, width: float = 0.0, height: float = 0.0, *, passed: bool = False) -> None:
        self.rank, self.width, self.height = rank, width, height
        self.passed = passed
        """Whether it is no node: the line goes through the whole row here."""
        self.above: list[_Place] = []
        self.below: list[_Place] = []
        self.x = self.y = 0.0


def lay_out(graph: Graph) -> Layout:
    """Find a place for everything. Raises `PipelineError` for a graph of more than `MOST` nodes."""
    if len(graph.nodes) > MOST:
        raise PipelineError(f"A pipeline of {len(graph.nodes)} components is too large to draw: at most {MOST}.")
    known = {node.id for node in graph.nodes}
    edges = [edge for edge in graph.edges if edge.sender in known and edge.receiver in known]
    downward = _downward(graph.nodes, [edge for edge in edges if edge.sender != edge.receiver])
    ranks = _ranks(graph.nodes, downward)
    places = {node.id: _Place(2 * ranks[node.id], *_size(node)) for node in graph.nodes}
    if sum(places[lower].rank - places[upper].rank for _, _, upper, lower in downward) > MOST_PLACES:
        raise PipelineError("This pipeline is too large to draw: too many connections lead over too many components.")
    ways = [(edge, turned, _way(places, upper, lower, edge)) for edge, turned, upper, lower in downward]
    rows = _rows([*places.values(), *(place for _, _, way in ways for place in way[1:-1])])
    _order(rows)
    _place(rows)
    boxes = [
        Box(node, place.x - place.width / 2, place.y, place.width, place.height)
        for node in graph.nodes
        for place in (places[node.id],)
    ]
    ends = _ends([way for _, _, way in ways])
    lines = [_line(edge, turned, way, ends) for edge, turned, way in ways]
    return _framed(graph, boxes, lines)


def _size(node: Node) -> tuple[float, float]:
    widest = max([width_of(node.title, TITLE) * 1.08, *(width_of(line, TEXT) for line in node.lines)])
    return widest + 2 * INSIDE, 2 * INSIDE * 0.8 + LINE * (1 + len(node.lines))


def _downward(nodes: Sequence[Node], edges: Sequence[GraphEdge]) -> list[tuple[GraphEdge, bool, str, str]]:
    """Each edge, whether it is turned round so that nothing goes in a circle, and its upper and lower end."""
    onward: dict[str, list[str]] = {node.id: [] for node in nodes}
    for edge in edges:
        onward[edge.sender].append(edge.receiver)
    receivers = {edge.receiver for edge in edges}
    state: dict[str, int] = {}  # 1: on the way that is being followed; 2: done
    back: set[tuple[str, str]] = set()
    for start in [*(node.id for node in nodes if node.id not in receivers), *onward]:
        waiting = [(start, iter(onward[start]))] if start not in state else []
        state.setdefault(start, 1)
        while waiting:
            at, rest = waiting[-1]
            following = next(rest, None)
            if following is None:
                state[at] = 2
                waiting.pop()
            elif following not in state:
                state[following] = 1
                waiting.append((following, iter(onward[following])))
            elif state[following] == 1:
                back.add((at, following))
    found = []
    for edge in edges:
        turned = (edge.sender, edge.receiver) in back
        upper, lower = (edge.receiver, edge.sender) if turned else (edge.sender, edge.receiver)
        found.append((edge, turned, upper, lower))
    return found


def _ranks(nodes: Sequence[Node], downward: Sequence[tuple[GraphEdge, bool, str, str]]) -> dict[str, int]:
    """The row of each node: below all that lead to it; and then as near to what it leads to as can be."""
    above: dict[str, list[str]] = {node.id: [] for node in nodes}
    below: dict[str, list[str]] = {node.id: [] for node in nodes}
    for _, _, upper, lower in downward:
        above[lower].append(upper)
        below[upper].append(lower)
    left = {id: len(uppers) for id, uppers in above.items()}
    ready = [id for id, count in left.items() if not count]
    ranks: dict[str, int] = {}
    for id in ready:
        ranks[id] = max((ranks[upper] + 1 for upper in above[id]), default=0)
        for lower in below[id]:
            left[lower] -= 1
            if not left[lower]:
                ready.append(lower)
    deepest = max(ranks.values(), default=0)
    for id in reversed(ready):
        if id == "output":
            ranks[id] = deepest
        elif id != "input" and below[id] and not above[id]:
            ranks[id] = min(ranks[lower] for lower in below[id]) - 1
    return ranks


def _way(places: dict[str, _Place], upper: str, lower: str, edge: GraphEdge) -> list[_Place]:
    """The places that a line passes, one a row; the middle one is as large as its labels."""
    first, last = places[upper], places[lower]
    middle = (first.rank + last.rank) // 2
    way = [first]
    for rank in range(first.rank + 1, last.rank):
        if rank == middle and edge.labels:
            size = max(width_of(label, TEXT) for label in edge.labels) + 10, LINE * len(edge.labels)
            way.append(_Place(rank, *size, passed=True))
        else:
            way.append(_Place(rank, passed=True))
    way.append(last)
    for above, below in pairwise(way):
        above.below.append(below)
        below.above.append(above)
    return way


def _rows(places: Sequence[_Place]) -> list[list[_Place]]:
    rows: list[list[_Place]] = [[] for _ in range(max((place.rank for place in places), default=-1) + 1)]
    for place in places:
        rows[place.rank].append(place)
    return rows


def _order(rows: list[list[_Place]]) -> None:
    """Order each row by the mean place of what it is joined to in the row before; down and up in turn."""
    best, fewest = [row[:] for row in rows], _crossings(rows)
    position = {id(place): at for row in rows for at, place in enumerate(row)}
    for sweep in range(_SWEEPS):
        downward = sweep % 2 == 0
        for row in rows if downward else reversed(rows):
            keys: dict[int, float] = {}
            for at, place in enumerate(row):
                joined = place.above if downward else place.below
                keys[id(place)] = sum(position[id(one)] for one in joined) / len(joined) if joined else float(at)
            row.sort(key=lambda place: keys[id(place)])
            position.update((id(place), at) for at, place in enumerate(row))
        if (crossings := _crossings(rows)) < fewest:
            best, fewest = [row[:] for row in rows], crossings
    for row, ordered in zip(rows, best, strict=True):
        row[:] = ordered


def _crossings(rows: list[list[_Place]]) -> int:
    """How many pairs of lines cross: inversions in the order of their lower ends."""
    count = 0
    for upper, lower in pairwise(rows):
        position = {id(place): at for at, place in enumerate(lower)}
        ends: list[int] = []
        for place in upper:
            ends.extend(sorted(position[id(one)] for one in place.below))
        tree = [0] * (len(lower) + 1)
        for seen, end in enumerate(ends):
            at, before = end + 1, 0
            while at:
                before += tree[at]
                at &= at - 1
            count += seen - before
            at = end + 1
            while at <= len(lower):
                tree[at] += 1
                at += at & -at
    return count


def _place(rows: list[list[_Place]]) -> None:
    y = 0.0
    for row in rows:
        height = max((place.height for place in row), default=0.0)
        x = 0.0
        for place in row:
            place.x = x + place.width / 2
            if place.passed:
                place.height = height
            place.y = y + (height - place.height) / 2
            x += place.width + BESIDE
        y += height + BETWEEN
    for sweep in range(_SWEEPS):
        downward = sweep % 2 == 0
        for row in rows if downward else reversed(rows):
            wanted = []
            for place in row:
                joined = (place.above if downward else place.below) or (place.below if downward else place.above)
                wanted.append(sum(one.x for one in joined) / len(joined) if joined else place.x)
            for place, x in zip(row, _spread(row, wanted), strict=True):
                place.x = x


def _spread(row: Sequence[_Place], wanted: Sequence[float]) -> list[float]:
    """The places nearest to *wanted*, by least squares, with which no two of the row overlap."""
    offsets = [0.0]
    for left, right in pairwise(row):
        offsets.append(offsets[-1] + (left.width + right.width) / 2 + BESIDE)
    blocks: list[tuple[float, float, int]] = []  # weighted sum, weight, how many
    for place, want, offset in zip(row, wanted, offsets, strict=True):
        weight = _STRAIGHT if place.passed else 1.0
        block = ((want - offset) * weight, weight, 1)
        while blocks and blocks[-1][0] / blocks[-1][1] > block[0] / block[1]:
            total, heavy, count = blocks.pop()
            block = (total + block[0], heavy + block[1], count + block[2])
        blocks.append(block)
    levels = [total / heavy for total, heavy, count in blocks for _ in range(count)]
    return [level + offset for level, offset in zip(levels, offsets, strict=False)]


def _ends(ways: Sequence[Sequence[_Place]]) -> dict[tuple[int, int], float]:
    """Where each line meets its two boxes, beside others, by the ids of the box and of the line's next place."""
    sides: dict[tuple[int, bool], list[tuple[_Place, _Place]]] = {}
    for way in ways:
        sides.setdefault((id(way[0]), False), []).append((way[0], way[1]))
        sides.setdefault((id(way[-1]), True), []).append((way[-1], way[-2]))
    found: dict[tuple[int, int], float] = {}
    for joined in sides.values():
        apart = min(_APART, joined[0][0].width * 0.8 / len(joined))
        joined.sort(key=lambda pair: pair[1].x)
        for at, (box, following) in enumerate(joined):
            found[id(box), id(following)] = box.x + apart * (at - (len(joined) - 1) / 2)
    return found


def _line(edge: GraphEdge, turned: bool, way: Sequence[_Place], ends: dict[tuple[int, int], float]) -> DrawnLine:
    points: list[Point] = [(ends[id(way[0]), id(way[1])], way[0].y + way[0].height)]
    for place in way[1:-1]:
        points.append((place.x, place.y))
        if place.height:
            points.append((place.x, place.y + place.height))
    points.append((ends[id(way[-1]), id(way[-2])], way[-1].y))
    middle = next((one for one in way[1:-1] if one.width), way[len(way) // 2])
    label = (middle.x, middle.y + middle.height / 2)
    return DrawnLine(edge, tuple(reversed(points) if turned else points), label)


def _framed(graph: Graph, boxes: Sequence[Box], lines: Sequence[DrawnLine]) -> Layout:
    """All moved so that the picture begins at 0, 0."""
    labels = [
        (line.label[0] - half, line.label[0] + half)
        for line in lines
        if line.edge.labels
        for half in (max(width_of(label, TEXT) for label in line.edge.labels) / 2,)
    ]
    xs = [x for line in lines for x, _ in line.points] + [x for pair in labels for x in pair]
    left = min([box.x for box in boxes] + xs, default=0.0) - AROUND
    right = max([box.x + box.width for box in boxes] + xs, default=0.0) + AROUND
    bottom = max([box.y + box.height for box in boxes], default=0.0) + AROUND
    moved = [Box(box.node, box.x - left, box.y + AROUND, box.width, box.height) for box in boxes]
    drawn = [
        DrawnLine(
            line.edge,
            tuple((x - left, y + AROUND) for x, y in line.points),
            (line.label[0] - left, line.label[1] + AROUND),
        )
        for line in lines
    ]
    return Layout(graph, right - left, bottom + AROUND, tuple(moved), tuple(drawn))
