"""A deployed pipeline, as the rest of this room reads it: where it comes from, and how it is called.

Here: the records. Not here: how they are made (`preparing`) and kept (`deployments`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from portico.functions.typed import TypedFunction

Wires = Mapping[str, str | Sequence[str]]
"""How what goes into a live pipeline, or comes out, is called from outside: to each name a socket of a component
(``prompt.query``), or several."""

Kind = Literal["wrapper", "yaml", "object"]
"""A wrapper's file, a YAML file, or an object that lives in this process already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a pipeline comes from."""

    kind: Kind
    path: Path | None = None
    """The wrapper's folder or the YAML file, where it is and stays; None for an object."""
    text: str = ""
    """What the YAML file holds."""
    fingerprint: str = ""
    """A digest of the files that it was made of (`portico.pipelines.deploying.fingerprint`)."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What `BasePipelineWrapper.setup` is given, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One pipeline that is served."""

    name: str
    pipeline: Any
    """The Haystack pipeline, or whatever the wrapper keeps as its ``pipeline``; may be None."""
    wrapper: Any
    """The wrapper itself; None for a pipeline that needs none."""
    source: Source
    description: str = ""
    api: TypedFunction | None = None
    """``run_api`` or ``run_api_async``, as a typed function of the pipeline's name; None where there is none."""
    chat: Callable[..., Any] | None = None
    """``run_chat_completion`` or ``run_chat_completion_async``, bound: ``(model, messages, body[, headers])``."""
    response: Callable[..., Any] | None = None
    """``run_response`` or ``run_response_async``, bound: ``(model, input_items, body[, headers])``."""
    upload: Callable[..., Any] | None = None
    """``run_file_upload``, bound: ``(filename, content_type, content, purpose)``."""
    skip_mcp: bool = False
    """Whether agents are not told of it."""
    created: int = 0
    """Unix seconds of its deployment."""
    discard: Callable[[], object] = lambda: None
    """Lets go of the modules that it was loaded with. Called once it is served no more; its calls may still run."""
