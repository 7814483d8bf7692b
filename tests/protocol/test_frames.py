"""Each frame is read as it was written, and as tests/vectors/frames.json says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.errors import LocalProtocolError, RemoteProtocolError
from portico.protocol import Limits, ResetCode, frames, handshake
from portico.protocol.events import Ack, Hello, Register, Unregister, Welcome
from portico.protocol.frames import HEADER, HEADER_SIZE

from .fake_link import HELLO
from .vectors import OPEN, PATH, made

stream_ids = st.integers(1, frames.MAX_STREAM_ID)
flag_sets = st.integers(0, 7)
field = st.binary(max_size=200)
headers = st.lists(st.tuples(field, field), max_size=20)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
json_value: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
json_object = st.dictionaries(text, json_value, max_size=4)


def unframe(frame: bytes, frame_type: int, flags: int = 0, stream_id: int = 0) -> bytes:
    assert HEADER.unpack_from(frame) == (frame_type, flags, 0, stream_id, len(frame) - HEADER_SIZE)
    return frame[HEADER_SIZE:]


@given(
    stream_id=stream_ids,
    flags=flag_sets,
    kind=st.integers(0, 1),
    fields=st.lists(field, min_size=11, max_size=11),
    ports=st.tuples(st.integers(0, 65535), st.integers(0, 65535)),
    headers=headers,
)
def test_open(stream_id: int, flags: int, kind: int, fields: list[bytes], ports: tuple[int, int], headers: Any) -> None:
    service, method, scheme, version, path, query, root, client, server, offered, identity = fields
    frame = frames.pack_open(
        stream_id,
        flags,
        kind=kind,
        service=service,
        method=method,
        scheme=scheme,
        http_version=version,
        raw_path=path,
        query=query,
        root_path=root,
        client=(client, ports[0]),
        server=(server, ports[1]),
        subprotocols=offered,
        identity=identity,
        headers=headers,
    )
    assert frames.unpack_open(unframe(frame, frames.OPEN, flags, stream_id)) == (kind, fields, *ports, headers)


@given(
    stream_id=stream_ids,
    flags=flag_sets,
    status=st.integers(100, 999),
    headers=headers,
    accept=st.booleans(),
    subprotocol=field,
)
def test_head(stream_id: int, flags: int, status: int, headers: Any, accept: bool, subprotocol: bytes) -> None:
    status = status if accept else max(status, 200)
    frame = frames.pack_head(stream_id, flags, status, headers, accept, subprotocol)
    assert frames.unpack_head(unframe(frame, frames.HEAD, flags, stream_id)) == (status, accept, subprotocol, headers)


@pytest.mark.parametrize("status", [0, 99, 100, 101, 103, 199, 1000, 65535])
def test_a_head_has_the_status_of_a_response(status: int) -> None:
    with pytest.raises(LocalProtocolError, match="HTTP status"):
        frames.pack_head(1, 0, status, [], False, b"")
    with pytest.raises(RemoteProtocolError, match="status"):
        frames.unpack_head(frames._HEAD.pack(status, 0, 0, 0))


@pytest.mark.parametrize("accept", [2, 255])
def test_a_head_accepts_or_does_not(accept: int) -> None:
    with pytest.raises(RemoteProtocolError):
        frames.unpack_head(frames._HEAD.pack(101, accept, 0, 0))


@given(stream_id=stream_ids, number=st.integers(0, 65535), reason=text)
def test_close_window_reset_and_goaway(stream_id: int, number: int, reason: str) -> None:
    close = unframe(frames.pack_close(stream_id, number, reason), frames.CLOSE, 0, stream_id)
    assert frames.unpack_close(close) == (number, reason)
    window = unframe(frames.pack_window(stream_id, number * 65535), frames.WINDOW, 0, stream_id)
    assert frames.unpack_window(window) == number * 65535
    for code in ResetCode:
        reset = unframe(frames.pack_reset(stream_id, code, reason), frames.RESET, 0, stream_id)
        assert frames.unpack_reset(reset) == (code, reason)
        goaway = unframe(frames.pack_goaway(stream_id, code, number, reason), frames.GOAWAY)
        assert frames.unpack_goaway(goaway) == (stream_id, code, number, reason)


@given(reason=st.text(min_size=100, max_size=2000))
def test_a_long_reason_is_cut_and_still_read(reason: str) -> None:
    payload = unframe(frames.pack_reset(1, 1, reason), frames.RESET, 0, 1)
    assert len(payload) <= 1 + frames.MAX_REASON
    assert isinstance(frames.unpack_reset(payload)[1], str)


def test_a_code_of_a_later_version_is_read_as_a_protocol_error() -> None:
    assert frames.unpack_reset(b"\xc8later") == (ResetCode.PROTOCOL, "later")


@given(
    token=text, session=st.text("0123456789abcdef", min_size=16, max_size=128), epoch=st.integers(0), info=json_object
)
def test_hello_and_welcome(token: str, session: str, epoch: int, info: dict[str, Any]) -> None:
    limits = Limits(max_data=2048, max_streams=9)
    hello = Hello(token=token, session=session, epoch=epoch % 2**53, agent=token, info=info, features=(token,))
    told, settings = handshake.unpack_hello(unframe(handshake.pack_hello(hello, limits), frames.HELLO))
    assert told == hello
    assert (settings.max_data, settings.max_streams, settings.link_window) == (2048, 9, limits.link_window)
    welcome = Welcome(base_url=token, agent=token, info=info)
    assert handshake.unpack_welcome(unframe(handshake.pack_welcome(welcome, limits), frames.WELCOME))[0] == welcome


@given(request=st.integers(0, frames.MAX_STREAM_ID), name=text, value=json_object, ok=st.booleans())
def test_registrations(request: int, name: str, value: dict[str, Any], ok: bool) -> None:
    register = Register(request, value)
    assert handshake.unpack_register(unframe(handshake.pack_register(register), frames.REGISTER)) == register
    unregister = Unregister(request, name)
    assert handshake.unpack_unregister(unframe(handshake.pack_unregister(unregister), frames.UNREGISTER)) == unregister
    ack = Ack(request=request, ok=ok, url=name, error=name, code=name, detail=value)
    assert handshake.unpack_ack(unframe(handshake.pack_ack(ack), frames.ACK)) == ack


@given(payload=st.binary(max_size=200))
def test_any_payload_is_read_or_is_a_remote_protocol_error(payload: bytes) -> None:
    for unpack in (
        frames.unpack_open,
        frames.unpack_head,
        frames.unpack_close,
        frames.unpack_window,
        frames.unpack_reset,
        frames.unpack_goaway,
        handshake.unpack_hello,
        handshake.unpack_welcome,
        handshake.unpack_register,
        handshake.unpack_unregister,
        handshake.unpack_ack,
    ):
        try:
            unpack(payload)
        except RemoteProtocolError:
            pass


@pytest.mark.parametrize("changed", [{"settings": None}, {"settings": {}}, {"session": "short"}, {"epoch": -1}])
def test_a_hello_that_lacks_something_is_an_error(changed: dict[str, object]) -> None:
    value = json.loads(handshake.pack_hello(HELLO, Limits())[HEADER_SIZE:]) | changed
    with pytest.raises(RemoteProtocolError):
        handshake.unpack_hello(json.dumps(value).encode())


@pytest.mark.parametrize("cut", [1, 5, 20, 40, 60])
def test_a_header_block_must_fill_its_frame_exactly(cut: int) -> None:
    payload = frames.pack_open(1, 0, **OPEN)[HEADER_SIZE:]
    for wrong in (payload[:-cut], payload + b"x" * cut):
        with pytest.raises(RemoteProtocolError):
            frames.unpack_open(wrong)


def test_a_field_that_is_too_long_is_the_callers_error() -> None:
    with pytest.raises(LocalProtocolError):
        frames.pack_open(1, 0, **(OPEN | {"query": bytes(65536)}))
    with pytest.raises(LocalProtocolError):
        frames.pack_open(1, 0, **(OPEN | {"client": (b"127.0.0.1", 65536)}))
    with pytest.raises(LocalProtocolError):
        frames.pack_head(1, 0, 200, [(b"", bytes(65536))], False, b"")


def test_the_vectors_are_what_the_code_makes() -> None:
    vectors = {row["name"]: (bytes.fromhex(row["hex"]), row["meaning"]) for row in json.loads(PATH.read_text("utf-8"))}
    assert vectors == made()
