"""Windows: of a stream, of the link, what they grow by, and what happens beyond them."""

from __future__ import annotations

import pytest

from portico.errors import RemoteProtocolError
from portico.protocol import Connection, Kind, Limits, ResetCode, Role, frames
from portico.protocol.events import (
    Reset,
)
from portico.protocol.flow_control import KIB, MESSAGE_OVERHEAD, MIB

from .fake_link import HELLO, REQUEST, WELCOME, FakeLink, answering, datas, split


def test_a_stream_stops_at_its_window_until_bytes_are_consumed() -> None:
    link = FakeLink()
    stream_id = answering(link, MIB)
    to_hub, _ = link.run()
    assert link.hub.held == sum(len(event.data) for event in datas(to_hub)) == 256 * KIB
    link.now = 10.0  # a slow reader: the window does not grow
    link.hub.consumed(stream_id, 100 * KIB, link.now)
    assert not link.hub.has_output, "less than half a window is not worth a frame"
    link.hub.consumed(stream_id, 100 * KIB, link.now)
    to_hub, _ = link.run()
    assert sum(len(event.data) for event in datas(to_hub)) == 200 * KIB
    assert link.hub.held == 256 * KIB


def test_a_window_grows_while_its_reader_keeps_up_and_only_then() -> None:
    def most_held(pause: float) -> int:
        link = FakeLink()
        stream_id = answering(link, 64 * MIB)
        most = 0
        while link.hub.streams:
            to_hub, _ = link.run()
            most = max(most, link.hub.held)
            for event in datas(to_hub):
                link.now += pause
                link.hub.consumed(stream_id, len(event.data), link.now)
        return most

    assert 3 * MIB < most_held(0.001) <= 4 * MIB
    assert most_held(1.0) == 256 * KIB


def test_windows_grow_by_no_more_than_the_allowance() -> None:
    link = FakeLink(Limits(max_held=MIB))
    ids = [link.open(fin=True) for _ in range(4)]
    for stream_id in ids:
        link.provider.send_head(stream_id, 200, [])
        link.provider.send_data(stream_id, bytes(64 * MIB), fin=True)
    for _ in range(20):
        to_hub, _ = link.run()
        assert link.hub.held <= 4 * 256 * KIB + MIB
        link.now += 0.001
        for event in datas(to_hub):
            link.hub.consumed(event.stream_id, len(event.data), link.now)
    assert link.hub._streams.growth_left == 0
    for stream_id in ids:
        link.hub.send_reset(stream_id, ResetCode.CANCEL)
    assert link.hub._streams.growth_left == MIB


def test_a_provider_that_holds_too_much_refuses_new_streams_until_it_holds_less() -> None:
    link = FakeLink(Limits(max_held=512 * KIB))
    ids = [link.open() for _ in range(2)]
    for stream_id in ids:
        link.hub.send_data(stream_id, bytes(256 * KIB))
    link.run()
    assert link.provider.held == 512 * KIB
    refused = link.hub.open_stream(**REQUEST, fin=True, now=0.0)
    to_hub, to_provider = link.run()
    assert to_provider == []
    assert to_hub == [Reset(refused, ResetCode.REFUSED, "the provider is full")]
    link.provider.consumed(ids[0], 256 * KIB, 0.0)
    link.hub.open_stream(**REQUEST, fin=True, now=0.0)
    assert len(link.run()[1]) == 1


def test_a_hub_opens_no_more_streams_than_its_own_limits_allow() -> None:
    link = FakeLink()
    link.hub = Connection(Role.HUB, Limits(max_streams=2, max_held=100), now=0.0)
    link.provider = Connection(Role.PROVIDER, now=0.0)
    link.provider.send_hello(HELLO)
    link.run()
    link.hub.send_welcome(WELCOME)
    link.run()
    first, second = link.open(fin=True), link.open(fin=True)
    assert not link.hub.can_open
    link.hub.send_reset(first, ResetCode.CANCEL, "the visitor left")
    assert link.hub.can_open
    link.provider.send_head(second, 200, [])
    link.provider.send_data(second, bytes(100))
    link.run()
    assert not link.hub.can_open, "as much is held as may be"
    link.hub.consumed(second, 100, 0.0)
    assert link.hub.can_open


def test_a_refused_upload_is_thrown_away_and_its_link_credit_given_back() -> None:
    full = FakeLink(Limits(max_streams=1))
    full.open()
    roomy = FakeLink()  # its hub does not know that the provider it is put before is full
    roomy.open()
    roomy.provider = full.provider
    for _ in range(200):
        refused = roomy.hub.open_stream(**REQUEST, fin=False, now=0.0)
        roomy.hub.send_data(refused, bytes(200 * KIB))
        assert roomy.run() == ([Reset(refused, ResetCode.REFUSED, "the provider is full")], [])
    assert roomy.hub.streams == 1
    assert full.provider.held == 0


def test_an_exhausted_link_window_stops_all_streams_and_recovers() -> None:
    link = FakeLink(Limits(link_window=128 * KIB))
    ids = [link.open(fin=True) for _ in range(4)]
    for stream_id in ids:
        link.provider.send_head(stream_id, 200, [])
        link.provider.send_data(stream_id, bytes(100 * KIB), fin=True)
    link.write()
    sent = sum(len(payload) for message in link.up for kind, _, _, payload in split(message) if kind == frames.DATA)
    assert sent == 128 * KIB
    assert not link.provider.has_output
    to_hub, _ = link.run()
    got = dict.fromkeys(ids, 0)
    for event in datas(to_hub):
        got[event.stream_id] += len(event.data)
    assert set(got.values()) == {100 * KIB}, "the link's credit goes back though nothing was consumed"


def test_link_credit_does_not_leak_over_streams_that_were_reset() -> None:
    link = FakeLink(Limits(link_window=256 * KIB))
    for turn in range(3000):
        stream_id = link.open(fin=True)
        link.provider.send_head(stream_id, 200, [])
        link.provider.send_data(stream_id, bytes(10_000), fin=turn % 2 == 0)
        link.write()
        link.hub.send_reset(stream_id, ResetCode.CANCEL)  # while the data is on its way
        link.run()
    assert link.hub.streams == link.provider.streams == 0
    assert link.hub.held == 0
    assert link.provider._outbox.link_credit + link.hub._receiver._link_owed == 256 * KIB
    assert not link.provider._outbox._starved
    assert not link.provider._outbox._ready


def test_more_bytes_than_a_window_allows_end_the_link() -> None:
    for message in (
        frames.pack(frames.DATA, 0, 1, bytes(64 * KIB)) * 5,  # the stream's
        frames.pack(frames.DATA, 0, 1, bytes(64 * KIB + 1)),  # one frame's
    ):
        link = FakeLink(Limits(max_batch=MIB))
        link.open()
        with pytest.raises(RemoteProtocolError, match="window allows"):
            link.provider.receive_message(message, 0.0)
        goaway = split(link.provider.data_to_send())
        assert [frame[0] for frame in goaway] == [frames.GOAWAY]
        assert frames.unpack_goaway(goaway[0][3])[1] is ResetCode.FLOW


@pytest.mark.parametrize("stream_id", [0, 1])
def test_a_window_that_grows_without_end_ends_the_link(stream_id: int) -> None:
    link = FakeLink()
    link.open()
    with pytest.raises(RemoteProtocolError, match="too large"):
        link.provider.receive_message(frames.pack_window(stream_id, 0x7FFFFFFF), 0.0)


def test_empty_messages_take_window_too() -> None:
    link = FakeLink()
    stream_id = link.open(Kind.WEBSOCKET)
    link.provider.send_head(stream_id, 101, [], accept=True)
    for _ in range(10_000):
        link.provider.send_data(stream_id, b"", message_end=True)
    to_hub, _ = link.run()
    assert len(datas(to_hub)) == 256 * KIB // MESSAGE_OVERHEAD
    seen = len(datas(to_hub))
    while datas(to_hub):
        link.hub.consumed(stream_id, 0, link.now)
        to_hub, _ = link.run()
        seen += len(datas(to_hub))
    assert seen == 10_000


def test_an_empty_piece_of_a_body_is_not_sent_and_not_told() -> None:
    link = FakeLink()
    stream_id = link.open()
    link.hub.send_data(stream_id, b"")
    assert not link.hub.has_output
    assert link.provider.receive_message(frames.pack(frames.DATA, 0, stream_id, b"") * 1000, 0.0) == []


def test_the_owner_hears_when_a_queue_is_low() -> None:
    link = FakeLink()
    stream_id = link.open(fin=True)
    link.provider.send_head(stream_id, 200, [])
    assert link.provider.send_data(stream_id, bytes(512 * KIB)) == 512 * KIB
    link.provider.notify_low(stream_id)
    link.run()
    assert link.provider.queued(stream_id) == 256 * KIB
    assert link.provider.low_streams() == []
    link.hub.consumed(stream_id, 256 * KIB, 10.0)
    link.run()
    assert link.provider.low_streams() == [stream_id]
    assert link.provider.low_streams() == []
    link.provider.notify_low(stream_id)
    assert link.provider.low_streams() == [stream_id], "it is low already"
