"""Keys: a visitor's credential, scoped to some services, expiring, revocable. And tokens: a kernel's, to publish.

Both are signed (JWT, RFC 7519, HS256) with the hub's secret, told apart by their audience. What a JWT cannot say, that
it was revoked and when it was last used, is kept by a `KeyStore`. Verifying reads memory alone.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import jwt

from portico.bounded import BoundedCache
from portico.errors import LocalError
from portico.hub.finish_anyway import finish

ISSUER = "portico"
VISITOR = "portico:visitor"
PROVIDER = "portico:provider"
_ALGORITHM = "HS256"
_CACHE_SIZE = 4096
_CACHE_BYTES = 4 << 20
"""Of tokens that were checked; usual ones fill half of it."""

MARK = b"." + base64.urlsafe_b64encode(b'{"iss":"portico","')
"""What every key and token of a hub holds: the beginning of its claims, which are always in this order."""


_NO_TOKEN = (jwt.PyJWTError, ValueError, RecursionError)
"""What PyJWT raises for hostile text: its JSON may be nested so deep that reading it fails."""


class InvalidKey(LocalError):
    """Not a key of this hub, or expired, or revoked: ``str()`` says which."""

    status = 401


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What is known of a key. Times in seconds since 1970; the key itself is not kept."""

    id: str
    services: tuple[str, ...]
    label: str
    created: float
    expires: float
    created_by: str
    revoked: bool = False
    last_used: float | None = None
    made_with: str = ""
    """The id of a relay's token by which it was made; it is revoked with that."""

    def public(self) -> dict[str, Any]:
        """As the control API shows it."""
        return {
            "id": self.id,
            "services": list(self.services),
            "label": self.label,
            "created": self.created,
            "expires": self.expires,
            "created_by": self.created_by,
            "revoked": self.revoked,
            "last_used": self.last_used,
        }


class KeyStore(Protocol):
    """Where keys outlive the process. Calls may block: the key ring makes them off the event loop."""

    def secret(self) -> bytes:
        """The hub's signing secret, made at the first call."""

    def load(self) -> list[Key]: ...

    def save(self, key: Key) -> None: ...

    def touch(self, used: dict[str, float]) -> None:
        """Note when keys were last used: id to seconds since 1970."""

    def version(self) -> int:
        """Changes when another process has written."""


class MemoryKeyStore:
    """Forgets with the process."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def secret(self) -> bytes:
        return self._secret

    def load(self) -> list[Key]:
        return []

    def save(self, key: Key) -> None:
        pass

    def touch(self, used: dict[str, float]) -> None:
        pass

    def version(self) -> int:
        return 0


def key_of(row: Sequence[Any], made_with: str = "") -> Key:
    """The key in a *row* of a store: id, services, label, created, expires, created_by, revoked, last_used."""
    return Key(
        id=row[0],
        services=tuple(json.loads(row[1])),
        label=row[2],
        created=row[3],
        expires=row[4],
        created_by=row[5],
        revoked=bool(row[6]),
        last_used=row[7],
        made_with=made_with,
    )


class SQLiteKeyStore:
    """A file, readable by its owner alone, that several servers of one user may share."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        if os.name == "posix":
            path.chmod(0o600)  # it may have come from elsewhere
        self._database = sqlite3.connect(path, timeout=5.0, check_same_thread=False, isolation_level=None)
        self._database.execute("CREATE TABLE IF NOT EXISTS hub (name TEXT PRIMARY KEY, value BLOB NOT NULL)")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS keys (id TEXT PRIMARY KEY, services TEXT NOT NULL, label TEXT NOT NULL, "
            "created REAL NOT NULL, expires REAL NOT NULL, created_by TEXT NOT NULL, revoked INTEGER NOT NULL, "
            "last_used REAL)"
        )

    def secret(self) -> bytes:
        with self._lock:
            self._database.execute("INSERT OR IGNORE INTO hub VALUES ('secret', ?)", (secrets.token_bytes(32),))
            row = self._database.execute("SELECT value FROM hub WHERE name = 'secret'").fetchone()
        return bytes(row[0])

    def load(self) -> list[Key]:
        with self._lock:
            # What expired a month ago is of no use to anyone who lists keys.
            self._database.execute("DELETE FROM keys WHERE expires < ?", (time.time() - 30 * 86400,))
            rows = self._database.execute(
                "SELECT id, services, label, created, expires, created_by, revoked, last_used FROM keys"
            ).fetchall()
        return [key_of(row) for row in rows]

    def save(self, key: Key) -> None:
        with self._lock:
            self._database.execute(
                "INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    key.id,
                    json.dumps(key.services),
                    key.label,
                    key.created,
                    key.expires,
                    key.created_by,
                    int(key.revoked),
                    key.last_used,
                ),
            )

    def touch(self, used: dict[str, float]) -> None:
        with self._lock:
            self._database.executemany(
                "UPDATE keys SET last_used = ? WHERE id = ?", [(when, id) for id, when in used.items()]
            )

    def version(self) -> int:
        with self._lock:
            return int(self._database.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        with self._lock:
            self._database.close()


@dataclass(frozen=True, slots=True)
class ProviderToken:
    """What a kernel's credential says."""

    kernel_id: str


class KeyRing:
    """Makes, checks, lists and revokes."""

    def __init__(self, store: KeyStore, workspace: str = "") -> None:
        """*workspace* is the tenant of a relay whose keys these are: another's open nothing here."""
        self._store = store
        self._audience = f"{VISITOR}:{workspace}" if workspace else VISITOR
        self._secret = store.secret()
        self._version = store.version()  # before what is read: what is written meanwhile is seen as a change
        self._keys = {key.id: key for key in store.load()}
        self._verified: BoundedCache[str, tuple[str, float]] = BoundedCache(_CACHE_SIZE, _CACHE_BYTES)
        """Tokens whose signature was checked: the key's id and its expiry."""
        self._used: dict[str, float] = {}
        self._writing = asyncio.Lock()
        """So that what is read of the store is never older than what is here."""

    # --- visitors' keys -----------------------------------------------------------------------------------------

    async def mint(
        self, services: Iterable[str], lifetime: float, *, label: str = "", created_by: str = "", made_with: str = ""
    ) -> tuple[str, Key]:
        """Make a key for *services* that lasts *lifetime* seconds; returns it and what is kept of it."""
        now = time.time()
        key = Key(
            id=secrets.token_hex(8),
            services=tuple(services),
            label=label,
            created=now,
            expires=now + lifetime,
            created_by=created_by,
            made_with=made_with,
        )
        token = jwt.encode(
            {
                "iss": ISSUER,
                "aud": self._audience,
                "jti": key.id,
                "svc": list(key.services),
                "iat": int(now),
                "exp": key.expires,
            },
            self._secret,
            algorithm=_ALGORITHM,
        )
        self._keys[key.id] = key  # so that it counts (`held_by`) while it is being written
        try:
            await finish(self._save(key))
        except BaseException:
            self._keys.pop(key.id, None)
            raise
        return token, key

    async def _save(self, key: Key) -> None:
        """The store first: what is said to be so is so after a crash too."""
        async with self._writing:
            await asyncio.to_thread(self._store.save, key)
            self._keys[key.id] = key

    def verify(self, token: str) -> Key:
        """Return the key that *token* is. Raises `InvalidKey`."""
        now = time.time()
        known = self._verified.get(token)
        if known is None:
            known = self._check(token)
        key_id, expires = known
        if now >= expires:
            self._verified.pop(token, None)
            raise InvalidKey("this key has expired")
        key = self._keys.get(key_id)
        if key is None or key.revoked:
            raise InvalidKey("this key was revoked")
        self._used[key_id] = now
        return key

    def _check(self, token: str) -> tuple[str, float]:
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=self._audience,
                issuer=ISSUER,
                options={"require": ["exp", "jti", "aud", "iss"]},
            )
        except jwt.ExpiredSignatureError:
            raise InvalidKey("this key has expired") from None
        except _NO_TOKEN:
            raise InvalidKey("this is no key of this server") from None
        return self._verified.keep(token, (str(claims["jti"]), float(claims["exp"])), len(token))

    def list(self) -> list[Key]:
        """Every key that has not expired, the newest first."""
        now = time.time()
        keys = [
            replace(key, last_used=self._used.get(key.id, key.last_used))
            for key in self._keys.values()
            if key.expires > now
        ]
        return sorted(keys, key=lambda key: -key.created)

    async def revoke(self, key_id: str) -> Key | None:
        """Make a key invalid at once, once the store has it. None if there is no such key."""
        key = self._keys.get(key_id)
        if key is None:
            return None
        revoked = replace(key, revoked=True, last_used=self._used.get(key_id, key.last_used))
        await finish(self._save(revoked))
        return revoked

    def end_made_with(self, token_ids: Collection[str]) -> None:
        """The store has the keys revoked that were made by these tokens: so they are here."""
        for key in [key for key in self._keys.values() if key.made_with in token_ids and not key.revoked]:
            self._keys[key.id] = replace(key, revoked=True)

    async def synchronize(self) -> None:
        """Take in what another server of this user has changed, and write when keys were used. Every few seconds."""
        async with self._writing:
            version = await asyncio.to_thread(self._store.version)
            if version != self._version:
                self._merge(await asyncio.to_thread(self._store.load))
                self._version = version  # last: what fails on the way is tried again
        now = time.time()
        for key_id in [key.id for key in self._keys.values() if key.expires <= now]:
            del self._keys[key_id]
        used, self._used = dict(self._used), {}
        if used:
            for key_id, when in used.items():
                if key_id in self._keys:
                    self._keys[key_id] = replace(self._keys[key_id], last_used=when)
            try:
                await asyncio.to_thread(self._store.touch, used)
            except BaseException:
                self._used = used | self._used  # for the next time
                raise

    def _merge(self, stored: Iterable[Key]) -> None:
        """Take in what the store holds. What it does not hold any more opens nothing."""
        before, self._keys = self._keys, {key.id: key for key in stored}
        for key in before.values():
            if key.id not in self._keys or (key.revoked and not self._keys[key.id].revoked):
                self._keys[key.id] = replace(key, revoked=True)

    def held_by(self, created_by: str) -> int:
        """How many keys of one maker have not expired."""
        now = time.time()
        return sum(1 for key in self._keys.values() if key.created_by == created_by and key.expires > now)

    # --- kernels' tokens ----------------------------------------------------------------------------------------

    def mint_provider(self, kernel_id: str) -> str:
        """Make the credential of one kernel: it may publish, mint keys for what it publishes, and nothing else."""
        claims = {"iss": ISSUER, "aud": PROVIDER, "sub": kernel_id, "iat": int(time.time())}
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    def verify_provider(self, token: str) -> ProviderToken:
        """Return what *token* says. Raises `InvalidKey`. Whether its kernel lives is the caller's question."""
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=PROVIDER,
                issuer=ISSUER,
                options={"require": ["sub"]},
            )
        except _NO_TOKEN:
            raise InvalidKey("this is no provider's token of this server") from None
        return ProviderToken(str(claims["sub"]))


def is_ours(token: bytes) -> bool:
    """Whether *token* is a key or a token that a hub made, valid or not. Such never reach an app."""
    return MARK in token
