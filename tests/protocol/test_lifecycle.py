"""A link's time and end: pings, silence, GOAWAY, floods."""

from __future__ import annotations

import pytest

from portico.errors import LocalProtocolError, RemoteProtocolError
from portico.protocol import Limits, ResetCode, frames
from portico.protocol.events import (
    GoAway,
    Register,
    Reset,
    Resumed,
    Stalled,
    Welcome,
)
from portico.protocol.flow_control import MIB

from .fake_link import REQUEST, FakeLink, answering, split

# --- time -------------------------------------------------------------------------------------------------------------


def test_a_silent_link_is_pinged_then_stalled_then_resumed() -> None:
    link = FakeLink()
    hub = link.hub
    assert hub.handle_timer(14.9) == []
    assert not hub.has_output
    assert hub.handle_timer(15.0) == []
    assert split(hub.data_to_send()) == [(frames.PING, 0, 0, bytes(8))]
    assert hub.handle_timer(19.9) == []
    assert hub.handle_timer(20.0) == [Stalled(20.0)]
    assert hub.handle_timer(21.0) == [], "said once"
    assert not hub.has_output
    assert hub.handle_timer(30.0) == []
    assert len(split(hub.data_to_send())) == 1, "and asked again"
    assert hub.silence(40.0) == 40.0
    assert hub.receive_message(frames.pack(frames.PONG, 0, 0, bytes(8)), 41.0) == [Resumed()]
    assert hub.silence(41.5) == 0.5
    assert hub.handle_timer(55.9) == []
    assert not hub.has_output
    assert hub.handle_timer(56.0) == []
    assert hub.has_output


def test_asking_more_often_than_an_answer_may_take_does_not_hide_a_silence() -> None:
    hub = FakeLink(Limits(ping_interval=1.0, pong_timeout=5.0)).hub
    events = [(second, hub.handle_timer(float(second))) for second in range(1, 12)]
    assert [(second, found) for second, found in events if found] == [(6, [Stalled(6.0)])]


def test_a_link_that_is_to_be_given_up_sooner_than_that_stalls_sooner() -> None:
    hub = FakeLink(Limits(ping_interval=1.0, pong_timeout=5.0, silence_timeout=3.0)).hub
    events = [(second, hub.handle_timer(float(second))) for second in range(1, 12)]
    assert [(second, found) for second, found in events if found] == [(3, [Stalled(3.0)])]


def test_a_link_that_answers_is_never_stalled() -> None:
    link = FakeLink()
    for second in range(1, 200):
        link.now = float(second)
        assert link.hub.handle_timer(link.now) == []
        assert link.provider.handle_timer(link.now) == []
        assert link.run() == ([], [])


# --- the end of the link ----------------------------------------------------------------------------------------------


def test_goaway_lets_streams_in_flight_end_and_no_new_one_start() -> None:
    for who in ("hub", "provider"):
        link = FakeLink()
        stream_id = link.open(fin=True)
        (link.hub if who == "hub" else link.provider).send_goaway(ResetCode.OVERLOAD, "restarting", retry_jitter=2.5)
        crossed = link.hub.open_stream(**REQUEST, fin=True, now=0.0) if who == "provider" else None
        to_hub, to_provider = link.run()
        goaway = GoAway(last_stream=stream_id, code=ResetCode.OVERLOAD, retry_jitter=2.5, reason="restarting")
        assert (to_provider if who == "hub" else to_hub)[0] == goaway
        if crossed is not None:
            assert to_hub[-1] == Reset(crossed, ResetCode.REFUSED, "the link is going away")
        assert not link.hub.can_open
        assert not link.hub.ready
        assert not link.provider.ready
        link.provider.send_head(stream_id, 200, [])
        link.provider.send_data(stream_id, b"", fin=True)
        assert len(link.run()[0]) == 2
        assert link.hub.streams == link.provider.streams == 0


def test_each_end_may_say_goaway_once() -> None:
    link = FakeLink()
    link.hub.send_goaway(ResetCode.NO_ERROR, "mine")
    link.hub.send_goaway(ResetCode.NO_ERROR, "again")
    _, to_provider = link.run()
    assert len(to_provider) == 1
    link.provider.close(ResetCode.NO_ERROR, "yours")
    to_hub, _ = link.run()
    assert isinstance(to_hub[0], GoAway)
    assert to_hub[0].reason == "yours"


def test_a_closed_connection_sends_its_goaway_and_nothing_of_its_streams() -> None:
    link = FakeLink()
    stream_id = answering(link, 100_000)
    link.provider.close(ResetCode.NO_ERROR, "bye")
    assert link.provider.closed
    assert link.provider.streams == 0
    assert frames.DATA not in [frame[0] for frame in split(link.provider.data_to_send())]
    assert link.provider.data_to_send() == b""
    assert link.provider.receive_message(b"anything", 0.0) == []
    link.provider.consumed(stream_id, 1, 0.0)
    for forbidden in (
        lambda: link.provider.send_data(stream_id, b"x"),
        lambda: link.provider.send_register(Register(1, {})),
    ):
        with pytest.raises(LocalProtocolError):
            forbidden()


# --- floods -----------------------------------------------------------------------------------------------------------


def test_pings_that_nobody_reads_the_answers_of_end_the_link() -> None:
    link = FakeLink()
    flood = frames.pack(frames.PING, 0, 0, bytes(8)) * 10_000
    for _ in range(4 * MIB // len(flood)):
        link.provider.receive_message(flood, 0.0)
    with pytest.raises(RemoteProtocolError, match="not reading"):
        link.provider.receive_message(flood, 0.0)
    goaway = split(link.provider.data_to_send())
    assert [frame[0] for frame in goaway] == [frames.GOAWAY]
    assert frames.unpack_goaway(goaway[0][3])[1] is ResetCode.OVERLOAD


def test_a_provider_that_reads_nothing_gets_no_more_requests() -> None:
    link = FakeLink(Limits(max_streams=100_000))
    opened = 0
    while link.hub.can_open:
        link.hub.open_stream(**(REQUEST | {"headers": [(b"a", b"x" * 60_000)]}), fin=True, now=0.0)
        opened += 1
    assert opened < 50
    assert link.hub.handle_timer(1.0) == []
    link.run()
    assert link.hub.can_open


def test_unknown_extensions_are_skipped_and_unknown_frames_are_not() -> None:
    link = FakeLink()
    extension = frames.pack(0x80, 255, 12345, b"whatever")
    ping = frames.pack(frames.PING, 0, 0, bytes(8))
    assert link.provider.receive_message(extension + ping, 0.0) == []
    assert split(link.provider.data_to_send()) == [(frames.PONG, 0, 0, bytes(8))]
    with pytest.raises(RemoteProtocolError, match="0x7f"):
        link.provider.receive_message(frames.pack(0x7F, 0, 0, b""), 0.0)


def test_events_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Welcome(base_url="x").base_url = "y"  # type: ignore[misc]


@pytest.mark.parametrize(
    "frame",
    [
        frames.pack(frames.PING, 0, 0, bytes(8)),
        frames.pack(frames.PONG, 0, 0, bytes(8)),
        frames.pack_window(0, 1),
        frames.pack_goaway(0, ResetCode.NO_ERROR, 0, ""),
    ],
    ids=["PING", "PONG", "WINDOW", "GOAWAY"],
)
def test_a_flood_of_frames_that_move_nothing_ends_a_providers_link(frame: bytes) -> None:
    link = FakeLink()
    for second in range(3):
        link.hub.receive_message(frame * 10_000, float(second))  # as many as a busy link may need
        link.hub.data_to_send()
    link.hub.receive_message(frame * 10_000, 2.5)
    with pytest.raises(RemoteProtocolError, match="in a second"):
        link.hub.receive_message(frame, 2.5)
    goaway = split(link.hub.data_to_send())
    assert frames.unpack_goaway(goaway[0][3])[1] is ResetCode.OVERLOAD
