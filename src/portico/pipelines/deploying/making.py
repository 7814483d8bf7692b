"""From a source on the disk to a deployment, with whatever the author's code raises as a `PipelineError`.

Here: which module makes what. Not here: how (`preparing`, `yaml_pipelines`).
"""

from __future__ import annotations

import importlib
import logging
import os
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from portico.errors import PipelineError
from portico.pipelines.deploying.fingerprint import fingerprint, fingerprint_of
from portico.pipelines.deploying.folder import FoundPipeline
from portico.pipelines.deployment import Deployment
from portico.pipelines.streams.tracing import span

log = logging.getLogger("portico.pipelines")

_LOADERS = (str(Path(__file__).parents[2]) + os.sep, str(importlib.__file__), "<frozen importlib")
"""Files whose frames say nothing to the author of a pipeline: Portico's own, and those by which Python imports."""

_MOST_TRACEBACK = 20_000  # characters: as much as a service's log keeps of one


def prepare_folder(name: str, folder: Path, settings: Mapping[str, Any]) -> Deployment:
    """The wrapper in *folder*, set up. Blocks as long as its ``setup`` does. Raises `PipelineError`."""
    from portico.pipelines import preparing

    prepare = preparing.prepare_folder
    return _guarded(name, lambda: _with(fingerprint(folder), prepare(name, folder, settings)))


def prepare_yaml(
    name: str, text: str, *, path: Path | None = None, description: str | None = None, skip_mcp: bool = False
) -> Deployment:
    """The pipeline that the YAML *text* describes. Blocks. Raises `PipelineError`."""
    from portico.pipelines.components import yaml_pipelines

    prepare = yaml_pipelines.prepare_yaml
    return _guarded(
        name,
        lambda: _with(
            fingerprint_of(text.encode()),
            prepare(name, text, path=path, description=description, skip_mcp=skip_mcp),
        ),
    )


def prepare_found(found: FoundPipeline) -> Deployment:
    """A pipeline of the pipelines' folder, where it is. Blocks. Raises `PipelineError`."""
    record = found.record
    if found.kind == "wrapper":
        return prepare_folder(found.name, found.path, record.settings if record is not None else {})
    try:
        text = found.path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise PipelineError(f"{found.path} cannot be read: {error}") from error
    description = record.description if record is not None else None
    skip_mcp = record is not None and record.skip_mcp
    return prepare_yaml(found.name, text, path=found.path, description=description, skip_mcp=skip_mcp)


def _with(made_of: str, deployment: Deployment) -> Deployment:
    return replace(deployment, source=replace(deployment.source, fingerprint=made_of))


def _guarded(name: str, prepare: Callable[[], Any]) -> Deployment:
    """What an author's code raises is the deploy's failure and never the server's, be it `SystemExit`."""
    try:
        with span("deploy", name):
            return cast(Deployment, prepare())
    except PipelineError as error:
        log.error("Pipeline '%s' could not be made ready: %s%s", name, error, _traceback(error.__cause__))
        raise
    except BaseException as error:
        log.exception("Pipeline '%s' could not be made ready", name)
        from portico.pipelines.loading import told

        kind, text = type(error).__name__, told(error)
        why = text if text.startswith(kind) else f"{kind}: {text}"
        raise PipelineError(f"Failed to load pipeline module '{name}' - {why}") from error


def _traceback(error: BaseException | None) -> str:
    """What the author's code raised, with the frames of that code; "" for what Portico has found out itself."""
    if error is None:
        return ""
    raised = traceback.TracebackException.from_exception(error)
    waiting = [raised]
    while waiting:
        one = waiting.pop()
        one.stack[:] = [frame for frame in one.stack if not frame.filename.startswith(_LOADERS)]
        waiting += [before for before in (one.__cause__, one.__context__) if before is not None]
    text = "".join(raised.format()).rstrip()
    if len(text) > _MOST_TRACEBACK:
        text = f"{text[: _MOST_TRACEBACK // 2]}\n...\n{text[-_MOST_TRACEBACK // 2 :]}"
    return f"\n{text}"
