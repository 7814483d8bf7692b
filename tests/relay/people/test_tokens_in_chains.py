"""Tokens that tokens make, as long as a chain may be and longer: revoking, ending, and a store that fails meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portico.errors import InvalidOption, Refused, StoreFailed
from portico.hub.keys import InvalidKey
from portico.protocol.events import Hello
from portico.relay.people.tokens import MAX_DEPTH, TokenRing
from portico.relay.store import RelayStore, TokenRow
from tests.relay.accounts_relay import AccountsRelay, with_relay
from tests.transports.recorder import run
from tests.waiting import until

LONG = 1200
"""Longer than Python's stack is deep."""


def row(token_id: str, parent: str = "", **more: Any) -> TokenRow:
    given: dict[str, Any] = {
        "user": "alice",
        "workspace": "alice",
        "scopes": ("publish:*",),
        "label": "",
        "created": 1.0,
    }
    return TokenRow(id=token_id, parent=parent, **{"expires": time.time() + 600, "revoked": False} | given | more)


def chained(store: RelayStore, length: int = LONG, **more: Any) -> list[str]:
    """Ids of tokens of which each was made by the one before, as an older relay would let one make them."""
    ids = [f"t{number}" for number in range(length)]
    for number, token_id in enumerate(ids):
        store.add_token(row(token_id, ids[number - 1] if number else "", **more))
    return ids


def live(ring: TokenRing) -> set[str]:
    return {grant.token_id for grant in ring.list() if not grant.revoked}


def test_a_chain_of_any_length_is_revoked_with_its_root(tmp_path: Path) -> None:
    async def inside() -> None:
        path = tmp_path / "r"
        store = await asyncio.to_thread(RelayStore, path)
        ids = await asyncio.to_thread(chained, store)
        await asyncio.to_thread(store.add_token, row("other"))
        ring = await asyncio.to_thread(TokenRing, store)
        heard: list[str] = []
        ring.listen(lambda grant: heard.append(grant.token_id))
        assert len(ring.made_by("t0")) == LONG - 1
        await ring.revoke(ids[1])
        assert live(ring) == {"t0", "other"}
        assert sorted(heard) == sorted(ids[1:]), "each once"
        assert live(await asyncio.to_thread(TokenRing, await asyncio.to_thread(RelayStore, path))) == {"t0", "other"}

    run(inside)


@pytest.mark.parametrize(
    "change",
    [
        lambda store: store.revoke_token("t0"),
        lambda store: store.set_disabled("alice", True),
        lambda store: store.remove_user("alice"),
        lambda store: store.remove_workspace("alice"),
        lambda store: store.remove_member("alice", "alice"),
        lambda store: store.set_admin("alice", False),
    ],
)
def test_a_long_chain_that_another_process_ends_ends_here(
    tmp_path: Path, change: Callable[[RelayStore], object]
) -> None:
    async def inside() -> None:
        mine = await asyncio.to_thread(RelayStore, tmp_path / "r")
        theirs = await asyncio.to_thread(RelayStore, tmp_path / "r")
        await asyncio.to_thread(chained, mine, scopes=("admin", "publish:*"))
        ring = await asyncio.to_thread(TokenRing, mine)
        assert len(live(ring)) == LONG
        await asyncio.to_thread(change, theirs)
        await ring.synchronize()
        assert live(ring) == set()
        assert live(await asyncio.to_thread(TokenRing, theirs)) == set()

    async def both() -> None:
        await inside()

    run(both)


def test_an_admins_token_that_is_taken_back_takes_what_it_made_with_it() -> None:
    store = RelayStore()
    store.add_token(row("boss", scopes=("admin",)))
    store.add_token(row("made", "boss"))
    store.add_token(row("other"))
    store.set_admin("alice", False)
    assert {found.id for found in store.tokens() if found.revoked} == {"boss", "made"}


def test_a_circle_in_a_damaged_store_is_worth_nothing_and_stops_nothing() -> None:
    async def inside() -> None:
        store = await asyncio.to_thread(RelayStore)
        for found in (
            row("a", "c"),
            row("b", "a"),
            row("c", "b"),
            row("self", "self"),
            row("orphan", "gone"),
            row("ok"),
        ):
            await asyncio.to_thread(store.add_token, found)
        ring = await asyncio.to_thread(TokenRing, store)
        assert live(ring) == {"ok"}
        for token_id in ("a", "self", "orphan"):
            assert await ring.revoke(token_id) is not None
            ring.made_by(token_id)
        assert {found.id for found in await asyncio.to_thread(store.tokens) if not found.revoked} == {"ok"}

    run(inside)


def test_nothing_outlives_or_outdoes_what_made_it() -> None:
    async def inside() -> None:
        now = time.time()
        store = await asyncio.to_thread(RelayStore)
        for found in (
            row("root", scopes=("publish:cat*",), expires=now + 60),
            row("longer", "root", scopes=("publish:cat",), expires=now + 6000),
            row("wider", "root", scopes=("admin", "publish:*", "publish:cat-2")),
            row("elsewhere", "root", workspace="bob", scopes=("publish:cat",)),
            row("over", expires=now - 1),
            row("survivor", "over"),
        ):
            await asyncio.to_thread(store.add_token, found)
        ring = await asyncio.to_thread(TokenRing, store)
        root, longer, wider = (ring.get(name) for name in ("root", "longer", "wider"))
        assert root is not None
        assert longer is not None
        assert longer.expires == root.expires
        assert wider is not None
        assert wider.scopes == ("publish:cat-2",)
        assert live(ring) == {"root", "longer", "wider"}
        with pytest.raises(InvalidKey):
            await ring.mint(user_id="alice", workspace="alice", scopes="publish:cat", lifetime=5, parent="over")
        with pytest.raises(InvalidKey):
            await ring.mint(user_id="alice", workspace="alice", scopes="publish:cat", lifetime=5, parent="no such")

    run(inside)


def test_a_chain_has_a_longest(tmp_path: Path) -> None:
    async def work(relay: AccountsRelay) -> None:
        token = await relay.token("publish:*")
        for _ in range(MAX_DEPTH):
            async with relay.program(token) as program:
                made = await program.post("/portico/api/tokens", json={"scopes": ["publish:*"]})
            assert made.status_code == 201, made.text
            token = made.json()["token"]
        async with relay.program(token) as program:
            refused = await program.post("/portico/api/tokens", json={"scopes": ["publish:*"]})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "too_deep")
        assert str(MAX_DEPTH) in refused.json()["error"]["message"]
        ring = await asyncio.to_thread(TokenRing, await asyncio.to_thread(RelayStore, tmp_path / "r"))
        last = ring.verify(token)
        with pytest.raises(InvalidOption):  # after a restart too
            await ring.mint(user_id="alice", workspace="alice", scopes="keys", lifetime=5, parent=last.token_id)

    with_relay(work, path=tmp_path / "r")


def test_a_token_that_is_revoked_while_its_request_comes_makes_nothing() -> None:
    """The body of a request may take as long as its sender likes."""

    async def work(relay: AccountsRelay) -> None:
        for target, body in (
            ("tokens", {"scopes": ["publish:*"]}),
            ("tokens", {}),
            ("keys", {"services": ["*"]}),
            ("keys", {"services": ["cat"]}),
        ):
            token = await relay.token("publish:*", "keys")
            begun, revoked = asyncio.Event(), asyncio.Event()

            async def slowly(body: Any = body, begun: asyncio.Event = begun, revoked: asyncio.Event = revoked) -> Any:
                text = json.dumps(body).encode()
                yield text[:1]
                begun.set()  # its beginning was sent
                await revoked.wait()
                yield text[1:]

            async with relay.program(token) as program:
                asked = asyncio.ensure_future(program.post(f"/portico/api/{target}", content=slowly()))
                await begun.wait()
                await relay.tokens.revoke(relay.tokens.verify(token).token_id)
                revoked.set()
                assert (await asked).status_code == 401, target
        assert live(relay.tokens) == set()
        workspace = await relay.workspaces.open("alice")
        assert not any(not key.revoked for key in workspace.keys.list())

    with_relay(work)


def test_a_token_that_is_revoked_while_its_workspace_opens_opens_nothing() -> None:
    """A workspace's keys are read from the disk when somebody first asks for it."""

    async def work(relay: AccountsRelay) -> None:
        workspaces = relay.workspaces
        token = await relay.token("publish:*")
        asked: list[asyncio.Future[Any]] = []
        async with workspaces._opening, relay.program(token) as program:
            hello = Hello(token=token, session="a" * 32, epoch=1, info={})
            asked.append(asyncio.ensure_future(workspaces.tenancy(hello)))
            asked.append(asyncio.ensure_future(program.get("/portico/api/me")))
            await until(lambda: len(workspaces._opening._waiters or ()) == 2)
            await relay.tokens.revoke(relay.tokens.verify(token).token_id)
            workspaces._opening.release()
            try:
                with pytest.raises(Refused, match="revoked"):
                    await asked[0]
                assert (await asked[1]).status_code == 401
            finally:
                await workspaces._opening.acquire()

    with_relay(work)


def test_keys_end_with_the_token_that_made_them(tmp_path: Path) -> None:
    async def work(relay: AccountsRelay) -> None:
        root = await relay.token("publish:*", "keys", "manage")
        await relay.publish(root, "cat")
        async with relay.program(root) as program:
            made = (await program.post("/portico/api/tokens", json={"scopes": ["keys", "publish:cat"]})).json()
            kept = (await program.post("/portico/api/keys", json={"services": ["cat"]})).json()["key"]
        keys = []
        async with relay.program(made["token"]) as program:
            asked: list[tuple[str, Any]] = [
                ("keys", {"services": ["cat"]}),
                ("keys", {"services": ["*"]}),
                ("tokens", {}),
            ]
            for target, body in asked:
                keys += [(await program.post(f"/portico/api/{target}", json=body)).json()["key"]]
        workspace = await relay.workspaces.open("alice")
        for key in (kept, *keys):
            assert workspace.keys.verify(key)
        await relay.tokens.revoke(made["id"])
        for key in keys:
            with pytest.raises(InvalidKey, match="revoked"):
                workspace.keys.verify(key)
        assert workspace.keys.verify(kept)
        store = await asyncio.to_thread(RelayStore, tmp_path / "r")
        await asyncio.to_thread(store.revoke_token, relay.tokens.verify(root).token_id)  # another process
        await relay.workspaces.keep_up()
        with pytest.raises(InvalidKey, match="revoked"):
            workspace.keys.verify(kept)

    with_relay(work, path=tmp_path / "r")


def test_a_name_that_is_held_for_a_revoked_token_is_free() -> None:
    async def work(relay: AccountsRelay) -> None:
        token = await relay.token("publish:*")
        publisher = await relay.publish(token, "cat")
        await publisher.cut()
        registry = (await relay.workspaces.open("alice")).registry
        await until(lambda: registry.services["cat"].status == "reconnecting")
        await relay.tokens.revoke(relay.tokens.verify(token).token_id)
        assert registry.services == {}

    with_relay(work)


# --- a store that fails -----------------------------------------------------------------------------------------------


def read_only(store: RelayStore) -> None:
    store._database.execute("PRAGMA query_only = 1")


def full(store: RelayStore) -> None:
    """No page more, and those that there are taken."""
    pages = store._database.execute("PRAGMA page_count").fetchone()[0]
    store._database.execute(f"PRAGMA max_page_count = {pages}")
    with contextlib.suppress(sqlite3.OperationalError):
        while True:
            store._database.execute("INSERT INTO relay VALUES (hex(randomblob(8)), randomblob(90))")


def test_where_the_store_fails_nothing_is_revoked_and_nothing_is_said_to_be(tmp_path: Path) -> None:
    async def work(relay: AccountsRelay) -> None:
        boss = await relay.token("publish:*", "keys", "manage")
        token = await relay.token("publish:*")
        token_id = relay.tokens.verify(token).token_id
        publisher = await relay.publish(token, "cat")
        async with relay.program(boss) as program, relay.browser() as browser:
            key = (await program.post("/portico/api/keys", json={"services": ["*"]})).json()
            assert (await relay.sign_in(browser)).status_code == 303
            await asyncio.to_thread(read_only, relay.store)
            refused = await program.delete(f"/portico/api/tokens/{token_id}")
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store_failed")
            refused = await program.delete(f"/portico/api/keys/{key['id']}")
            assert refused.status_code == 503
            for target, body in (("tokens", {"scopes": ["publish:*"]}), ("keys", {"services": ["*"]})):
                assert (await program.post(f"/portico/api/{target}", json=body)).status_code == 503
            out = await relay.send_form(browser, "/portico/logout", "/portico/logout", {})
            assert out.status_code == 503
            assert "nothing was changed" in out.text
            page = await relay.send_form(browser, "/portico/", "/portico/tokens", {"id": token_id})
            assert page.status_code == 503
            assert (await browser.get("/portico/")).status_code == 200, "still signed in, as was said"
            workspace = await relay.workspaces.open("alice")
            assert workspace.keys.verify(key["key"])
            assert relay.tokens.verify(token)
            assert (await publisher.register("cat", title="Still here")).ok
            with pytest.raises(StoreFailed):
                await relay.accounts.set_disabled("alice", True)
            assert not relay.account().disabled
            await asyncio.to_thread(lambda: relay.store._database.execute("PRAGMA query_only = 0"))
            assert (await program.delete(f"/portico/api/tokens/{token_id}")).status_code == 204
            await until(lambda: publisher.closed)

    with_relay(work, path=tmp_path / "r")


def test_a_full_store_makes_nothing_and_goes_on() -> None:
    async def inside() -> None:
        store = await asyncio.to_thread(RelayStore)
        ring = await asyncio.to_thread(TokenRing, store)
        await asyncio.to_thread(full, store)
        with pytest.raises(StoreFailed, match="full"):  # noqa: PT012 -- which of them is too many is SQLite's to say
            for _ in range(1000):
                await ring.mint(user_id="alice", workspace="alice", scopes="keys", lifetime=60)
        stored = {found.id for found in await asyncio.to_thread(store.tokens)}
        assert live(ring) == stored
        await asyncio.to_thread(lambda: store._database.execute("PRAGMA max_page_count = 1000000"))
        await ring.mint(user_id="alice", workspace="alice", scopes="keys", lifetime=60)
        assert len(live(ring)) == len(stored) + 1

    run(inside)


def test_a_transaction_that_cannot_be_committed_leaves_none_open() -> None:
    """A foreign key that is checked at COMMIT stands for whatever SQLite fails at there."""
    store = RelayStore()
    store._database.execute("PRAGMA foreign_keys = 1")
    store._database.execute("CREATE TABLE one (id INTEGER PRIMARY KEY)")
    store._database.execute("CREATE TABLE two (one INTEGER REFERENCES one DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(sqlite3.IntegrityError), store.transaction() as database:
        database.execute("INSERT INTO two VALUES (7)")
    store.add_token(row("a"))
    assert [found.id for found in store.tokens()] == ["a"]
    assert store.rows("SELECT * FROM two") == []


def test_what_fails_on_the_way_is_taken_in_later(tmp_path: Path) -> None:
    async def inside() -> None:
        mine = await asyncio.to_thread(RelayStore, tmp_path / "r")
        theirs = await asyncio.to_thread(RelayStore, tmp_path / "r")
        await asyncio.to_thread(chained, mine, 3)
        ring = await asyncio.to_thread(TokenRing, mine)
        fails = True

        async def reader() -> None:
            if fails:
                raise RuntimeError("on purpose")

        def listener(grant: object) -> None:
            raise RuntimeError("on purpose")

        heard: list[object] = []
        ring.listen(listener)
        ring.listen(heard.append)
        ring.read_along(reader)
        await asyncio.to_thread(theirs.revoke_token, "t1")
        with pytest.raises(RuntimeError):
            await ring.synchronize()
        assert live(ring) == {"t0"}
        assert len(heard) == 2, "another listener's failure is not ours"
        version, fails = ring._version, False
        await ring.synchronize()
        assert ring._version != version, "it was looked at again"

    run(inside)


def test_a_caller_who_is_gone_leaves_nothing_half_revoked() -> None:
    async def inside() -> None:
        store = await asyncio.to_thread(RelayStore)
        await asyncio.to_thread(chained, store, 5)
        ring = await asyncio.to_thread(TokenRing, store)
        asked = asyncio.ensure_future(ring.revoke("t1"))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await until(lambda: live(ring) == {"t0"})
        assert {found.id for found in await asyncio.to_thread(store.tokens) if not found.revoked} == {"t0"}

    run(inside)


def test_the_command_line_says_what_it_could_not_do(tmp_path: Path) -> None:
    store = RelayStore(tmp_path / "relay.sqlite3")
    chained(store)
    command = [sys.executable, "-m", "portico", "relay", "token", "--data-dir", str(tmp_path), "--revoke"]
    store._database.execute("BEGIN IMMEDIATE")  # another writer, who does not finish
    failed = subprocess.run([*command, "t0"], capture_output=True, text=True, timeout=60)
    store._database.execute("ROLLBACK")
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert failed.stderr.startswith("portico: ")
    assert "Traceback" not in failed.stderr
    assert not any(found.revoked for found in store.tokens())
    done = subprocess.run([*command, "t0"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "t0 is revoked.\n")
    assert all(found.revoked for found in store.tokens())


# --- structures that strangers send -----------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["scopes", "scope", "services", "label", "workspace", "expires_in"])
@pytest.mark.parametrize("depth", [50, 500, 900, 20_000])
def test_what_is_nested_deep_is_no_servers_error(field: str, depth: int) -> None:
    async def work(relay: AccountsRelay) -> None:
        token = await relay.token("publish:*", "keys", "manage")
        lists, objects = "[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth
        for nested in (lists, f"[{lists}]", objects):
            body = f'{{"{field}": {nested}}}'
            if len(body) < 60_000:
                async with relay.program(token) as program:
                    for target in ("tokens", "keys"):
                        answer = await program.post(f"/portico/api/{target}", content=body)
                        assert answer.status_code < 500, (target, answer.text[:200])

    with_relay(work)
