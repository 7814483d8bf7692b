"""Docstrings of three styles describe the fields; a broken one never fails."""

from __future__ import annotations

import textwrap
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portico.functions.docstrings import MOST, Docstring, docstring_of, parse
from portico.functions.signature import typed_function
from tests.functions.test_signature_properties import go_on

QUIETLY = settings(max_examples=50, deadline=None, database=None, suppress_health_check=list(HealthCheck))

GOOGLE = """Price of a flat.

More of it,
    in two lines.

Args:
    area: square metres
    rooms (int, optional): how many,
        kitchen too
    *others: these, too
    **more: and these

Returns:
    float: francs

Raises:
    ValueError: if it is too small

Example:
    >>> price(3)
"""

NUMPY = """Price of a flat.

More of it,
    in two lines.

Parameters
----------
area : float
    square metres
rooms : int, optional
    how many,
    kitchen too
*others
    these, too
**more
    and these

Returns
-------
float
    francs

Raises
------
ValueError
    if it is too small

Examples
--------
>>> price(3)
"""

SPHINX = """Price of a flat.

More of it,
    in two lines.

:param area: square metres
:type area: float
:param int rooms: how many,
    kitchen too
:param others: these, too
:param more: and these
:returns: francs
:rtype: float
:raises ValueError: if it is too small
"""


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_each_style(text: str) -> None:
    found = parse(text)
    assert found.summary == "Price of a flat."
    assert found.description.startswith("Price of a flat.\n\nMore of it,\n    in two lines.\n\n")
    assert found.parameters == {
        "area": "square metres",
        "rooms": "how many, kitchen too",
        "others": "these, too",
        "more": "and these",
    }
    assert found.returns == "francs"
    for word in ("square", "francs", "Args", "Parameters", ":param", "Returns", "-------\nfloat"):
        assert word not in found.description
    assert "if it is too small" in found.description
    assert ("price(3)" in found.description) is (text is not SPHINX)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", Docstring()),
        ("One\nlong line.", Docstring("One long line.", "One\nlong line.")),
        (":param x: only", Docstring("", "", {"x": "only"})),
        ("A.\n\nx, y : int\n", Docstring("A.", "A.\n\nx, y : int")),
        ("A.\n\nParameters\n----------\nx, y : int\n    both", Docstring("A.", "A.", {"x": "both", "y": "both"})),
        ("A.\n\nArgs:\n  no colon here\n  y: b", Docstring("A.", "A.", {"y": "b"})),
        ("A.\n\nYields:\n    int: the next", Docstring("A.", "A.", {}, "the next")),
        ("A.\n\nYields:\n    int: next\n\nReturns:\n    str: end", Docstring("A.", "A.", {}, "end")),
        ("A.\n\nAttributes:\n    x: of the class", Docstring("A.", "A.\n\nAttributes:\n    x: of the class")),
        (
            "A.\n\nArgs:\n    x: one of\n\n        - a\n        - b\n",
            Docstring("A.", "A.", {"x": "one of\n- a\n- b"}),
        ),
        ("A.\n\n@param x: as in Java", Docstring("A.", "A.", {"x": "as in Java"})),
    ],
)
def test_less_usual_ones(text: str, found: Docstring) -> None:
    assert parse(text) == found


def test_a_docstring_that_is_none_or_fails() -> None:
    class Odd:
        @property
        def __doc__(self) -> str:  # type: ignore[override]
            raise KeyError("doc")

    class OddToo:
        __doc__ = 3  # type: ignore[assignment]

    assert docstring_of(lambda: None) == docstring_of(Odd()) == docstring_of(OddToo()) == Docstring()


words = st.text("abcdefgh XYZ0123456789,;.!?()'/\"+%=<>é数", min_size=1, max_size=40).map(
    lambda it: " ".join(it.split())
)
sentences = words.filter(lambda text: text[:1].isalpha() and ">>>" not in text)
names = st.from_regex(r"[a-z][a-z_0-9]{0,8}", fullmatch=True)


def rendered(style: str, summary: str, parameters: dict[str, str], returns: str) -> str:
    parts = [summary]
    if style == "google":
        if parameters:
            parts.append("Args:\n" + "\n".join(f"    {name}: {said}" for name, said in parameters.items()))
        if returns:
            parts.append(f"Returns:\n    str: {returns}")
    elif style == "numpy":
        if parameters:
            parts.append("Parameters\n----------\n" + "\n".join(f"{n} : int\n    {s}" for n, s in parameters.items()))
        if returns:
            parts.append(f"Returns\n-------\nstr\n    {returns}")
    else:
        lines = [f":param {name}: {said}" for name, said in parameters.items()]
        parts.append("\n".join([*lines, *([f":returns: {returns}"] if returns else [])]))
    return "\n\n".join(parts)


@pytest.mark.fuzz
@pytest.mark.parametrize("style", ["google", "numpy", "sphinx"])
def test_what_is_written_in_a_style_is_read_again(style: str, fuzz_seconds: float) -> None:
    @QUIETLY
    @given(sentences, st.dictionaries(names, sentences, max_size=4), st.just("") | sentences, st.integers(0, 8))
    def holds(summary: str, parameters: dict[str, str], returns: str, indent: int) -> None:
        text = textwrap.indent(rendered(style, summary, parameters, returns), " " * indent)
        assert parse(text) == Docstring(summary, summary, parameters, returns)

    go_on(holds, fuzz_seconds / 3)


ODD = (
    *(
        "Args:",
        "Returns:",
        "Parameters",
        "----",
        "====",
        ":param x:",
        ":returns:",
        "@param y:",
        "x: y",
        "    x (int): y",
    ),
    *(
        "    x (int): y",
        "  x : int",
        "Raises:",
        "\t",
        "  - item",
        "1. item",
        ">>> x",
        ":",
        "::",
        "```",
        "Yields",
        "\x00",
        "\ud800",
    ),
)
PIECES = st.sampled_from(ODD) | st.text(max_size=20)


@pytest.mark.fuzz
def test_no_docstring_keeps_a_function_from_being_served(fuzz_seconds: float) -> None:
    @QUIETLY
    @given(st.lists(PIECES, max_size=12), st.sampled_from(["\n", "\n\n", "\n    ", " "]))
    def holds(pieces: list[str], between: str) -> None:
        def function(x: int = 0, y: str = "") -> int:
            return x

        function.__doc__ = between.join(pieces)
        typed = typed_function(function)
        assert "\n" not in typed.summary

    go_on(holds, fuzz_seconds)


@pytest.mark.parametrize(
    "text",
    [
        *(":" * MOST, "(" * MOST, "\n" * MOST, "Args:\n" + "  x: y\n" * 3000, "@param " * 3000, "-\n" * MOST),
        *("Parameters\n----\n" + "x : y\n    z\n" * 2000, "Args:\n " + "a " * MOST + ":", "x" + " \n" * MOST),
        *(":param" + " " * MOST, "Args" + " " * MOST, "a\n \n" * MOST, ("-" * 100 + "\n") * 200, "x" * 10_000_000),
    ],
    ids=lambda text: repr(text[:12]),
)
def test_a_long_one_takes_no_time(text: str) -> None:
    begun = time.process_time()
    parse(text)
    assert time.process_time() - begun < 1
