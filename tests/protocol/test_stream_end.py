"""The end of a stream, from either side, with whatever is on the way."""

from __future__ import annotations

import pytest

from portico.errors import LocalProtocolError
from portico.protocol import Kind, ResetCode, frames
from portico.protocol.events import (
    Close,
    Data,
    GoAway,
    Head,
    Open,
    Reset,
)
from portico.protocol.flow_control import MIB

from .fake_link import REQUEST, FakeLink, answering, datas


def test_consumed_and_forget_on_streams_that_are_over_do_nothing() -> None:
    link = FakeLink()
    stream_id = answering(link, 1000)
    link.run()
    assert link.hub.streams == 1, "ended, with bytes that are not consumed"
    with pytest.raises(LocalProtocolError, match="1001 bytes consumed of the 1000"):
        link.hub.consumed(stream_id, 1001, 0.0)
    link.hub.consumed(stream_id, 400, 0.0)
    link.hub.consumed(stream_id, 600, 0.0)
    assert link.hub.streams == link.hub.held == 0
    for over in (stream_id, 77, 0):
        link.hub.consumed(over, 5, 0.0)
        link.hub.forget(over)
        link.hub.send_reset(over, ResetCode.CANCEL)
        link.hub.notify_low(over)
    assert not link.hub.has_output


def test_forget_lets_a_whole_response_go_out() -> None:
    link = FakeLink()
    stream_id = answering(link, MIB)
    link.provider.forget(stream_id)
    got = 0
    while link.hub.streams:
        for event in datas(link.run()[0]):
            got += len(event.data)
            link.hub.consumed(stream_id, len(event.data), 10.0)
    assert got == MIB
    assert link.provider.streams == 0


def test_consumed_comes_too_late_for_a_forgotten_stream_whose_last_bytes_still_go_out() -> None:
    link = FakeLink()
    stream_id = link.open()
    link.hub.send_data(stream_id, bytes(1000))
    link.run()
    link.provider.send_head(stream_id, 200, [])
    link.provider.send_data(stream_id, bytes(MIB), fin=True)
    link.provider.forget(stream_id)
    link.provider.consumed(stream_id, 1000, 0.0)
    assert link.provider.held == 0
    assert link.provider.streams == 1


def test_forget_resets_a_stream_that_has_not_ended() -> None:
    link = FakeLink()
    stream_id = link.open()
    link.hub.send_data(stream_id, bytes(1000))
    link.run()
    link.provider.forget(stream_id)
    assert link.provider.streams == link.provider.held == 0
    assert link.run() == ([Reset(stream_id, ResetCode.CANCEL, "")], [])


def test_forget_frees_what_an_ended_stream_holds() -> None:
    link = FakeLink()
    stream_id = answering(link, 1000)
    link.run()
    link.hub.forget(stream_id)
    assert link.hub.streams == link.hub.held == 0
    assert link.run() == ([], [])


@pytest.mark.parametrize("with_body", [False, True])
def test_a_response_that_is_whole_before_its_upload_stops_the_upload(with_body: bool) -> None:
    link = FakeLink()
    stream_id = link.open()
    link.hub.send_data(stream_id, bytes(MIB))
    if with_body:
        link.provider.send_head(stream_id, 413, [])
        link.provider.send_data(stream_id, b"too large", fin=True)
    else:
        link.provider.send_head(stream_id, 413, [], fin=True)
    to_hub, _ = link.run()
    assert isinstance(to_hub[0], Head)
    assert [event.fin for event in datas(to_hub)] == ([True] if with_body else [])
    assert to_hub[-1] == Reset(stream_id, ResetCode.NO_ERROR, "")
    assert link.hub.queued(stream_id) == 0
    assert link.provider.streams == link.provider.held == 0
    link.hub.forget(stream_id)
    assert link.hub.streams == 0


def test_a_reset_frees_both_ends_whatever_is_on_the_way() -> None:
    for who in ("hub", "provider"):
        link = FakeLink()
        stream_id = link.open()
        link.provider.send_head(stream_id, 200, [])
        link.run()
        link.provider.send_data(stream_id, bytes(MIB))
        link.hub.send_data(stream_id, bytes(MIB))
        link.write()
        (link.hub if who == "hub" else link.provider).send_reset(stream_id, ResetCode.TIMEOUT, "too slow")
        to_hub, to_provider = link.run()
        told = to_provider if who == "hub" else to_hub
        assert told[-1] == Reset(stream_id, ResetCode.TIMEOUT, "too slow")
        other = link.provider if who == "hub" else link.hub
        assert other.queued(stream_id) == 0
        other.forget(stream_id)
        assert link.hub.streams == link.provider.streams == 0
        assert link.hub.held == link.provider.held == 0


def test_closes_that_cross_each_other_end_the_stream_with_whatever_was_queued() -> None:
    link = FakeLink()
    stream_id = link.open(Kind.WEBSOCKET)
    link.provider.send_head(stream_id, 101, [], accept=True)
    link.run()
    for end in (link.hub, link.provider):
        end.send_data(stream_id, bytes(2 * MIB), message_end=True)  # more than the window: CLOSE waits behind it
        end.send_close(stream_id, 1000, "bye")
    small = link.open(Kind.WEBSOCKET)
    link.provider.send_head(small, 101, [], accept=True)
    link.run()
    for end in (link.hub, link.provider):
        end.send_close(small, 1000, "bye")
    link.run()
    link.provider.forget(stream_id)
    link.run()
    link.hub.forget(stream_id)
    assert link.hub.streams == link.provider.streams == 0
    assert not link.hub.has_output
    assert not link.provider.has_output


def test_a_close_drops_what_the_other_end_had_queued() -> None:
    link = FakeLink()
    stream_id = link.open(Kind.WEBSOCKET)
    link.provider.send_head(stream_id, 101, [], accept=True)
    link.run()
    link.provider.send_data(stream_id, bytes(2 * MIB), message_end=True)
    link.provider.send_close(stream_id, 1000)
    link.write()
    link.hub.send_close(stream_id, 1001, "going")
    assert not [event for event in link.run()[1] if isinstance(event, Close)], "it had said its own close"
    assert link.provider.streams == 0
    assert not link.provider.has_output
    assert link.hub.streams == link.hub.held == 0


def test_a_close_comes_after_all_that_was_queued_before_it() -> None:
    link = FakeLink()
    stream_id = link.open(Kind.WEBSOCKET)
    link.provider.send_head(stream_id, 101, [], accept=True)
    link.provider.send_data(stream_id, b"last words", text=True, message_end=True)
    link.provider.send_close(stream_id, 4000, "日" * 300)
    to_hub, _ = link.run()
    assert to_hub[1] == Data(stream_id, b"last words", False, True, True)
    close = to_hub[2]
    assert isinstance(close, Close)
    assert close.code == 4000
    assert close.reason.startswith("日" * 170)


def test_calls_that_the_state_forbids_change_nothing() -> None:
    link = FakeLink()
    stream_id = link.open(fin=True)
    with pytest.raises(LocalProtocolError, match="is not an HTTP status"):
        link.provider.send_head(stream_id, 70_000, [])
    with pytest.raises(LocalProtocolError, match="no subprotocol"):
        link.provider.send_head(stream_id, 200, [], subprotocol="日")
    with pytest.raises(LocalProtocolError, match="longer than 65535"):
        link.provider.send_head(stream_id, 200, [(b"a", bytes(70_000))])
    with pytest.raises(LocalProtocolError, match="state REQUESTED"):
        link.provider.send_data(stream_id, b"x")
    with pytest.raises(LocalProtocolError, match="only a provider"):
        link.hub.send_head(stream_id, 200, [])
    with pytest.raises(LocalProtocolError, match="request FIN in state REQUESTED"):
        link.hub.send_data(stream_id, b"", fin=True)
    with pytest.raises(LocalProtocolError, match="cannot be written"):
        link.hub.open_stream(**(REQUEST | {"method": "日", "fin": True, "now": 0.0}))
    with pytest.raises(LocalProtocolError, match="exceeds the 65536"):
        link.open(headers=[(b"a", b"x" * 40_000), (b"b", b"x" * 40_000)])
    assert link.run() == ([], [])
    link.provider.send_head(stream_id, 200, [], fin=True)
    link.run()
    assert link.hub.streams == link.provider.streams == 0


def test_a_request_arrives_as_it_was_opened() -> None:
    link = FakeLink()
    link.hub.open_stream(**REQUEST, subprotocols=("a", "b"), identity=b'{"access":"public"}', fin=True, now=0.0)
    request = link.run()[1][0]
    assert request == Open(
        1,
        Kind.HTTP,
        "cat",
        "GET",
        "http",
        "1.1",
        b"/a%2Fb",
        b"x=1",
        "/portico/apps/cat",
        ("127.0.0.1", 50000),
        ("hub.test", 80),
        ("a", "b"),
        b'{"access":"public"}',
        [(b"host", b"hub.test")],
        True,
    )


def test_stream_ids_that_are_used_up_end_the_link_in_good_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_STREAM_ID", 3)
    link = FakeLink()
    ids = [answering(link, 10) for _ in range(2)]
    assert not any(isinstance(event, GoAway) for event in link.run()[1])
    ids.append(link.hub.open_stream(**REQUEST, fin=True, now=0.0))
    _, to_provider = link.run()
    assert not link.hub.can_open
    assert [type(event) for event in to_provider] == [Open, GoAway]
    link.provider.send_head(ids[-1], 200, [])
    link.provider.send_data(ids[-1], bytes(10), fin=True)
    to_hub, _ = link.run()
    assert [event.fin for event in datas(to_hub)] == [True]
    for stream_id in ids:
        link.hub.forget(stream_id)
    assert link.hub.streams == link.provider.streams == 0
