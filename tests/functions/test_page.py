"""The document of the functions' page: its data, its addresses, and the policy that it runs under."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import pytest
from pydantic import Field

from portico.functions.conventions import Conventions
from portico.functions.given import Progress
from portico.functions.page import base_of, page
from portico.functions.signature import typed_function
from portico.functions.typed import FunctionOptions, TypedFunction

SCOPE = {"type": "http", "path": "/portico/apps/flats/", "root_path": "/portico/apps/flats"}


def predict(area: float, rooms: int = 2) -> float:
    """Price of a flat."""
    return area * rooms


def shown(*functions: TypedFunction, **more: Any) -> tuple[str, dict[str, Any], dict[str, str]]:
    """The document of a page with these *functions*, the data in it, and its headers."""
    given = {"scope": SCOPE, "identity": None} | more
    made = page(functions={one.name: one for one in functions}, **given)
    text = made.body.decode()
    [data] = re.findall(r'<script type="application/json" id="functions">(.*?)</script>', text, re.DOTALL)
    headers = {name.decode(): value.decode() for name, value in made.headers}
    return text, json.loads(data), headers


def test_the_page_is_told_of_each_function() -> None:
    def train(progress: Progress, data: bytes, epochs: int = 1):
        """Learn.

        For long.
        """
        yield ""

    options = FunctionOptions(get=True, title="Learn it")
    _, data, _ = shown(typed_function(predict), typed_function(train, options=options))
    assert [one["name"] for one in data["functions"]] == ["predict", "train"]
    first, second = data["functions"]
    assert (first["streams"], first["progress"], first["get"], first["uploads"]) == (False, False, False, [])
    assert list(first["schema"]["properties"]) == ["area", "rooms"]
    assert (second["streams"], second["progress"], second["get"], second["uploads"]) == (True, True, True, ["data"])
    assert (second["title"], second["description"]) == ("Learn it", "Learn.\n\nFor long.")
    assert list(second["schema"]["properties"]) == ["data", "epochs"], "what callers cannot give is not asked for"


def test_a_description_that_only_repeats_the_name_is_not_shown() -> None:
    def ask(question: str, urls: list[str]) -> str:
        """Ask.

        Args:
            urls: where to look
        """
        return question

    typed = typed_function(ask, conventions=Conventions(describe=lambda name: f"Parameter '{name}'"))
    fields = shown(typed)[1]["functions"][0]["schema"]["properties"]
    assert "description" not in fields["question"]
    assert fields["urls"]["description"] == "where to look"
    assert typed.input_schema["properties"]["question"]["description"] == "Parameter 'question'", "as programs have it"


@pytest.mark.parametrize(
    ("path", "base"),
    [
        ("/portico/apps/flats/", ""),
        ("/portico/apps/flats", "./flats/"),
        ("/", ""),
        ("", ""),
        ("/a b:c", "./a%20b%3Ac/"),
        ('/"><b>', "./%22%3E%3Cb%3E/"),
    ],
)
def test_addresses_are_relative_to_where_the_page_is(path: str, base: str) -> None:
    assert base_of(path) == base
    text, data, _ = shown(typed_function(predict), scope=SCOPE | {"path": path})
    assert data["base"] == base
    assert f'src="{base}static/page.js"' in text
    assert f'href="{base}static/style.css"' in text
    assert f'href="{base}openapi.json"' in text


def test_only_this_answers_own_script_runs_and_talks_to_this_server() -> None:
    nonces = set()
    for _ in range(2):
        text, _, headers = shown(typed_function(predict))
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        [nonce] = re.findall(r"^'nonce-([\w-]{20,})'$", policy["script-src"])
        nonces.add(nonce)
        assert policy["default-src"] == policy["frame-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert policy["connect-src"] == "'self'"
        scripts = re.findall("<script[^>]*>", text)
        assert scripts == [
            f'<script nonce="{nonce}" src="static/page.js" defer>',
            '<script type="application/json" id="functions">',
        ]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-cache"
    assert len(nonces) == 2, "a script that was put in before cannot know the next"


HOSTILE = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(1)> ]]> \u2028 \ud800 &lt;"


def test_nothing_of_a_function_is_markup() -> None:
    def bad(value: Annotated[str, Field(description=HOSTILE, title=HOSTILE)] = HOSTILE) -> None: ...

    bad.__doc__ = HOSTILE
    typed = typed_function(bad, options=FunctionOptions(title=HOSTILE, description=HOSTILE))
    text, data, _ = shown(typed, title=HOSTILE.replace("\ud800", ""))
    assert "<img" not in text
    assert len(re.findall("<script", text)) == 2
    [one] = data["functions"]
    assert one["title"] == one["description"] == one["schema"]["properties"]["value"]["default"] == HOSTILE


def test_the_path_names_the_page_where_there_is_no_title() -> None:
    assert "<title>flats · Portico</title>" in shown(typed_function(predict))[0]
    assert "<title>Flats of Bern · Portico</title>" in shown(typed_function(predict), title="Flats of Bern")[0]
    assert "<title>Functions · Portico</title>" in shown(typed_function(predict), scope={"path": "/"})[0]


@pytest.mark.parametrize(
    ("identity", "keyed"), [(None, False), ({"access": "anonymous"}, False), ({"access": "key"}, True)]
)
def test_programs_need_a_key_where_visitors_do(identity: dict[str, str] | None, keyed: bool) -> None:
    assert shown(typed_function(predict), identity=identity)[1]["keyed"] is keyed


def test_bounds_that_no_json_can_say_are_left_out() -> None:
    def bounded(value: Annotated[float, Field(ge=float("-inf"), le=1)]) -> None: ...

    field = shown(typed_function(bounded))[1]["functions"][0]["schema"]["properties"]["value"]
    assert field["maximum"] == 1
    assert field.get("minimum") is None
