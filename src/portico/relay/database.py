"""The SQLite file of a relay: its tables, its transactions, and its errors. What is in the tables is not known here."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from portico.errors import StoreFailed

logger = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS relay (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS users (
    id TEXT PRIMARY KEY, email TEXT NOT NULL, admin INTEGER NOT NULL, disabled INTEGER NOT NULL,
    password TEXT NOT NULL, created REAL NOT NULL, uid TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS workspaces (
    name TEXT PRIMARY KEY, owner TEXT NOT NULL, created REAL NOT NULL, expires REAL, uid TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS members (workspace TEXT NOT NULL, user TEXT NOT NULL, PRIMARY KEY (workspace, user));
CREATE TABLE IF NOT EXISTS tokens (
    id TEXT PRIMARY KEY, user TEXT NOT NULL, workspace TEXT NOT NULL, scopes TEXT NOT NULL, label TEXT NOT NULL,
    created REAL NOT NULL, expires REAL NOT NULL, revoked INTEGER NOT NULL, parent TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, workspace TEXT NOT NULL, services TEXT NOT NULL, label TEXT NOT NULL, created REAL NOT NULL,
    expires REAL NOT NULL, created_by TEXT NOT NULL, revoked INTEGER NOT NULL, last_used REAL,
    token TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS keys_of_workspace ON keys (workspace);
CREATE INDEX IF NOT EXISTS tokens_of_parent ON tokens (parent);
CREATE TABLE IF NOT EXISTS sessions (
    digest TEXT PRIMARY KEY, user TEXT NOT NULL,
    created REAL NOT NULL, expires REAL NOT NULL);
CREATE TABLE IF NOT EXISTS names (
    workspace TEXT NOT NULL, name TEXT NOT NULL, owner TEXT NOT NULL, access TEXT NOT NULL, descriptor TEXT NOT NULL,
    last_seen REAL NOT NULL, PRIMARY KEY (workspace, name));
"""


_ADDED = (("users", "uid"), ("workspaces", "uid"), ("keys", "token"))
"""Columns that a file of before does not have."""


CHANGES = (1 << 32) - 1
"""The bits of `RelayStore.version` in which this process counts its own changes; above them is SQLite's number."""


class Database:
    """One file, which several threads use in turn, and several processes. Raises `StoreFailed`."""

    def __init__(self, path: str | Path = ":memory:") -> None:
        """Open the file at *path*, or make it: readable by its owner alone, as are new folders above it."""
        self._lock = threading.RLock()
        self.changes = 0
        """How often this process changed what `version` tells others of, past the objects that read it."""
        with _saying(f"the store {path} cannot be opened"):
            if str(path) != ":memory:":
                _make_private(Path(path))
            self._database = sqlite3.connect(path, timeout=5.0, check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA journal_mode = WAL")  # a reader in another process never waits for a writer
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.executescript(_SCHEMA)
            self._upgrade()

    def _upgrade(self) -> None:
        with self.transaction() as database:
            for table, column in _ADDED:
                if column not in [row[1] for row in database.execute(f"PRAGMA table_info({table})")]:
                    database.execute(f"ALTER TABLE {table} ADD COLUMN {column} TEXT NOT NULL DEFAULT ''")

    def close(self) -> None:
        with self._lock:
            self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing, a failing COMMIT included: the next one must find none open."""
        with self._lock, _saying():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # a full disk has SQLite roll back by itself
                    self._database.execute("ROLLBACK")
                raise

    def rows(self, query: str, *values: object) -> list[Any]:
        with self._lock, _saying():
            return self._database.execute(query, values).fetchall()

    def _run(self, query: str, *values: object) -> int:
        with self._lock, _saying():
            return self._database.execute(query, values).rowcount

    def forget(self, query: str, *values: object) -> None:
        """Delete what is of no use any more. What is read next does not depend on it, so it may fail."""
        try:
            self._run(query, *values)
        except StoreFailed as error:
            logger.warning("what has expired could not be deleted: %s", error)


@contextmanager
def _saying(what: str = "the relay's store failed") -> Iterator[None]:
    """Raise SQLite's errors, and the system's, as `StoreFailed`. Those that show a mistake of ours stay as they are."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise
    except (sqlite3.Error, OSError) as error:
        raise StoreFailed(
            f"{what}: {error}. Nothing was changed; look at its disk, and at who may write there"
        ) from error


def _make_private(path: Path) -> None:
    """Make the file and the folders above it that are not there, for their owner alone."""
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=0o600)
    if os.name == "posix":
        path.chmod(0o600)  # it may have come from elsewhere; SQLite gives its other files the same mode
