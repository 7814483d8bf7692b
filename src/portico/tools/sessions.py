"""The sessions of clients that shake hands: whose each is, and how many there may be.

Here: the table, and who has to go. A session is little more than an id, and costs some 2 KB. Not here: what is said
in one (`handshake`). Knows no library of MCP, and no clock but the one that it is given.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from portico.tools.changes import Listener

MAX_SESSIONS = 1000
"""Of one service at a time."""

MAX_SESSIONS_OF_CALLER = 64
"""The same, of one caller at one address: as many programs as some colleagues behind one address run."""

IDLE = 30 * 60.0
"""Seconds after which a session ends in which nothing is asked and nobody listens: as in the SDK."""


class TooManySessions(Exception):
    """There may be no more sessions now. ``of_caller`` tells whether the caller's own are too many."""

    def __init__(self, of_caller: bool) -> None:
        self.of_caller = of_caller
        whose = "You have" if of_caller else "This server has"
        super().__init__(f"{whose} too many open sessions, and all of them are in use. End one, or try again later.")


class ClientSession:
    """One client's. ``version`` is that of the protocol, once the hands are shaken."""

    def __init__(self, owner: str, caller: str, version: str) -> None:
        self.id = secrets.token_hex(16)
        """What the client shows with each request: 128 random bits."""
        self.owner = owner
        self.caller = caller
        self.version = version
        self.calls: dict[str | int, Callable[[], None]] = {}
        """What cancels each request that is being answered, by its id."""
        self.listener: Listener | None = None
        """Its stream of news, while that is open."""
        self.used = 0.0

    @property
    def busy(self) -> bool:
        """Whether something is asked, or somebody listens."""
        return bool(self.calls) or self.listener is not None

    def end(self) -> None:
        """End its stream, and cancel all that is being answered."""
        if self.listener is not None:
            self.listener.end()
        for cancel in list(self.calls.values()):
            cancel()


class ClientSessions:
    """All of them. *now* gives seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._all: dict[str, ClientSession] = {}  # the one that was used last is the last
        self._of_caller: dict[str, set[ClientSession]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def add(self, session: ClientSession) -> None:
        """Keep *session*. Those that are idle for too long go first; then, if there is no room, one of the caller's.

        Raises `TooManySessions` if those that would have to go are all in use.
        """
        self._expire()
        own = self._of_caller.get(session.caller, set())
        if len(own) >= MAX_SESSIONS_OF_CALLER:
            self._make_room(own, of_caller=True)
        elif len(self._all) >= MAX_SESSIONS:
            # who has most of them pays, so nobody takes another's by asking for many
            self._make_room(max(self._of_caller.values(), key=len), of_caller=False)
        session.used = self._now()
        self._all[session.id] = session
        self._of_caller.setdefault(session.caller, set()).add(session)

    def get(self, id: str, owner: str) -> ClientSession | None:
        """The session of that id, if it is *owner*'s; it counts as used."""
        session = self._all.get(id)
        if session is None or session.owner != owner:
            return None
        now = self._now()
        if not session.busy and now - session.used > IDLE:
            self.remove(session)
            return None
        session.used = now
        self._all[id] = self._all.pop(id)
        return session

    def remove(self, session: ClientSession) -> None:
        """Forget *session*, and end what goes on in it."""
        if self._all.pop(session.id, None) is not None:
            own = self._of_caller[session.caller]
            own.discard(session)
            if not own:
                del self._of_caller[session.caller]
        session.end()

    def close(self) -> None:
        """Forget all."""
        for session in list(self._all.values()):
            self.remove(session)

    def _expire(self) -> None:
        oldest = self._now() - IDLE
        for session in list(self._all.values()):
            if session.used > oldest:
                return
            if session.busy:
                self._all[session.id] = self._all.pop(session.id)
                session.used = self._now()
            else:
                self.remove(session)

    def _make_room(self, among: set[ClientSession], *, of_caller: bool) -> None:
        idle = [session for session in among if not session.busy]
        if not idle:
            raise TooManySessions(of_caller)
        self.remove(min(idle, key=lambda session: session.used))
