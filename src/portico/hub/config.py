"""A hub's settings, as one frozen value. Edges build it: from traitlets in a Jupyter server, from flags in a relay."""

from __future__ import annotations

from dataclasses import dataclass, field

from portico.hub.fair_use import a_quarter
from portico.protocol import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class HubConfig:
    """Sizes in bytes, times in seconds."""

    limits: Limits = field(default_factory=Limits)
    allowed_access: frozenset[str] = frozenset({"private", "key", "public"})
    """The kinds of access that services may ask for."""
    passwords: bool = False
    """Whether services may ask visitors for a password: the edge shows the form, and takes what it sends."""
    max_key_lifetime: float = 90 * 86400.0
    wait_for_provider: float = 10.0
    """How long a new request waits for a provider that is reconnecting, before it gets 503."""
    hold_name: float = 60.0
    """How long the name of a lost provider that is no kernel is held for it."""
    drop_silent: bool = False
    """Whether a link that stays silent (`Limits.silence_timeout`) is given up. In a Jupyter server it is not: the
    kernel's own end is seen there, and C code may hold the interpreter for minutes."""
    kernel_poll: float = 2.0
    """How often a lost link's kernel is asked after."""
    by_address: bool = False
    """Whether links and requests are counted by address too. In a Jupyter server they are not: all kernels dial from
    one machine, and all visitors may come by one proxy."""
    max_links: int = 1000
    """Of providers that said who they are."""
    max_links_of_user: int | None = None
    """Of one kernel, user or anonymous workspace (`Principal.id`); None for a quarter of `max_links`."""
    max_links_of_address: int | None = None
    """None for a quarter of `max_links`."""
    max_new_links: int = 512
    """Links at a time that have not said who they are. They have `Limits.hello_timeout` to say it."""
    max_new_links_of_address: int = 64
    """As many programs behind one router as dial within one exchange of messages, when a hub comes back."""
    max_services: int = 1000
    max_services_of_user: int | None = None
    """Names that one kernel or user holds in one workspace; None for three quarters of `max_services`."""
    max_streams_of_address: int | None = None
    """Requests of one address on one link; None for a quarter of `Limits.max_streams`."""
    routing: str = "least-busy"
    """Which replica gets a request of a service that names no policy of its own (`portico.hub.routing`)."""
    max_keys: int = 10_000
    """Keys that have not expired, of one maker (a kernel, a user)."""
    events_lifetime: float = 600.0
    """How long one reader's stream of events lasts; it comes back by itself, and is asked again who it is."""
    max_websocket_message: int = 16 * 1024 * 1024
    max_body: int | None = None
    """Of a request; None for no cap. Nothing is buffered either way."""
    identity_cache: float = 5.0
    """How long a decision of the server's identity provider is believed."""

    @property
    def links_of_user(self) -> int:
        return a_quarter(self.max_links) if self.max_links_of_user is None else self.max_links_of_user

    @property
    def links_of_address(self) -> int:
        return a_quarter(self.max_links) if self.max_links_of_address is None else self.max_links_of_address

    @property
    def services_of_user(self) -> int:
        if self.max_services_of_user is not None:
            return self.max_services_of_user
        return -(-self.max_services * 3 // 4)  # most workspaces have one user: a quarter would be too few for them

    @property
    def streams_of_address(self) -> int:
        most = self.max_streams_of_address
        return a_quarter(self.limits.max_streams) if most is None else most
