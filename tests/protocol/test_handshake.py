"""HELLO, WELCOME and registrations: what is said, once, by whom, and how much is read before."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from portico.errors import InvalidOption, LocalProtocolError, RemoteProtocolError
from portico.protocol import Connection, Limits, Role, frames, handshake
from portico.protocol.events import (
    Ack,
    Hello,
    Register,
    Unregister,
)
from portico.protocol.flow_control import KIB, MIB

from .fake_link import HELLO, REQUEST, WELCOME, FakeLink, datas


def test_the_handshake_and_registrations_arrive_as_they_were_sent() -> None:
    link = FakeLink(shake_hands=False)
    link.provider.send_hello(HELLO)
    assert link.run() == ([HELLO], [])
    assert not link.hub.ready
    link.hub.send_welcome(WELCOME)
    assert link.run() == ([], [WELCOME])
    assert link.hub.ready
    assert link.provider.ready
    link.provider.send_register(Register(1, {"name": "cat", "title": "日"}))
    link.provider.send_unregister(Unregister(2, "cat"))
    assert link.run() == ([Register(1, {"name": "cat", "title": "日"}), Unregister(2, "cat")], [])
    ack = Ack(request=1, ok=False, url="", error="taken", code="name_taken", detail={"kernel_id": "k"})
    link.hub.send_ack(ack)
    link.hub.send_unregister(Unregister(0, "cat"))
    assert link.run() == ([], [ack, Unregister(0, "cat")])


def test_each_handshake_frame_is_one_roles_and_sent_once() -> None:
    link = FakeLink(shake_hands=False)
    for forbidden in (
        lambda: link.hub.send_hello(HELLO),
        lambda: link.hub.send_welcome(WELCOME),
        lambda: link.provider.send_welcome(WELCOME),
        lambda: link.provider.send_register(Register(1, {})),
        lambda: link.provider.send_unregister(Unregister(1, "cat")),
        lambda: link.hub.send_ack(Ack(request=1, ok=True)),
        lambda: link.open(),
    ):
        with pytest.raises(LocalProtocolError):
            forbidden()
    assert not link.hub.has_output
    assert not link.provider.has_output
    link = FakeLink()
    for forbidden in (
        lambda: link.provider.send_hello(HELLO),
        lambda: link.hub.send_welcome(WELCOME),
        lambda: link.provider.send_ack(Ack(request=1, ok=True)),
        lambda: link.hub.send_register(Register(1, {})),
        lambda: link.provider.open_stream(**REQUEST, fin=True, now=0.0),
    ):
        with pytest.raises(LocalProtocolError):
            forbidden()


def test_a_hub_reads_little_before_it_knows_who_speaks() -> None:
    hub = Connection(Role.HUB)
    with pytest.raises(RemoteProtocolError):
        hub.receive_message(bytes(9 * KIB), 0.0)
    hub = Connection(Role.HUB)
    goaway = frames.pack_goaway(0, 0, 0, "x" * 400)
    for _ in range(8 * KIB // len(goaway)):
        hub.receive_message(goaway, 0.0)
    with pytest.raises(RemoteProtocolError, match="before the handshake"):
        hub.receive_message(goaway, 0.0)


def test_a_hello_that_no_hub_would_read_is_not_sent() -> None:
    provider = Connection(Role.PROVIDER)
    with pytest.raises(LocalProtocolError, match="at most 8192"):
        provider.send_hello(Hello(token="t" * 9000, session="0" * 32, epoch=0))
    provider.send_hello(HELLO)


def test_a_welcome_may_come_with_more_than_a_hello_may_hold() -> None:
    link = FakeLink(shake_hands=False)
    link.provider.send_hello(HELLO)
    link.run()
    link.hub.send_welcome(WELCOME)
    for request in range(40):
        link.hub.send_ack(Ack(request=request, ok=False, error="x" * 400))
    assert len(link.run()[1]) == 41


@pytest.mark.parametrize("role", Role)
def test_a_handshake_that_takes_too_long_ends_the_link(role: Role) -> None:
    connection = Connection(role, now=100.0)
    assert connection.handle_timer(105.0) == []
    with pytest.raises(RemoteProtocolError, match="within 5 s"):
        connection.handle_timer(105.1)
    assert connection.closed
    assert connection.handle_timer(200.0) == []


def test_a_hub_that_is_slow_to_welcome_does_not_blame_the_provider() -> None:
    link = FakeLink(shake_hands=False)
    link.provider.send_hello(HELLO)
    link.run()
    assert link.hub.handle_timer(60.0) == []
    link.hub.send_welcome(WELCOME)
    link.run()
    assert link.hub.ready


@pytest.mark.parametrize("versions", [[], [2, 3], ["1"], [True], None, 1, [[1]]])
def test_without_a_common_version_the_error_says_what_to_do(versions: object) -> None:
    hub = Connection(Role.HUB)
    payload = frames.pack_json(frames.HELLO, {"versions": versions})
    with pytest.raises(RemoteProtocolError, match="update the older"):
        hub.receive_message(payload, 0.0)


def test_both_ends_keep_to_the_smaller_limits() -> None:
    big = Limits(max_data=MIB, max_batch=4 * MIB, max_header_block=128 * KIB, max_control_frame=128 * KIB)
    for hub_limits, provider_limits in ((big, None), (None, big)):
        link = FakeLink(shake_hands=False)
        link.hub = Connection(Role.HUB, hub_limits)
        link.provider = Connection(Role.PROVIDER, provider_limits)
        link.provider.send_hello(HELLO)
        link.run()
        link.hub.send_welcome(WELCOME)
        link.run()
        ids = [link.open() for _ in range(8)]
        for stream_id in ids:
            link.provider.send_head(stream_id, 200, [])
            link.provider.send_data(stream_id, bytes(300 * KIB))
            link.hub.send_data(stream_id, bytes(300 * KIB))
        to_hub, to_provider = link.run()
        assert sum(len(event.data) for event in datas([*to_hub, *to_provider])) == 8 * 2 * 256 * KIB
        if hub_limits is None:
            with pytest.raises(LocalProtocolError, match="65536"):
                link.provider.send_register(Register(1, {"name": "x" * 100_000}))
            with pytest.raises(LocalProtocolError, match="65536"):
                link.provider.send_head(link.open(), 200, [(b"a", b"x" * 40_000)] * 2)
        else:
            with pytest.raises(LocalProtocolError, match="65536"):
                link.open(headers=[(b"a", b"x" * 40_000)] * 2)


@pytest.mark.parametrize("changed", [{"max_data": 10}, {"link_window": 1}, {"max_header_block": MIB}])
def test_limits_that_no_other_end_would_accept_are_refused(changed: dict[str, int]) -> None:
    with pytest.raises(InvalidOption, match=next(iter(changed))):
        Limits(**changed)


def test_what_a_provider_can_do_is_told_and_what_is_not_known_is_kept_apart() -> None:
    link = FakeLink(shake_hands=False)
    hello = replace(HELLO, features=("control", "of the future"))
    link.provider.send_hello(hello)
    assert link.run() == ([hello], [])


def test_a_provider_that_says_no_features_has_none() -> None:
    payload = json.loads(handshake.pack_hello(HELLO, Limits())[frames.HEADER_SIZE :])
    del payload["features"]
    hello, _ = handshake.unpack_hello(json.dumps(payload | {"of the future": [1]}).encode())
    assert hello == HELLO
    assert hello.features == ()


@pytest.mark.parametrize("features", [None, "control", {"control": True}, 1, ["control", 1], [None], [["control"]]])
def test_features_are_a_list_of_texts(features: object) -> None:
    payload = json.loads(handshake.pack_hello(HELLO, Limits())[frames.HEADER_SIZE :]) | {"features": features}
    with pytest.raises(RemoteProtocolError, match="features in a control frame must be a list of strings"):
        handshake.unpack_hello(json.dumps(payload).encode())
