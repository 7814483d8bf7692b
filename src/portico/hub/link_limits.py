"""How many links a hub has room for: of an address until HELLO, and then of an address and of who speaks.

A link is ``new`` until it was let in, then ``in``, and ``""`` if it was never counted or is gone. `LinkLimits` alone
changes that, so that each count is given back exactly once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from portico.hub.config import HubConfig
from portico.hub.fair_use import Bucket, NoRoom, Rates, Shares

AGAIN = 10.0
"""Seconds over which providers that found no room are asked to spread their next try."""

_HELLOS_A_SECOND = 5.0
"""Of one owner or address, beyond all of its links twice: when a hub comes back, all of them do, some by two tries."""

_ALWAYS = 20.0
"""Links that may come at once, however few may stay: a notebook that is run anew dials a few times."""

_REGISTRATIONS_A_SECOND = 20.0
"""On one link, beyond all of the names that it may hold at once, as it registers them anew after a reconnect."""

_REGISTRATIONS_OF_OWNER = 100.0
"""A second, on all links of one owner. What is beyond it is not refused, but delays the owner's next link."""


@dataclass(eq=False, slots=True)
class Standing:
    """How one link counts."""

    network: str
    """Of its address (`portico.networks.network_of`); "" where that is not known, or does not count."""
    owner: str = ""
    """Who speaks on it, once it was let in."""
    state: Literal["", "new", "in"] = ""
    registrations: Bucket | None = None
    """How many it may make; None until it makes one."""


class LinkLimits:
    """The counts. Asked when a link comes, says HELLO, registers, and goes; never on the way of a request."""

    def __init__(self, config: HubConfig) -> None:
        self._config = config
        self.new = Shares(config.max_new_links_of_address, config.max_new_links)
        self.of_address = Shares(config.links_of_address, config.max_links)
        self.of_owner = Shares(config.links_of_user)
        self._dials = Rates(_ALWAYS + 2.0 * config.links_of_address, _HELLOS_A_SECOND)
        self._hellos = Rates(_ALWAYS + 2.0 * config.links_of_user, _HELLOS_A_SECOND)
        self._at_once = 100.0 + config.services_of_user
        self._registrations = Rates(4.0 * self._at_once, _REGISTRATIONS_OF_OWNER)

    def come(self, standing: Standing) -> None:
        """A link was opened. Raises `NoRoom`. If `Shares.full` of `new` afterwards, another must go."""
        network = standing.network
        if not self.new.has_room(network):
            raise NoRoom(
                "new_links_of_address",
                f"{self.new.of_one} links from your address have not said who they are; try again in a moment",
            )
        if self._dials.take(network):
            raise NoRoom("dials_of_address", "your address opens links too often; try again in a moment")
        standing.state = "new"
        self.new.take(network)

    def let_in(self, standing: Standing, owner: str, *, instead: bool) -> None:
        """A link said who it is. Raises `NoRoom`. *instead*: it takes the place of one that goes now."""
        network, config = standing.network, self._config
        if self._hellos.take(owner):
            raise NoRoom("hellos_of_user", "this provider's links come too often; it is let in again in a moment")
        if self._registrations.wait(owner):
            raise NoRoom("registrations_of_user", "too many registrations were made in your name; they go on soon")
        if not instead:
            if not self.of_owner.has_room(owner):
                raise NoRoom(
                    "links_of_user",
                    f"you hold {self.of_owner.of_one} links to this hub already, which is your share "
                    "(max_links_of_user); stop some of your programs",
                )
            if not self.of_address.has_room(network):
                raise NoRoom(
                    "links_of_address",
                    f"your address holds {self.of_address.of_one} links to this hub already, which is its share "
                    "(max_links_of_address); stop some of the programs there",
                )
            if self.of_address.full:
                raise NoRoom("links", f"the hub holds as many links as it can: {config.max_links} (max_links)")
        if standing.state == "new":
            self.new.give_back(network)
        standing.state, standing.owner = "in", owner
        self.of_address.take(network)
        self.of_owner.take(owner)

    def gone(self, standing: Standing) -> None:
        """A link has ended, however that came. May be told twice."""
        if standing.state == "new":
            self.new.give_back(standing.network)
        elif standing.state == "in":
            self.of_address.give_back(standing.network)
            self.of_owner.give_back(standing.owner)
        standing.state = ""

    # --- registrations ------------------------------------------------------------------------------------------

    def registers(self, standing: Standing, now: float) -> float:
        """Count a registration, or the taking back of one; returns the seconds that it came too early, mostly 0.0."""
        bucket = standing.registrations
        if bucket is None:
            bucket = standing.registrations = Bucket(self._at_once, _REGISTRATIONS_A_SECOND, now)
        wait = bucket.wait(now)
        bucket.take(now)
        self._registrations.spend(standing.owner)
        return wait

    def insists(self, standing: Standing, now: float) -> bool:
        """Whether as many registrations were refused on the link as it might make at once."""
        bucket = standing.registrations
        return bucket is not None and bucket.left(now) <= 1.0 - self._at_once
