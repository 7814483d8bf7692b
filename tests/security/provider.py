"""A provider by hand."""

from __future__ import annotations

import secrets
from typing import Protocol, TypeVar

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from portico.protocol import SUBPROTOCOL, Connection, Role
from portico.protocol.events import Ack, GoAway, Hello, Register, Welcome

T = TypeVar("T")


class Server(Protocol):
    """A Jupyter server or a relay."""

    @property
    def port(self) -> int: ...


def dial(server: Server, **more: object) -> ClientConnection:
    url = f"ws://127.0.0.1:{server.port}/portico/link"
    return connect(url, subprotocols=[SUBPROTOCOL], proxy=None, **more).__enter__()  # type: ignore[arg-type]


class Provider:
    """The protocol by hand: what a hostile provider would say."""

    def __init__(
        self,
        server: Server,
        token: str,
        session: str = "",
        epoch: int = 1,
        workspace: str = "",
        origin: str = "",
        features: tuple[str, ...] = (),
    ) -> None:
        self.socket = dial(server, origin=origin or None)
        self.connection = Connection(Role.PROVIDER)
        info = {"workspace": workspace} if workspace else {}
        session = session or secrets.token_hex(16)
        self.connection.send_hello(Hello(token=token, session=session, epoch=epoch, info=info, features=features))
        self.answer = self.next()

    def send(self) -> None:
        while message := self.connection.data_to_send():
            self.socket.send(message)

    def next(self) -> object:
        self.send()
        while True:
            for event in self.connection.receive_message(self.socket.recv(10), 0.0):  # type: ignore[arg-type]
                if isinstance(event, (Welcome, GoAway, Ack)):
                    return event

    def hears(self, kind: type[T]) -> T:
        """The next event of that kind."""
        self.send()
        while True:
            for event in self.connection.receive_message(self.socket.recv(10), 0.0):  # type: ignore[arg-type]
                if isinstance(event, kind):
                    return event

    def register(self, **service: object) -> Ack:
        self.connection.send_register(Register(1, dict(service)))
        answer = self.next()
        assert isinstance(answer, Ack)
        return answer


def until_closed(socket: ClientConnection) -> str:
    """Read to the end (a GOAWAY comes first); returns the reason that the hub gave."""
    try:
        while True:
            socket.recv(10)
    except ConnectionClosed:
        return socket.close_reason or ""
