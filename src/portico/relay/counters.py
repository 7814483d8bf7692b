"""What a relay counts of connections and links since its start. Visits are counted by `portico.hub.visits.Visits`."""

from __future__ import annotations


class Counters:
    """Counts since the start. Plain numbers, each added to in one place."""

    __slots__ = (
        "from_providers",
        "invalid",
        "late",
        "slow",
        "to_providers",
        "turned_away",
    )

    def __init__(self) -> None:
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
