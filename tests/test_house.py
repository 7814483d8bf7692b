"""The house is in order: no two classes of one name, no crowded file, and each room says what is in it."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "portico"
FILES = sorted(SOURCE.rglob("*.py"))

MOST_LINES = 400
LONGER = {"protocol/connection.py"}
"""At most three files may be longer, and the docstring of each says why."""
WORD = re.compile(r"(?<!`)`([a-z_0-9]+)`(?!`)")
"""What a docstring names by one word: a file beside it, or a room at the top."""


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def named(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def test_no_two_public_classes_share_a_name() -> None:
    """Who looks for a name finds the one thing that it means."""
    where = defaultdict(list)
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where[node.name].append(f"{named(path)}:{node.lineno}")
    assert {name: places for name, places in where.items() if len(places) > 1} == {}


def test_no_file_is_crowded() -> None:
    lines = {named(path): len(path.read_text("utf-8").splitlines()) for path in FILES}
    assert {name: count for name, count in lines.items() if count > MOST_LINES and name not in LONGER} == {}
    assert [name for name in LONGER if lines[name] <= MOST_LINES] == [], "these need no exception any more"


def test_a_longer_file_says_why() -> None:
    assert len(LONGER) <= 3
    for name in LONGER:
        docstring = ast.get_docstring(tree_of(SOURCE / name)) or ""
        assert f"more than {MOST_LINES} lines" in docstring, f"{name} should say why it is longer"


@pytest.mark.parametrize("path", FILES, ids=named)
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(tree_of(path)), f"{named(path)} has no docstring"


@pytest.mark.parametrize("package", [path for path in FILES if path.name == "__init__.py"], ids=named)
def test_a_package_names_what_is_in_it(package: Path) -> None:
    docstring = ast.get_docstring(tree_of(package)) or ""
    inside = {path.stem for path in package.parent.glob("*.py")} - {"__init__", "__main__"}
    inside |= {path.parent.name for path in package.parent.glob("*/__init__.py")}
    missing = sorted(name for name in inside if f"`{name}`" not in docstring)
    assert missing == [], f"the docstring of {named(package)} does not name them"
    elsewhere = sorted(set(WORD.findall(docstring)) - inside - {path.stem for path in SOURCE.iterdir()})
    assert elsewhere == [], f"the docstring of {named(package)} names what is not in it"
