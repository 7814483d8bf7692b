"""A graph as Mermaid's text, which many editors, wikis and notebooks draw by themselves.

Source: Mermaid, "Flowcharts - Basic Syntax".
"""

from __future__ import annotations

from portico.pipelines.pictures.graph import Graph


def mermaid(graph: Graph) -> str:
    """The graph as a flow chart."""
    lines = ["flowchart TD"]
    for node in graph.nodes:
        text = "<br/>".join([f"<b>{_quoted(node.title)}</b>", *map(_quoted, node.lines)])
        lines.append(f'    {node.id}["{text}"]' if node.kind == "component" else f'    {node.id}(["{text}"])')
    for edge in graph.edges:
        label = "<br/>".join(map(_quoted, edge.labels))
        arrow = f'-- "{label}" -->' if label else "-->"
        lines.append(f"    {edge.sender} {arrow} {edge.receiver}")
    return "\n".join(lines) + "\n"


_PLAIN = frozenset(" _-.,:/()\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}\N{HORIZONTAL ELLIPSIS}")


def _quoted(text: str) -> str:
    """*text* between quotes: what means something to Mermaid or HTML is written by its number."""
    return "".join(one if one.isalnum() or one in _PLAIN else f"#{ord(one)};" for one in text)
