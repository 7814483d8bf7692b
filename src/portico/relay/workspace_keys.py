"""The visitors' keys of one workspace of a relay, in the relay's own file: a `portico.hub.keys.KeyStore`."""

from __future__ import annotations

import json
import time

from portico.hub.keys import InvalidKey, Key, key_of
from portico.relay.store import FORGET, RelayStore


class WorkspaceKeys:
    """The part of the file that is one workspace's. Calls block, and raise `StoreFailed`."""

    def __init__(self, store: RelayStore, workspace: str, uid: str | None = None) -> None:
        """*uid* of the workspace: nothing is written for another one of its name. None: whichever there is."""
        self._store = store
        self._workspace = workspace
        self._uid = uid

    def secret(self) -> bytes:
        return self._store.secret()

    def load(self) -> list[Key]:
        self._store.forget("DELETE FROM keys WHERE expires < ?", time.time() - FORGET)
        rows = self._store.rows(
            "SELECT id, services, label, created, expires, created_by, revoked, last_used, token FROM keys "
            "WHERE workspace = ?",
            self._workspace,
        )
        return [key_of(row, made_with=row[8]) for row in rows]

    def save(self, key: Key) -> None:
        """Raises `InvalidKey` for a new key whose workspace has gone, or whose token was revoked meanwhile."""
        with self._store.transaction() as database:
            if self._uid is not None:
                query = "SELECT 1 FROM workspaces WHERE name = ? AND uid = ?"
                if database.execute(query, (self._workspace, self._uid)).fetchone() is None:
                    raise InvalidKey("the workspace of this token is gone")
            if key.made_with and not key.revoked:
                query = "SELECT revoked FROM tokens WHERE id = ?"
                found = database.execute(query, (key.made_with,)).fetchone()
                if found is None or found[0]:
                    raise InvalidKey("this token was revoked")
            database.execute(
                "INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    key.id,
                    self._workspace,
                    json.dumps(key.services),
                    key.label,
                    key.created,
                    key.expires,
                    key.created_by,
                    int(key.revoked),
                    key.last_used,
                    key.made_with,
                ),
            )

    def touch(self, used: dict[str, float]) -> None:
        with self._store.transaction() as database:
            database.executemany(
                "UPDATE keys SET last_used = ? WHERE id = ? AND workspace = ?",
                [(when, key_id, self._workspace) for key_id, when in used.items()],
            )

    def version(self) -> int:
        return self._store.version()
