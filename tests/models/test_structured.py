"""A client's JSON schema: checked, but never for as long as the client likes."""

import time

import pytest

from portico.models import chat_server
from tests.models.visitor import chat

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SLOW = "^(a+)+$"
LONG = "a" * 40 + "!"
WITHIN = 2.0
"""Seconds. Without bounds each of these takes years."""


def asked_with(schema, text):
    app = chat_server({"m": lambda messages: text}, on_error=lambda error: None)
    began = time.monotonic()
    answer = chat(app, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    assert time.monotonic() - began < WITHIN
    return answer


@pytest.mark.parametrize("dialect", [None, DIALECT, "http://json-schema.org/draft-07/schema#"])
@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"pattern": SLOW}, f'"{LONG}"'),
        ({"patternProperties": {SLOW: False}}, f'{{"{LONG}": 1}}'),
        ({"patternProperties": {SLOW: False}, "additionalProperties": False}, f'{{"{LONG}": 1}}'),
        ({"patternProperties": {SLOW: False}, "unevaluatedProperties": False}, f'{{"{LONG}": 1}}'),
        ({"allOf": [{"patternProperties": {SLOW: True}}], "unevaluatedProperties": False}, f'{{"{LONG}": 1}}'),
        ({"items": {"$schema": DIALECT, "pattern": SLOW}}, f'["{LONG}"]'),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$schema": DIALECT, "pattern": SLOW}}}, f'"{LONG}"'),
        ({"properties": {"next": {"$ref": "#"}}, "pattern": SLOW}, f'{{"next": "{LONG}"}}'),
    ],
    ids=str,
)
def test_no_regular_expression_of_a_client_is_run(schema, text, dialect):
    if dialect is not None:
        schema = {"$schema": dialect, **schema}
    assert asked_with(schema, text).status == 200


def test_references_are_followed_only_so_often():
    doubling = {f"d{depth}": {"allOf": [{"$ref": f"#/$defs/d{depth + 1}"}] * 2} for depth in range(30)}
    schema = {"$ref": "#/$defs/d0", "$defs": {**doubling, "d30": {"type": "integer"}}}
    for answer in (asked_with(schema, "7"), asked_with({**schema, "unevaluatedProperties": False}, "{}")):
        assert answer.status == 400 or answer.error["code"] == "unusable_output"
        assert "schema" in answer.error["message"]
    assert asked_with(schema, "7").error["param"] == "response_format.json_schema.schema"


def test_a_long_list_of_what_is_referred_to_is_checked():
    schema = {"type": "array", "items": {"$ref": "#/$defs/cat"}, "$defs": {"cat": {"required": ["name"]}}}
    cats = ",".join(['{"name": "Tom"}'] * 5000)
    assert asked_with(schema, f"[{cats}]").status == 200
    assert asked_with(schema, f"[{cats},{{}}]").error["code"] == "unusable_output"


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"properties": {"a": {"type": "string"}}, "additionalProperties": False}, '{"a": "x"}', '{"b": 1}'),
        ({"properties": {"$schema": {"type": "integer"}}}, '{"$schema": 1}', '{"$schema": "x"}'),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "integer"}}}, "1", '"x"'),
        ({"$schema": DIALECT, "properties": {"kin": {"$ref": "#"}}, "type": "object"}, '{"kin": {}}', '{"kin": 1}'),
    ],
)
def test_all_else_is_checked(schema, good, bad):
    assert asked_with(schema, good).status == 200
    assert asked_with(schema, bad).error["code"] == "unusable_output"
