"""`Candidate`: a deployment that has been made ready and is not served yet, with its files.

Here: how its files come to lie where its code looks for them, before it is known to work and after. `make_wrapper`,
`make_yaml` and `make_again` make one on a thread; then either `keep` or `drop` is called. Not here: who is served by it
(`deploying`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from portico.errors import PipelineError
from portico.pipelines.deploying.file_changes import FileChanges
from portico.pipelines.deploying.folder import PipelineRecord, PipelinesFolder
from portico.pipelines.deploying.making import prepare_folder, prepare_yaml
from portico.pipelines.deploying.staging import Staged
from portico.pipelines.deployment import Deployment

log = logging.getLogger("portico.pipelines")


Laid = Callable[[Path | None, Path | None], object]
"""Told, on the thread, of the folder in which a wrapper is about to be made ready, and of where its files, or the YAML
file, will be: None for what is not saved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Both functions may block, and raise `OSError`; then what was there before is there again."""

    deployment: Deployment
    keep: Callable[[], Deployment]
    """Let the files stay, in their place; gives the deployment as it is to be served."""
    drop: Callable[[], None]
    """Have every file as it was."""
    staged: Staged | None = None
    """A folder that is needed for as long as the deployment is served."""


def make_wrapper(
    name: str,
    files: Mapping[str, bytes],
    settings: Mapping[str, Any],
    folder: PipelinesFolder | None,
    *,
    overwrite: bool,
    laid: Laid,
    unsaved: Path | None = None,
) -> Candidate:
    """Of *files*, to be saved in *folder* if there is one; else they lie in a folder in *unsaved*, or the system's own.

    Raises `PipelineError` and `OSError`; then all is as before.
    """
    if folder is None:
        staged = Staged(name, files, unsaved)
        return _prepared_in(staged, name, settings, laid, lambda deployment: deployment)
    record = PipelineRecord(kind="wrapper", settings=settings)
    changes = folder.wrapper_changes(name, files, record, overwrite=overwrite)
    place = folder.path / name
    if not place.exists() or not any(folder.is_source(path) for path in changes):
        # nobody's files are replaced
        change = _applied(FileChanges(folder.path, folder.state, changes))
        folder.under_way.append(change)
        try:
            laid(place, place)
            deployment = prepare_folder(name, place, settings)
        except BaseException:
            folder.under_way.remove(change)
            change.undo()
            raise

        def keep() -> Deployment:
            folder.under_way.remove(change)
            change.keep()
            return deployment

        def undo() -> None:
            folder.under_way.remove(change)
            change.undo()

        return _candidate(deployment, keep, undo)
    staged = Staged(name, files, folder.state)
    gone = {path.removeprefix(f"{name}/") for path, content in changes.items() if content is None}

    def move(deployment: Deployment) -> Deployment:
        _applied(FileChanges(folder.path, folder.state, changes)).keep()
        try:
            staged.moved(place)
        except OSError:  # the files are in their place; what was read of the other is there as well
            log.warning("%s goes on in %s as well", name, staged.path, exc_info=True)
        return replace(deployment, source=replace(deployment.source, path=place))

    return _prepared_in(staged, name, settings, laid, move, place, gone)


def _prepared_in(
    staged: Staged,
    name: str,
    settings: Mapping[str, Any],
    laid: Laid,
    keep: Callable[[Deployment], Deployment],
    place: Path | None = None,
    gone: frozenset[str] | set[str] = frozenset(),
) -> Candidate:
    try:
        if place is not None:
            staged.link(place, gone)
        laid(staged.path, place)
        deployment = prepare_folder(name, staged.path, settings)
    except BaseException:
        staged.remove()
        raise

    def kept() -> Deployment:
        try:
            return keep(deployment)
        except BaseException:
            staged.remove()
            raise

    return _candidate(deployment, kept, staged.remove, staged)


def make_yaml(
    name: str,
    text: str,
    folder: PipelinesFolder | None,
    *,
    description: str | None,
    skip_mcp: bool,
    overwrite: bool,
    laid: Laid,
) -> Candidate:
    """Of the YAML *text*; the same otherwise."""
    try:
        content = text.encode()
    except UnicodeEncodeError:
        raise PipelineError("The YAML holds half a character (a lone surrogate)") from None
    if folder is None:
        laid(None, None)
        deployment = prepare_yaml(name, text, description=description, skip_mcp=skip_mcp)
        return _candidate(deployment, lambda: deployment)
    record = PipelineRecord(kind="yaml", description=description, skip_mcp=skip_mcp)
    changes = folder.yaml_changes(name, content, record, overwrite=overwrite)
    path = folder.yaml_path(name)
    laid(None, path)
    deployment = prepare_yaml(name, text, path=path, description=description, skip_mcp=skip_mcp)

    def keep() -> Deployment:
        _applied(FileChanges(folder.path, folder.state, changes)).keep()
        return deployment

    return _candidate(deployment, keep)


def _candidate(
    deployment: Deployment,
    keep: Callable[[], Deployment],
    undo: Callable[[], None] = lambda: None,
    staged: Staged | None = None,
) -> Candidate:
    """One whose modules go where it is not kept."""

    def kept() -> Deployment:
        try:
            return keep()
        except BaseException:
            deployment.discard()
            raise

    def drop() -> None:
        deployment.discard()
        undo()

    return Candidate(deployment=deployment, keep=kept, drop=drop, staged=staged)


def _applied(change: FileChanges) -> FileChanges:
    try:
        change.apply()
    except BaseException:
        change.undo()
        raise
    return change
