"""Local accounts of a relay: users with passwords (argon2id, RFC 9106), their workspaces, and who is signed in.

A visitor who gives a wrong name or a wrong password learns neither which of the two it was nor, from the time it took,
whether there is such a user; and may ask so many times only. A sign-in is a random id in a cookie; the store knows its
SHA-256 alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from portico.bounded import BoundedCache
from portico.errors import InvalidName, InvalidOption
from portico.hub.answers import Answer
from portico.hub.fair_use import Shares
from portico.hub.finish_anyway import finish
from portico.networks import network_of
from portico.relay.config import ANONYMOUS, workspace_name
from portico.relay.rows import SessionRow, UserRow, WorkspaceRow
from portico.relay.store import RelayStore

MIN_PASSWORD = 8
"""Characters (NIST SP 800-63B §5.1.1.1)."""

MAX_PASSWORD = 1000
_MAX_EMAIL = 254  # RFC 5321 §4.5.3.1.3

_NOBODYS = "$argon2id$v=19$m=65536,t=3,p=4$cG9ydGljby1yZWxheS0xMg$T3Bh2wJWQy3VfXr6q9mDkq5Xj0cB1nH8sKzLxA7uYdE"
"""What the password of a user who is not there is compared with; as dear as any other."""

T = TypeVar("T")

_AT_ONCE = 2  # hashes of 64 MiB each
_WAITING = 64  # for a hash; more, and the relay is being flooded
_WAITING_OF_ADDRESS = 8
_KNOWN = 10_000  # users at networks that are known to be theirs
_SESSIONS_OF_ONE = 100

_USER_ATTEMPTS = 10
_ADDRESS_ATTEMPTS = 30
_WINDOW = 300.0  # seconds


@dataclass(frozen=True, slots=True)
class Account:
    """A user. ``id`` is the name, and that of their own workspace."""

    id: str
    email: str = ""
    admin: bool = False
    disabled: bool = False
    uid: str = field(default="", compare=False)
    """Tells them from another user of that name, who was removed or comes later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """Who is signed in, and by which session."""

    account: Account
    digest: str
    """Of the cookie's value: tells sessions apart, and opens nothing."""
    expires: float
    """Seconds since 1970."""


class Attempts:
    """Counts what each may do only so often in a window of time. Bounded: whoever was quiet longest is forgotten."""

    def __init__(
        self, limit: int, window: float, *, most: int = 10_000, now: Callable[[], float] = time.monotonic
    ) -> None:
        """*window* in seconds of *now*."""
        self._limit = limit
        self._window = window
        self._now = now
        self._made: BoundedCache[str, deque[float]] = BoundedCache(most, None, oldest_first=True)

    def take(self, who: str, what: str) -> None:
        """Count one more of *who*. Raises an `Answer` (429, with Retry-After) that begins with *what*, if too many."""
        now = self._now()
        made = self._made.keep(who, self._made.get(who) or deque())
        while made and made[0] <= now - self._window:
            made.popleft()
        if len(made) >= self._limit:
            wait = max(1, int(made[0] + self._window - now) + 1)
            raise Answer(429, "too_many_attempts", f"{what} Try again in {_minutes(wait)}.", retry_after=wait)
        made.append(now)

    def give_back(self, who: str) -> None:
        """The last one was right."""
        if made := self._made.get(who):
            made.pop()

    def forget(self, who: str) -> None:
        self._made.forget(who)


def _minutes(seconds: int) -> str:
    minutes = -(-seconds // 60)
    return "a minute" if minutes == 1 else f"{minutes} minutes"


class Accounts:
    """Users, workspaces and sign-ins, in memory as the store has them. Asking blocks nobody; changing writes."""

    def __init__(
        self,
        store: RelayStore,
        *,
        session_lifetime: float = 7 * 86400.0,
        now: Callable[[], float] = time.time,
        hasher: PasswordHasher | None = None,
    ) -> None:
        """*session_lifetime* in seconds of *now*, which counts from 1970. Reads the store, so it blocks."""
        self._store = store
        self._lifetime = session_lifetime
        self._now = now
        self._hasher = hasher or PasswordHasher()
        self._hashing = asyncio.Semaphore(_AT_ONCE)
        self._waiting = Shares(_WAITING_OF_ADDRESS, _WAITING)
        self._of_user = Attempts(_USER_ATTEMPTS, _WINDOW)
        self._of_address = Attempts(_ADDRESS_ATTEMPTS, _WINDOW)
        self._of_user_at_home = Attempts(_USER_ATTEMPTS, _WINDOW)
        self._homes: BoundedCache[tuple[str, str], None] = BoundedCache(_KNOWN, None, oldest_first=True)
        """Users and the networks from which they signed in since the start: strangers who try out passwords under a
        name keep its owner out nowhere but in new places."""
        self._writing = asyncio.Lock()
        """So that what is read of the store is never older than what is here."""
        self._version = store.version()
        self._read(store.users(), store.workspaces(), store.sessions())

    def _read(self, users: list[UserRow], workspaces: list[WorkspaceRow], sessions: list[SessionRow]) -> None:
        self._users = {row.id: row for row in users}
        self._workspaces = {row.name: row for row in workspaces}
        self._sessions = {row.digest: row for row in sessions}

    async def synchronize(self) -> None:
        """Take in what another process (the command line) wrote to the same file. Every few seconds."""
        version = await asyncio.to_thread(self._store.version)
        if version != self._version:
            async with self._writing:
                await self._reread()
            self._version = version

    async def _reread(self) -> None:
        """Whoever calls holds the lock."""

        def read() -> tuple[list[UserRow], list[WorkspaceRow], list[SessionRow]]:
            return self._store.users(), self._store.workspaces(), self._store.sessions()

        self._read(*await asyncio.to_thread(read))

    # --- users --------------------------------------------------------------------------------------------------

    def get(self, name: str) -> Account | None:
        row = self._users.get(name)
        return None if row is None else _account(row)

    def list(self) -> list[Account]:
        return [_account(row) for row in sorted(self._users.values(), key=lambda row: row.id)]

    async def add(self, name: str, password: str = "", *, email: str = "", admin: bool = False) -> Account:
        """Add a user, and a workspace of the same name. Without a password they hold tokens, and cannot sign in.

        Raises `InvalidName` or `InvalidOption`.
        """
        workspace_name(name)
        if len(email) > _MAX_EMAIL or not (email.isprintable() and (not email or "@" in email)):
            raise InvalidOption(f"{email[:80]!r} is no address of e-mail")
        hashed = await self._hash(password) if password else ""
        row = UserRow(id=name, email=email, admin=admin, disabled=False, password=hashed, created=self._now())
        if not await self._write(self._store.add_user, row):
            raise InvalidName(f"There is a user or a workspace named {name!r} already.")
        return self.get(name) or _account(row)

    async def set_password(self, name: str, password: str) -> None:
        """Signs the user out everywhere. Raises `InvalidOption` or `InvalidName`."""
        await self._change(name, self._store.set_password, await self._hash(password))

    async def set_disabled(self, name: str, disabled: bool) -> None:
        """Who is disabled is signed out; their tokens are revoked (`TokenRing.reread`). Raises `InvalidName`."""
        await self._change(name, self._store.set_disabled, disabled)

    async def set_admin(self, name: str, admin: bool) -> None:
        """Raises `InvalidName`."""
        await self._change(name, self._store.set_admin, admin)

    async def remove(self, name: str) -> None:
        """With their workspaces, and all that is in them (`TokenRing.reread`). Raises `InvalidName`."""
        await self._change(name, self._store.remove_user)

    async def _change(self, name: str, change: Callable[..., bool], *values: object) -> None:
        if not await self._write(change, name, *values):
            raise InvalidName(f"There is no user named {name!r}.")

    async def _write(self, change: Callable[..., bool], *values: object) -> bool:
        """Change the store, then what is here. Where the second fails, it is done at the next `synchronize`."""

        async def write() -> bool:
            async with self._writing:
                version, self._version = self._version, -1
                changed = await asyncio.to_thread(change, *values)
                await self._reread()
                self._version = version
            return changed

        return await finish(write())

    # --- passwords ----------------------------------------------------------------------------------------------

    async def check_password(self, name: str, password: str, address: str = "") -> Account | None:
        """The user whose password that is, or None. Raises an `Answer` (429) after too many wrong ones.

        They are counted for the name and for the *address* that asks, whether there is such a user or not.
        """
        name, network = name[:100], network_of(address)
        self._of_address.take(network, "Too many attempts to sign in came from your network.")
        at_home = (name, network) in self._homes
        who = f"{name} at {network}" if at_home else name
        of_user = self._of_user_at_home if at_home else self._of_user
        of_user.take(who, "Too many attempts to sign in were made under this name.")
        asked = self._users.get(name)
        held = asked.password if asked is not None and asked.password else _NOBODYS
        right = await self._verify(held, password, network)
        row = self._users.get(name)
        if not right or asked is None or row is None or row.disabled or not row.password:
            return None
        if (row.uid, row.password) != (asked.uid, asked.password):
            return None  # the password is another by now, or the user is another of that name
        self._of_address.give_back(network)
        of_user.forget(who)
        self._homes.keep((name, network), None)
        if self._hasher.check_needs_rehash(row.password):
            hashed = await self._hash(password)
            await self._write(self._store.keep_hash, name, row.password, hashed)
        return _account(row)

    async def _verify(self, hashed: str, password: str, network: str) -> bool:
        def verify() -> bool:
            try:
                return self._hasher.verify(hashed, _prepared(password))
            except (VerificationError, InvalidHashError):
                return False

        return await self._in_turn(verify, network)

    async def _hash(self, password: str) -> str:
        if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
            raise InvalidOption(f"A password has from {MIN_PASSWORD} to {MAX_PASSWORD} characters.")
        return await self._in_turn(lambda: self._hasher.hash(_prepared(password)))

    async def _in_turn(self, work: Callable[[], T], network: str = "") -> T:
        """Two at a time, each in a thread: a hash takes 64 MiB, and most of a tenth of a second of a processor."""
        if self._waiting.full or not self._waiting.has_room(network):
            raise Answer(
                429,
                "too_many_attempts",
                "Too many people are signing in at once. Try again in a moment.",
                retry_after=5,
            )
        self._waiting.take(network)
        try:
            async with self._hashing:
                return await asyncio.to_thread(work)
        finally:
            self._waiting.give_back(network)

    # --- workspaces ---------------------------------------------------------------------------------------------

    def workspaces_of(self, account: Account) -> Sequence[str]:
        """Those that they may enter, their own first."""
        names = [row.name for row in self._workspaces.values() if self.may_enter(account, row.name)]
        return sorted(names, key=lambda name: (name != account.id, name))

    def may_enter(self, account: Account, workspace: str) -> bool:
        """Whether they see what is private in it, and may be given tokens for it: its owner and its members."""
        row = self._workspaces.get(workspace)
        if row is None or account.disabled or (row.expires is not None and row.expires <= self._now()):
            return False
        return account.id == row.owner or account.id in row.members

    def uid_of(self, workspace: str) -> str | None:
        """Tells a workspace from another one of that name, which is gone or comes later. None: there is none."""
        row = self._workspaces.get(workspace)
        return None if row is None else row.uid

    async def add_workspace(self, name: str, owner: str, members: Iterable[str] = ()) -> None:
        """A workspace that several share. Raises `InvalidName`."""
        everyone = list(dict.fromkeys(member for member in members if member != owner))
        for user in (owner, *everyone):
            if user not in self._users:
                raise InvalidName(f"There is no user named {user!r}.")
        row = WorkspaceRow(
            name=workspace_name(name), owner=owner, created=self._now(), expires=None, members=tuple(everyone)
        )
        if not await self._write(self._store.add_workspace, row):
            raise InvalidName(f"There is a workspace named {name!r} already.")

    # --- sign-ins -----------------------------------------------------------------------------------------------

    async def sign_in(self, account: Account) -> str:
        """Begin a session; returns the value of its cookie, 256 random bits.

        One that opens nothing, if the user was removed or disabled meanwhile.
        """
        value = secrets.token_urlsafe(32)
        now = self._now()
        async with self._writing:
            row = SessionRow(digest=_digest(value), user=account.id, created=now, expires=now + self._lifetime)
            if not await asyncio.to_thread(self._store.add_session, row, user_uid=account.uid or None):
                return value
            self._sessions[row.digest] = row
            theirs = [other for other in self._sessions.values() if other.user == account.id]
            if len(theirs) > _SESSIONS_OF_ONE:
                await self._end(min(theirs, key=lambda other: other.created).digest)
        return value

    def session(self, value: str) -> Account | None:
        """Who is signed in by the cookie *value*; None for nobody."""
        found = self.signed_in(value)
        return None if found is None else found.account

    def signed_in(self, value: str) -> SignIn | None:
        """As `session`, with the session itself."""
        row = self._sessions.get(_digest(value)) if value else None
        if row is None:
            return None
        user = self._users.get(row.user)
        if row.expires <= self._now() or user is None or user.disabled:
            return None
        return SignIn(account=_account(user), digest=row.digest, expires=row.expires)

    def is_live(self, digest: str) -> bool:
        """Whether the session of that digest has not ended."""
        row = self._sessions.get(digest)
        return row is not None and row.expires > self._now()

    async def sign_out(self, value: str) -> None:
        """End a session, and with it the visits to services that were begun by it (`is_live`)."""

        async def end() -> None:
            async with self._writing:
                await self._end(_digest(value))

        await finish(end())

    async def _end(self, digest: str) -> None:
        """Whoever calls holds the lock. The store first: who was told that they are signed out stays so."""
        await asyncio.to_thread(self._store.remove_session, digest)
        self._sessions.pop(digest, None)


def is_anonymous(workspace: str) -> bool:
    """Whether the workspace of that name was given to someone who showed no token."""
    return workspace.startswith(ANONYMOUS)


def _account(row: UserRow) -> Account:
    return Account(row.id, row.email, row.admin, row.disabled, row.uid)


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


def _prepared(password: str) -> str:
    """One text for what looks the same however it was typed (RFC 8265 §4.2), and never too long to hash."""
    return unicodedata.normalize("NFC", password[:MAX_PASSWORD]).encode("utf-8", "replace").decode()
