"""What goes out first: control frames, then streams in turn, in batches that are full and not too long."""

from __future__ import annotations

from portico.protocol import Kind, Limits, frames
from portico.protocol.events import (
    Data,
)
from portico.protocol.flow_control import KIB, MIB

from .fake_link import FakeLink, split


def test_a_big_stream_does_not_starve_a_small_one() -> None:
    link = FakeLink()
    big, small = link.open(), link.open()
    for stream_id in (big, small):
        link.provider.send_head(stream_id, 200, [])
    link.run()
    link.provider.send_data(big, bytes(8 * MIB))
    first = link.provider.data_to_send()
    link.provider.send_data(small, b"small", fin=True)
    second = link.provider.data_to_send()
    assert [frame[2] for frame in split(first)] == [big] * len(split(first))
    assert small in [frame[2] for frame in split(second)][:2]


def test_streams_take_turns_of_one_frame() -> None:
    link = FakeLink(Limits(stream_window=MIB))
    ids = [link.open() for _ in range(5)]
    for stream_id in ids:
        link.provider.send_head(stream_id, 200, [])
    link.run()
    for stream_id in ids:
        link.provider.send_data(stream_id, bytes(MIB))
    order = []
    while message := link.provider.data_to_send():
        order += [frame[2] for frame in split(message)]
    for turn in range(0, 5 * 16, 5):
        assert sorted(order[turn : turn + 5]) == ids


def test_control_frames_go_before_data() -> None:
    link = FakeLink()
    first, other = link.open(), link.open()
    link.provider.send_head(first, 200, [])
    link.run()
    link.provider.send_data(first, bytes(4 * MIB))
    link.provider.receive_message(frames.pack(frames.PING, 0, 0, bytes(8)), 0.0)
    link.provider.send_head(other, 200, [])
    kinds = [frame[0] for frame in split(link.provider.data_to_send())]
    assert kinds[:3] == [frames.PONG, frames.HEAD, frames.DATA]


def test_small_writes_of_one_turn_are_one_frame() -> None:
    link = FakeLink()
    stream_id = link.open(fin=True)
    link.provider.send_head(stream_id, 200, [])
    for _ in range(1000):
        link.provider.send_data(stream_id, b"0123456789")
    link.provider.send_data(stream_id, b"", fin=True)
    message = link.provider.data_to_send()
    assert [frame[0] for frame in split(message)] == [frames.HEAD, frames.DATA]
    to_hub = link.hub.receive_message(message, 0.0)
    assert to_hub[1] == Data(stream_id, b"0123456789" * 1000, True, False, False)
    assert link.provider.data_to_send() == b""


def test_a_batch_is_never_longer_than_the_limit() -> None:
    link = FakeLink(Limits(stream_window=4 * MIB, max_stream_window=4 * MIB))
    ids = [link.open(Kind.WEBSOCKET) for _ in range(20)]
    for stream_id in ids:
        link.provider.send_head(stream_id, 101, [(b"a", b"x" * 60_000)], accept=True)
        for size in (1, 1000, 65_536, 300_000):
            link.provider.send_data(stream_id, bytes(size), message_end=True)
        link.provider.send_close(stream_id, 1000, "x" * 512)
    sizes = []
    while message := link.provider.data_to_send():
        sizes.append(len(message))
        split(message)
    assert max(sizes) <= 256 * KIB
    assert sum(sizes) > 20 * 426_537
    assert sizes[0] > 190 * KIB, "batches are filled"
