"""The core's own tests run inside Pyodide: protocol, link, ASGI, calls, models, functions, over the in-memory pair."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.pyodide.environment import ROOT
from tests.pyodide.test_import import run_inside

_TESTS = ("protocol", "asgi", "adapters", "calls", "models", "functions", "tools", "transports", "vectors")
_INSIDE = Path(__file__).with_name("inside")
_PACKAGES = (
    *("portico", "pytest", "pytest-timeout", "hypothesis", "openai", "httpx2-jsfetch", "httpx"),
    *("fastapi", "python-multipart", "docstring-parser", "fastapi-offline"),
)
_SETTINGS = """[pytest]
addopts = --strict-markers --strict-config
xfail_strict = true
markers =
    fuzz: fuzzing, which is not done here
    real: slow, and not run by `make test`
"""
"""pytest.ini there: with the marks of pyproject.toml."""
_AT_LEAST = 2300
"""Tests that run there; a tree that was staged wrongly would run none."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests that need no thread and no process, with a conftest of Pyodide's own."""
    tree = tmp_path_factory.mktemp("tree")
    tests = tree / "tests"
    for name in _TESTS:
        shutil.copytree(ROOT / "tests" / name, tests / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (tests / "transports").glob("test_websocket*.py"):  # CPython's
        path.unlink()
    for name in ("__init__.py", "link_pair.py", "test_link.py", "waiting.py"):
        shutil.copy(ROOT / "tests" / name, tests)
    shutil.copytree(_INSIDE, tests / "pyodide_inside", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(_INSIDE / "skipped.py", tests / "conftest.py")
    shutil.copytree(ROOT / "docs", tree / "docs")
    (tree / "pytest.ini").write_text(_SETTINGS)
    return tree


@pytest.mark.timeout(620)  # two minutes on a quiet machine
def test_the_core_holds_in_pyodide(node: str, bundle: Path, tree: Path) -> None:
    printed = run_inside(node, bundle, _INSIDE / "program.py", tree, *_PACKAGES, timeout=600)
    print(printed[-5000:])
    passed = re.search(r"(\d+) passed", printed)
    assert passed is not None
    assert int(passed[1]) >= _AT_LEAST
