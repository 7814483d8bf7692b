"""What tools are called at the one URL: no two alike, the same tomorrow, and fit for every client."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portico.hub.tools.names import LONGEST, qualified, service_of, tool_of
from portico.types import service_name

SERVICES = st.from_regex(r"[a-z0-9]{1,5}(-[a-z0-9]{1,5}){0,3}", fullmatch=True)
TOOLS = st.text(st.characters(exclude_categories=("C",)), min_size=1, max_size=128) | st.from_regex(
    r"[A-Za-z0-9_-]{1,80}", fullmatch=True
)


@given(SERVICES, TOOLS)
@example("a" * 30, "ü" * 128)
@example("a", "__")
@example("a", "b-0123456789abcdef")
def test_a_name_is_fit_and_leads_back_to_its_tool(service: str, tool: str) -> None:
    service_name(service)
    name = qualified(service, tool)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name)
    assert name.startswith(service + "__")
    assert name == qualified(service, tool)
    assert service_of(name) == service
    assert tool_of(name, ["other", tool]) == tool
    assert tool_of(name, ["other"]) is None or tool == "other"


@given(st.lists(st.tuples(SERVICES, TOOLS), unique=True, max_size=20))
def test_no_two_tools_have_one_name(pairs: list[tuple[str, str]]) -> None:
    """Names are told apart by service and tool alone, whatever these are."""
    assert len({qualified(*pair) for pair in pairs}) == len(pairs)


def test_what_looks_alike_is_not() -> None:
    odd = ["x", "x_", "_x", "__x", "x.y", "x_y", "x y", "x/y", "X", "é", "é", "a" * 62, "a" * 63, "a" * 64, "a" * 128]
    odd += [qualified("s", tool).removeprefix("s__") for tool in odd]  # tools that bear the name of another's here
    odd = list(dict.fromkeys(odd))
    names = {qualified(service, tool) for service, tool in product(["s", "s-s", "t"], odd)}
    assert len(names) == 3 * len(odd)


@pytest.mark.parametrize(
    ("service", "tool", "name"),
    [
        ("flats", "predict", "flats__predict"),
        ("flats", "_predict", "flats___predict"),
        ("flats", "predict price", "flats__predict_price-"),
        ("a" * 30, "b" * 32, "a" * 30 + "__" + "b" * 32),
        ("a" * 30, "b" * 33, "a" * 30 + "__" + "b" * 15 + "-"),
    ],
)
def test_a_name_that_fits_is_the_tools_own(service: str, tool: str, name: str) -> None:
    said = qualified(service, tool)
    assert len(said) <= LONGEST
    assert said == name or (name.endswith("-") and re.fullmatch(re.escape(name) + "[0-9a-f]{16}", said))


@pytest.mark.parametrize("name", ["", "flats", "flats_x", "x" * 65, "flats__" + "x" * 64])
def test_what_is_no_name_here_is_nobodys(name: str) -> None:
    assert service_of(name) == ""
