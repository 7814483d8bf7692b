"""Where boxes and lines are: nothing overlaps, lines go from box to box, and loops and long lines have their way."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from portico.errors import PipelineError
from portico.pipelines.pictures.graph import Graph, GraphEdge, Node
from portico.pipelines.pictures.graph_layout import MOST, Layout, lay_out


def graph(*edges: tuple[str, str], labels: tuple[str, ...] = ("value",)) -> Graph:
    names = list(dict.fromkeys(name for edge in edges for name in edge))
    return Graph(
        "g",
        tuple(Node(name, f"Component {name}", lines=("Class",)) for name in names),
        tuple(GraphEdge(sender, receiver, labels) for sender, receiver in edges),
    )


def check(layout: Layout) -> None:
    """No two boxes overlap, all is inside the picture, and each line begins and ends at its boxes' edges."""
    by_id = {box.node.id: box for box in layout.boxes}
    for one, other in combinations(layout.boxes, 2):
        beside = one.x + one.width <= other.x or other.x + other.width <= one.x
        above = one.y + one.height <= other.y or other.y + other.height <= one.y
        assert beside or above, (one.node.id, other.node.id)
    for box in layout.boxes:
        assert 0 <= box.x <= box.x + box.width <= layout.width
        assert 0 <= box.y <= box.y + box.height <= layout.height
    for line in layout.lines:
        for name, (x, y) in ((line.edge.sender, line.points[0]), (line.edge.receiver, line.points[-1])):
            box = by_id[name]
            assert box.x <= x <= box.x + box.width
            assert y == pytest.approx(box.y) or y == pytest.approx(box.y + box.height)
        assert all(0 <= x <= layout.width and 0 <= y <= layout.height for x, y in line.points)


def rows(layout: Layout) -> dict[str, float]:
    return {box.node.id: box.y + box.height / 2 for box in layout.boxes}


def test_what_gives_is_above_what_takes() -> None:
    layout = lay_out(graph(("a", "b"), ("b", "c"), ("a", "c")))
    check(layout)
    y = rows(layout)
    assert y["a"] < y["b"] < y["c"]


def test_a_line_that_passes_a_row_goes_beside_its_boxes() -> None:
    layout = lay_out(graph(("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")))
    check(layout)
    long = next(line for line in layout.lines if (line.edge.sender, line.edge.receiver) == ("a", "d"))
    for box in layout.boxes:
        if box.node.id in "bc":
            assert all(
                not (box.x < x < box.x + box.width) for x, y in long.points if box.y <= y <= box.y + box.height
            ), box.node.id


def test_a_loop_is_drawn_with_one_line_upward() -> None:
    layout = lay_out(graph(("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")))
    check(layout)
    y = rows(layout)
    assert y["a"] < y["b"] < y["c"] < y["d"]
    back = next(line for line in layout.lines if (line.edge.sender, line.edge.receiver) == ("c", "b"))
    assert back.points[0][1] > back.points[-1][1]


def test_a_loop_that_nothing_leads_to() -> None:
    check(lay_out(graph(("a", "b"), ("b", "c"), ("c", "a"))))


def test_two_ways_that_need_not_cross_do_not() -> None:
    layout = lay_out(graph(("a", "d"), ("b", "c"), ("a", "e"), ("b", "f"), labels=()))
    xs = {box.node.id: box.x + box.width / 2 for box in layout.boxes}
    assert (xs["a"] < xs["b"]) == (xs["d"] < xs["c"]) == (xs["e"] < xs["f"])


def test_nothing_and_one_box_are_pictures_too() -> None:
    assert lay_out(Graph("empty")).width > 0
    one = lay_out(Graph("one", (Node("a", "A"),)))
    check(one)
    assert lay_out(Graph("self", (Node("a", "A"),), (GraphEdge("a", "a"), GraphEdge("a", "gone")))).lines == ()


@pytest.mark.parametrize("seed", range(20))
def test_any_graph_has_its_place(seed: int) -> None:
    chance = random.Random(seed)
    count = chance.randint(2, 25)
    names = [f"n{number}" for number in range(count)]
    edges = {(chance.choice(names), chance.choice(names)) for _ in range(chance.randint(1, 3 * count))}
    made = graph(*sorted(edges), labels=chance.choice([(), ("x",), ("some label", "and another that is longer")]))
    layout = lay_out(made)
    check(layout)
    assert len(layout.lines) == sum(sender != receiver for sender, receiver in edges)


def test_a_graph_that_nobody_could_read_is_refused() -> None:
    nodes = tuple(Node(f"n{number}", "N") for number in range(MOST + 1))
    with pytest.raises(PipelineError, match=f"at most {MOST}"):
        lay_out(Graph("g", nodes))


def test_the_largest_takes_seconds_at_most() -> None:
    import time

    chance = random.Random(1)
    names = [f"n{number}" for number in range(MOST)]
    edges = {(names[at], names[min(MOST - 1, at + chance.randint(1, 9))]) for at in range(MOST - 1) for _ in range(2)}
    began = time.process_time()
    lay_out(graph(*sorted(edges)))
    assert time.process_time() - began < 20
    everywhere = {(upper, lower) for at, upper in enumerate(names) for lower in names[at + 1 :]}
    began = time.process_time()
    with pytest.raises(PipelineError, match="too large to draw"):
        lay_out(graph(*sorted(everywhere)))
    assert time.process_time() - began < 10
