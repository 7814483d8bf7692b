"""The same request again on one connection, byte for byte: it is read, admitted and answered each time."""

from __future__ import annotations

import pytest

import portico
from portico.provider.service import Service
from tests.relay.raw_visitors import Visitor, app, head, reached

AGAIN = head("again")


def answered(visitor: Visitor, status: int = 200) -> bytes:
    """The body of the next answer."""
    answer = visitor.answer()
    assert answer.status == status, answer
    return visitor.read(int(answer.get("content-length")[0]))


def test_each_one_comes_to_the_app(visitor: Visitor) -> None:
    for _ in range(3):
        visitor.send(AGAIN)
        assert answered(visitor) == b"0"
    assert reached == ["GET /again"] * 3


def test_others_between(visitor: Visitor) -> None:
    other = head("other", method="DELETE")
    posted = head("post", b"Content-Length: 5", method="POST") + b"hello"
    for request, body in (
        (AGAIN, b"0"),
        (AGAIN, b"0"),
        (other, b"0"),
        (AGAIN, b"0"),
        (posted, b"5"),
        (AGAIN, b"0"),
    ) * 2:
        visitor.send(request)
        assert answered(visitor) == body
    assert reached == ["GET /again", "GET /again", "DELETE /other", "GET /again", "POST /post", "GET /again"] * 2


@pytest.mark.parametrize("cut", [1, 10, len(AGAIN) - 4, len(AGAIN) - 2, len(AGAIN) - 1])
def test_behind_a_part_of_it(visitor: Visitor, cut: int) -> None:
    """What follows a part of a head belongs to that head, even if it looks like the request before."""
    visitor.send(AGAIN)
    assert answered(visitor) == b"0"
    visitor.send(AGAIN[:cut])
    visitor.send(AGAIN[cut:])
    assert answered(visitor) == b"0"
    visitor.send(AGAIN)
    assert answered(visitor) == b"0"
    assert reached == ["GET /again"] * 3


def test_as_a_body(visitor: Visitor) -> None:
    visitor.send(AGAIN)
    assert answered(visitor) == b"0"
    visitor.send(head("post", b"Content-Length: %d" % len(AGAIN), method="POST"))
    visitor.send(AGAIN)
    assert answered(visitor) == b"%d" % len(AGAIN)
    assert reached == ["GET /again", "POST /post"]


def test_without_waiting_for_the_answer(visitor: Visitor) -> None:
    visitor.send(AGAIN)
    assert answered(visitor) == b"0"
    visitor.send(AGAIN * 3)
    for _ in range(3):
        assert answered(visitor) == b"0"
    visitor.send(AGAIN)
    assert answered(visitor) == b"0"
    assert reached == ["GET /again"] * 5


def test_after_it_has_become_private(cat: Service, visitor: Visitor) -> None:
    given = {"hub": hub_of(cat), "token": token_of(cat)}
    service = portico.serve(app, "closing", access="public", **given)
    request = head("again").replace(b"/cat/", b"/closing/")
    try:
        for _ in range(2):
            visitor.send(request)
            assert answered(visitor) == b"0"
        portico.serve(app, "closing", access="key", **given)
        visitor.send(request)
        answered(visitor, 401)
    finally:
        service.stop()


def hub_of(service: Service) -> str:
    assert service.session is not None
    return service.session.address.url


def token_of(service: Service) -> str:
    assert service.session is not None
    return service.session.address.token
