"""Any bytes give events or a `RemoteProtocolError`: never another exception, a hang, or unbounded memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.errors import RemoteProtocolError
from portico.protocol import Connection, Kind, Limits, ResetCode, Role, frames, handshake
from portico.protocol.events import Ack, Register, Unregister
from portico.protocol.frames import HEADER, NAMES

from .fake_link import HELLO, REQUEST, WELCOME, FakeLink, split

LIMITS = Limits(max_streams=8, stream_window=4096, max_stream_window=8192, link_window=65536, max_data=2048)


def fresh_hub() -> Connection:
    return FakeLink(LIMITS, shake_hands=False).hub


def introduced_hub() -> Connection:
    link = FakeLink(LIMITS, shake_hands=False)
    link.provider.send_hello(HELLO)
    link.run()
    return link.hub


def fresh_provider() -> Connection:
    return FakeLink(LIMITS, shake_hands=False).provider


def introduced_provider() -> Connection:
    provider = fresh_provider()
    provider.send_hello(HELLO)
    provider.data_to_send()
    return provider


def busy(link: FakeLink) -> FakeLink:
    """Streams 1 to 4 in different states, 5 over."""
    for kind in (Kind.HTTP, Kind.HTTP, Kind.WEBSOCKET, Kind.WEBSOCKET, Kind.HTTP):
        link.open(kind)
    link.provider.send_head(2, 200, [])
    link.provider.send_data(2, b"x" * 10_000)
    link.provider.send_head(4, 101, [], accept=True)
    link.hub.send_data(1, b"y" * 10_000)
    link.hub.send_reset(5, ResetCode.CANCEL)
    link.run()
    return link


def busy_hub() -> Connection:
    return busy(FakeLink(LIMITS)).hub


def busy_provider() -> Connection:
    return busy(FakeLink(LIMITS)).provider


STAGES = [fresh_hub, introduced_hub, busy_hub, fresh_provider, introduced_provider, busy_provider]
every_stage = pytest.mark.parametrize("stage", STAGES)

MOST_WAITING = LIMITS.max_control + LIMITS.max_batch


def survives(connection: Connection, messages: list[bytes]) -> None:
    """Feed *messages*: each gives events, or an error after which the connection is closed and says why."""
    for message in messages:
        try:
            events = connection.receive_message(message, 1.0)
        except RemoteProtocolError:
            assert connection.closed
            assert connection.streams == connection.held == 0
            assert [frame[0] for frame in split(connection.data_to_send())] == [frames.GOAWAY]
            assert connection.data_to_send() == b""
            assert connection.receive_message(message, 2.0) == []
            return
        assert len(events) <= len(message) // frames.HEADER_SIZE + 1
        check_bounds(connection)
    while message := connection.data_to_send():
        split(message)


def check_bounds(connection: Connection) -> None:
    streams = connection._streams
    assert connection.streams <= LIMITS.max_streams
    assert 0 <= connection.held <= connection.streams * LIMITS.max_stream_window
    assert connection.held == sum(stream.receive.held for stream in streams.by_id.values())
    assert connection._outbox.control_size <= MOST_WAITING
    for stream in streams.by_id.values():
        assert stream.receive.credit >= 0
        assert stream.send_credit >= 0


# --- strategies -------------------------------------------------------------------------------------------------

small = st.binary(max_size=40)
headers = st.lists(st.tuples(small, small), max_size=3)
ids = st.integers(0, 7) | st.integers(0, 0xFFFFFFFF)
flags = st.integers(0, 7) | st.integers(0, 255)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
GOOD_JSON = [
    handshake.pack_hello(HELLO, LIMITS)[frames.HEADER_SIZE :],
    handshake.pack_welcome(WELCOME, LIMITS)[frames.HEADER_SIZE :],
    handshake.pack_register(Register(1, {"name": "cat"}))[frames.HEADER_SIZE :],
    handshake.pack_unregister(Unregister(2, "cat"))[frames.HEADER_SIZE :],
    handshake.pack_ack(Ack(request=1, ok=True, url="http://hub/cat/"))[frames.HEADER_SIZE :],
]


@st.composite
def json_payload(draw: st.DrawFn) -> bytes:
    """A control frame's payload with some of its values replaced."""
    value = json.loads(draw(st.sampled_from(GOOD_JSON)))
    for key in draw(st.lists(st.sampled_from(sorted(value)), max_size=2)):
        value[key] = draw(anything)
    return json.dumps(value).encode()


@st.composite
def valid_frame(draw: st.DrawFn) -> bytes:
    stream_id, flag = draw(ids), draw(flags)
    make: list[Callable[[], bytes]] = [
        lambda: frames.pack(frames.DATA, flag, stream_id, draw(st.binary(max_size=3000))),
        lambda: frames.pack_head(stream_id, flag, draw(st.integers(200, 999)), draw(headers), draw(st.booleans()), b""),
        lambda: frames.pack_close(stream_id, draw(st.integers(0, 65535)), draw(st.text(max_size=20))),
        lambda: frames.pack_window(stream_id, draw(st.integers(0, 70000) | st.integers(0, 0xFFFFFFFF))),
        lambda: frames.pack_reset(stream_id, draw(st.integers(0, 255)), draw(st.text(max_size=20))),
        lambda: frames.pack(frames.PING, 0, 0, b"12345678"),
        lambda: frames.pack(frames.PONG, 0, 0, b"12345678"),
        lambda: frames.pack_goaway(stream_id, draw(st.integers(0, 255)), 10, "bye"),
        lambda: frames.pack(draw(st.sampled_from(sorted(NAMES))), flag, stream_id, draw(json_payload())),
        lambda: frames.pack(draw(st.integers(0, 255)), flag, stream_id, draw(small)),
        lambda: frames.pack_open(
            stream_id,
            flag,
            kind=draw(st.integers(0, 1)),
            service=draw(small),
            method=b"GET",
            scheme=b"http",
            http_version=b"1.1",
            raw_path=draw(small),
            query=draw(small),
            root_path=draw(small),
            client=(draw(small), 1),
            server=(b"", 0),
            subprotocols=draw(small),
            identity=b"{}",
            headers=draw(headers),
        ),
    ]
    return draw(st.sampled_from(make))()


@st.composite
def mutated_frames(draw: st.DrawFn) -> bytes:
    """Valid frames in a row, now and then with a byte changed or the tail cut."""
    message = bytearray(b"".join(draw(st.lists(valid_frame(), min_size=1, max_size=6))))
    for _ in range(draw(st.integers(0, 3)) if draw(st.booleans()) else 0):
        message[draw(st.integers(0, len(message) - 1))] = draw(st.integers(0, 255))
    cut = draw(st.none() | st.integers(0, len(message)))
    return bytes(message[:cut])


def pieces(message: bytes, cuts: list[int]) -> list[bytes]:
    borders = [0, *sorted(cut % (len(message) + 1) for cut in cuts), len(message)]
    return [message[start:end] for start, end in pairwise(borders)]


# --- the property -----------------------------------------------------------------------------------------------


@every_stage
@settings(max_examples=60)
@given(message=st.binary(max_size=300), cuts=st.lists(st.integers(0, 1000), max_size=4))
def test_any_bytes(stage: Callable[[], Connection], message: bytes, cuts: list[int]) -> None:
    survives(stage(), [message])
    survives(stage(), [message[i : i + 1] for i in range(len(message))])
    survives(stage(), pieces(message, cuts))


@every_stage
@settings(max_examples=120)
@given(messages=st.lists(mutated_frames(), min_size=1, max_size=4), cuts=st.lists(st.integers(0, 10_000), max_size=3))
def test_frames_that_are_nearly_right(stage: Callable[[], Connection], messages: list[bytes], cuts: list[int]) -> None:
    survives(stage(), messages)
    survives(stage(), pieces(b"".join(messages), cuts))


@every_stage
@given(
    payload=json_payload() | anything.map(lambda value: json.dumps(value).encode()), kind=st.sampled_from(range(1, 6))
)
def test_any_json_in_a_control_frame(stage: Callable[[], Connection], payload: bytes, kind: int) -> None:
    survives(stage(), [frames.pack(kind, 0, 0, payload)])


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 8000,
        b'{"a":' * 1200,
        b'{"versions":' + b"[" * 700 + b"]" * 700 + b"}",
        b'{"info":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"request":' + b"9" * 5000 + b"}",
        b'{"token":"\\ud800"}',
        b'{"epoch":NaN}',
        b'{"epoch":1e999}',
        b"\xff\xfe{}",
        b"",
    ],
    ids=lambda payload: payload[:16].decode("latin-1"),
)
@pytest.mark.parametrize("stage", [fresh_hub, busy_hub, busy_provider, introduced_provider])
@pytest.mark.parametrize("kind", range(1, 6))
def test_json_that_breaks_readers(stage: Callable[[], Connection], payload: bytes, kind: int) -> None:
    with pytest.raises(RemoteProtocolError):
        stage().receive_message(frames.pack(kind, 0, 0, payload), 0.0)


@every_stage
def test_every_frame_type_with_every_short_payload_length(stage: Callable[[], Connection]) -> None:
    for frame_type in range(256):
        for length in range(40):
            for stream_id in (0, 1, 2, 6):
                survives(
                    stage() if length % 8 == 0 else fresh_hub(), [frames.pack(frame_type, 0, stream_id, bytes(length))]
                )


@pytest.mark.parametrize("role", Role)
def test_a_length_beyond_the_message_is_not_waited_for(role: Role) -> None:
    connection = Connection(role)
    with pytest.raises(RemoteProtocolError, match="ends within a frame"):
        connection.receive_message(HEADER.pack(frames.GOAWAY, 0, 0, 0, 0xFFFFFFFF), 0.0)


@settings(max_examples=60)
@given(frame=valid_frame())
def test_a_frame_repeated_without_end_is_bounded(frame: bytes) -> None:
    for stage in (busy_hub, busy_provider):
        connection = stage()
        message = frame * min(2000, LIMITS.max_batch // len(frame))
        survives(connection, [message] * 10)


def test_opens_in_a_row_are_refused_beyond_the_limit() -> None:
    link = FakeLink(LIMITS)
    packed = [
        frames.pack_open(
            stream_id,
            0,
            kind=0,
            service=b"cat",
            method=b"GET",
            scheme=b"http",
            http_version=b"1.1",
            raw_path=b"/",
            query=b"",
            root_path=b"",
            client=(b"", 0),
            server=(b"", 0),
            subprotocols=b"",
            identity=b"{}",
            headers=[],
        )
        for stream_id in range(1, 1001)
    ]
    assert len(link.provider.receive_message(b"".join(packed), 0.0)) == LIMITS.max_streams
    assert link.provider.streams == LIMITS.max_streams
    answers = split(link.provider.data_to_send())
    assert [(frame[0], frame[3][0]) for frame in answers] == [(frames.RESET, ResetCode.REFUSED)] * 992


def test_the_request_that_the_fuzz_mutates_is_itself_let_through() -> None:
    link = FakeLink(LIMITS)
    assert link.hub.open_stream(**(REQUEST | {"fin": True, "now": 0.0})) == 1
    _, to_provider = link.run()
    assert len(to_provider) == 1
