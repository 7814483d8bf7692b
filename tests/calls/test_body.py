"""A request's body is read whole, decoded and within a limit; what no function should see is refused."""

import asyncio
import gzip
import json
import tracemalloc
import zlib

import pytest

from portico.calls.body import MAX_DEPTH, kind, load, parse, read_body
from portico.calls.content_coding import Decoder, TooLong
from portico.errors import APIError, UnusableRequest

DATA = b'{"a": "' + b"x" * 1000 + b'"}'


def read(*pieces, limit=10_000, **headers):
    """What comes of a body in *pieces*; None among them is a visitor who leaves."""
    left = list(pieces)

    async def receive():
        piece = left.pop(0)
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": bool(left)}

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.run(read_body(receive, named, limit, {}))


def refused(*arguments, by=read, **named):
    with pytest.raises(UnusableRequest) as caught:
        by(*arguments, **named)
    assert not isinstance(caught.value, APIError)
    return caught.value


def in_pieces(data, size=7):
    return [data[start : start + size] for start in range(0, len(data), size)]


def test_a_body_in_pieces():
    assert read(*in_pieces(DATA)) == DATA
    assert read(b"") == b""


@pytest.mark.parametrize(
    ("coding", "encode"), [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_it_is_decoded(coding, encode):
    assert read(*in_pieces(encode(DATA)), content_encoding=coding) == DATA


def test_a_visitor_who_leaves():
    with pytest.raises(EOFError):
        read(b"{", None)


def test_the_limit_is_of_what_is_announced_sent_and_decoded():
    for error in (
        refused(DATA, limit=999, content_length=str(len(DATA))),
        refused(*in_pieces(DATA), limit=999),
        refused(gzip.compress(DATA), limit=999, content_encoding="gzip"),
    ):
        assert (error.status, error.code) == (413, "request_too_large")
        assert "999 bytes" in str(error)
    assert read(DATA, limit=len(DATA)) == DATA


def test_a_large_one_is_refused_before_it_comes():
    async def receive():
        raise AssertionError("nothing of it was to be read")

    with pytest.raises(UnusableRequest):
        asyncio.run(read_body(receive, {"content-length": "1000"}, 999, {}))


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, deflate"])
def test_a_coding_that_is_not_known_says_which_are(coding):
    error = refused(DATA, content_encoding=coding)
    assert (error.status, error.code) == (415, "content_encoding")
    assert error.headers == ((b"accept-encoding", b"gzip, deflate"),)


@pytest.mark.parametrize("data", [DATA, gzip.compress(DATA)[:-2], b""], ids=["as it is", "cut", "empty"])
def test_a_body_that_is_not_in_its_coding(data):
    error = refused(data, content_encoding="gzip")
    assert (error.status, error.code) == (400, "content_encoding")


def test_a_bomb_is_decoded_up_to_the_limit():
    bomb = gzip.compress(b"[" + b" " * (64 << 20) + b"]")
    sizes = []
    with pytest.raises(TooLong):
        sizes.extend(map(len, Decoder("gzip", 1 << 20).pieces(bomb)))
    assert sum(sizes) <= 1 << 20
    assert max(sizes) <= 256 * 1024


def test_a_body_that_is_decoded_does_not_keep_the_loop():
    data = gzip.compress(b"{}" + b" " * (16 << 20))

    async def receive():
        return {"type": "http.request", "body": data}

    async def run():
        turns = 0

        async def count():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        await read_body(receive, {"content-encoding": "gzip"}, 32 << 20, {})
        counting.cancel()
        return turns

    assert asyncio.run(run()) >= 64


# --- JSON ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [b'{"a": 1}', b'\xef\xbb\xbf{"a": 1}', '{"a": 1}', b' \n{"a":1} '])
def test_an_object(raw):
    assert parse(raw) == {"a": 1}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"  ",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"1",
        b"\xff\xfe{}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b"[" * 100_000,
    ],
    ids=lambda raw: raw[:10],
)
def test_what_is_no_object(raw):
    error = refused(raw, by=parse)
    assert (error.status, error.field, error.headers) == (400, None, ())


def nested(levels):
    return json.dumps({"deep": json.loads("[" * levels + "]" * levels)}).encode()


def test_depth_is_bounded_and_the_field_is_named():
    assert parse(nested(MAX_DEPTH))
    assert refused(nested(MAX_DEPTH + 1), by=parse).field == "deep"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"a": "x\0"}, "a"),
        ({"a": {"b": ["x", {"c": "\ud800"}]}}, "a.b[1].c"),
        ({"a\0": 1}, None),
        ({"a": {"\udfff": 1}}, "a"),
    ],
)
def test_text_that_is_none_is_refused_where_it_stands(body, field):
    assert refused(json.dumps(body).encode(), by=parse).field == field


def test_a_room_may_let_a_nul_through_where_it_expects_one():
    def output(path, value):
        return path == "results[0]" and value.get("of") == "program"

    raw = json.dumps({"results": [{"of": "program", "text": {"out": "a\0b"}}]}).encode()
    assert parse(raw, output)["results"][0]["text"]["out"] == "a\0b"
    refused(raw, by=parse)
    for other in ({"results": [{"of": "person", "text": "\0"}]}, {"results": [{"of": "program", "text": "\ud800"}]}):
        refused(json.dumps(other).encode(), output, by=parse)


def test_kinds_in_the_words_of_json():
    values = (None, True, 1, 1.5, "x", [], {})
    kinds = ["null", "a boolean", "a number", "a number", "a string", "an array", "an object"]
    assert list(map(kind, values)) == kinds


@pytest.mark.parametrize(
    ("raw", "value"), [(b"3", 3), (b'"a"', "a"), (b"[1, [2]]", [1, [2]]), (b"null", None), (b'{"a": 1}', {"a": 1})]
)
def test_any_value_can_be_loaded(raw, value):
    assert load(raw) == value


@pytest.mark.parametrize("raw", [b"", b"NaN", b"[Infinity]", b"{", b"\xff", b'"\\ud800"', b'["\\u0000"]'])
def test_what_is_not_json_is_not_loaded(raw):
    assert refused(raw, by=load).status == 400


def test_the_depth_of_any_value_is_bounded():
    assert load(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    refusal = refused(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), by=load)
    assert "nested too deeply" in str(refusal)
    assert refusal.field is None


def test_what_is_repeated_of_names_is_cut():
    """A name may be as long as the body, and a body hold as many values beside it: together that would be a TiB."""
    name = "k" * 200_000
    many = {name: [0] * 20_000 + [["\x00"]]}
    tracemalloc.start()
    try:
        error = refused(json.dumps(many), by=load)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert error.field == f"{'k' * 100}[20000][0]"
    assert most < 20 * 2**20
    nested = "\ud800"
    for _ in range(MAX_DEPTH - 1):
        nested = {"n" * 1000: nested}
    assert len(refused(json.dumps(nested), by=load).field) < 1000
    assert len(refused(json.dumps({name: {"a\x00": 1}}), by=load).field) == 100
