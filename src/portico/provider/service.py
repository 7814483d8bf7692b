"""A service from its author's side: what `portico.serve` returns. Every method may be called from any thread."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from portico.asgi import mount
from portico.asgi.instance import Instance
from portico.asgi.wsgi import THREADS, check_threads
from portico.calls.log import Log
from portico.calls.owner import OWNER
from portico.card import render as card
from portico.errors import InvalidOption, LinkClosed, PorticoError, Refused
from portico.provider import api, discovery, sharing
from portico.provider.conditions import AS_BEFORE, AsBefore
from portico.provider.sharing import AwaitableShare, Share
from portico.types import ASGIApp, ServiceName

if TYPE_CHECKING:
    from portico.provider.provider import Provider
    from portico.provider.session import Session

ACCESS = ("private", "key", "public")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a service is published."""

    title: str = ""
    access: str = "private"
    origins: tuple[str, ...] = ()
    replace: bool = False
    """Take the name over from whoever holds it."""
    replica: bool = False
    """Stand beside whoever holds the name, and share its requests."""
    mount: str | None = None
    """Where the app believes that it lives: ``root_path``, ``strip``, or None for what suits it. See `asgi.mount`."""
    threads: int = THREADS
    """How many requests a WSGI app works on at a time; more wait for one of its threads."""
    loop: str = "own"
    """``own``: the provider's thread. ``kernel``: the loop that ``serve`` was called on."""
    conditions: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """See `portico.provider.conditions`."""

    def __post_init__(self) -> None:
        if self.access not in ACCESS:
            raise InvalidOption(f"access is one of {', '.join(ACCESS)}; {self.access!r} is none of them")
        for origin in self.origins:
            scheme, separator, host = origin.partition("://")
            if origin != "*" and (not separator or scheme not in ("http", "https") or not host or "/" in host):
                raise InvalidOption(
                    f"{origin!r} is no origin: give scheme and host, such as https://chat.example.com, or *"
                )
        if self.replace and self.replica:
            raise InvalidOption("choose one of replace and replica")
        mount.check(self.mount)
        check_threads(self.threads)
        if self.loop not in ("own", "kernel"):
            raise InvalidOption(f"loop is 'own' or 'kernel', not {self.loop!r}")


@dataclass(eq=False)
class Service:
    """A name that is live on a hub, and the app behind it.

    ``url`` ends with a slash; ``requests`` counts what visitors asked of this process; ``log`` holds the exceptions
    that left the app.
    """

    name: ServiceName
    options: Options
    kind: str
    """``app`` or ``chat``."""
    models: tuple[str, ...]
    """The ids of the chat and embedding models behind it."""
    how: str
    """What was found to be served, for people."""
    provider: Provider = field(repr=False)
    url: str = ""
    status: str = "starting"
    """``starting``, ``live``, ``reconnecting``, ``stopped``, or ``failed``."""
    error: str = ""
    """Why it failed or stopped, in plain words."""
    requests: int = 0
    served: float = field(default_factory=time.time, repr=False)
    """When it was served, in seconds since 1970."""
    log: Log = field(init=False, repr=False)
    app: ASGIApp | None = field(default=None, repr=False)
    """What is served, as an app."""
    remarks: tuple[str, ...] = field(default=(), repr=False)
    """What its author should be told of it: parameters of a chat function that nothing is known of."""
    instance: Instance | None = field(default=None, repr=False)
    session: Session | None = field(default=None, repr=False)
    failure: PorticoError | None = field(default=None, repr=False)
    """The exception behind ``failed``."""
    notes: tuple[str, ...] = field(default=(), repr=False)
    """What its author should know, for the card: what is different since it was served before, or what may be wrong."""

    def __post_init__(self) -> None:
        self.log = Log(self.name)
        # Its app's code runs in copies of this: that of the cell that served it, where what it prints is shown.
        self._context = contextvars.copy_context()
        self._context.run(OWNER.set, self.log)
        self.log.context = self._context

    def _takes(self, app: ASGIApp, kind: str, models: tuple[str, ...], how: str, remarks: tuple[str, ...]) -> None:
        """Note what is served now."""
        self.app, self.kind, self.models, self.how, self.remarks = app, kind, models, how, remarks

    def _instance_of(self, app: ASGIApp) -> Instance:
        """*app*, to be started in this service's place: what it raises goes to its log."""
        return Instance(app, self.log.report, self._context, None if self.options.mount == "strip" else self._only_404)

    def _only_404(self) -> None:
        """Its app has answered nothing but 404: its author is told what the reason may be."""
        self.log.note(mount.NOTHING_BUT_404)
        self.notes += (mount.NOTHING_BUT_404,)
        self.provider.changed(self)

    @property
    def title(self) -> str:
        return self.options.title or self.name

    @property
    def access(self) -> str:
        return self.options.access

    @property
    def origins(self) -> Sequence[str]:
        return self.options.origins

    def descriptor(self) -> dict[str, Any]:
        """What the hub is told of it (docs/protocol.md, REGISTER)."""
        return {
            "name": self.name,
            "title": self.options.title,
            "kind": self.kind,
            "models": list(self.models),
            "access": self.options.access,
            "origins": list(self.options.origins),
            "replace": self.options.replace,
            "replica": self.options.replica,
            **({"conditions": dict(self.options.conditions)} if self.options.conditions else {}),
        }

    def key(self, expires: str | float | None = None, *, label: str = "") -> str:
        """Make a key that opens this service, and no other, until it expires or is revoked.

        *expires* is seconds or text such as ``30m``, ``1h``, ``7d``; without it a key lasts an hour, or as long as the
        hub allows if that is less. Raises `Refused` when the hub does not allow it.
        """
        if self.session is None or self.status in ("stopped", "failed"):
            raise LinkClosed(f"{self.name!r} is {self.status}: serve it again to make a key for it")
        if card.is_previewed(self):
            raise Refused("a preview has no keys: share it by a relay, and make one for the link", "no_keys")
        return api.make_key(self.session.address, [self.name], expires, label)

    def share(
        self,
        relay: str = "",
        *,
        expires: str | float | AsBefore | None = AS_BEFORE,
        access: str | AsBefore = AS_BEFORE,
        password: str | AsBefore | None = AS_BEFORE,
        cidr: str | Iterable[str] | AsBefore | None = AS_BEFORE,
        rate: str | AsBefore | None = AS_BEFORE,
        concurrency: int | AsBefore | None = AS_BEFORE,
        max_body: int | AsBefore | None = AS_BEFORE,
        name: str | None = None,
        token: str = "",
        workspace: str = "",
        replace: bool = False,
    ) -> AwaitableShare:
        """Publish the service by a *relay* too, beside where it is, and return the `Share`, with its link.

        *access* is ``public`` (at first), ``key`` or ``private`` (who may sign in at the relay, and keys). *expires* is
        how long from now on; *password* is asked of visitors; *cidr* are the networks they come from; *rate* is of each
        visitor (``60/min``), *concurrency* of all of them. Relay and token: as given, else ``PORTICO_RELAY`` and
        ``PORTICO_TOKEN``, else those of the newest ``portico login``. *replace* takes the *name* over from who has it
        there. Lasts until the share or the service is stopped. Shared again, what restricts the link stays as it was,
        unless it is named; None takes a condition away.

        Raises `NoHub`, `InvalidOption`, `Refused`, `NameTaken` or `LinkClosed`.
        """
        address = discovery.find_relay(relay, token, workspace)
        return sharing.share(
            self,
            address,
            name or self.name,
            access,
            replace=replace,
            before=sharing.former(self, address, name or self.name),
            expires=expires,
            password=password,
            cidr=cidr,
            rate=rate,
            concurrency=concurrency,
            max_body=max_body,
        )

    @property
    def shares(self) -> tuple[Share, ...]:
        """The links under which it is shared."""
        return tuple(share for share in self.provider.shares.values() if share.service == self)

    def unshare(self) -> None:
        """Stop every share."""
        for share in self.shares:
            share.stop()

    def stop(self) -> None:
        """Take the service down: visitors get 404 from now on; requests in flight may end."""
        stopping = self.provider.stop(self)
        if self.provider.thread.can_wait():
            self.provider.run(stopping)
        else:  # an app that stops itself, or a page whose browser cannot switch stacks
            self.provider.soon(stopping)

    def __eq__(self, other: object) -> bool:
        """Whether it is the same service, awaited or not."""
        return isinstance(other, Service) and self.__dict__ is other.__dict__

    def __hash__(self) -> int:
        return id(self.__dict__)

    def __repr__(self) -> str:
        where = f" at {self.url}" if self.url else ""
        why = f" ({self.error})" if self.error else ""
        return f"<service {self.name!r}: {self.status}{where}{why}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": card.text(self), "text/html": card.html(self)}


class AwaitableService(Service):
    """A `Service` that can be awaited, again and again: that waits until it is live, or raises why it is not.

    What that gives is the same service, all of whose state is shared, but cannot be awaited: JavaScript awaits what it
    is given by a coroutine for as long as that can be awaited.
    """

    def __await__(self) -> Generator[Any, None, Service]:
        yield from self.provider.live(self).__await__()
        service = Service.__new__(Service)
        service.__dict__ = self.__dict__
        return service
