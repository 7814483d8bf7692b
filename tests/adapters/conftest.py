"""A place that packages are installed into while Python runs, which is left as it was found."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A folder of ``sys.path``. What is imported from it is forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    sys.path.append(str(folder))
    known = set(sys.modules)
    try:
        yield folder
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - known:
            if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]
