"""What a relay counts since its start. A request costs an addition or two."""

from __future__ import annotations


class Counters:
    """Counts since the start. Plain numbers, each added to in one place."""

    __slots__ = (
        "abandoned",
        "answers",
        "from_providers",
        "invalid",
        "late",
        "requests",
        "slow",
        "sockets",
        "sockets_open",
        "to_providers",
        "turned_away",
    )

    def __init__(self) -> None:
        self.requests: dict[int, int] = {}
        """Answers by their status; 101 for WebSockets."""
        self.answers: dict[str, int] = {}
        """Those in the relay's own words, by their code (`portico.hub.answers.Answer`)."""
        self.sockets = 0
        """WebSockets of visitors that were accepted."""
        self.sockets_open = 0
        """Those that are under way, asked for or accepted."""
        self.abandoned = 0
        """Requests whose visitor left before the answer was whole."""
        self.invalid = 0
        """Requests that were no HTTP."""
        self.late = 0
        """Connections closed because a head or a body did not come in time."""
        self.slow = 0
        """Connections cut because the visitor took nothing."""
        self.turned_away = 0
        """Connections closed because their address holds too many."""
        self.from_providers = 0
        """Bytes of the links' messages."""
        self.to_providers = 0

    def count(self, status: int) -> None:
        """One more answer, of whosever words."""
        self.requests[status] = self.requests.get(status, 0) + 1

    def answer(self, code: str) -> None:
        """One more answer in the relay's own words."""
        self.answers[code] = self.answers.get(code, 0) + 1
