"""Node.js, and a folder to load Pyodide from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.pyodide import environment


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js, with js/ installed. In CI its absence is a failure."""
    try:
        return environment.node()
    except LookupError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def bundle(node: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment.bundle(tmp_path_factory.mktemp("pyodide") / "bundle")
