"""A pipeline's graph as a picture, drawn here and not by a service elsewhere: PNG, SVG, or Mermaid's text.

Here: which of them a client gets. Not here: what is in it (`graph`), and how it is drawn (`graph_layout`, `graph_svg`,
`graph_png`, `mermaid`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from portico.errors import NoSuchPipeline, PipelineError
from portico.pipelines.deployment import Deployment
from portico.pipelines.pictures.graph import graph_of
from portico.pipelines.pictures.graph_layout import lay_out
from portico.pipelines.pictures.graph_png import png
from portico.pipelines.pictures.graph_svg import svg
from portico.pipelines.pictures.mermaid import mermaid
from portico.types import Headers

Form = Literal["png", "svg", "mermaid"]

MEDIA_TYPES: Final = {"png": "image/png", "svg": "image/svg+xml", "mermaid": "text/vnd.mermaid; charset=utf-8"}

_ASKED: Final = (
    ("image/svg+xml", "svg"),
    ("text/html", "svg"),  # a browser that navigates says so
    ("image/png", "png"),
    ("text/vnd.mermaid", "mermaid"),
    ("text/plain", "mermaid"),
)
"""What is given for which type in Accept, the best first. For anything else it is PNG, as from Hayhooks."""

HEADERS: Final[Headers] = [
    # An SVG is a document with the names of somebody's components in it: it may run and load nothing.
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; sandbox"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-cache"),  # another pipeline may be deployed in its place
    (b"vary", b"accept"),
]


@dataclass(frozen=True, slots=True)
class Picture:
    """What a client gets."""

    body: bytes
    media_type: str
    headers: Headers
    """Besides its type and length."""


def draw(deployment: Deployment, *, accept: str = "", form: str = "") -> Picture:
    """Draw *deployment*. Blocks for some tens of milliseconds.

    *form* is ``png``, ``svg`` or ``mermaid``. Without it, what the client's *accept* asks for: SVG for browsers, and
    PNG where nothing is said.

    Raises `NoSuchPipeline` where there is no graph, since a wrapper keeps no pipeline, and `PipelineError` for another
    *form*.
    """
    if form and form not in get_args(Form):
        raise PipelineError(f"A pipeline is drawn as {', '.join(get_args(Form))}; not as {form[:40]!r}.")
    chosen = form or form_for(accept)
    graph = graph_of(deployment.name, deployment.pipeline)
    if graph is None:
        raise NoSuchPipeline(
            f"Pipeline '{deployment.name}' has no graph to draw: self.pipeline of its wrapper is no pipeline"
        )
    if chosen == "mermaid":
        body = mermaid(graph).encode()
    elif chosen == "svg":
        body = svg(lay_out(graph)).encode()
    else:
        body = png(lay_out(graph))
    return Picture(body, MEDIA_TYPES[chosen], HEADERS)


def form_for(accept: str) -> Form:
    """What a client gets that sends *accept* (RFC 9110 §12.5.1)."""
    taken = {}
    for part in accept.lower().split(","):
        media_type, *parameters = (text.strip() for text in part.split(";"))
        taken[media_type] = _quality(parameters)
    best: Form = "png"
    most = 0.0
    for media_type, form in _ASKED:
        if taken.get(media_type, 0.0) > most:
            best, most = form, taken[media_type]  # type: ignore[assignment]
    return best


def _quality(parameters: list[str]) -> float:
    for one in parameters:
        name, _, value = one.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
