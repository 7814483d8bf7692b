"""Pages of other sites read what an app allows them to, by its list of origins."""

import pytest

from portico.calls.cors import Origins, header_of

HERE = b"https://here.example"


def scope(origin=None, **asked):
    headers = [] if origin is None else [(b"Origin", origin)]
    headers += [(f"access-control-request-{name}".encode(), value) for name, value in asked.items()]
    return {"type": "http", "headers": headers}


def test_what_is_no_page_of_another_site_is_told_nothing():
    for origins in (Origins("*", "x-a"), Origins((), "x-a"), Origins([HERE.decode()], "x-a")):
        assert origins.allows(scope())
        assert origins.headers(scope()) == []
        assert origins.preflight(scope(), b"POST") == []


def test_any_page_where_all_may():
    told = Origins("*", "x-a, x-b").headers(scope(HERE))
    assert told == [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", b"x-a, x-b")]


def test_those_that_are_named_and_no_other():
    origins = Origins([HERE.decode()], "x-a")
    assert dict(origins.headers(scope(HERE))) == {
        b"access-control-allow-origin": HERE,
        b"access-control-expose-headers": b"x-a",
        b"vary": b"origin",
    }
    for other in (b"https://here.example.evil", b"http://here.example", b"null", b"\xff"):
        assert not origins.allows(scope(other))
        assert origins.headers(scope(other)) == []
        assert origins.preflight(scope(other, method=b"POST"), b"POST") == []


@pytest.mark.parametrize("asked", [None, b"content-type"])
def test_a_preflight(asked):
    headers = {} if asked is None else {"headers": asked}
    told = dict(Origins("*", "x-a").preflight(scope(HERE, method=b"POST", **headers), b"GET, POST"))
    assert told[b"access-control-allow-methods"] == b"GET, POST"
    assert told.get(b"access-control-allow-headers") == asked
    assert told[b"access-control-max-age"] == b"600"


def test_the_first_header_counts():
    assert header_of({"headers": [(b"X-A", b"1"), (b"x-a", b"2")]}, b"x-a") == b"1"
    assert header_of({"headers": []}, b"x-a") is None
    assert header_of({}, b"x-a") is None
