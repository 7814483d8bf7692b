"""A service from its author's side: what `portico.serve` returns. Every method may be called from any thread."""

from __future__ import annotations

import contextvars
import inspect
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from portico.adapters.taken import Taken
from portico.adapters.wiring import NO_WIRING, Wiring
from portico.asgi import mount
from portico.asgi.instance import RETIRE_AFTER, Instance
from portico.calls.log import Log
from portico.calls.owner import OWNER
from portico.card import render
from portico.card.state import CallState, CardState, FailureState
from portico.errors import Refused
from portico.link import Stream, StreamHandler
from portico.protocol.events import Open
from portico.protocol.offer import NO_TOOLS, ToolList
from portico.provider import discovery, sharing
from portico.provider.options import AS_BEFORE, AsBefore, Options
from portico.provider.publication import Publication, without_waiting
from portico.provider.sharing import AwaitableShare, Share
from portico.types import ASGIApp


@dataclass(eq=False)
class Service(Publication):
    """A name that is live on a hub, and the app behind it.

    ``url`` ends with a slash; ``requests`` counts what visitors asked of this process; ``log`` holds the exceptions
    that left the app.
    """

    _VERBS = ("serve", "serving", "served")

    options: Options
    kind: str
    """``app``, ``chat``, or what the adapter that took it calls it."""
    models: tuple[str, ...]
    """The ids of the models behind it."""
    how: str
    """What was found to be served, for people."""
    requests: int = 0
    served: float = field(default_factory=time.time)
    """When it was served, in seconds since 1970."""
    app: ASGIApp | None = field(default=None)
    """What is served, as an app."""
    remarks: tuple[str, ...] = field(default=())
    """What its author should be told of it: parameters of a chat function that nothing is known of."""
    tools: ToolList = field(default=NO_TOOLS)
    """The tools behind it that agents may call."""
    capabilities: tuple[Mapping[str, Any], ...] = field(default=())
    """What it can do that a request may ask for: sets of attributes."""
    wiring: Wiring = field(default=NO_WIRING)
    """What was said of the pipeline behind it, if it is one."""
    call: CallState | None = field(default=None)
    """How a program calls it, as an example, if more is needed than its URL."""
    instance: Instance | None = field(default=None)
    notes: tuple[str, ...] = field(default=())
    """What its author should know, for the card: what is different since it was served before, or what may be wrong."""

    def __post_init__(self) -> None:
        self.access, self.conditions = self.options.access, self.options.conditions
        self.log = Log(self.name)
        # Its app's code runs in copies of this: that of the cell that served it, where what it prints is shown.
        self._context = contextvars.copy_context()
        self._context.run(OWNER.set, self.log)
        self.log.context = self._context

    def _takes(self, taken: Taken) -> None:
        """Note what is served now."""
        self.app, self.kind, self.models = taken.app, taken.kind, tuple(taken.models)
        self.how, self.remarks = taken.how, tuple(taken.remarks)
        self.tools, self.capabilities = taken.tools, tuple(taken.capabilities)
        self.call = taken.call

    async def _start(self, app: ASGIApp) -> Instance | None:
        """Start *app*, and let it answer from now on; returns the one that did. What it raises goes to the log.

        Raises `StartupFailed`, and leaves all as it was.
        """
        only_404 = None if self.options.mount == "strip" else self._only_404
        instance = Instance(app, self.log.report, self._context, only_404)
        await instance.start()
        former, self.instance = self.instance, instance
        return former

    def _only_404(self) -> None:
        """Its app has answered nothing but 404: its author is told what the reason may be."""
        self.log.note(mount.NOTHING_BUT_404)
        self.notes += (mount.NOTHING_BUT_404,)
        self.provider.news.changed(self)

    @property
    def title(self) -> str:
        return self.options.title or self.name

    @property
    def origins(self) -> Sequence[str]:
        return self.options.origins

    def descriptor(self) -> dict[str, Any]:
        """What the hub is told of it (docs/protocol.md, REGISTER)."""
        tag = getattr(self.app, "tag", "") if self.models else ""  # a `ChatServer.tag`, say
        return {
            "name": self.name,
            "title": self.options.title,
            "kind": self.kind,
            "models": list(self.models),
            "access": self.options.access,
            "origins": list(self.options.origins),
            "replace": self.options.replace,
            "replica": self.options.replica,
            **({"tag": tag} if tag and isinstance(tag, str) else {}),
            **({"conditions": dict(self.options.conditions)} if self.options.conditions else {}),
            **({"tools": self.tools.told()} if self.tools.names else {}),
            **({"capabilities": [dict(one) for one in self.capabilities]} if self.capabilities else {}),
        }

    def _check(self, taken: Taken) -> None:
        """Raise `InvalidOption` if a hub that has it cannot be told of all that *taken* offers in its place."""
        offered: dict[str, Any] = {"models": list(taken.models), "tools": taken.tools.told()}
        offered["capabilities"] = [dict(one) for one in taken.capabilities]
        publications: tuple[Publication, ...] = (self, *self.shares)
        for publication in publications:
            if publication.session is not None:
                publication.session.check({**publication.descriptor(), **offered})

    # --- what the provider asks of it: see `Publication` --------------------------------------------------------

    @property
    def _home(self) -> Service:
        return self

    def _check_place(self, there: Publication) -> None:
        if isinstance(there, Share):
            raise Refused(f"{self.name!r} is shared there already, from this process; unshare it first", "shared")

    def _answer(self, stream: Stream, request: Open) -> StreamHandler | None:
        if self.instance is None:
            return None
        self.requests += 1
        return self.instance.begin(stream, request)

    async def _retire(self, within: float | None = None) -> None:
        if self.instance is not None:
            await self.instance.retire(RETIRE_AFTER if within is None else within)

    def _is_live_now(self, formers: Iterable[Publication]) -> None:
        for former in formers:
            for share in former.shares if isinstance(former, Service) else ():
                share._follow(self)  # whoever has a link to it has one to what took its place
                self.provider.work.begin(self.provider.republish(share))

    def _abandon(self) -> None:
        self.instance = None

    # --- what its author asks of it -----------------------------------------------------------------------------

    def key(self, expires: str | float | None = None, *, label: str = "") -> str:
        """Make a key that opens this service, and no other, until it expires or is revoked.

        *expires* is seconds or text such as ``30m``, ``1h``, ``7d``; without it a key lasts an hour, or as long as the
        hub allows if that is less. Raises `Refused` when the hub does not allow it.
        """
        if self.status not in ("stopped", "failed") and self.address.rung == discovery.PREVIEW:
            raise Refused("a preview has no keys: share it by a relay, and make one for the link", "no_keys")
        return super().key(expires, label=label)

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
        return tuple(one for one in self.provider.published() if isinstance(one, Share) and one.service == self)

    def unshare(self) -> None:
        """Stop every share."""
        for share in self.shares:
            share.stop()

    def card_state(self) -> CardState:
        """All that a person is shown of it, as it is now: a frozen record, which holds nothing of the app."""
        address = self.address
        docs = getattr(inspect.unwrap(self.instance.app), "docs_url", None) if self.instance is not None else None
        return CardState(
            name=self.name,
            title=self.title,
            kind=self.kind,
            how=self.how,
            models=self.models,
            tools=self.tools.names,
            call=self.call,
            url=self.url,
            docs_url=self.url + docs.lstrip("/") if isinstance(docs, str) else "",  # as FastAPI tells
            access=self.access,
            origins=tuple(self.origins),
            status=self.status,
            error=self.error,
            holder="tab" if address.rung == discovery.PREVIEW else "kernel" if address.kernel_id else "process",
            notice=self.session.notice if self.session is not None else "",
            served=self.served,
            requests=self.requests,
            notes=self.notes,
            remarks=self.remarks,
            shares=tuple(share.card_state() for share in self.shares),
            failure=newest_failure(self.log),
        )

    def __repr__(self) -> str:
        return f"<service {self.name!r}: {self._what_it_is()}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        state = self.card_state()
        return {"text/plain": render.text(state), "text/html": render.html(state)}


def newest_failure(log: Log) -> FailureState | None:
    """What a person is shown of the newest exception in *log*."""
    for entry in reversed(tuple(log)):
        return FailureState(
            time=entry.time,
            doing=entry.doing,
            summary=entry.summary,
            own=entry.own,
            traceback=entry.traceback,
            total=log.total,
        )
    return None


class AwaitableService(Service):
    """A `Service` that can be awaited, again and again: that waits until it is live, or raises why it is not.

    What that gives is the same service, but cannot be awaited (see `without_waiting`).
    """

    def __await__(self) -> Generator[Any, None, Service]:
        yield from self.provider.live(self).__await__()
        return without_waiting(Service, self)
