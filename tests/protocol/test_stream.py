"""The transition tables: every state and input, from both ends."""

from __future__ import annotations

from collections import deque
from itertools import product

import pytest

from portico.errors import LocalProtocolError, RemoteProtocolError
from portico.protocol import Connection, Kind, ResetCode, frames, stream
from portico.protocol.events import Close, Data, Event, Head
from portico.protocol.frames import FIN
from portico.protocol.stream import (
    ACCEPT,
    ANSWERED,
    CLOSED,
    CONNECTED,
    CONNECTING,
    DENYING,
    HEAD,
    INPUT_NAMES,
    REQUEST_CLOSE,
    REQUEST_DATA,
    REQUEST_FIN,
    REQUESTED,
    REQUESTING,
    RESPONDING,
    RESPONSE_CLOSE,
    RESPONSE_DATA,
    RESPONSE_FIN,
    STATE_NAMES,
    STREAMING,
    TRANSITIONS,
)

from .fake_link import REQUEST, FakeLink

FROM_HUB = (REQUEST_DATA, REQUEST_FIN, REQUEST_CLOSE)
STATES = range(len(STATE_NAMES))
INPUTS = range(len(INPUT_NAMES))
HTTP_STATES = {REQUESTING, REQUESTED, STREAMING, RESPONDING, ANSWERED}


def path_to(state: int, kind: Kind) -> list[int]:
    """The shortest list of inputs that leads a fresh stream of *kind* to *state*."""
    start = REQUESTING if kind is Kind.HTTP else CONNECTING
    paths = {start: []}
    waiting = deque([start])
    while waiting:
        here = waiting.popleft()
        for given, there in TRANSITIONS[here].items():
            if there not in paths:
                paths[there] = [*paths[here], given]
                waiting.append(there)
    return paths[state]


class End:
    """One end with one stream, and a test in the other's place that speaks raw frames.

    What this end has to send is never taken, so that it stays in the state it was led to.
    """

    def __init__(self, role: str, kind: Kind) -> None:
        link = FakeLink()
        self.is_hub = role == "hub"
        self.connection: Connection = link.hub if self.is_hub else link.provider
        self.id = link.hub.open_stream(**(REQUEST | {"kind": kind, "fin": False, "now": 0.0}))
        opening = link.hub.data_to_send()
        if not self.is_hub:
            self.connection.receive_message(opening, 0.0)

    @property
    def state(self) -> int:
        found = self.connection._streams.by_id.get(self.id)
        return CLOSED if found is None else found.state

    def give(self, given: int) -> list[Event]:
        """Make this end send *given*, or receive it, whichever the role asks for."""
        if (given in FROM_HUB) == self.is_hub:
            self.send(given)
            return []
        return self.receive(given)

    def send(self, given: int) -> None:
        connection = self.connection
        if given in (REQUEST_DATA, RESPONSE_DATA):
            connection.send_data(self.id, b"x")
        elif given in (REQUEST_FIN, RESPONSE_FIN):
            connection.send_data(self.id, b"", fin=True)
        elif given in (HEAD, ACCEPT):
            connection.send_head(self.id, 200, [], accept=given == ACCEPT)
        else:
            connection.send_close(self.id, 1000, "bye")

    def receive(self, given: int) -> list[Event]:
        if given in (REQUEST_DATA, RESPONSE_DATA):
            frame = frames.pack(frames.DATA, 0, self.id, b"x")
        elif given in (REQUEST_FIN, RESPONSE_FIN):
            frame = frames.pack(frames.DATA, FIN, self.id, b"")
        elif given in (HEAD, ACCEPT):
            frame = frames.pack_head(self.id, 0, 200, [], given == ACCEPT, b"")
        else:
            frame = frames.pack_close(self.id, 1000, "bye")
        return self.connection.receive_message(frame, 0.0)


CASES = [
    pytest.param(role, kind, state, given, id=f"{role}-{kind.name}-{STATE_NAMES[state]}-{INPUT_NAMES[given]}")
    for role, kind, state, given in product(("hub", "provider"), Kind, STATES, INPUTS)
    if state == CLOSED or (state in HTTP_STATES) == (kind is Kind.HTTP)
]


@pytest.mark.parametrize(("role", "kind", "state", "given"), CASES)
def test_every_state_and_input_does_what_the_table_says(role: str, kind: Kind, state: int, given: int) -> None:
    end = End(role, kind)
    for step in path_to(state, kind):
        end.give(step)
    assert end.state == state
    sending = (given in FROM_HUB) == end.is_hub
    following = TRANSITIONS[state].get(given)
    queued = end.connection.queued(end.id)
    if following is not None:
        events = end.give(given)
        assert end.state == following
        if not sending and not (state == ANSWERED and role == "provider"):
            assert len(events) == 1
            assert isinstance(events[0], Close if given in (REQUEST_CLOSE, RESPONSE_CLOSE) else Head | Data)
    elif sending:
        with pytest.raises(LocalProtocolError):
            end.send(given)
        assert end.state == state
        assert end.connection.queued(end.id) == queued
        assert not end.connection.closed
    elif state == CLOSED:  # it crossed the stream's end on the way
        assert end.receive(given) == []
        assert not end.connection.closed
    else:
        with pytest.raises(RemoteProtocolError):
            end.receive(given)
        assert end.connection.closed


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("role", ["hub", "provider"])
@pytest.mark.parametrize("state", STATES)
def test_a_reset_ends_a_stream_in_every_state_from_both_ends(role: str, kind: Kind, state: int) -> None:
    if state != CLOSED and (state in HTTP_STATES) != (kind is Kind.HTTP):
        return
    for received in (False, True):
        end = End(role, kind)
        for step in path_to(state, kind):
            end.give(step)
        if received:
            end.connection.receive_message(frames.pack_reset(end.id, ResetCode.CANCEL, ""), 0.0)
            end.connection.forget(end.id)
        else:
            end.connection.send_reset(end.id, ResetCode.CANCEL)
        assert end.connection.streams == 0
        assert end.connection.held == 0
        with pytest.raises(LocalProtocolError):
            end.connection.send_data(end.id, b"x")


@pytest.mark.parametrize(
    ("kind", "story"),
    [
        (Kind.HTTP, [REQUEST_FIN, HEAD, RESPONSE_FIN]),
        (Kind.HTTP, [REQUEST_DATA, REQUEST_DATA, REQUEST_FIN, HEAD, RESPONSE_DATA, RESPONSE_DATA, RESPONSE_FIN]),
        (Kind.HTTP, [HEAD, REQUEST_DATA, RESPONSE_DATA, REQUEST_DATA, REQUEST_FIN, RESPONSE_FIN]),
        (Kind.HTTP, [HEAD, RESPONSE_FIN, REQUEST_DATA, REQUEST_FIN]),
        (Kind.WEBSOCKET, [ACCEPT, REQUEST_DATA, RESPONSE_DATA, REQUEST_CLOSE]),
        (Kind.WEBSOCKET, [ACCEPT, RESPONSE_DATA, RESPONSE_CLOSE]),
        (Kind.WEBSOCKET, [HEAD, RESPONSE_DATA, RESPONSE_FIN]),
        (Kind.WEBSOCKET, [HEAD, RESPONSE_DATA, REQUEST_CLOSE]),
        (Kind.WEBSOCKET, [REQUEST_CLOSE]),
    ],
)
@pytest.mark.parametrize("role", ["hub", "provider"])
def test_a_legal_life_ends_closed(role: str, kind: Kind, story: list[int]) -> None:
    end = End(role, kind)
    for given in story[:-1]:
        end.give(given)
        assert end.state != CLOSED
    end.give(story[-1])
    assert end.state == CLOSED


def test_the_diagram_shows_every_change_of_state() -> None:
    read_off = {  # by eye, from the docstring of stream.py
        (REQUESTING, REQUEST_FIN, REQUESTED),
        (REQUESTING, HEAD, STREAMING),
        (REQUESTED, HEAD, RESPONDING),
        (STREAMING, REQUEST_FIN, RESPONDING),
        (STREAMING, RESPONSE_FIN, ANSWERED),
        (RESPONDING, RESPONSE_FIN, CLOSED),
        (ANSWERED, REQUEST_FIN, CLOSED),
        (CONNECTING, ACCEPT, CONNECTED),
        (CONNECTING, HEAD, DENYING),
        (CONNECTED, REQUEST_CLOSE, CLOSED),
        (CONNECTED, RESPONSE_CLOSE, CLOSED),
        (DENYING, RESPONSE_FIN, CLOSED),
        # the sentence below the drawing
        (CONNECTING, REQUEST_CLOSE, CLOSED),
        (DENYING, REQUEST_CLOSE, CLOSED),
    }
    changes = {
        (state, given, following)
        for state, row in TRANSITIONS.items()
        for given, following in row.items()
        if state != following
    }
    assert read_off == changes
    assert stream.__doc__ is not None
    for name in STATE_NAMES:
        assert name in stream.__doc__
