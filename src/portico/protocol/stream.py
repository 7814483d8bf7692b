"""A stream's life, as two transition tables: one for an HTTP exchange, one for a visitor's WebSocket.

The tables are seen from neither end: *request* frames come from the opener (the hub), *response* frames from the
acceptor (the provider). What a table does not list is illegal: the connection turns it into an error of the end
that did it. RESET is legal in every state and ends the stream, so it is not listed.

::

    HTTP        REQUESTING ──request fin──> REQUESTED          WEBSOCKET   CONNECTING ──accept──> CONNECTED
                    │ head                      │ head                         │ head                │ close, from
                    v                           v                              v                     v either end
                STREAMING ──request fin──> RESPONDING                       DENYING ──fin──> CLOSED <┘
                    │ response fin              │ response fin
                    v                           v
                ANSWERED ───request fin──> CLOSED

A visitor's close ends CONNECTING and DENYING too. DATA does not change the state: a request's may come until its fin,
a response's between its head and its fin, either way while CONNECTED.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from portico.protocol.flow_control import MESSAGE_OVERHEAD, ReceiveWindow
from portico.protocol.frames import Kind

# States.
REQUESTING: Final = 0
REQUESTED: Final = 1
STREAMING: Final = 2
RESPONDING: Final = 3
ANSWERED: Final = 4
CONNECTING: Final = 5
CONNECTED: Final = 6
DENYING: Final = 7
CLOSED: Final = 8

STATE_NAMES: Final = (
    "REQUESTING",
    "REQUESTED",
    "STREAMING",
    "RESPONDING",
    "ANSWERED",
    "CONNECTING",
    "CONNECTED",
    "DENYING",
    "CLOSED",
)

# Inputs.
REQUEST_DATA: Final = 0
REQUEST_FIN: Final = 1
HEAD: Final = 2
ACCEPT: Final = 3
RESPONSE_DATA: Final = 4
RESPONSE_FIN: Final = 5
REQUEST_CLOSE: Final = 6
RESPONSE_CLOSE: Final = 7

INPUT_NAMES: Final = (
    "request DATA",
    "request FIN",
    "HEAD",
    "HEAD that accepts",
    "response DATA",
    "response FIN",
    "CLOSE by the visitor",
    "CLOSE by the app",
)

TRANSITIONS: Final[dict[int, dict[int, int]]] = {
    REQUESTING: {
        REQUEST_DATA: REQUESTING,
        REQUEST_FIN: REQUESTED,
        HEAD: STREAMING,  # an answer may start before the upload has ended
    },
    REQUESTED: {
        HEAD: RESPONDING,
    },
    STREAMING: {
        REQUEST_DATA: STREAMING,
        REQUEST_FIN: RESPONDING,
        RESPONSE_DATA: STREAMING,
        RESPONSE_FIN: ANSWERED,
    },
    RESPONDING: {
        RESPONSE_DATA: RESPONDING,
        RESPONSE_FIN: CLOSED,
    },
    ANSWERED: {  # what is still on its way up is thrown away; RESET(NO_ERROR) stops it
        REQUEST_DATA: ANSWERED,
        REQUEST_FIN: CLOSED,
    },
    CONNECTING: {
        ACCEPT: CONNECTED,
        HEAD: DENYING,
        REQUEST_CLOSE: CLOSED,  # the visitor gave up before it was answered
    },
    CONNECTED: {
        REQUEST_DATA: CONNECTED,
        RESPONSE_DATA: CONNECTED,
        REQUEST_CLOSE: CLOSED,
        RESPONSE_CLOSE: CLOSED,
    },
    DENYING: {
        RESPONSE_DATA: DENYING,
        RESPONSE_FIN: CLOSED,
        REQUEST_CLOSE: CLOSED,
    },
    CLOSED: {},
}

# The same as a tuple of tuples, -1 for illegal: what is looked up for every frame.
NEXT: Final = tuple(
    tuple(TRANSITIONS[state].get(given, -1) for given in range(len(INPUT_NAMES))) for state in range(len(STATE_NAMES))
)

_WEBSOCKET = int(Kind.WEBSOCKET)

CLOSE_MARK: Final = -1
"""In place of flags in a stream's queue: the item is a packed CLOSE frame."""


class StreamRecord:
    """The book-keeping of one stream. What its fields mean together is for `streams`, `receiver` and `outbox`."""

    __slots__ = ("id", "notify", "overhead", "queue", "queued", "ready", "receive", "send_credit", "state")

    def __init__(self, stream_id: int, kind: int, send_credit: int, receive_size: int, now: float) -> None:
        self.id = stream_id
        if kind == _WEBSOCKET:
            self.state = CONNECTING
            self.overhead = MESSAGE_OVERHEAD
        else:
            self.state = REQUESTING
            self.overhead = 0
        """What a DATA frame takes from the window besides its payload. 0 also means: a body, which has no borders."""
        self.send_credit = send_credit
        self.receive = ReceiveWindow(receive_size, now)
        self.queue: deque[tuple[bytes | memoryview, int]] = deque()
        """(payload, flags) that wait for their turn and for credit."""
        self.queued = 0
        """Their bytes."""
        self.ready = False
        """Whether it stands in the connection's round-robin."""
        self.notify = False
        """Whether its owner waits to hear that the queue is low."""

    @property
    def waiting(self) -> int:
        """Bytes that wait to be sent, with the overhead of each message: or empty ones would wait without bound."""
        return self.queued + self.overhead * len(self.queue)
