"""Provider tokens: what their holder may do in one workspace of a relay. Signed, expiring, revoked at once.

A token is a JWT (RFC 7519, HS256) of the audience ``portico:provider``. What it opens is what the store says of its id,
so that one which is not there opens nothing: `portico.relay.people.grants`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

import jwt

from portico.bounded import BoundedCache
from portico.errors import InvalidOption
from portico.hub.finish_anyway import finish
from portico.hub.keys import ISSUER, PROVIDER, InvalidKey
from portico.relay.database import CHANGES
from portico.relay.people.grants import (
    DEFAULT_SCOPES,
    EVERY_SCOPE,
    Grant,
    covers,
    read_scopes,
    row_of,
    under_their_makers,
)
from portico.relay.store import RelayStore

__all__ = ["DEFAULT_SCOPES", "EVERY_SCOPE", "MAX_DEPTH", "Grant", "TokenRing", "UnknownToken", "covers", "read_scopes"]

logger = logging.getLogger(__name__)

MAX_DEPTH = 16
"""How many tokens may stand between one and the one that a person made: each program gives its helpers what they need,
and a chain that is longer than any of those is somebody's mistake, or an attack."""

_ALGORITHM = "HS256"
_CACHE_SIZE = 4096
_CACHE_BYTES = 4 << 20
"""Of tokens that were checked; usual ones fill half of it."""
# What PyJWT raises for hostile text: its JSON may be nested so deep that reading it fails.
_NO_TOKEN = (jwt.PyJWTError, ValueError, RecursionError)


class UnknownToken(InvalidKey):
    """Signed by this relay, of an id that is not known here: revoked, or made by another process just now."""


class TokenRing:
    """Makes, checks, lists and revokes. Checking reads memory alone."""

    def __init__(self, store: RelayStore, secret: bytes | None = None) -> None:
        """*secret* is the store's own, but for tests. Reads the store, so it blocks."""
        self._store = store
        self._secret = store.secret() if secret is None else secret
        self._version = store.version()
        self._seen = self._version & CHANGES
        """Of `RelayStore.changes`: how many of them were read."""
        self._grants = under_their_makers(store.tokens())
        self._verified: BoundedCache[str, str] = BoundedCache(_CACHE_SIZE, _CACHE_BYTES)
        """Tokens whose signature was checked: their id."""
        self._listeners: list[Callable[[Sequence[Grant]], None]] = []
        self._readers: list[Callable[[], Awaitable[None]]] = []
        self._writing = asyncio.Lock()
        """So that what is read of the store is never older than what is here."""
        self._minting: Counter[str] = Counter()
        """Tokens that are being written, by their user: they count (`held_by`)."""

    def listen(self, listener: Callable[[Grant], None]) -> Callable[[], None]:
        """Call *listener* with each token that is revoked, here or elsewhere; returns how to stop."""

        def each(grants: Sequence[Grant]) -> None:
            for grant in grants:
                listener(grant)

        return self.listen_to_many(each)

    def listen_to_many(self, listener: Callable[[Sequence[Grant]], None]) -> Callable[[], None]:
        """As `listen`, once for all that are revoked together."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def read_along(self, reader: Callable[[], Awaitable[None]]) -> Callable[[], None]:
        """Await *reader* whenever the store was written past this ring; returns how to stop.

        If it fails it is awaited again at the next `synchronize`.
        """
        self._readers.append(reader)
        return lambda: self._readers.remove(reader)

    async def mint(
        self,
        *,
        user_id: str,
        workspace: str,
        scopes: str | Iterable[str],
        lifetime: float,
        label: str = "",
        parent: str = "",
        user_uid: str | None = None,
        workspace_uid: str | None = None,
    ) -> tuple[str, Grant]:
        """Make a token that lasts *lifetime* seconds; returns it and what is kept of it.

        It ends, and is revoked, with the token whose id *parent* is, by which it was made. *user_uid* and
        *workspace_uid* are of those that were looked at before, as others of their names may have come since. Raises
        `InvalidOption`, `InvalidKey` (what it would follow from has ended) or `StoreFailed`.
        """
        now = time.time()
        grant = Grant(
            token_id=secrets.token_hex(16),
            user_id=user_id,
            workspace=workspace,
            scopes=read_scopes(scopes),
            created=now,
            expires=now + lifetime,
            label=label,
            parent=parent,
        )
        self._minting[user_id] += 1
        try:
            return await finish(self._mint(grant, user_uid, workspace_uid))
        finally:
            self._minting[user_id] -= 1
            if not self._minting[user_id]:
                del self._minting[user_id]

    async def _mint(self, grant: Grant, user_uid: str | None, workspace_uid: str | None) -> tuple[str, Grant]:
        async with self._writing:
            if grant.parent:
                made_by = self._grants.get(grant.parent)
                if made_by is None or made_by.revoked or made_by.expires <= grant.created:
                    raise InvalidKey("the token that was to make this one has ended")
                if made_by.depth >= MAX_DEPTH:
                    raise InvalidOption(
                        f"a token is made by a token, that by another, and so on, at most {MAX_DEPTH} times: "
                        "make it with one further up, or sign in for a new one"
                    )
                grant = replace(grant, depth=made_by.depth + 1, expires=min(grant.expires, made_by.expires))
            claims = {
                "iss": ISSUER,  # first: portico.hub.keys.MARK
                "aud": PROVIDER,
                "jti": grant.token_id,
                "sub": grant.user_id,
                "ws": grant.workspace,
                "scope": " ".join(grant.scopes),
                "iat": int(grant.created),
                "exp": grant.expires,
            }
            token = jwt.encode(claims, self._secret, algorithm=_ALGORITHM)
            uids = {"user_uid": user_uid, "workspace_uid": workspace_uid}
            if not await asyncio.to_thread(self._store.mint_token, row_of(grant), **uids):
                raise InvalidKey("what this token was to follow from has ended: its user, workspace, or maker")
            self._grants[grant.token_id] = grant
        return token, grant

    def verify(self, token: str) -> Grant:
        """Return what *token* opens. Raises `InvalidKey`."""
        token_id = self._verified.get(token)
        if token_id is None:
            token_id = self._check(token)
        grant = self._grants.get(token_id)
        if grant is None:
            self._verified.pop(token, None)
            raise UnknownToken("this token was revoked")
        if grant.revoked:
            raise InvalidKey("this token was revoked")
        if time.time() >= grant.expires:
            self._verified.pop(token, None)
            raise InvalidKey("this token has expired")
        return grant

    async def authenticate(self, token: str) -> Grant:
        """As `verify`; and one that another process made a moment ago is looked for."""
        if self._store.changes != self._seen:  # `is_behind`, without a call
            await self.synchronize()
        try:
            return self.verify(token)
        except UnknownToken:
            await self.synchronize()
            return self.verify(token)

    def _check(self, token: str) -> str:
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=PROVIDER,
                issuer=ISSUER,
                options={"require": ["exp", "jti", "aud", "iss", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise InvalidKey("this token has expired") from None
        except _NO_TOKEN:
            raise InvalidKey("this is no provider's token of this relay") from None
        return self._verified.keep(token, str(claims["jti"]), len(token))

    def held_by(self, user_id: str) -> int:
        """How many tokens of a user have not expired."""
        now = time.time()
        held = sum(1 for grant in self._grants.values() if grant.user_id == user_id and grant.expires > now)
        return held + self._minting[user_id]

    def get(self, token_id: str) -> Grant | None:
        return self._grants.get(token_id)

    def list(self, workspace: str | None = None, user_id: str | None = None) -> list[Grant]:
        """Every token that has not expired, of a workspace and a user if they are given, the newest first."""
        now = time.time()
        grants = [
            grant
            for grant in self._grants.values()
            if grant.expires > now and workspace in (None, grant.workspace) and user_id in (None, grant.user_id)
        ]
        return sorted(grants, key=lambda grant: -grant.created)

    async def revoke(self, token_id: str) -> Grant | None:
        """Make a token invalid at once, with the tokens and the keys that it made. None if there is no such token.

        The store comes first: what this returns from holds after a crash too. Raises `StoreFailed`, and then nothing
        is revoked.
        """
        return await finish(self._revoke(token_id))

    async def _revoke(self, token_id: str) -> Grant | None:
        async with self._writing:
            if token_id not in self._grants:
                await self._read()
            if token_id not in self._grants:
                return None
            made = await asyncio.to_thread(self._store.revoke_token, token_id)
            ids = {token_id, *made, *(grant.token_id for grant in self.made_by(token_id))}
            self._end(self._grants[token_id] for token_id in ids if token_id in self._grants)
            return self._grants[token_id]

    def made_by(self, token_id: str) -> Sequence[Grant]:
        """The tokens that were made by one, by those, and so on."""
        children: dict[str, list[Grant]] = {}
        for grant in self._grants.values():
            if grant.parent:
                children.setdefault(grant.parent, []).append(grant)
        found: dict[str, Grant] = {}
        waiting = deque([token_id])
        while waiting:
            for grant in children.get(waiting.popleft(), ()):
                if grant.token_id not in found and grant.token_id != token_id:
                    found[grant.token_id] = grant
                    waiting.append(grant.token_id)
        return list(found.values())

    def _end(self, grants: Iterable[Grant]) -> None:
        """The store has them revoked: so they are here, all before anyone hears of it."""
        ended = [replace(grant, revoked=True) for grant in grants if not grant.revoked]
        self._grants.update((grant.token_id, grant) for grant in ended)
        for listener in tuple(self._listeners) if ended else ():
            try:
                listener(ended)
            except Exception:  # the others must hear of it all the same
                logger.exception("a listener failed on tokens that were revoked")

    @property
    def is_behind(self) -> bool:
        """Whether this process has written past this ring since it last read the store."""
        return self._store.changes != self._seen

    async def remove_workspace(self, workspace: str) -> None:
        """Remove a workspace from the store: its tokens open nothing any more, and are not kept in memory."""
        await finish(self._remove_workspace(workspace))

    async def _remove_workspace(self, workspace: str) -> None:
        async with self._writing:
            await asyncio.to_thread(lambda: self._store.remove_workspace(workspace, told=True))
            self._end(grant for grant in list(self._grants.values()) if grant.workspace == workspace)
            for token_id in [grant.token_id for grant in self._grants.values() if grant.workspace == workspace]:
                del self._grants[token_id]

    async def synchronize(self) -> None:
        """Take in what another process (the command line) wrote to the same file. Every few seconds."""
        async with self._writing:
            await self._read()
        now = time.time()
        for token_id in [grant.token_id for grant in self._grants.values() if grant.expires <= now]:
            del self._grants[token_id]

    async def _read(self) -> None:
        """Whoever calls holds the lock. The version comes last: what fails on the way is tried again."""
        version = await asyncio.to_thread(self._store.version)
        if version == self._version:
            return
        self._merge(under_their_makers(await asyncio.to_thread(self._store.tokens)))
        for reader in tuple(self._readers):
            await reader()
        self._version, self._seen = version, version & CHANGES

    def _merge(self, stored: dict[str, Grant]) -> None:
        """What the store does not hold any more, or holds as revoked, ends."""
        gone = [mine for token_id, mine in self._grants.items() if token_id not in stored or stored[token_id].revoked]
        self._grants.update((token_id, theirs) for token_id, theirs in stored.items() if not theirs.revoked)
        self._grants.update((token_id, theirs) for token_id, theirs in stored.items() if token_id not in self._grants)
        self._end(gone)

    async def reread(self) -> None:
        """Take in what this process wrote past the ring (a user removed or disabled)."""
        self._version = -1
        await self.synchronize()
