"""A pipeline that a YAML file describes, with the inputs and outputs that it declares: served without any code.

Here: what the file says. Not here: how it is found and kept (`deploying`), and what its inputs and outputs may be
(`declared`). Source: Haystack's ``Pipeline.loads``; of the keys ``inputs``, ``outputs`` and ``streaming_components``:
Hayhooks 2.1.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from portico.errors import PipelineError
from portico.log_text import one_line
from portico.pipelines.components.declared import declared_inputs, declared_outputs, missing_inputs
from portico.pipelines.components.pipeline_function import pipeline_function, warm_up
from portico.pipelines.components.sockets import components_of
from portico.pipelines.deployment import Deployment, Source
from portico.pipelines.importing import import_all, importing

log = logging.getLogger(__name__)

LONGEST = 10 << 20
"""Bytes of a file: PyYAML reads about 200 KB in a second, and pipelines have some tens."""

MOST_VALUES = 1_000_000
"""Values of a file with anchors, each counted wherever it is said again. Haystack copies every one of them."""

_MOST_TOLD = 500
"""Characters of another library's error that a caller is told."""


def prepare_yaml(
    name: str,
    text: str,
    *,
    path: Path | None = None,
    description: str | None = None,
    skip_mcp: bool = False,
) -> Deployment:
    """The deployment of the pipeline that *text* describes. It answers ``{component: {socket: value}}``.

    *path* is where the file is, if it is one. Takes as long as its components take to be imported and made ready.

    Raises `PipelineError` if *text* is no YAML, declares neither inputs nor outputs, or one that cannot be, and if its
    pipeline cannot be made.
    """
    said = _read(name, text)
    if not said.get("inputs") and not said.get("outputs"):
        raise PipelineError("YAML pipeline must declare at least one of 'inputs' or 'outputs'.")
    import_all(_modules(said))
    pipe = _load(name, text)
    inputs = declared_inputs(pipe, said.get("inputs"))
    outputs = declared_outputs(pipe, said.get("outputs"))
    if missing := missing_inputs(pipe, inputs):
        log.warning("No call of pipeline %r can succeed: nothing gives %s", name, ", ".join(map(str, missing)))
    _look_at_streaming(name, said.get("streaming_components"), pipe)
    api = pipeline_function(name, pipe, inputs, outputs, description=description or "")
    warm_up(pipe)
    return Deployment(
        name=name,
        pipeline=pipe,
        wrapper=None,
        source=Source(kind="yaml", path=path, text=text),
        description=description or "",
        api=api,
        skip_mcp=skip_mcp,
        created=int(time.time()),
    )


def _read(name: str, text: str) -> Mapping[str, Any]:
    if len(text) > LONGEST:
        raise PipelineError(f"The YAML of pipeline '{name}' is longer than {LONGEST} characters.")
    try:
        with importing():
            from haystack import Pipeline  # noqa: F401 -- with all that it needs, by one thread at a time
            from haystack.marshal import YamlMarshaller
    except ImportError as error:
        raise PipelineError(f"YAML pipelines need Haystack: pip install haystack-ai ({error}).") from None
    try:
        _check_anchors(name, text)
        said = YamlMarshaller().unmarshal(text)
    except PipelineError:
        raise
    except Exception as error:  # noqa: BLE001 - PyYAML raises any kind: ValueError for a date of month 13
        raise PipelineError(f"Pipeline '{name}' is not valid YAML: {_told(error)}") from None
    if said is None:
        return {}
    if not isinstance(said, Mapping):
        raise PipelineError(f"Pipeline '{name}' is not a pipeline's YAML, which is a mapping with 'components'.")
    return said


def _check_anchors(name: str, text: str) -> None:
    """Raise `PipelineError` if a value holds itself, or if a short text stands for more values than can be copied.

    By events, which are no deeper for a deep text. Source: YAML 1.2, §3.2.2.2 (anchors and aliases).
    """
    if "&" not in text or "*" not in text:
        return
    import yaml  # type: ignore[import-untyped]  # it has no types

    sizes: dict[str, int] = {}
    held: list[tuple[str | None, int]] = [(None, 0)]  # of each collection that is not ended: its anchor, its values
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        size = 1
        anchor: Any = getattr(event, "anchor", None)
        if isinstance(event, yaml.CollectionStartEvent):
            held.append((anchor, 1))
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = held.pop()
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == open_anchor for open_anchor, _ in held):
                raise PipelineError(f"Pipeline '{name}': the value of the YAML's anchor '{anchor:.100}' holds itself.")
            size = sizes.get(anchor, 1)
        elif not isinstance(event, yaml.ScalarEvent):
            continue
        if anchor is not None:
            sizes[anchor] = size
        around, values = held[-1]
        held[-1] = (around, values + size)
        if values + size > MOST_VALUES:
            raise PipelineError(
                f"Pipeline '{name}': the anchors of its YAML stand for more than {MOST_VALUES:,} values."
            )


def _modules(said: Any) -> set[str]:
    """Those of Haystack's own modules that hold the classes which *said* names, at any depth."""
    found: set[str] = set()
    waiting = [said]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            kind = one.get("type")
            if isinstance(kind, str) and kind.startswith("haystack.") and kind.count(".") > 1:
                found.add(kind.rpartition(".")[0])
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
    return found


def _load(name: str, text: str) -> Any:
    from haystack import Pipeline

    try:
        return Pipeline.loads(text)
    except Exception as error:  # components are imported and made: their code may raise anything
        raise PipelineError(f"Failed to load pipeline '{name}': {_told(error)}") from error


def _told(error: BaseException) -> str:
    """The text of another library's error on one line."""
    return one_line(" ".join(str(error).split()), _MOST_TOLD)


def _look_at_streaming(name: str, said: Any, pipe: Any) -> None:
    """Hayhooks reads ``streaming_components``, "all" or a list, and takes no offence at anything else."""
    if said is None or (isinstance(said, str) and said.lower() == "all"):
        return
    if not isinstance(said, list):
        log.warning("Pipeline %r: streaming_components is 'all' or a list of components, not %r", name, said)
        return
    known = components_of(pipe)
    for one in said:
        if one not in known:
            log.warning("Pipeline %r: streaming_components names %r, which is no component of it", name, one)
