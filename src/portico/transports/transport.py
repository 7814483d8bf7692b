"""The interface between a link and what carries its messages. Callbacks only: a link has no task a message."""

from __future__ import annotations

from typing import Protocol


class LinkReceiver(Protocol):
    """What a transport tells its link, always from the event loop's thread."""

    def message_received(self, message: bytes) -> None: ...

    def transport_writable(self) -> None:
        """The transport takes messages again, after ``writable`` was False."""

    def transport_closed(self, reason: str) -> None:
        """The transport is gone, for whichever reason. Called once."""


class Transport(Protocol):
    """Moves messages, in order, each whole or not at all."""

    @property
    def writable(self) -> bool:
        """False while more is buffered than should be: wait for ``LinkReceiver.transport_writable``."""

    def start(self, receiver: LinkReceiver) -> None:
        """Deliver to *receiver* from now on, beginning with what came before. Called once."""

    def allow(self, size: int) -> None:
        """Take no longer messages than *size* bytes from now on, nor hold more of one that is not whole."""

    def send(self, message: bytes) -> None:
        """Take *message* without waiting. Does nothing once the transport is closed."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send what is buffered, then close (codes of RFC 6455 §7.4). Does nothing if closed."""
