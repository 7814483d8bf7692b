"""What each access opens to whom, and which requests another site's page could have made."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.hub.access import ANONYMOUS, KnownUser, Visitor, check, cross_site, of_user, same_origin
from portico.hub.answers import Answer

USER = of_user(KnownUser("ada", "Ada"))
KEY = Visitor(access="key", key_id="1", services=("cat",))
HOST = "localhost:8888"


@pytest.mark.parametrize(
    ("access", "service", "visitor", "status"),
    [
        ("public", "cat", ANONYMOUS, 0),
        ("public", "dog", KEY, 0),
        ("private", "cat", USER, 0),
        ("private", "cat", KEY, 0),
        ("private", "dog", KEY, 403),
        ("private", "cat", ANONYMOUS, 401),
        ("key", "cat", KEY, 0),
        ("key", "dog", KEY, 403),
        ("key", "cat", USER, 403),
        ("key", "cat", ANONYMOUS, 401),
    ],
)
def test_access_opens_to(access: str, service: str, visitor: Visitor, status: int) -> None:
    if status:
        with pytest.raises(Answer) as raised:
            check(access, service, visitor)
        assert raised.value.status == status
    else:
        check(access, service, visitor)


def test_an_app_is_told_who_calls_and_no_more() -> None:
    assert json.loads(USER.identity) == {"access": "user", "user": {"id": "ada", "name": "Ada"}}
    assert json.loads(KEY.identity) == {"access": "key", "key_id": "1"}
    assert json.loads(ANONYMOUS.identity) == {"access": "anonymous"}


@pytest.mark.parametrize(
    ("origin", "same"),
    [
        (b"http://localhost:8888", True),
        (b"https://LOCALHOST:8888", True),
        (b"http://localhost:8889", False),
        (b"http://localhost", False),
        (b"http://localhost:8888.evil.example", False),
        (b"http://localhost:8888@evil.example", False),
        (b"http://evil.example/localhost:8888", False),
        (b"http://localhost:8888\\@evil.example", False),
        (b"//localhost:8888", False),
        (b"ftp://localhost:8888", False),
        (b"null", False),
        (b"", False),
        (b"http://[", False),
        (b"http://[::1", False),
        (b"\xff\xfe", False),
    ],
)
def test_same_origin(origin: bytes, same: bool) -> None:
    assert same_origin(origin, HOST) is same


def test_default_ports_are_left_out_or_said() -> None:
    assert same_origin(b"https://hub.example", "hub.example:443")
    assert same_origin(b"http://hub.example:80", "hub.example")


def test_over_tls_a_page_that_came_without_is_another_origin() -> None:
    assert same_origin(b"https://hub.example", "hub.example", secure=True)
    assert not same_origin(b"http://hub.example", "hub.example", secure=True)


@given(st.binary(max_size=40), st.text(max_size=20))
def test_any_origin_is_judged_without_an_error(origin: bytes, host: str) -> None:
    same_origin(origin, host)


def refused(method: str, *headers: tuple[bytes, bytes], websocket: bool = False) -> bool:
    return cross_site(method, list(headers), HOST, websocket=websocket, secure=False) is not None


HERE = (b"origin", b"http://localhost:8888")
ELSEWHERE = (b"origin", b"https://evil.example")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
def test_unsafe_methods_need_a_page_of_this_server(method: str) -> None:
    assert not refused(method, HERE)
    assert refused(method, ELSEWHERE)
    assert refused(method)
    assert refused(method, (b"origin", b"null"))
    assert not refused(method, (b"referer", b"http://localhost:8888/lab"))
    assert refused(method, (b"referer", b"http://evil.example/localhost:8888"))
    assert refused(method, ELSEWHERE, (b"referer", b"http://localhost:8888/lab"))


def test_behind_a_proxy_that_changes_the_host_the_browsers_own_word_counts() -> None:
    assert not refused("POST", (b"origin", b"https://public.example"), (b"sec-fetch-site", b"same-origin"))
    assert refused("POST", (b"origin", b"https://public.example"), (b"sec-fetch-site", b"same-site"))


def test_safe_methods_may_be_linked_to_but_not_embedded() -> None:
    assert not refused("GET")
    assert not refused("GET", ELSEWHERE)  # an old browser; what it gets back it cannot read
    assert not refused("GET", (b"sec-fetch-site", b"cross-site"), (b"sec-fetch-mode", b"navigate"))
    assert refused("GET", (b"sec-fetch-site", b"cross-site"), (b"sec-fetch-mode", b"no-cors"))
    assert refused("GET", (b"sec-fetch-site", b"same-site"), (b"sec-fetch-mode", b"cors"))
    assert not refused("GET", (b"sec-fetch-site", b"same-origin"), (b"sec-fetch-mode", b"cors"))


def test_a_websocket_needs_an_origin_and_this_one() -> None:
    assert not refused("GET", HERE, websocket=True)
    assert refused("GET", ELSEWHERE, websocket=True)
    assert refused("GET", websocket=True)
    assert refused("GET", (b"referer", b"http://localhost:8888/"), websocket=True)
