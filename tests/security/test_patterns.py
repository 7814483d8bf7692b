"""Every regular expression of the package reads any text in time that is in proportion to its length."""

from __future__ import annotations

import ast
import importlib
import itertools
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from re import _parser  # type: ignore[attr-defined]  # there is no other way to see what a pattern is made of
from typing import Any

import pytest

import portico
from tests.costs import grows_in_proportion

SOURCE = Path(portico.__file__).parent
LENGTH = 3_000
"""Characters of the short text; the long one has four times as many, as heads of requests may."""


Use = tuple[str, str, re.Pattern[Any]]
"""Where a pattern stands, by which method it is used, and the pattern."""

WAYS = {
    "search": lambda pattern, text: pattern.search(text),
    "match": lambda pattern, text: pattern.match(text),
    "fullmatch": lambda pattern, text: pattern.fullmatch(text),
    "sub": lambda pattern, text: pattern.sub(text[:0], text),
    "split": lambda pattern, text: pattern.split(text),
    "findall": lambda pattern, text: pattern.findall(text),
    "finditer": lambda pattern, text: list(pattern.finditer(text)),
}


def of_modules() -> Iterator[Use]:
    """Patterns that have a name, by each method that any module calls of that name."""
    source = "\n".join(path.read_text() for path in SOURCE.rglob("*.py"))
    for module in pkgutil.walk_packages([str(SOURCE)], "portico."):
        if module.name.endswith("__main__"):
            continue
        try:
            names = vars(importlib.import_module(module.name))
        except ImportError:  # what only a browser tab has
            continue
        for name, value in names.items():
            if isinstance(value, re.Pattern):
                used = WAYS.keys() & set(re.findall(rf"\b{name}\.(\w+)\b", source)) or {"search"}
                for way in sorted(used):
                    yield f"{module.name}.{name}", way, value


def of_calls() -> Iterator[Use]:
    """Patterns that stand where they are used."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "re"
                and node.func.attr != "compile"
                and isinstance(node.args[0], ast.Constant)
            ):
                yield f"{path.relative_to(SOURCE)}:{node.lineno}", node.func.attr, re.compile(node.args[0].value)


USES = {(used, pattern): f"{where}.{used}" for where, used, pattern in (*of_calls(), *of_modules())}


def pieces(parsed: Any) -> Iterator[str]:
    """What the pattern is made of: its runs of literals, and a member of each of its sets."""
    run = ""
    for kind, value in parsed:
        name = str(kind)
        if name == "LITERAL":
            run += chr(value)
            continue
        if run:
            yield run
            run = ""
        if name == "IN":
            yield from itertools.islice(members(value), 3)
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            yield from pieces(value[2])
        elif name in ("SUBPATTERN", "ATOMIC_GROUP"):
            yield from pieces(value[-1] if name == "SUBPATTERN" else value)
        elif name in ("ASSERT", "ASSERT_NOT"):
            yield from pieces(value[1])
        elif name == "BRANCH":
            for branch in value[1]:
                yield from pieces(branch)
    if run:
        yield run


def members(of: Any) -> Iterator[str]:
    names = {"CATEGORY_WORD": "w", "CATEGORY_DIGIT": "7", "CATEGORY_SPACE": " "}
    for kind, value in of:
        if str(kind) == "LITERAL":
            yield chr(value)
        elif str(kind) == "RANGE":
            yield chr(value[0])
        elif str(kind) == "CATEGORY":
            yield names.get(str(value), "")


def hostile(pattern: re.Pattern[Any]) -> Iterator[tuple[str, str, str]]:
    """Beginnings, what is repeated, and ends: of the pattern's own pieces, alone and in pairs, and of others."""
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    own = [*dict.fromkeys(piece for piece in pieces(_parser.parse(text, pattern.flags & ~re.UNICODE)) if piece)][:10]
    others = ["a", "-", " ", "\\", '"', ".", "7", "eyJ", "%61", "\t"]
    repeated = [*own, *("".join(pair) for pair in itertools.permutations(own[:4], 2)), *others]
    for piece in dict.fromkeys(repeated):
        for end in ("", "!", "\\"):
            yield "", piece, end
        for beginning in own[:3]:
            yield beginning, piece, "\0"


@pytest.mark.parametrize(("used", "pattern"), USES, ids=USES.values())
def test_a_pattern_reads_a_text_in_proportion_to_its_length(used: str, pattern: re.Pattern[Any]) -> None:
    is_text = isinstance(pattern.pattern, str)
    for beginning, piece, end in hostile(pattern):

        def make(size: int, beginning: str = beginning, piece: str = piece, end: str = end) -> Any:
            text = beginning + piece * (size // len(piece)) + end
            return text if is_text else text.encode("latin-1", "replace")

        assert grows_in_proportion(lambda text: WAYS[used](pattern, text), make, LENGTH), (beginning, piece, end)


def test_the_walk_sees_patterns_and_tells_the_bad_ones() -> None:
    assert len(USES) > 30
    for used, bad in (("sub", r"eyJ[\w-]{8,}\.[\w-]+"), ("fullmatch", r"a+a+b"), ("search", r"[^=;]*!")):
        with pytest.raises(AssertionError):
            test_a_pattern_reads_a_text_in_proportion_to_its_length(used, re.compile(bad))
