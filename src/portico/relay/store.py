"""What a relay remembers, in one SQLite file: users, workspaces, tokens, keys, sign-ins, names that are held.

Calls block: from an event loop they are made in a thread (``asyncio.to_thread``). Nothing is decided here. No
password, token, key or cookie is kept, only what checks them. Several processes may hold the file open at once;
`version` tells when another one has written.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Iterable, Mapping
from typing import Any

from portico.relay.database import CHANGES, Database
from portico.relay.rows import NameRow, SessionRow, TokenRow, Uids, UserRow, WorkspaceRow

__all__ = ["NameRow", "RelayStore", "SessionRow", "TokenRow", "UserRow", "WorkspaceRow"]

FORGET = 30 * 86400.0  # seconds after its expiry that a key or a token is of no use to anyone who lists them

_MADE = (
    "WITH RECURSIVE made(id) AS "
    "(SELECT id FROM tokens WHERE {which} UNION SELECT tokens.id FROM tokens JOIN made ON tokens.parent = made.id) "
)
"""The tokens of *which*, those that were made by them, and so on. UNION, so that a circle in a broken file ends."""


class RelayStore(Database):
    """All times are in seconds since 1970. Every method raises `StoreFailed`, and has then changed nothing."""

    def secret(self) -> bytes:
        """What keys, tokens and forms are signed with: 256 bits, made at the first call."""
        query = "SELECT value FROM relay WHERE name = 'secret'"
        if not self.rows(query):
            self._run("INSERT OR IGNORE INTO relay VALUES ('secret', ?)", secrets.token_bytes(32))
        return bytes(self.rows(query)[0][0])

    def version(self) -> int:
        """Changes when another process has written, or this one past those who keep in memory what is here."""
        return int(self.rows("PRAGMA data_version")[0][0]) * (CHANGES + 1) + self.changes

    # --- users --------------------------------------------------------------------------------------------------

    def users(self) -> list[UserRow]:
        rows = self.rows("SELECT id, email, admin, disabled, password, created, uid FROM users ORDER BY id")
        return [
            UserRow(
                id=row[0],
                email=row[1],
                admin=bool(row[2]),
                disabled=bool(row[3]),
                password=row[4],
                created=row[5],
                uid=row[6],
            )
            for row in rows
        ]

    def add_user(self, user: UserRow) -> bool:
        """Add a user, and a workspace of the same name. False if the name is taken already."""
        with self.transaction() as database:
            taken = database.execute(
                "SELECT 1 FROM users WHERE id = ?1 UNION SELECT 1 FROM workspaces WHERE name = ?1", (user.id,)
            ).fetchone()
            if taken:
                return False
            uid = user.uid or _new_uid()
            database.execute(
                "INSERT INTO users VALUES (?, ?, ?, ?, ?, ?, ?)",
                (user.id, user.email, int(user.admin), int(user.disabled), user.password, user.created, uid),
            )
            _empty_workspace(database, user.id)
            database.execute("INSERT INTO workspaces VALUES (?, ?, ?, NULL, ?)", (user.id, user.id, user.created, uid))
        return True

    def uids(self) -> Uids:
        """The uids of all users and workspaces."""
        with self._lock:
            users = dict(self.rows("SELECT id, uid FROM users"))
            return Uids(users=users, workspaces=dict(self.rows("SELECT name, uid FROM workspaces")))

    def uid_of(self, workspace: str) -> str | None:
        """The uid of a workspace; None if there is none of that name."""
        rows = self.rows("SELECT uid FROM workspaces WHERE name = ?", workspace)
        return str(rows[0][0]) if rows else None

    def set_password(self, user_id: str, password: str) -> bool:
        """Keep another hash, and end every sign-in of the user. False if there is no such user."""
        with self.transaction() as database:
            database.execute("DELETE FROM sessions WHERE user = ?", (user_id,))
            return database.execute("UPDATE users SET password = ? WHERE id = ?", (password, user_id)).rowcount > 0

    def keep_hash(self, user_id: str, former: str, password: str) -> bool:
        """Keep a dearer hash of the same password, unless it was changed meanwhile."""
        return self._run("UPDATE users SET password = ? WHERE id = ? AND password = ?", password, user_id, former) > 0

    def set_admin(self, user_id: str, admin: bool) -> bool:
        """An admin no more has no token left that says so, nor one that such a token made."""
        with self.transaction() as database:
            if not admin:
                _revoke(database, "user = ? AND instr(scopes, '\"admin\"')", user_id)
            self.changes += 1
            return database.execute("UPDATE users SET admin = ? WHERE id = ?", (int(admin), user_id)).rowcount > 0

    def set_disabled(self, user_id: str, disabled: bool) -> bool:
        """Who is disabled is signed out, and their tokens and the keys that they made are revoked for good.

        False if there is no such user.
        """
        with self.transaction() as database:
            if disabled:
                database.execute("DELETE FROM sessions WHERE user = ?", (user_id,))
                _revoke(database, "user = ?", user_id)
                _revoke_keys(database, user_id)
            self.changes += 1
            return database.execute("UPDATE users SET disabled = ? WHERE id = ?", (int(disabled), user_id)).rowcount > 0

    def remove_user(self, user_id: str) -> bool:
        """Remove a user with their workspaces, all that is in them, and what they made in others' workspaces."""
        with self.transaction() as database:
            _revoke(database, "user = ?", user_id)
            _revoke_keys(database, user_id)
            database.execute("DELETE FROM sessions WHERE user = ?", (user_id,))
            database.execute("DELETE FROM tokens WHERE user = ?", (user_id,))
            database.execute("DELETE FROM members WHERE user = ?", (user_id,))
            database.execute("DELETE FROM names WHERE owner = ?", (f"user:{user_id}",))
            for (name,) in database.execute("SELECT name FROM workspaces WHERE owner = ?", (user_id,)).fetchall():
                _remove_workspace(database, name)
            self.changes += 1
            return database.execute("DELETE FROM users WHERE id = ?", (user_id,)).rowcount > 0

    # --- workspaces ---------------------------------------------------------------------------------------------

    def workspaces(self) -> list[WorkspaceRow]:
        members: dict[str, list[str]] = {}
        with self._lock:
            for workspace, user in self.rows("SELECT workspace, user FROM members ORDER BY user"):
                members.setdefault(workspace, []).append(user)
            rows = self.rows("SELECT name, owner, created, expires, uid FROM workspaces ORDER BY name")
        return [
            WorkspaceRow(
                name=row[0],
                owner=row[1],
                created=row[2],
                expires=row[3],
                members=tuple(members.get(row[0], ())),
                uid=row[4],
            )
            for row in rows
        ]

    def add_workspace(self, workspace: WorkspaceRow) -> bool:
        """False if the name is taken already."""
        with self.transaction() as database:
            if database.execute("SELECT 1 FROM workspaces WHERE name = ?", (workspace.name,)).fetchone():
                return False
            _empty_workspace(database, workspace.name)
            database.execute(
                "INSERT INTO workspaces VALUES (?, ?, ?, ?, ?)",
                (
                    workspace.name,
                    workspace.owner,
                    workspace.created,
                    workspace.expires,
                    workspace.uid or _new_uid(),
                ),
            )
            pairs = [(workspace.name, user) for user in workspace.members]
            database.executemany("INSERT INTO members VALUES (?, ?)", pairs)
        return True

    def remove_workspace(self, name: str, *, told: bool = False) -> bool:
        """Remove it with its tokens, keys and names. *told*: all who keep them in memory hear of it anyway."""
        with self.transaction() as database:
            self.changes += not told
            return _remove_workspace(database, name)

    def remove_expired_workspaces(self, now: float) -> list[str]:
        """Remove what has expired; returns the names. Their tokens have expired too, so nobody need be told."""
        with self.transaction() as database:
            names = [row[0] for row in database.execute("SELECT name FROM workspaces WHERE expires < ?", (now,))]
            for name in names:
                _remove_workspace(database, name)
        return names

    def add_member(self, workspace: str, user_id: str) -> None:
        self._run("INSERT OR IGNORE INTO members VALUES (?, ?)", workspace, user_id)

    def remove_member(self, workspace: str, user_id: str) -> bool:
        """Who is no member any more has no token for it either, and the keys that they made there are revoked."""
        with self.transaction() as database:
            _revoke(database, "workspace = ? AND user = ?", workspace, user_id)
            _revoke_keys(database, user_id, workspace)
            self.changes += 1
            query = "DELETE FROM members WHERE workspace = ? AND user = ?"
            return database.execute(query, (workspace, user_id)).rowcount > 0

    # --- tokens -------------------------------------------------------------------------------------------------

    def tokens(self) -> list[TokenRow]:
        with self._lock:
            self.forget("DELETE FROM tokens WHERE expires < ?", time.time() - FORGET)
            rows = self.rows("SELECT id, user, workspace, scopes, label, created, expires, revoked, parent FROM tokens")
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
        with self.transaction() as database:
            _insert_token(database, token)

    def mint_token(self, token: TokenRow, *, user_uid: str | None = None, workspace_uid: str | None = None) -> bool:
        """Add a token, if all that it follows from still holds; False if not.

        That is: the token that made it is not revoked, and the user and the workspace are not others of the same name,
        where their uids are given. It is asked here, since it may have changed since the caller looked.
        """
        with self.transaction() as database:
            asked: list[tuple[str, tuple[object, ...]]] = []
            if token.parent:
                asked.append(("SELECT 1 FROM tokens WHERE id = ? AND NOT revoked", (token.parent,)))
            if user_uid is not None:
                asked.append(("SELECT 1 FROM users WHERE id = ? AND uid = ? AND NOT disabled", (token.user, user_uid)))
            if workspace_uid is not None:
                asked.append(("SELECT 1 FROM workspaces WHERE name = ? AND uid = ?", (token.workspace, workspace_uid)))
            if not all(database.execute(query, values).fetchone() for query, values in asked):
                return False
            _insert_token(database, token)
        return True

    def revoke_token(self, token_id: str) -> list[str]:
        """Revoke it with all that it made, tokens and keys; returns the tokens' ids. Empty if there is none such."""
        with self.transaction() as database:
            return _revoke(database, "id = ?", token_id)

    # --- sign-ins -----------------------------------------------------------------------------------------------

    def sessions(self) -> list[SessionRow]:
        with self._lock:
            self.forget("DELETE FROM sessions WHERE expires < ?", time.time())
            rows = self.rows("SELECT digest, user, created, expires FROM sessions ORDER BY created")
        return [SessionRow(digest=row[0], user=row[1], created=row[2], expires=row[3]) for row in rows]

    def add_session(self, session: SessionRow, *, user_uid: str | None = None, password: str | None = None) -> bool:
        """False if the user is another one of that name by now, is disabled, or has another password.

        That is asked where *user_uid* and *password*, its hash, are given.
        """
        with self.transaction() as database:
            if user_uid is not None:
                query = "SELECT password FROM users WHERE id = ? AND uid = ? AND NOT disabled"
                found = database.execute(query, (session.user, user_uid)).fetchone()
                if found is None or (password is not None and found[0] != password):
                    return False
            database.execute(
                "INSERT INTO sessions VALUES (?, ?, ?, ?)",
                (session.digest, session.user, session.created, session.expires),
            )
        return True

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

    def write_names(
        self,
        names: Iterable[NameRow],
        gone: Iterable[tuple[str, str]],
        uids: Mapping[str, str | None] | None = None,
    ) -> None:
        """Keep *names*, and forget those that are *gone*, each a workspace and a name.

        *uids* are of the workspaces that are meant: where there is another one of the name by now, nothing is written.
        """
        with self.transaction() as database:
            others = {name for name, uid in (uids or {}).items() if _is_another(database, name, uid)}
            database.executemany(
                "DELETE FROM names WHERE workspace = ? AND name = ?", [pair for pair in gone if pair[0] not in others]
            )
            database.executemany(
                "INSERT OR REPLACE INTO names VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (row.workspace, row.name, row.owner, row.access, json.dumps(row.descriptor), row.last_seen)
                    for row in names
                    if row.workspace not in others
                ],
            )

    def load_names(self) -> list[NameRow]:
        rows = self.rows("SELECT workspace, name, owner, access, descriptor, last_seen FROM names")
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
        self.write_names([], [(workspace, name)])


def _new_uid() -> str:
    return secrets.token_hex(8)


def _empty_workspace(database: sqlite3.Connection, name: str) -> None:
    """Nothing that was of a workspace of that name may be found in one that is made anew."""
    for table in ("tokens", "keys", "members", "names"):
        database.execute(f"DELETE FROM {table} WHERE workspace = ?", (name,))


def _remove_workspace(database: sqlite3.Connection, name: str) -> bool:
    _revoke(database, "workspace = ?", name)
    _empty_workspace(database, name)
    return database.execute("DELETE FROM workspaces WHERE name = ?", (name,)).rowcount > 0


def _is_another(database: sqlite3.Connection, workspace: str, uid: str | None) -> bool:
    """Whether the workspace of that name is not the one of *uid* (None: whichever it is)."""
    if uid is None:
        return False
    found = database.execute("SELECT uid FROM workspaces WHERE name = ?", (workspace,)).fetchone()
    return found is None or found[0] != uid


def _insert_token(database: sqlite3.Connection, token: TokenRow) -> None:
    database.execute(
        "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            token.id,
            token.user,
            token.workspace,
            json.dumps(token.scopes),
            token.label,
            token.created,
            token.expires,
            int(token.revoked),
            token.parent,
        ),
    )


def _revoke(database: sqlite3.Connection, which: str, *values: object) -> list[str]:
    """Revoke the tokens of *which*, all that were made by them, and the keys that any of these made."""
    made = _MADE.format(which=which)
    ids = [row[0] for row in database.execute(made + "SELECT id FROM made", values)]
    database.execute(made + "UPDATE tokens SET revoked = 1 WHERE id IN made", values)
    database.execute(made + "UPDATE keys SET revoked = 1 WHERE token IN made", values)
    return ids


def _revoke_keys(database: sqlite3.Connection, user_id: str, workspace: str | None = None) -> None:
    """Revoke the keys that a user made, in one workspace or in all."""
    query, maker = "UPDATE keys SET revoked = 1 WHERE created_by = ?", f"user:{user_id}"
    if workspace is None:
        database.execute(query, (maker,))
    else:
        database.execute(query + " AND workspace = ?", (maker, workspace))
