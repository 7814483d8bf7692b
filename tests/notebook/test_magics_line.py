"""How the line of ``%serve`` is read."""

from __future__ import annotations

import re

import pytest
from IPython.core.error import UsageError

from portico.notebook.binding import is_passive
from portico.notebook.magics import _name_of, split


@pytest.mark.parametrize(
    ("line", "expression", "options"),
    [
        ("app", "app", {}),
        ("  app  ", "app", {}),
        ("app --name cat", "app", {"name": "cat"}),
        ("--name cat app", "app", {"name": "cat"}),
        ('app --title "Two words"', "app", {"title": "Two words"}),
        ('{"a": f, "b": g} --name zoo --chat', '{"a": f, "b": g}', {"name": "zoo", "chat": True}),
        ("make(1, x='--')", "make(1, x='--')", {}),
        ("a - -b --pin", "a - -b", {"pin": True}),
        ("lib.app --origin https://a.example --origin *", "lib.app", {"origin": ["https://a.example", "*"]}),
        ("--list", "", {"list": True}),
        ("--stop cat", "", {"stop": "cat"}),
        ("app --access key --replace", "app", {"access": "key", "replace": True}),
    ],
)
def test_the_line_is_an_expression_and_options(line: str, expression: str, options: dict[str, object]) -> None:
    found, given = split(line)
    assert found == expression
    defaults = vars(split("")[1])
    assert vars(given) == defaults | {"words": given.words} | options


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("app --wrong", "unrecognized arguments: --wrong"),
        ("app --access all", "invalid choice: 'all'"),
        ("app --name", "expected one argument"),
        ("app --nam cat", "unrecognized arguments"),
        ('app --title "open', "No closing quotation"),
        ("app --pin other", "what is 'other'? One app is served at a time"),
    ],
)
def test_what_cannot_be_read_is_explained(line: str, says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        split(line)


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("app", "app"),
        ("my_app", "my-app"),
        ("lib.My_App", "my-app"),
        ("_app_", "app"),
        ("make()", None),
        ("{'a': f}", None),
        ("not python", None),
    ],
)
def test_a_name_is_made_of_the_variables(expression: str, name: str | None) -> None:
    assert _name_of(expression) == name


def test_only_what_is_safe_to_look_up_again_is_followed() -> None:
    assert is_passive("app")
    assert is_passive("lib.app")
    assert is_passive("{'a': f, 'b': lib.g}")
    assert not is_passive("make()")
    assert not is_passive("apps[0]")  # a __getitem__ may do anything
    assert not is_passive("app if x else y")
    assert not is_passive("not python")
