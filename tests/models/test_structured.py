"""A client's JSON schema: checked, but never for as long as the client likes."""

import time

import pytest

from portico.models import chat_server
from tests.models.visitor import chat

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SLOW = "^(a+)+$"
LONG = "a" * 40 + "!"
WITHIN = 2.0
"""Seconds of a processor. Without bounds each of these takes years."""


def asked_with(schema, text):
    app = chat_server({"m": lambda messages: text}, on_error=lambda error: None)
    began = time.process_time()
    answer = chat(app, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    assert time.process_time() - began < WITHIN
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
    asked = asked_with(schema, "7")
    assert (asked.status, asked.error["param"]) == (400, "response_format.json_schema.schema")
    while_checked = asked_with({**schema, "unevaluatedProperties": False}, "{}")
    assert (while_checked.status, while_checked.error["code"]) == (500, "unusable_output")
    for answer in (asked, while_checked):
        assert "schema" in answer.error["message"]


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
