"""`PipelinesFolder`: the folder that pipelines lie in, as a server reads it at its start and a deploy writes it.

A folder with a ``pipeline_wrapper.py``, or a YAML file, is a pipeline. They are their owner's: what is there is read
where it is, and only a deploy changes any of it, by `file_changes`. What the server has to remember lies in `STATE`:

- ``records/<name>.json``: what was said at a deploy, that the files do not say, and whether it is undeployed;
- ``change-...``: files that are being changed (`file_changes`); ``staged-...``: deploys under way (`staging`).

Here: paths, records, and what a deploy is to change. Not here: when it does so (`deploying`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from portico.errors import PipelineError, PipelineExists
from portico.pipelines.deploying import file_changes
from portico.pipelines.deploying.names import WRAPPER_FILE, YAML_SUFFIXES

log = logging.getLogger("portico.pipelines")

STATE: Final = ".portico"
"""What the server keeps in the pipelines' folder: below a name that is hidden, so nobody takes it for a pipeline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineRecord:
    """What a server remembers of a pipeline in its folder, once it was deployed or undeployed by a request."""

    kind: Literal["wrapper", "yaml"]
    undeployed: bool = False
    """Whether the next start passes it over."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    description: str | None = None
    skip_mcp: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    """A digest of each file that deploys have brought, by its path in the pipelines' folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPipeline:
    """A pipeline that lies in the folder."""

    name: str
    kind: Literal["wrapper", "yaml"]
    path: Path
    record: PipelineRecord | None

    @property
    def is_undeployed(self) -> bool:
        return self.record is not None and self.record.undeployed


class PipelinesFolder:
    """Each call may block. All but `found`, `record_of` and `mend` are for one name in one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()  # as `__file__` of the wrappers in it
        self.state = self.path / STATE
        self.under_way: list[file_changes.FileChanges] = []
        """Files that lie here though it is not known yet whether they stay."""

    def undo(self) -> None:
        """Take back what is under way: the server ends. Raises `OSError`."""
        for change in [*self.under_way]:
            change.undo()

    def mend(self) -> None:
        """Undo what deploys have left half done whose process was killed."""
        for path in file_changes.mend(self.state):
            log.warning("A deploy was cut short: %s is as it was before", path)

    def found(self) -> list[FoundPipeline]:
        """All pipelines of the folder, undeployed ones as well, in the order of their names. Raises `OSError`."""
        by_name: dict[str, list[Path]] = {}
        coming = file_changes.under_way(self.state)  # a deploy that may fail yet
        for path in sorted(self.path.iterdir()) if self.path.is_dir() else []:
            if path.name.startswith(".") or path.name == "__pycache__" or path.name in coming:
                continue
            if path.is_dir():
                if f"{path.name}/{WRAPPER_FILE}" in coming:
                    continue
                if (path / WRAPPER_FILE).is_file():
                    by_name.setdefault(path.name, []).append(path)
                else:
                    log.warning("%s is passed over: it has no %s", path, WRAPPER_FILE)
            elif path.suffix in YAML_SUFFIXES and path.is_file():
                by_name.setdefault(path.stem, []).append(path)
        return [self._found(name, paths) for name, paths in sorted(by_name.items())]

    def _found(self, name: str, paths: list[Path]) -> FoundPipeline:
        record = self.record_of(name)
        paths = sorted(paths, key=lambda path: ("", *YAML_SUFFIXES).index(path.suffix if path.is_file() else ""))
        as_deployed = [path for path in paths if record is not None and _kind(path) == record.kind]
        path = (as_deployed or paths)[0]
        for other in paths:
            if other is not path:
                log.warning("%s is passed over: %s is a pipeline of that name, too", other, path)
        return FoundPipeline(name=name, kind=_kind(path), path=path, record=record)

    def find(self, name: str) -> FoundPipeline | None:
        """The pipeline of that name in the folder, None if there is none."""
        paths = [self.path / name, *(self.path / f"{name}{suffix}" for suffix in YAML_SUFFIXES)]
        there = [path for path in paths if (path / WRAPPER_FILE).is_file() or (path is not paths[0] and path.is_file())]
        return self._found(name, there) if there else None

    def record_of(self, name: str) -> PipelineRecord | None:
        """What is remembered of *name*; None if it is nothing, or cannot be read."""
        path = self.path / self._record_path(name)
        try:
            return _record(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (
            OSError,
            ValueError,
            TypeError,
            RecursionError,
        ):  # somebody has written into it: the pipeline's files are what counts
            log.warning("%s cannot be read, and is passed over", path, exc_info=True)
            return None

    def wrapper_changes(
        self, name: str, files: Mapping[str, bytes], record: PipelineRecord, *, overwrite: bool
    ) -> dict[str, bytes | None]:
        """What becomes of each file when *files* are deployed as *name*: those that they replace and those that deploys
        before have brought. Everything else in the pipeline's folder stays. Raises `PipelineError` and `OSError`."""
        return self._changes(name, {f"{name}/{key}": content for key, content in files.items()}, record, overwrite)

    def yaml_changes(
        self, name: str, text: bytes, record: PipelineRecord, *, overwrite: bool
    ) -> dict[str, bytes | None]:
        """The same for a pipeline that is one YAML file."""
        return self._changes(name, {self.yaml_path(name).name: text}, record, overwrite)

    def yaml_path(self, name: str) -> Path:
        """Where the YAML file of *name* is, or is to be."""
        there = [path for suffix in YAML_SUFFIXES if (path := self.path / f"{name}{suffix}").exists()]
        return there[0] if there else self.path / f"{name}{YAML_SUFFIXES[0]}"

    def write_undeployed(self, name: str) -> None:
        """Have the next start pass *name* over, if it lies here. Raises `OSError`."""
        found = self.find(name)
        if found is None:
            return
        told = asdict(found.record) if found.record is not None else {"kind": found.kind}
        record = _as_json(PipelineRecord(**{**told, "undeployed": True}))
        change = file_changes.FileChanges(self.path, self.state, {self._record_path(name): record})
        change.apply()
        change.keep()

    def is_source(self, path: str) -> bool:
        """Whether a change of *path* is one of a pipeline's own files."""
        return not path.startswith(f"{STATE}/")

    def _changes(
        self, name: str, new: dict[str, bytes], record: PipelineRecord, overwrite: bool
    ) -> dict[str, bytes | None]:
        before = self.record_of(name)
        own = {name, *(f"{name}{suffix}" for suffix in YAML_SUFFIXES)}
        brought = {  # the record is a file that somebody may have written into
            path: digest
            for path, digest in (before.files if before is not None else {}).items()
            if path.split("/")[0] in own and ".." not in path.split("/")
        }
        changes: dict[str, bytes | None] = {}
        foreign = []  # what no deploy has written, or somebody has written at since
        for path, content in new.items():
            self._check(path)
            there = _digest_at(self.path / path)
            if there == _digest(content):
                continue
            changes[path] = content
            if there is not None and there != brought.get(path):
                foreign.append(path)
        if foreign and not overwrite:
            raise PipelineExists(
                f"Pipeline '{name}' already exists: {self.path / foreign[0]} was not written by a deploy. "
                "Overwrite it, or choose another name"
            )
        for path in brought.keys() - new.keys():
            self._check(path)
            if _digest_at(self.path / path) == brought[path]:
                changes[path] = None
        files = {path: _digest(content) for path, content in new.items()}
        told = PipelineRecord(**{**asdict(record), "files": files})
        return {**changes, self._record_path(name): _as_json(told)}

    def _record_path(self, name: str) -> str:
        return f"{STATE}/records/{name}.json"

    def _check(self, path: str) -> None:
        """Raise `PipelineError` where a link, or a name of another case, would have *path* lead to another file."""
        place = self.path
        for part in path.split("/"):
            folder, place = place, place / part
            if folder.exists() and not folder.is_dir():
                raise PipelineError(f"{folder} is a file, and a folder was to be made there")
            if place.is_symlink():
                raise PipelineError(f"{place} is a link, and a deploy does not write through links. Put a folder there")
            if place.exists() and not _is_listed(folder, part):
                raise PipelineExists(f"{place} already exists, with a name that this system takes for the same")


def _record(read: Any) -> PipelineRecord:
    """Raises `TypeError` and `ValueError`."""
    record = PipelineRecord(**{key: read[key] for key in PipelineRecord.__slots__ if key in read})
    texts = isinstance(record.files, dict) and all(isinstance(each, str) for each in record.files.values())
    told = isinstance(record.settings, dict) and isinstance(record.description, str | None)
    if record.kind not in ("wrapper", "yaml") or not texts or not told:
        raise ValueError("it is not as a server has written it")
    return record


def _kind(path: Path) -> Literal["wrapper", "yaml"]:
    return "yaml" if path.suffix in YAML_SUFFIXES and path.is_file() else "wrapper"


def _digest_at(path: Path) -> str | None:
    """Of what a file holds, None where there is none. Raises `PipelineError` where something else is in its place."""
    if path.is_dir():
        raise PipelineError(f"{path} is a folder, and a file was to be written there")
    return file_changes.digest_at(path)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _as_json(record: PipelineRecord) -> bytes:
    return json.dumps(asdict(record), indent=1).encode()


def _is_listed(folder: Path, name: str) -> bool:
    """Whether the folder has an entry of exactly this name."""
    return name in os.listdir(folder)
