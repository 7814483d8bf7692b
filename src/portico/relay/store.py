"""What a relay remembers, in one SQLite file: users, workspaces, tokens, keys, sign-ins, names that are held.

Calls block: whoever is on an event loop makes them in a thread (``asyncio.to_thread``). Nothing is decided here. No
password, token, key or cookie is kept, only what checks them. Several processes may hold the file open at once;
`version` tells when another one has written.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portico.hub.keys import Key

_FORGET = 30 * 86400.0  # seconds after its expiry that a key or a token is of no use to anyone who lists them

_SCHEMA = """
CREATE TABLE IF NOT EXISTS relay (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS users (
    id TEXT PRIMARY KEY, email TEXT NOT NULL, admin INTEGER NOT NULL, disabled INTEGER NOT NULL,
    password TEXT NOT NULL, created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS workspaces (
    name TEXT PRIMARY KEY, owner TEXT NOT NULL, created REAL NOT NULL, expires REAL);
CREATE TABLE IF NOT EXISTS members (workspace TEXT NOT NULL, user TEXT NOT NULL, PRIMARY KEY (workspace, user));
CREATE TABLE IF NOT EXISTS tokens (
    id TEXT PRIMARY KEY, user TEXT NOT NULL, workspace TEXT NOT NULL, scopes TEXT NOT NULL, label TEXT NOT NULL,
    created REAL NOT NULL, expires REAL NOT NULL, revoked INTEGER NOT NULL, parent TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, workspace TEXT NOT NULL, services TEXT NOT NULL, label TEXT NOT NULL, created REAL NOT NULL,
    expires REAL NOT NULL, created_by TEXT NOT NULL, revoked INTEGER NOT NULL, last_used REAL);
CREATE INDEX IF NOT EXISTS keys_of_workspace ON keys (workspace);
CREATE TABLE IF NOT EXISTS sessions (
    digest TEXT PRIMARY KEY, user TEXT NOT NULL,
    created REAL NOT NULL, expires REAL NOT NULL);
CREATE TABLE IF NOT EXISTS names (
    workspace TEXT NOT NULL, name TEXT NOT NULL, owner TEXT NOT NULL, access TEXT NOT NULL, descriptor TEXT NOT NULL,
    last_seen REAL NOT NULL, PRIMARY KEY (workspace, name));
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRow:
    id: str
    email: str
    admin: bool
    disabled: bool
    password: str
    """An argon2 hash (RFC 9106) in its usual text form, or "" for a user who cannot sign in by one."""
    created: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceRow:
    name: str
    owner: str
    created: float
    expires: float | None
    """None for one that lasts."""
    members: tuple[str, ...] = ()
    """Users beside the owner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    id: str
    user: str
    workspace: str
    scopes: tuple[str, ...]
    label: str
    created: float
    expires: float
    revoked: bool
    parent: str = ""
    """The id of the token by which this one was made, if it was by one; it is revoked with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    digest: str
    """SHA-256 of the cookie's value, in hex."""
    user: str
    created: float
    expires: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRow:
    """A service's name that is held for its owner over a restart of the relay."""

    workspace: str
    name: str
    owner: str
    """The id of the principal who may take it up."""
    access: str
    descriptor: dict[str, Any]
    last_seen: float


class RelayStore:
    """All times are in seconds since 1970."""

    def __init__(self, path: str | Path = ":memory:") -> None:
        """Open the file at *path*, or make it: readable by its owner alone, as are new folders above it."""
        self._lock = threading.RLock()
        if str(path) != ":memory:":
            _make_private(Path(path))
        self._database = sqlite3.connect(path, timeout=5.0, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")  # a reader in another process never waits for a writer
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def _rows(self, query: str, *values: object) -> list[Any]:
        with self._lock:
            return self._database.execute(query, values).fetchall()

    def _run(self, query: str, *values: object) -> int:
        with self._lock:
            return self._database.execute(query, values).rowcount

    def secret(self) -> bytes:
        """What keys, tokens and forms are signed with: 256 bits, made at the first call."""
        self._run("INSERT OR IGNORE INTO relay VALUES ('secret', ?)", secrets.token_bytes(32))
        return bytes(self._rows("SELECT value FROM relay WHERE name = 'secret'")[0][0])

    def version(self) -> int:
        """Changes when another process has written."""
        return int(self._rows("PRAGMA data_version")[0][0])

    # --- users --------------------------------------------------------------------------------------------------

    def users(self) -> list[UserRow]:
        rows = self._rows("SELECT id, email, admin, disabled, password, created FROM users ORDER BY id")
        return [
            UserRow(id=row[0], email=row[1], admin=bool(row[2]), disabled=bool(row[3]), password=row[4], created=row[5])
            for row in rows
        ]

    def add_user(self, user: UserRow) -> bool:
        """Add a user, and a workspace of the same name. False if the name is taken already."""
        with self._transaction() as database:
            taken = database.execute(
                "SELECT 1 FROM users WHERE id = ?1 UNION SELECT 1 FROM workspaces WHERE name = ?1", (user.id,)
            ).fetchone()
            if taken:
                return False
            database.execute(
                "INSERT INTO users VALUES (?, ?, ?, ?, ?, ?)",
                (user.id, user.email, int(user.admin), int(user.disabled), user.password, user.created),
            )
            database.execute("INSERT INTO workspaces VALUES (?, ?, ?, NULL)", (user.id, user.id, user.created))
        return True

    def set_password(self, user_id: str, password: str) -> bool:
        """Keep another hash, and end every sign-in of the user. False if there is no such user."""
        with self._transaction() as database:
            database.execute("DELETE FROM sessions WHERE user = ?", (user_id,))
            return database.execute("UPDATE users SET password = ? WHERE id = ?", (password, user_id)).rowcount > 0

    def keep_hash(self, user_id: str, former: str, password: str) -> None:
        """Keep a dearer hash of the same password, unless it was changed meanwhile."""
        self._run("UPDATE users SET password = ? WHERE id = ? AND password = ?", password, user_id, former)

    def set_admin(self, user_id: str, admin: bool) -> bool:
        """An admin no more has no token left that says so."""
        with self._transaction() as database:
            if not admin:
                database.execute(
                    "UPDATE tokens SET revoked = 1 WHERE user = ? AND instr(scopes, '\"admin\"')", (user_id,)
                )
            return database.execute("UPDATE users SET admin = ? WHERE id = ?", (int(admin), user_id)).rowcount > 0

    def set_disabled(self, user_id: str, disabled: bool) -> bool:
        """Who is disabled is signed out, and their tokens are revoked for good. False if there is no such user."""
        with self._transaction() as database:
            if disabled:
                database.execute("DELETE FROM sessions WHERE user = ?", (user_id,))
                database.execute("UPDATE tokens SET revoked = 1 WHERE user = ?", (user_id,))
            return database.execute("UPDATE users SET disabled = ? WHERE id = ?", (int(disabled), user_id)).rowcount > 0

    def remove_user(self, user_id: str) -> bool:
        """Remove a user with their workspaces, and all that is in them."""
        with self._transaction() as database:
            database.execute("DELETE FROM sessions WHERE user = ?", (user_id,))
            database.execute("DELETE FROM tokens WHERE user = ?", (user_id,))
            database.execute("DELETE FROM members WHERE user = ?", (user_id,))
            for (name,) in database.execute("SELECT name FROM workspaces WHERE owner = ?", (user_id,)).fetchall():
                _remove_workspace(database, name)
            return database.execute("DELETE FROM users WHERE id = ?", (user_id,)).rowcount > 0

    # --- workspaces ---------------------------------------------------------------------------------------------

    def workspaces(self) -> list[WorkspaceRow]:
        members: dict[str, list[str]] = {}
        with self._lock:
            for workspace, user in self._rows("SELECT workspace, user FROM members ORDER BY user"):
                members.setdefault(workspace, []).append(user)
            rows = self._rows("SELECT name, owner, created, expires FROM workspaces ORDER BY name")
        return [
            WorkspaceRow(
                name=row[0], owner=row[1], created=row[2], expires=row[3], members=tuple(members.get(row[0], ()))
            )
            for row in rows
        ]

    def add_workspace(self, workspace: WorkspaceRow) -> bool:
        """False if the name is taken already."""
        with self._transaction() as database:
            added = database.execute(
                "INSERT OR IGNORE INTO workspaces VALUES (?, ?, ?, ?)",
                (workspace.name, workspace.owner, workspace.created, workspace.expires),
            ).rowcount
            if not added:
                return False
            pairs = [(workspace.name, user) for user in workspace.members]
            database.executemany("INSERT INTO members VALUES (?, ?)", pairs)
        return True

    def remove_workspace(self, name: str) -> bool:
        """Remove it with its tokens, keys and names."""
        with self._transaction() as database:
            return _remove_workspace(database, name)

    def remove_expired_workspaces(self, now: float) -> list[str]:
        """Remove what has expired; returns the names."""
        with self._transaction() as database:
            names = [row[0] for row in database.execute("SELECT name FROM workspaces WHERE expires < ?", (now,))]
            for name in names:
                _remove_workspace(database, name)
        return names

    def add_member(self, workspace: str, user_id: str) -> None:
        self._run("INSERT OR IGNORE INTO members VALUES (?, ?)", workspace, user_id)

    def remove_member(self, workspace: str, user_id: str) -> bool:
        """Who is no member any more has no token for it either."""
        with self._transaction() as database:
            database.execute("UPDATE tokens SET revoked = 1 WHERE workspace = ? AND user = ?", (workspace, user_id))
            query = "DELETE FROM members WHERE workspace = ? AND user = ?"
            return database.execute(query, (workspace, user_id)).rowcount > 0

    # --- tokens -------------------------------------------------------------------------------------------------

    def tokens(self) -> list[TokenRow]:
        with self._lock:
            self._run("DELETE FROM tokens WHERE expires < ?", time.time() - _FORGET)
            rows = self._rows(
                "SELECT id, user, workspace, scopes, label, created, expires, revoked, parent FROM tokens"
            )
        return [
            TokenRow(
                id=row[0],
                user=row[1],
                workspace=row[2],
                scopes=tuple(json.loads(row[3])),
                label=row[4],
                created=row[5],
                expires=row[6],
                revoked=bool(row[7]),
                parent=row[8],
            )
            for row in rows
        ]

    def add_token(self, token: TokenRow) -> None:
        self._run(
            "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            token.id,
            token.user,
            token.workspace,
            json.dumps(token.scopes),
            token.label,
            token.created,
            token.expires,
            int(token.revoked),
            token.parent,
        )

    def revoke_token(self, token_id: str) -> None:
        self._run(
            "WITH RECURSIVE made(id) AS (SELECT ? UNION SELECT tokens.id FROM tokens JOIN made ON parent = made.id) "
            "UPDATE tokens SET revoked = 1 WHERE id IN made",
            token_id,
        )

    # --- sign-ins -----------------------------------------------------------------------------------------------

    def sessions(self) -> list[SessionRow]:
        with self._lock:
            self._run("DELETE FROM sessions WHERE expires < ?", time.time())
            rows = self._rows("SELECT digest, user, created, expires FROM sessions ORDER BY created")
        return [SessionRow(digest=row[0], user=row[1], created=row[2], expires=row[3]) for row in rows]

    def add_session(self, session: SessionRow) -> None:
        self._run(
            "INSERT INTO sessions VALUES (?, ?, ?, ?)",
            session.digest,
            session.user,
            session.created,
            session.expires,
        )

    def remove_session(self, digest: str) -> None:
        self._run("DELETE FROM sessions WHERE digest = ?", digest)

    # --- names --------------------------------------------------------------------------------------------------

    def save_name(
        self, workspace: str, name: str, owner: str, access: str, descriptor: dict[str, Any], last_seen: float
    ) -> None:
        row = NameRow(
            workspace=workspace, name=name, owner=owner, access=access, descriptor=descriptor, last_seen=last_seen
        )
        self.write_names([row], [])

    def write_names(self, names: Iterable[NameRow], gone: Iterable[tuple[str, str]]) -> None:
        """Keep *names*, and forget those that are *gone*, each a workspace and a name."""
        with self._transaction() as database:
            database.executemany("DELETE FROM names WHERE workspace = ? AND name = ?", gone)
            database.executemany(
                "INSERT OR REPLACE INTO names VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (row.workspace, row.name, row.owner, row.access, json.dumps(row.descriptor), row.last_seen)
                    for row in names
                ],
            )

    def load_names(self) -> list[NameRow]:
        rows = self._rows("SELECT workspace, name, owner, access, descriptor, last_seen FROM names")
        return [
            NameRow(
                workspace=row[0],
                name=row[1],
                owner=row[2],
                access=row[3],
                descriptor=json.loads(row[4]),
                last_seen=row[5],
            )
            for row in rows
        ]

    def forget_name(self, workspace: str, name: str) -> None:
        self._run("DELETE FROM names WHERE workspace = ? AND name = ?", workspace, name)

    # --- keys ---------------------------------------------------------------------------------------------------

    def key_store(self, workspace: str) -> WorkspaceKeys:
        """Where the visitors' keys of one workspace are kept."""
        return WorkspaceKeys(self, workspace)


class WorkspaceKeys:
    """A `portico.hub.keys.KeyStore` over the part of the file that is one workspace's."""

    def __init__(self, store: RelayStore, workspace: str) -> None:
        self._store = store
        self._workspace = workspace

    def secret(self) -> bytes:
        return self._store.secret()

    def load(self) -> list[Key]:
        self._store._run("DELETE FROM keys WHERE expires < ?", time.time() - _FORGET)
        rows = self._store._rows(
            "SELECT id, services, label, created, expires, created_by, revoked, last_used FROM keys "
            "WHERE workspace = ?",
            self._workspace,
        )
        return [
            Key(
                id=row[0],
                services=tuple(json.loads(row[1])),
                label=row[2],
                created=row[3],
                expires=row[4],
                created_by=row[5],
                revoked=bool(row[6]),
                last_used=row[7],
            )
            for row in rows
        ]

    def save(self, key: Key) -> None:
        self._store._run(
            "INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            key.id,
            self._workspace,
            json.dumps(key.services),
            key.label,
            key.created,
            key.expires,
            key.created_by,
            int(key.revoked),
            key.last_used,
        )

    def touch(self, used: dict[str, float]) -> None:
        with self._store._transaction() as database:
            database.executemany(
                "UPDATE keys SET last_used = ? WHERE id = ? AND workspace = ?",
                [(when, key_id, self._workspace) for key_id, when in used.items()],
            )

    def version(self) -> int:
        return self._store.version()


def _remove_workspace(database: sqlite3.Connection, name: str) -> bool:
    for table in ("tokens", "keys", "members", "names"):
        database.execute(f"DELETE FROM {table} WHERE workspace = ?", (name,))
    return database.execute("DELETE FROM workspaces WHERE name = ?", (name,)).rowcount > 0


def _make_private(path: Path) -> None:
    """Make the file and the folders above it that are not there, for their owner alone."""
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=0o600)
    if os.name == "posix":
        path.chmod(0o600)  # it may have come from elsewhere; SQLite gives its other files the same mode
