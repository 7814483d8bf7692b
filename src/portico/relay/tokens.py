"""Provider tokens: what whoever holds one may do in one workspace of a relay. Signed, expiring, revoked at once.

A token is a JWT (RFC 7519, HS256) of the audience ``portico:provider``. What it opens is what the store says of its id,
so that one which is not there opens nothing. Scopes:

========================  ======================================================================================
``publish:<pattern>``     publish services whose name fits (``cat``, ``cat*``, ``*``), and make keys for those
``consume:<name or *>``   told to apps; opens no service by itself: visitors use keys
``keys``                  make visitors' keys for any service of the workspace, and those to come
``manage``                see and stop everything in the workspace, list and revoke its keys and tokens
``admin``                 all that, and the relay itself
========================  ======================================================================================
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import jwt

from portico.bounded import BoundedCache
from portico.errors import InvalidOption
from portico.hub.keys import ISSUER, PROVIDER, InvalidKey
from portico.hub.registry import Principal
from portico.relay.store import RelayStore, TokenRow

DEFAULT_SCOPES = ("publish:*", "keys", "consume:*")
"""Of a program that asks for none."""

EVERY_SCOPE = ("publish:*", "consume:*", "keys", "manage", "admin")

_ALGORITHM = "HS256"
_CACHE_SIZE = 4096
_CACHE_BYTES = 4 << 20
"""Of tokens that were checked; usual ones fill half of it."""
_MAX_SCOPES = 50
_SCOPE = re.compile(r"(publish|consume):([a-z0-9*?-]{1,64})|keys|manage|admin", re.ASCII)
# What PyJWT raises for hostile text: its JSON may be nested so deep that reading it fails.
_NO_TOKEN = (jwt.PyJWTError, ValueError, RecursionError)


def read_scopes(value: str | Iterable[str]) -> tuple[str, ...]:
    """The scopes in *value*, a list or a text with spaces between (RFC 6749 §3.3). Raises `InvalidOption`."""
    given = value.split() if isinstance(value, str) else list(value)
    for scope in given:
        if not isinstance(scope, str) or not _SCOPE.fullmatch(scope):
            shown = repr(scope)[:80]
            raise InvalidOption(
                f"{shown} is no scope; there are publish:<name or pattern>, consume:<name or *>, keys, manage"
            )
    scopes = tuple(dict.fromkeys(given))
    if not scopes or len(scopes) > _MAX_SCOPES:
        raise InvalidOption(f"a token has from one to {_MAX_SCOPES} scopes")
    return scopes


def covers(held: Iterable[str], wanted: str) -> bool:
    """Whether who has the scopes *held* may give *wanted* away. Where it cannot be told of two patterns, no."""
    for scope in held:
        if scope in (wanted, "admin"):
            return True
        kind, colon, pattern = scope.partition(":")
        wanted_kind, _, name = wanted.partition(":")
        if not colon or kind != wanted_kind:
            continue
        literal = "*" not in name and "?" not in name
        stem = pattern[:-1]
        is_prefix = pattern.endswith("*") and "*" not in stem and "?" not in stem
        if (literal and fnmatchcase(name, pattern)) or (is_prefix and name.startswith(stem)):
            return True
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What is known of a token. Times in seconds since 1970; the token itself is not kept."""

    token_id: str
    user_id: str
    workspace: str
    scopes: tuple[str, ...]
    expires: float
    label: str = ""
    created: float = 0.0
    revoked: bool = False
    parent: str = ""
    """The id of the token by which this one was made."""

    def has(self, scope: str) -> bool:
        """Whether *scope* follows from what it has (``admin`` holds all)."""
        return covers(self.scopes, scope)

    @property
    def publishes(self) -> tuple[str, ...]:
        """Patterns of the names that it may publish."""
        if "admin" in self.scopes:
            return ("*",)
        return tuple(scope.removeprefix("publish:") for scope in self.scopes if scope.startswith("publish:"))

    def may_publish(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.publishes)

    def principal(self) -> Principal:
        """Who speaks, for the hub. Two tokens of one user are one principal: each may take up what the other served."""
        return Principal(
            id=f"user:{self.user_id}",
            token_id=self.token_id,
            publishes=self.publishes,
            manages=self.has("manage"),
            mints=self.has("keys") or bool(self.publishes),
        )

    def public(self) -> dict[str, Any]:
        """As the control API shows it."""
        return {
            "id": self.token_id,
            "user": self.user_id,
            "workspace": self.workspace,
            "scopes": list(self.scopes),
            "label": self.label,
            "created": self.created,
            "expires": self.expires,
            "revoked": self.revoked,
        }


class UnknownToken(InvalidKey):
    """Signed by this relay, of an id that is not known here: revoked, or made by another process just now."""


class TokenRing:
    """Makes, checks, lists and revokes. Checking reads memory alone."""

    def __init__(self, store: RelayStore, secret: bytes | None = None) -> None:
        """*secret* is the store's own, but for tests. Reads the store, so it blocks."""
        self._store = store
        self._secret = store.secret() if secret is None else secret
        self._version = store.version()
        self._grants = {row.id: _grant(row) for row in store.tokens()}
        self._verified: BoundedCache[str, str] = BoundedCache(_CACHE_SIZE, _CACHE_BYTES)
        """Tokens whose signature was checked: their id."""
        self._listeners: list[Callable[[Grant], None]] = []
        self._minting: Counter[str] = Counter()
        """Tokens that are being written, by their user: they count (`held_by`)."""

    def listen(self, listener: Callable[[Grant], None]) -> Callable[[], None]:
        """Call *listener* with each token that is revoked, here or elsewhere; returns how to stop."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def mint(
        self,
        *,
        user_id: str,
        workspace: str,
        scopes: str | Iterable[str],
        lifetime: float,
        label: str = "",
        parent: str = "",
    ) -> tuple[str, Grant]:
        """Make a token that lasts *lifetime* seconds; returns it and what is kept of it. Raises `InvalidOption`.

        It ends, and is revoked, with the token whose id *parent* is, by which it was made.
        """
        now = time.time()
        made_by = self._grants.get(parent)
        grant = Grant(
            token_id=secrets.token_hex(16),
            user_id=user_id,
            workspace=workspace,
            scopes=read_scopes(scopes),
            created=now,
            expires=now + lifetime if made_by is None else min(now + lifetime, made_by.expires),
            label=label,
            parent=parent,
        )
        claims = {
            "iss": ISSUER,  # first: portico.hub.keys.MARK
            "aud": PROVIDER,
            "jti": grant.token_id,
            "sub": user_id,
            "ws": workspace,
            "scope": " ".join(grant.scopes),
            "iat": int(now),
            "exp": grant.expires,
        }
        token = jwt.encode(claims, self._secret, algorithm=_ALGORITHM)
        self._minting[user_id] += 1
        try:
            await asyncio.to_thread(self._store.add_token, _row(grant))
        finally:
            self._minting[user_id] -= 1
            if not self._minting[user_id]:
                del self._minting[user_id]
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
        """Make a token invalid at once, and those that were made by it. None if there is no such token."""
        grant = self._grants.get(token_id)
        if grant is None:
            return None
        revoked = self._revoked(grant)
        await asyncio.to_thread(self._store.revoke_token, token_id)
        return revoked

    def made_by(self, token_id: str) -> Sequence[Grant]:
        """The tokens that were made by one, by those, and so on."""
        made = [grant for grant in self._grants.values() if grant.parent == token_id]
        return [*made, *(further for grant in made for further in self.made_by(grant.token_id))]

    def _revoked(self, grant: Grant) -> Grant:
        revoked = self._grants[grant.token_id] = replace(grant, revoked=True)
        if not grant.revoked:
            for listener in tuple(self._listeners):
                listener(revoked)
            for child in [other for other in self._grants.values() if other.parent == grant.token_id]:
                self._revoked(child)
        return revoked

    def forget_workspace(self, workspace: str) -> None:
        """A workspace is being removed: its tokens open nothing any more, and are not kept in memory."""
        for grant in [grant for grant in self._grants.values() if grant.workspace == workspace]:
            self._revoked(grant)
        for token_id in [grant.token_id for grant in self._grants.values() if grant.workspace == workspace]:
            del self._grants[token_id]

    async def synchronize(self) -> None:
        """Take in what another process (the command line) wrote to the same file. Every few seconds."""
        version = await asyncio.to_thread(self._store.version)
        if version != self._version:
            before = set(self._grants)
            rows = {row.id: _grant(row) for row in await asyncio.to_thread(self._store.tokens)}
            self._version = version
            self._merge(rows, before)
        now = time.time()
        for token_id in [grant.token_id for grant in self._grants.values() if grant.expires <= now]:
            del self._grants[token_id]

    def _merge(self, stored: dict[str, Grant], before: set[str]) -> None:
        """Take in what the store held a moment ago: what was minted (not in *before*) or revoked here is newer."""
        for token_id, mine in list(self._grants.items()):
            theirs = stored.pop(token_id, None)
            if (theirs is None and token_id in before) or (theirs is not None and theirs.revoked):
                self._revoked(mine)
        self._grants.update(stored)

    async def reread(self) -> None:
        """Take in what this process wrote past the ring (a user removed or disabled)."""
        self._version = -1
        await self.synchronize()


def _grant(row: TokenRow) -> Grant:
    return Grant(
        token_id=row.id,
        user_id=row.user,
        workspace=row.workspace,
        scopes=row.scopes,
        expires=row.expires,
        label=row.label,
        created=row.created,
        revoked=row.revoked,
        parent=row.parent,
    )


def _row(grant: Grant) -> TokenRow:
    return TokenRow(
        id=grant.token_id,
        user=grant.user_id,
        workspace=grant.workspace,
        scopes=grant.scopes,
        label=grant.label,
        created=grant.created,
        expires=grant.expires,
        revoked=grant.revoked,
        parent=grant.parent,
    )
