"""What is read and written past the library is what the library would have read and written."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.exceptions import ProtocolError
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from portico.transports.sansio import limit_messages
from portico.transports.whole_frames import read_whole, written_whole

MOST = 300  # bytes of a message


def linked(*, deflate: bool = False) -> tuple[ClientProtocol, ServerProtocol]:
    """Both ends of a WebSocket whose handshake is done."""
    offers = [ClientPerMessageDeflateFactory()] if deflate else None
    client = ClientProtocol(parse_uri("ws://localhost/"), extensions=offers, max_size=MOST)
    server = ServerProtocol(extensions=[ServerPerMessageDeflateFactory()] if deflate else None, max_size=MOST)
    client.send_request(client.connect())
    server.receive_data(b"".join(client.data_to_send()))
    (request,) = server.events_received()
    server.send_response(server.accept(request))  # type: ignore[arg-type]
    client.receive_data(b"".join(server.data_to_send()))
    client.events_received()
    return client, server


def seen(protocol: Protocol, data: bytes, *, past: bool) -> list[Any]:
    """What a reader makes of *data*, and what it answers. With *past* by `read_whole` where that takes it."""
    whole = read_whole(protocol, data) if past else None
    if whole is not None:
        message, text = whole
        return [(Opcode.TEXT if text else Opcode.BINARY, message, True), [], None]
    protocol.receive_data(data)
    read = [
        (event.opcode, bytes(event.data), event.fin) for event in protocol.events_received() if isinstance(event, Frame)
    ]
    answers = [(answer[:1], len(answer)) for answer in protocol.data_to_send()]  # a client's are masked, by chance
    return [*read, answers, str(protocol.parser_exc) if protocol.parser_exc is not None else None]


FRAMES = st.builds(
    lambda opcode, data, fin, mask, broken: (Frame(opcode, data, fin), mask, broken),
    st.sampled_from([Opcode.BINARY, Opcode.BINARY, Opcode.TEXT, Opcode.CONT, Opcode.PING, Opcode.PONG, Opcode.CLOSE]),
    st.one_of(st.binary(max_size=140), st.just(b"x" * MOST), st.just(b"x" * (MOST + 1)), st.just("ä".encode())),
    st.booleans() | st.just(True),
    st.integers(0, 19).map(bool),
    st.integers(0, 29).map(lambda number: not number),
)


def written(frame: Frame, *, mask: bool, broken: bool) -> bytes:
    try:
        data = frame.serialize(mask=mask)
    except ProtocolError:  # a control frame that may not be so long, or cut
        return b""
    return bytes([data[0] | 0x40]) + data[1:] if broken else data


@given(st.booleans(), st.lists(FRAMES, max_size=8), st.lists(st.integers(0, 2000), max_size=6), st.booleans())
def test_what_comes_is_read_alike(at_server: bool, frames: list[Any], cuts: list[int], by_frame: bool) -> None:
    """Any frames, right or wrong, in any pieces."""
    written_frames = [written(frame, mask=right is at_server, broken=broken) for frame, right, broken in frames]
    data = b"".join(written_frames)
    at = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = written_frames if by_frame else [data[a:b] for a, b in pairwise(at)]
    ends = linked(), linked()
    own, library = ((pair[1] if at_server else pair[0]) for pair in ends)
    for piece in pieces:
        if piece:
            assert seen(own, piece, past=True) == seen(library, piece, past=False)
            assert own.state is library.state


@given(st.booleans(), st.binary(max_size=40))
def test_any_bytes_are_read_alike(at_server: bool, data: bytes) -> None:
    ends = linked(), linked()
    own, library = ((pair[1] if at_server else pair[0]) for pair in ends)
    assert seen(own, data, past=True) == seen(library, data, past=False)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 70_000])
@pytest.mark.parametrize("text", [False, True])
def test_what_is_written_is_what_the_library_writes(size: int, text: bool) -> None:
    client, server = linked()
    for end in (client, server):
        limit_messages(end, 100_000)
    message = b"m" * size
    said = written_whole(server, message, text=text)
    (server.send_text if text else server.send_binary)(message)
    assert server.data_to_send() == [said]
    for sender, receiver in ((client, server), (server, client)):
        said = written_whole(sender, message, text=text)
        assert said is not None
        assert read_whole(receiver, said) == (message, text)
        receiver.receive_data(said)
        (frame,) = receiver.events_received()
        assert isinstance(frame, Frame)
        assert (frame.opcode is Opcode.TEXT, bytes(frame.data)) == (text, message)


def test_each_message_has_a_mask_of_its_own() -> None:
    client, _ = linked()
    assert len({written_whole(client, b"the same") for _ in range(50)}) == 50


def _closing(end: Protocol) -> None:
    end.send_close(1000)


def _in_a_fragmented_message(end: Protocol) -> None:
    end.send_binary(b"begun", fin=False)
    end.data_to_send()


@pytest.mark.parametrize("change", [_closing, _in_a_fragmented_message])
def test_the_library_writes_where_it_matters(change: Callable[[Protocol], None]) -> None:
    for end in linked():
        change(end)
        assert written_whole(end, b"no") is None


def test_where_an_extension_was_agreed_on_the_library_does_all() -> None:
    client, server = linked(deflate=True)
    assert written_whole(client, b"message") is None
    assert read_whole(server, Frame(Opcode.BINARY, b"message").serialize(mask=True)) is None


def test_a_message_that_is_too_long_is_left_to_the_library() -> None:
    _, server = linked()
    assert read_whole(server, Frame(Opcode.BINARY, b"x" * MOST).serialize(mask=True)) is not None
    assert read_whole(server, Frame(Opcode.BINARY, b"x" * (MOST + 1)).serialize(mask=True)) is None


def test_a_message_behind_the_header_of_another_is_its_payload() -> None:
    """Nothing of the header is left in the library's buffer, and the library waits within a frame all the same."""
    _, server = linked()
    inner = Frame(Opcode.BINARY, b"inner").serialize(mask=True)
    outer = Frame(Opcode.BINARY, inner).serialize(mask=True)
    head, rest = outer[:6], outer[6:]
    server.receive_data(head)
    assert not server.reader.buffer
    assert read_whole(server, inner) is None
    server.receive_data(rest)
    (frame,) = server.events_received()
    assert isinstance(frame, Frame)
    assert frame.data == inner
