"""Folders with a wrapper in them, for tests that load one."""

from __future__ import annotations

import textwrap
from pathlib import Path

HEAD = "from portico.pipelines.wrapper import BasePipelineWrapper\n"


def folder_of(path: Path, wrapper: str, **files: str) -> Path:
    """Write *wrapper* as ``pipeline_wrapper.py`` into *path*, and *files* as modules beside it. Gives *path*."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "pipeline_wrapper.py").write_text(HEAD + textwrap.dedent(wrapper), "utf-8")
    for name, text in files.items():
        place = path / f"{name.replace('__in__', '/')}.py"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(textwrap.dedent(text), "utf-8")
    return path
