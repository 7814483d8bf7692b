"""A name that is given to another: what was made for a user or a workspace opens nothing of the next one so named."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from portico.errors import Refused
from portico.hub.answers import Answer
from portico.hub.conditions import Conditions, digest
from portico.hub.keys import InvalidKey, KeyRing
from portico.hub.workspace import Workspace
from portico.relay.people.device import GRANT_TYPE, OAuthError
from portico.relay.store import RelayStore, TokenRow, UserRow, WorkspaceRow
from portico.relay.workspace_keys import WorkspaceKeys
from tests.in_process import Publisher
from tests.relay.accounts_relay import PASSWORD, AccountsRelay, with_relay
from tests.waiting import until

Anew = Callable[[AccountsRelay, Path], Awaitable[None]]


def by_hand(store: RelayStore, name: str = "alice") -> None:
    """What the command line does, beside the relay."""
    store.remove_user(name)
    store.add_user(UserRow(id=name, email="", admin=False, disabled=False, password="", created=2.0))


async def beside(relay: AccountsRelay, path: Path) -> None:
    """Another process writes; the relay looks at the file some seconds later."""
    await asyncio.to_thread(by_hand, await asyncio.to_thread(RelayStore, path))
    await relay.accounts.synchronize()
    await relay.workspaces.keep_up()


async def within(relay: AccountsRelay, path: Path) -> None:
    """The relay's own process writes, and nothing is said to anybody."""
    await relay.accounts.remove("alice")
    await relay.accounts.add("alice", PASSWORD)


def with_a_file(work: Callable[[AccountsRelay, Path], Awaitable[None]], path: Path, **settings: Any) -> None:
    async def inside(relay: AccountsRelay) -> None:
        await work(relay, path)

    with_relay(inside, path=path, **settings)


async def new_token(relay: AccountsRelay, name: str = "alice") -> str:
    return await relay.token("publish:*", "keys", "manage", user=name)


def opens(workspace: Workspace, key: str) -> bool:
    try:
        return not workspace.keys.verify(key).revoked
    except InvalidKey:
        return False


@pytest.mark.parametrize("anew", [beside, within])
def test_keys_tokens_names_and_counters_are_the_former_ones_alone(tmp_path: Path, anew: Anew) -> None:
    async def work(relay: AccountsRelay, path: Path) -> None:
        token = await new_token(relay)
        publisher = await relay.publish(token, "cat")
        away = await relay.publish(await new_token(relay), "bird")
        await away.cut()
        former = await relay.workspaces.open("alice")
        await until(lambda: former.registry.services["bird"].status == "reconnecting")
        async with relay.program(token) as program:
            key = (await program.post("/portico/api/keys", json={"services": ["*"]})).json()["key"]
            made = (await program.post("/portico/api/tokens", json={"scopes": ["publish:*"]})).json()["token"]
        conditions = Conditions(password=digest(b"open"))
        passed = former.gateway.enforcer.make_pass(conditions, "cat").encode()
        confirmed = former.gateway.enforcer.make_confirmation("cat").encode()
        assert opens(former, key)

        await anew(relay, path)
        theirs = await new_token(relay)
        for old in (token, made):
            with pytest.raises(InvalidKey):
                await relay.tokens.authenticate(old)
            with pytest.raises(Refused):
                await Publisher(relay, old, session=publisher.session).connect(epoch=9)  # type: ignore[arg-type]
        await relay.publish(theirs, "cat")
        now = await relay.workspaces.open("alice")
        assert now is not former
        assert set(now.registry.services) == {"cat"}
        assert not opens(now, key)
        assert now.keys.list() == []
        assert not now.gateway.enforcer.is_pass(conditions, "cat", passed)
        assert not now.gateway.enforcer.is_confirmation("cat", confirmed)
        await until(lambda: publisher.closed)
        assert former.registry.sessions == {}

        restarted = await asyncio.to_thread(RelayStore, path)
        uid = await asyncio.to_thread(restarted.uid_of, "alice")
        ring = await asyncio.to_thread(KeyRing, WorkspaceKeys(restarted, "alice", uid), f"alice:{uid}")
        with pytest.raises(InvalidKey):
            ring.verify(key)

    with_a_file(work, tmp_path / "r")


def test_a_key_whose_row_comes_back_is_of_another_workspace(tmp_path: Path) -> None:
    """The signature says whose it is: what the store holds is not all that is asked."""

    async def work(relay: AccountsRelay, path: Path) -> None:
        workspace = await relay.workspaces.open("alice")
        token, key = await workspace.keys.mint(["*"], 600)
        await beside(relay, path)
        await asyncio.to_thread(WorkspaceKeys(relay.store, "alice").save, key)
        now = await relay.workspaces.open("alice")
        assert [found.id for found in now.keys.list()] == [key.id]
        assert not opens(now, token)

    with_a_file(work, tmp_path / "r")


def test_what_is_written_late_is_not_written_for_the_next_one(tmp_path: Path) -> None:
    async def work(relay: AccountsRelay, path: Path) -> None:
        await relay.publish(await new_token(relay), "cat")
        former = await relay.workspaces.open("alice")
        other = await asyncio.to_thread(RelayStore, path)
        await asyncio.to_thread(by_hand, other)  # and the relay has not looked yet
        await relay.workspaces.remember()
        assert await asyncio.to_thread(other.load_names) == []
        with pytest.raises(InvalidKey, match="gone"):
            await former.keys.mint(["*"], 600)
        assert await asyncio.to_thread(WorkspaceKeys(other, "alice").load) == []

    with_a_file(work, tmp_path / "r")


def test_a_shared_workspace_that_is_made_anew_is_another(tmp_path: Path) -> None:
    async def work(relay: AccountsRelay, path: Path) -> None:
        await relay.accounts.add_workspace("team", "alice", ["bob"])
        token = await relay.token("publish:*", "keys", user="bob", workspace="team")
        await relay.publish(token, "cat")
        former = await relay.workspaces.open("team")
        async with relay.program(token) as program:
            key = (await program.post("/portico/api/keys", json={"services": ["*"]})).json()["key"]
        other = await asyncio.to_thread(RelayStore, path)
        await asyncio.to_thread(other.remove_workspace, "team")
        await relay.workspaces.keep_up()
        assert relay.workspaces.get("team").registry.services == {}
        with pytest.raises(InvalidKey):
            await relay.tokens.authenticate(token)
        row = WorkspaceRow(name="team", owner="root", created=3.0, expires=None, members=("bob",))
        await asyncio.to_thread(other.add_workspace, row)
        now = await relay.workspaces.open("team")
        assert now is not former
        assert not opens(now, key)

    with_a_file(work, tmp_path / "r")


def test_what_a_removed_user_made_in_a_workspace_of_others_ends(tmp_path: Path) -> None:
    async def work(relay: AccountsRelay, path: Path) -> None:
        await relay.accounts.add_workspace("team", "bob", ["alice"])
        token = await relay.token("publish:*", "keys", workspace="team")
        publisher = await relay.publish(token, "cat")
        await publisher.cut()
        team = await relay.workspaces.open("team")
        await until(lambda: team.registry.services["cat"].status == "reconnecting")
        async with relay.program(token) as program:
            key = (await program.post("/portico/api/keys", json={"services": ["*"]})).json()["key"]
        await beside(relay, path)
        assert await relay.workspaces.open("team") is team, "the workspace itself is as it was"
        assert team.registry.services == {}, "the name is not held for another alice"
        assert not opens(team, key)

    with_a_file(work, tmp_path / "r")


def test_a_sign_in_and_a_password_are_the_former_users(tmp_path: Path) -> None:
    async def work(relay: AccountsRelay, path: Path) -> None:
        former = relay.account()
        async with relay.browser() as browser:
            assert (await relay.sign_in(browser)).status_code == 303
            assert (await browser.get("/portico/")).status_code == 200
            await beside(relay, path)
            assert (await browser.get("/portico/")).status_code == 303
        assert await relay.accounts.check_password("alice", PASSWORD) is None
        cookie = await relay.accounts.sign_in(former)
        assert relay.accounts.session(cookie) is None, "who was asked before is not who is there now"

    with_a_file(work, tmp_path / "r")


def test_a_password_that_was_checked_for_the_former_user_signs_nobody_in(tmp_path: Path) -> None:
    """A check takes a while: it ends when there is another user of that name, or another password."""

    async def work(relay: AccountsRelay, path: Path) -> None:
        changes: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("bob", lambda: relay.accounts.set_password("bob", "another password")),
            ("alice", lambda: beside(relay, path)),
        ]
        for name, change in changes:
            verify = relay.accounts._verify

            async def slowly(*asked: str, verify: Any = verify, change: Any = change) -> bool:
                right = await verify(*asked)
                await change()
                return bool(right)

            relay.accounts._verify = slowly  # type: ignore[method-assign]
            assert await relay.accounts.check_password(name, PASSWORD) is None
            relay.accounts._verify = verify  # type: ignore[method-assign]

    with_a_file(work, tmp_path / "r")


@pytest.mark.parametrize("looked", [True, False])
def test_a_device_login_that_the_former_user_allowed_gives_nothing(tmp_path: Path, looked: bool) -> None:
    async def work(relay: AccountsRelay, path: Path) -> None:
        devices = relay.app.devices
        begun = devices.begin({"client_id": "portico"}, address="10.0.0.1", agent="")
        pending = devices.find(begun["user_code"], relay.account(), "")
        assert pending is not None
        assert devices.allow(pending, relay.account(), "alice")
        if looked:
            await beside(relay, path)
        else:  # another process has written, and the relay does not know of it yet
            await asyncio.to_thread(by_hand, await asyncio.to_thread(RelayStore, path))
        asked = {"grant_type": GRANT_TYPE, "client_id": "portico", "device_code": begun["device_code"]}
        with pytest.raises(OAuthError) as raised:
            await devices.poll(asked)
        assert raised.value.code == "access_denied"

    with_a_file(work, tmp_path / "r")


def test_a_device_login_is_worth_what_its_user_is_when_it_is_asked_for(tmp_path: Path) -> None:
    async def work(relay: AccountsRelay, path: Path) -> None:
        devices = relay.app.devices
        begun = devices.begin({"client_id": "portico", "scope": "admin"}, address="10.0.0.1", agent="")
        pending = devices.find(begun["user_code"], relay.account("root"), "")
        assert pending is not None
        assert devices.allow(pending, relay.account("root"), "root")
        await relay.accounts.set_admin("root", False)
        asked = {"grant_type": GRANT_TYPE, "client_id": "portico", "device_code": begun["device_code"]}
        with pytest.raises(OAuthError):
            await devices.poll(asked)

    with_a_file(work, tmp_path / "r")


def test_a_file_of_before_keeps_its_keys_and_gives_the_next_ones_uids(tmp_path: Path) -> None:
    path = tmp_path / "r"
    database = sqlite3.connect(path)
    database.executescript(
        """
        CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT NOT NULL, admin INTEGER NOT NULL,
            disabled INTEGER NOT NULL, password TEXT NOT NULL, created REAL NOT NULL);
        CREATE TABLE workspaces (name TEXT PRIMARY KEY, owner TEXT NOT NULL, created REAL NOT NULL, expires REAL);
        CREATE TABLE keys (id TEXT PRIMARY KEY, workspace TEXT NOT NULL, services TEXT NOT NULL, label TEXT NOT NULL,
            created REAL NOT NULL, expires REAL NOT NULL, created_by TEXT NOT NULL, revoked INTEGER NOT NULL,
            last_used REAL);
        INSERT INTO users VALUES ('alice', '', 0, 0, '', 1.0);
        INSERT INTO workspaces VALUES ('alice', 'alice', 1.0, NULL);
        """
    )
    database.close()

    async def work(relay: AccountsRelay, path: Path) -> None:
        workspace = await relay.workspaces.open("carol")
        assert workspace.uid == ""
        token, _ = await workspace.keys.mint(["*"], 600, created_by="user:carol")
        plain = await asyncio.to_thread(KeyRing, WorkspaceKeys(relay.store, "carol"), "carol")
        assert plain.verify(token), "as it was signed before there were uids"
        other = await asyncio.to_thread(RelayStore, path)
        await asyncio.to_thread(by_hand, other, "carol")
        await relay.accounts.synchronize()
        await relay.workspaces.keep_up()
        now = await relay.workspaces.open("carol")
        assert now.uid
        assert not opens(now, token)

    renamed = sqlite3.connect(path)
    renamed.executescript("UPDATE users SET id = 'carol'; UPDATE workspaces SET name = 'carol', owner = 'carol'")
    renamed.close()
    with_a_file(work, path)


def test_a_workspace_that_is_made_begins_empty() -> None:
    store = RelayStore()
    stale = TokenRow(
        id="t", user="eve", workspace="team", scopes=("keys",), label="", created=1.0, expires=9e9, revoked=False
    )
    for make in (
        lambda: store.add_workspace(WorkspaceRow(name="team", owner="bob", created=0, expires=None)),
        lambda: store.add_user(UserRow(id="team", email="", admin=False, disabled=False, password="", created=0)),
    ):
        store.add_token(stale)
        store.save_name("team", "cat", "user:eve", "public", {"name": "cat"}, 1.0)
        store.add_member("team", "eve")
        assert make()
        assert store.tokens() == []
        assert store.load_names() == []
        assert store.workspaces()[0].members == ()
        store.remove_workspace("team")


def test_a_visit_to_the_former_workspace_is_none_to_the_next() -> None:
    """`portico.relay.people.identity`: the cookie says which workspace of that name it was to."""
    from portico.hub.access import NOBODY, KnownUser
    from portico.relay.people.doorway import SignedIn
    from portico.relay.people.identity import RelayIdentities
    from tests.in_process import a_visit

    class Door:
        of = ""

        def visitor(self, workspace: str, request: object) -> SignedIn:
            return SignedIn(KnownUser("alice"), "", self.of)

    async def work(relay: AccountsRelay, path: Path) -> None:
        door = Door()
        identities = RelayIdentities("alice", relay.accounts, door, frozenset(), ())  # type: ignore[arg-type]
        workspace = await relay.workspaces.open("alice")
        door.of = workspace.gateway.enforcer.workspace
        assert re.fullmatch(r"alice:\w{16}", door.of)
        assert (await identities.recognise(a_visit("cat/"))).user is not None
        await within(relay, path)
        assert await identities.recognise(a_visit("cat/")) is NOBODY

    with_a_file(work, Path(":memory:"))


def test_an_anonymous_workspace_that_has_ended_is_closed(tmp_path: Path) -> None:
    async def work(relay: AccountsRelay, path: Path) -> None:
        publisher = await relay.publish("", "cat")
        assert publisher.welcome is not None
        name = str(publisher.welcome.info["workspace"])
        former = relay.workspaces.get(name)
        token, _ = await former.keys.mint(["*"], 600)
        other = await asyncio.to_thread(RelayStore, path)
        await asyncio.to_thread(other.remove_expired_workspaces, 9e9)
        await relay.workspaces.keep_up()
        await until(lambda: publisher.closed)
        assert former.registry.services == {}
        assert relay.workspaces.get(name) is not former
        assert not opens(relay.workspaces.get(name), token)
        with pytest.raises(Answer):
            await relay.workspaces.get(name).gateway.admit(_a_visit())

    with_a_file(work, tmp_path / "r", anonymous=True)


def _a_visit() -> Any:
    from tests.in_process import a_visit

    return a_visit("cat/")
