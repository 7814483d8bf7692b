"""The top-level ``model`` is found in any split of any JSON object, and nothing else is taken for it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.hub.model_field import ModelField, NotAnObject

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.just("model"), inner, max_size=4),
    max_leaves=20,
)


@given(
    before=st.dictionaries(st.text().filter(lambda key: key != "model"), JSON, max_size=4),
    model=st.text(),
    after=st.dictionaries(st.text().filter(lambda key: key != "model"), JSON, max_size=3),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 1]),
    cut=st.integers(1, 40),
)
def test_it_is_found_however_the_body_is_cut(
    before: dict[str, Any], model: str, after: dict[str, Any], ascii_only: bool, indent: int | None, cut: int
) -> None:
    value = {**before, "model": model, **after}
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    field = ModelField()
    for start in range(0, len(body), cut):
        field.feed(body[start : start + cut])
        if field.found is not None:
            break
    assert field.found is not None
    assert field.found.value == model
    rest = body[len(field.body) :]
    replaced = json.loads((field.replaced("other/model") + rest).decode("utf-8", "surrogatepass"))
    assert replaced == {**value, "model": "other/model"}


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(data: bytes) -> None:
    field = ModelField()
    try:
        for byte in data:
            field.feed(bytes([byte]))
    except NotAnObject:
        pass


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"[]", "not a JSON object"),
        (b'"model"', "not a JSON object"),
        (b"{}", "has no model"),
        (b'{"messages": [{"model": "inner"}]}', "has no model"),
        (b'{"a": "model", "b": {"model": "x"}}', "has no model"),
        (b'{"model": 5}', "must be a string"),
        (b'{"model": {"a": 1}}', "must be a string"),
        (b'{"model": null}', "must be a string"),
        (b'{"a": ' + b"[" * 600, "too deeply"),
    ],
)
def test_what_cannot_be_is_said_early(body: bytes, why: str) -> None:
    with pytest.raises(NotAnObject, match=why):
        ModelField().feed(body)


def test_an_escaped_key_is_the_same_key() -> None:
    found = ModelField().feed(b'{"mod\\u0065l": "cat"}')
    assert found is not None
    assert found.value == "cat"


def test_a_long_image_is_skipped_not_decoded() -> None:
    field = ModelField()
    piece = b"A" * 65536
    field.feed(b'{"messages": [{"content": "')
    for _ in range(256):
        assert field.feed(piece) is None
    found = field.feed(b'"}], "model": "zoo/cat"}')
    assert found is not None
    assert found.value == "zoo/cat"
