"""What a relay remembers: the file's modes, what goes with what, and what another process sees."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import time
from pathlib import Path

import pytest

from portico.hub.keys import InvalidKey, KeyRing
from portico.relay.store import RelayStore, SessionRow, TokenRow, UserRow, WorkspaceRow
from portico.relay.workspace_keys import WorkspaceKeys


def user(name: str, *, admin: bool = False) -> UserRow:
    return UserRow(id=name, email="", admin=admin, disabled=False, password="", created=time.time())


def token(token_id: str, user_id: str, workspace: str, *scopes: str) -> TokenRow:
    now = time.time()
    return TokenRow(
        id=token_id,
        user=user_id,
        workspace=workspace,
        scopes=scopes or ("keys",),
        label="",
        created=now,
        expires=now + 60,
        revoked=False,
    )


def session(digest: str, user_id: str) -> SessionRow:
    now = time.time()
    return SessionRow(digest=digest, user=user_id, created=now, expires=now + 60)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_only_the_owner_reads_the_file_and_new_folders(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = RelayStore(tmp_path / "a" / "b" / "relay.sqlite3")
        store.add_user(user("alice"))
    finally:
        os.umask(before)
    for path in (tmp_path / "a", tmp_path / "a" / "b"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    files = list((tmp_path / "a" / "b").iterdir())
    assert len(files) == 3, "the database, its log and the log's index"
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    store.close()


def test_the_secret_is_made_once(tmp_path: Path) -> None:
    one, two = RelayStore(tmp_path / "r"), RelayStore(tmp_path / "r")
    assert one.secret() == two.secret()
    assert len(one.secret()) == 32
    assert RelayStore().secret() != one.secret()


def test_a_version_changes_when_another_has_written(tmp_path: Path) -> None:
    mine, theirs = RelayStore(tmp_path / "r"), RelayStore(tmp_path / "r")
    version = mine.version()
    mine.add_user(user("alice"))
    assert mine.version() == version, "what was written here is known"
    theirs.add_user(user("bob"))
    assert mine.version() != version
    assert [row.id for row in mine.users()] == ["alice", "bob"]


def test_a_user_comes_with_a_workspace_and_a_name_is_taken_once() -> None:
    store = RelayStore()
    assert store.add_user(user("alice"))
    assert not store.add_user(user("alice"))
    assert [(row.name, row.owner) for row in store.workspaces()] == [("alice", "alice")]
    assert not store.add_workspace(WorkspaceRow(name="alice", owner="eve", created=0, expires=None))
    assert store.add_workspace(WorkspaceRow(name="team", owner="alice", created=0, expires=None, members=("bob",)))
    assert not store.add_user(user("team")), "a user would own the workspace of that name"
    assert store.workspaces()[1].members == ("bob",)


def test_a_removed_user_leaves_nothing() -> None:
    store = RelayStore()
    for name in ("alice", "bob"):
        store.add_user(user(name))
        store.add_token(token("t-" + name, name, name))
        store.add_session(session("s-" + name, name))
        store.save_name(name, "cat", f"user:{name}", "public", {"name": "cat"}, 1.0)
    store.add_member("bob", "alice")
    store.add_token(token("theirs", "bob", "alice"))
    assert store.remove_user("alice")
    assert not store.remove_user("alice")
    assert [row.id for row in store.users()] == ["bob"]
    assert [(row.name, row.members) for row in store.workspaces()] == [("bob", ())]
    assert [row.id for row in store.tokens()] == ["t-bob"]
    assert [row.digest for row in store.sessions()] == ["s-bob"]
    assert [row.workspace for row in store.load_names()] == ["bob"]


def test_who_is_disabled_is_signed_out_and_holds_no_token() -> None:
    store = RelayStore()
    store.add_user(user("alice"))
    store.add_token(token("t", "alice", "alice"))
    store.add_session(session("s", "alice"))
    assert store.set_disabled("alice", True)
    assert not store.set_disabled("eve", True)
    assert store.tokens()[0].revoked
    assert store.sessions() == []
    assert store.users()[0].disabled
    store.set_disabled("alice", False)
    assert store.tokens()[0].revoked, "for good"


def test_an_admin_no_more_and_a_member_no_more_lose_their_tokens() -> None:
    store = RelayStore()
    store.add_user(user("alice", admin=True))
    store.add_user(user("bob"))
    store.add_member("bob", "alice")
    store.add_token(token("admin", "alice", "alice", "admin"))
    store.add_token(token("plain", "alice", "alice", "publish:admin*"))
    store.add_token(token("guest", "alice", "bob"))
    store.set_admin("alice", False)
    assert {row.id for row in store.tokens() if row.revoked} == {"admin"}
    assert store.remove_member("bob", "alice")
    assert not store.remove_member("bob", "alice")
    assert {row.id for row in store.tokens() if row.revoked} == {"admin", "guest"}


def test_a_new_password_ends_every_session() -> None:
    store = RelayStore()
    for row in (session("one", "alice"), session("other", "alice")):
        store.add_session(row)
    store.remove_session("one")
    assert [row.digest for row in store.sessions()] == ["other"]
    store.set_password("alice", "hash")
    assert store.sessions() == []


def test_expired_workspaces_go_with_what_is_in_them() -> None:
    store = RelayStore()
    store.add_workspace(WorkspaceRow(name="anon-1", owner="anon-1", created=0, expires=10.0))
    store.add_workspace(WorkspaceRow(name="anon-2", owner="anon-2", created=0, expires=30.0))
    store.add_token(token("t", "anon-1", "anon-1"))
    store.save_name("anon-1", "cat", "user:anon-1", "public", {"models": ["a"]}, 5.0)
    assert store.load_names()[0].descriptor == {"models": ["a"]}
    assert store.remove_expired_workspaces(20.0) == ["anon-1"]
    assert store.tokens() == []
    assert store.load_names() == []
    assert [row.name for row in store.workspaces()] == ["anon-2"]


def test_a_transaction_that_fails_leaves_nothing() -> None:
    store = RelayStore()
    row = WorkspaceRow(name="team", owner="alice", created=0, expires=None, members=("bob", "bob"))
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        store.add_workspace(row)
    assert store.workspaces() == []


def test_visitors_keys_are_each_workspaces_own(tmp_path: Path) -> None:
    here, there = RelayStore(tmp_path / "r"), RelayStore(tmp_path / "r")
    alice, bob = KeyRing(WorkspaceKeys(here, "alice"), "alice"), KeyRing(WorkspaceKeys(here, "bob"), "bob")

    async def use() -> str:
        token, key = await alice.mint(["cat"], 60)
        assert alice.verify(token).id == key.id
        with pytest.raises(InvalidKey):
            bob.verify(token)
        await alice.synchronize()  # writes when it was used
        return token

    async def use_after(token: str) -> None:
        await alice.synchronize()
        with pytest.raises(InvalidKey, match="revoked"):
            alice.verify(token)

    token = asyncio.run(use())
    assert WorkspaceKeys(here, "bob").load() == []
    assert WorkspaceKeys(here, "alice").load()[0].last_used is not None
    other = KeyRing(WorkspaceKeys(there, "alice"), "alice")
    asyncio.run(other.revoke(other.verify(token).id))
    asyncio.run(use_after(token))
