"""The top-level ``model`` is found in any split of any JSON object, and nothing else is taken for it."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.hub.models.field import Found, ModelField, NotAnObject
from tests.costs import grows_in_proportion, seconds

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


def scan(body: bytes, cut: int = 0) -> Found | str:
    """What is found in *body*, fed in pieces of *cut* bytes; or why nothing is."""
    field = ModelField()
    try:
        for start in range(0, len(body), cut or len(body)):
            if field.feed(body[start : start + cut] if cut else body) is not None:
                break
    except NotAnObject as error:
        return str(error)
    return field.found or "not yet"


BRACKETS = st.text(alphabet='[]{}"\\,:a1 ', max_size=300)


@pytest.mark.fuzz
def test_what_is_found_is_what_json_reads(fuzz_seconds: float) -> None:
    """Of members in any order, with values of any shape and size, the first `model` is found where it stands."""

    def value(random_: random.Random, depth: int = 0) -> Any:
        kind = random_.randrange(8 if depth < 6 else 5)
        if kind == 0:
            return random_.choice([None, True, 0, -1.5e300, 12])
        if kind < 5:
            size = random_.choice([0, 1, 5, 70, 300, 70_000 if random_.random() < 0.02 else 20])
            return "".join(random_.choices('[]{}"\\\n,:model\u20ac\ud83d', k=size))
        size = random_.choice([0, 1, 2, 5, 100 if random_.random() < 0.03 else 3])
        if kind < 7:
            return [value(random_, depth + 1) for _ in range(size)]
        return {value_key(random_): value(random_, depth + 1) for _ in range(size)}

    def value_key(random_: random.Random) -> str:
        return random_.choice(["model", "a", '"', "\\", '\\"', "mode", "x" * 80, "[", "}", "\u00e9"])

    ends = time.monotonic() + fuzz_seconds
    rounds = 0
    while time.monotonic() < ends or rounds < 200:
        rounds += 1
        random_ = random.Random(rounds)
        pairs = [(value_key(random_), value(random_)) for _ in range(random_.randrange(6))]
        pairs = [(key, str(held)[:1000] if key == "model" else held) for key, held in pairs]
        indent = random_.choice([None, 1])
        ascii_only = random_.random() < 0.5
        texts = [
            f"{json.dumps(key, ensure_ascii=ascii_only)}:{json.dumps(held, indent=indent, ensure_ascii=ascii_only)}"
            for key, held in pairs
        ]
        body = ("{" + random_.choice([",", " ,\n"]).join(texts) + "}").encode("utf-8", "surrogatepass")
        first = next((held for key, held in pairs if key == "model"), None)
        for cut in (0, random_.randrange(1, 9), random_.randrange(60, 200)):
            found = scan(body, cut)
            if first is None:
                assert found == "the body has no model"
            else:
                assert isinstance(found, Found), (rounds, cut, found)
                assert found.value == first
                assert json.loads(body[found.start : found.end].decode("utf-8", "surrogatepass")) == first


@given(BRACKETS, st.integers(1, 70))
def test_the_pieces_make_no_difference(inside: str, cut: int) -> None:
    body = f'{{"a": [{inside}], "b": {{{inside}}}, "model": "x"}}'.encode()
    whole = scan(body)
    try:
        json.loads(body)
    except ValueError:
        if isinstance(whole, Found):  # it is another's to say that it is no JSON
            return
    assert scan(body, cut) == whole


def test_the_first_of_two_counts_wherever_others_stand() -> None:
    found = scan(b'{"a": {"model": "no"}, "b": "model", "model": "yes", "model": "late"}')
    assert isinstance(found, Found)
    assert found.value == "yes"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"a" 1}', "not JSON"),
        (b'{"a": 1 2}', "not JSON"),
        (b'{"a": 1,}', "not JSON"),
        (b"{,}", "not JSON"),
        (b'{"a":: 1}', "not JSON"),
        (b'{"a": \x00}', "not JSON"),
        (b'{1: 2, "model": "x"}', "not JSON"),
        (b"{" + b'"a": 1,' * 300, "first 256 fields"),
        (b'{"model": "' + b"m" * 9000, "longer than 8192 bytes"),
        (b'{"model": "\xff"}', "not JSON"),
        (b'{"a": ' + b"[" * 100_000, "too deeply"),
    ],
)
@pytest.mark.parametrize("cut", [0, 1, 7])
def test_what_costs_or_means_too_much_is_refused_early(body: bytes, why: str, cut: int) -> None:
    found = scan(body, cut)
    assert isinstance(found, str)
    assert why in found


def of(begin: bytes, piece: bytes, size: int) -> bytes:
    return begin + piece * (size // len(piece))


HOSTILE: dict[str, tuple[bytes, bytes]] = {
    "digits": (b'{"a":', b"1"),
    "digits in an array": (b'{"a":[', b"1"),
    "numbers": (b'{"a":[', b"17,"),
    "commas": (b'{"a":[', b","),
    "spaces": (b'{"a":[', b" "),
    "spaces at the top": (b"{", b" \n"),
    "letters": (b'{"a":"', b"x"),
    "arrays": (b'{"a":[', b"[],"),
    "objects": (b'{"a":[', b"{},"),
    "nested": (b'{"a":[', b"[" * 100 + b"]" * 100 + b","),
    "nested a little": (b'{"a":[', b"[[]],"),
    "unlike brackets": (b'{"a":[', b"[}{]"),
    "empty strings": (b'{"a":[', b'"",'),
    "strings with brackets": (b'{"a":[', b'"[",'),
    "strings beside brackets": (b'{"a":[', b'"["[]'),
    "keys": (b'{"a":[', b'{"a":"b"},'),
    "escaped quotes": (b'{"a":"', b'\\"'),
    "escaped backslashes": (b'{"a":"', b"\\\\"),
    "escapes in an array": (b'{"a":["', b'\\"[\\\\'),
    "escapes": (b'{"a":["', b"\\u0041\\n"),
    "quotes": (b'{"a":[', b'"'),
}


@pytest.mark.parametrize(("begin", "piece"), HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("cut", [65_536, 1500])
def test_a_megabyte_of_anything_costs_some_milliseconds(begin: bytes, piece: bytes, cut: int) -> None:
    body = of(begin, piece, 4_000_000)
    assert scan(body[:100_000], cut) == "not yet"
    assert seconds(lambda: scan(body, cut)) < 0.2  # 20 MB/s, of the 100 and more that there are on a quiet machine


@pytest.mark.parametrize(("begin", "piece"), HOSTILE.values(), ids=HOSTILE)
def test_a_drip_costs_no_more_for_what_came_before(begin: bytes, piece: bytes) -> None:
    assert grows_in_proportion(lambda body: scan(body, 1), lambda size: of(begin, piece, size), 10_000)


SHORT: dict[str, Callable[[int], bytes]] = {
    "short arrays": lambda size: b"{" + b'"a":[1],' * min(size, 250),
    "short strings": lambda size: b"{" + b'"\\n":"\\n",' * min(size, 250),
    "a long array that ends": lambda size: b'{"a":[' + b"[]," * size + b"],",
    "a long string that ends": lambda size: b'{"a":"' + b'\\"' * size + b'",',
}


@pytest.mark.parametrize("make", SHORT.values(), ids=SHORT)
def test_the_end_of_a_value_is_found_for_little(make: Callable[[int], bytes]) -> None:
    body = make(20_000) + b" " * 100_000
    assert scan(body) == "not yet"
    assert seconds(lambda: scan(body)) < 0.02
