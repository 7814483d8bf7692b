"""What a pipeline's files hold, as one digest, so that it is known whether they have changed.

Here: which files count. Not here: who asks (`deploying`, `watching`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from portico.pipelines.deploying.names import DEEPEST, YAML_SUFFIXES

SUFFIXES: Final = (".py", *YAML_SUFFIXES, ".toml", ".jinja", ".jinja2", ".j2")
"""Files that count: code, and what is written by hand beside it. A pipeline's own database changes all the time."""
MOST_LOOKED_AT: Final = 10_000
"""Files of one pipeline, and entries of one folder, that are looked at: more than are ever written by hand."""


def fingerprint(path: Path) -> str:
    """A digest of the YAML file, or of the folder's files that count, with their names. Blocks. Raises `OSError`."""
    if path.is_file():
        return fingerprint_of(path.read_bytes())
    digest = hashlib.sha256()
    for name, file in sorted(islice(_files(path, "", DEEPEST), MOST_LOOKED_AT)):
        with suppress(FileNotFoundError):  # an editor's, which is gone again
            digest.update(os.fsencode(name) + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def fingerprint_of(content: bytes) -> str:
    """The same of a YAML file that holds *content*."""
    return hashlib.sha256(content).hexdigest()


def _files(folder: Path, above: str, depth: int) -> Iterator[tuple[str, Path]]:
    """Links are followed: where files are staged, folders that stay are linked in."""
    with os.scandir(folder) as entries:
        for entry in islice(entries, MOST_LOOKED_AT):
            if entry.name.startswith(".") or entry.name == "__pycache__":
                continue
            if entry.is_dir():
                if depth:
                    yield from _files(Path(entry.path), f"{above}{entry.name}/", depth - 1)
            elif entry.name.endswith(SUFFIXES):
                yield f"{above}{entry.name}", Path(entry.path)
