"""Users, passwords, workspaces and sign-ins: who gets in, and how little is told to who does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from portico.errors import InvalidName, InvalidOption
from portico.hub.answers import Answer
from portico.networks import network_of
from portico.relay.people.accounts import _NOBODYS, Accounts, Attempts
from portico.relay.store import RelayStore
from tests.transports.recorder import run

PASSWORD = "correct horse"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def with_accounts(work: Callable[[Accounts, RelayStore], Awaitable[None]]) -> None:
    """Alice is there, with a password."""
    store = RelayStore()
    accounts = Accounts(store, hasher=CHEAP)

    async def inside() -> None:
        await accounts.add("alice", PASSWORD, email="alice@example.org")
        await work(accounts, store)

    run(inside)


def test_the_right_password_and_no_other() -> None:
    async def work(accounts: Accounts, store: RelayStore) -> None:
        account = await accounts.check_password("alice", PASSWORD)
        assert account is not None
        assert (account.id, account.email, account.admin) == ("alice", "alice@example.org", False)
        for name, password in (("alice", "wrong"), ("alice", ""), ("bob", PASSWORD), ("", ""), ("Alice", PASSWORD)):
            assert await accounts.check_password(name, password) is None
        users = await asyncio.to_thread(store.users)
        assert PASSWORD not in str(users)
        assert users[0].password.startswith("$argon2id$")

    with_accounts(work)


def test_a_user_without_a_password_and_one_who_is_disabled_cannot_sign_in() -> None:
    async def work(accounts: Accounts, _: RelayStore) -> None:
        await accounts.add("robot")
        for password in ("", PASSWORD):
            assert await accounts.check_password("robot", password) is None
        cookie = await accounts.sign_in(accounts.list()[0])
        await accounts.set_disabled("alice", True)
        assert await accounts.check_password("alice", PASSWORD) is None
        assert accounts.session(cookie) is None
        await accounts.set_disabled("alice", False)
        assert accounts.session(cookie) is None
        assert await accounts.check_password("alice", PASSWORD) is not None

    with_accounts(work)


def test_nobodys_hash_is_as_dear_as_a_users() -> None:
    assert not PasswordHasher().check_needs_rehash(_NOBODYS), "write it anew with the parameters of this argon2-cffi"


def test_a_wrong_name_takes_as_long_as_a_wrong_password() -> None:
    accounts = Accounts(RelayStore())

    async def inside() -> None:
        await accounts.add("alice", PASSWORD)

        async def shortest(name: str) -> float:
            times = []
            for _ in range(3):
                begun = time.perf_counter()
                await accounts.check_password(name, "wrong")
                times.append(time.perf_counter() - begun)
            return min(times)

        known, unknown = await shortest("alice"), await shortest("bob")
        assert unknown > known / 3, "the same work is done for both; without it, it is a thousandth"

    run(inside)


def test_a_password_is_the_same_however_it_is_typed() -> None:
    async def work(accounts: Accounts, _: RelayStore) -> None:
        await accounts.set_password("alice", "caf\u00e9 au lait")
        assert await accounts.check_password("alice", "cafe\u0301 au lait") is not None

    with_accounts(work)


def test_a_hash_is_made_dearer_when_its_user_comes_and_nobody_is_signed_out() -> None:
    async def work(accounts: Accounts, store: RelayStore) -> None:
        cookie = await accounts.sign_in(accounts.list()[0])
        hasher = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1)
        dearer = await asyncio.to_thread(Accounts, store, hasher=hasher)
        assert await dearer.check_password("alice", PASSWORD) is not None
        assert "t=2" in (await asyncio.to_thread(store.users))[0].password
        assert dearer.session(cookie) is not None
        assert await dearer.check_password("alice", PASSWORD) is not None

    with_accounts(work)


def test_names_and_passwords_that_cannot_be() -> None:
    async def work(accounts: Accounts, _: RelayStore) -> None:
        for name in ("alice", "portico", "anon-1", "Bob", "b--b"):
            with pytest.raises(InvalidName):
                await accounts.add(name)
        for password in ("short", "x" * 1001):
            with pytest.raises(InvalidOption, match="from 8 to 1000"):
                await accounts.add("bob", password)
        with pytest.raises(InvalidOption, match="e-mail"):
            await accounts.add("bob", email="nowhere")
        with pytest.raises(InvalidName, match="no user named 'bob'"):
            await accounts.remove("bob")

    with_accounts(work)


def test_attempts_are_bounded_for_a_name_that_is_there_or_not() -> None:
    async def work(accounts: Accounts, _: RelayStore) -> None:
        async def attempts(name: str) -> tuple[int, str, int | None]:
            for count in range(50):
                try:
                    await accounts.check_password(name, "wrong", f"10.0.0.{count}")
                except Answer as answer:
                    return count, answer.message, answer.retry_after
            raise AssertionError("no bound")

        known, unknown = await attempts("alice"), await attempts("nobody")
        assert known[:2] == unknown[:2]
        assert known[0] == 10
        assert known[2] is not None
        assert known[2] <= 301
        with pytest.raises(Answer):
            await accounts.check_password("alice", PASSWORD, "10.1.1.1")

    with_accounts(work)


def test_attempts_are_bounded_for_an_address_whatever_the_name() -> None:
    async def work(accounts: Accounts, _: RelayStore) -> None:
        for count in range(30):
            await accounts.check_password(f"user{count}", "wrong", f"2001:db8::{count:x}")
        with pytest.raises(Answer) as raised:
            await accounts.check_password("another", "wrong", "2001:db8::ffff")
        assert "network" in raised.value.message
        assert await accounts.check_password("alice", PASSWORD, "2001:db8:1::1") is not None

    with_accounts(work)


def test_the_right_password_does_not_count() -> None:
    async def work(accounts: Accounts, _: RelayStore) -> None:
        for _ in range(40):
            assert await accounts.check_password("alice", PASSWORD, "10.0.0.1") is not None

    with_accounts(work)


def test_attempts_come_back_with_time_and_are_bounded_in_memory() -> None:
    now = 0.0
    attempts = Attempts(2, 10.0, most=3, now=lambda: now)
    attempts.take("a", "No.")
    now = 6.0
    attempts.take("a", "No.")
    with pytest.raises(Answer) as raised:
        attempts.take("a", "No.")
    assert raised.value.retry_after == 5
    now = 10.5
    attempts.take("a", "No.")
    for who in "bcd":
        attempts.take(who, "No.")
    assert len(attempts._made) == 3


def test_one_household_of_ipv6_is_one_address() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") != network_of("2001:db8:0:1::1")
    assert network_of("::ffff:10.0.0.1") == network_of("10.0.0.1") == "10.0.0.1"
    assert network_of("fe80::1%eth0") == "fe80::/64"
    assert network_of("") == ""


def test_workspaces_are_their_owners_and_their_members() -> None:
    async def work(accounts: Accounts, store: RelayStore) -> None:
        alice, bob = accounts.list()[0], await accounts.add("bob")
        await accounts.add_workspace("team", "alice", ["bob", "alice"])
        assert accounts.workspaces_of(alice) == ["alice", "team"]
        assert accounts.workspaces_of(bob) == ["bob", "team"]
        assert not accounts.may_enter(bob, "alice")
        assert not accounts.may_enter(bob, "nowhere")
        for name, owner in (("team", "alice"), ("alice", "bob"), ("portico", "alice"), ("club", "eve")):
            with pytest.raises(InvalidName):
                await accounts.add_workspace(name, owner)
        await accounts.set_disabled("bob", True)
        assert not accounts.may_enter(accounts.list()[1], "team")

    with_accounts(work)


def test_a_session_is_known_by_its_cookie_alone_and_ends() -> None:
    async def work(accounts: Accounts, store: RelayStore) -> None:
        alice = accounts.list()[0]
        cookie = await accounts.sign_in(alice)
        assert len(cookie) >= 43
        stored = await asyncio.to_thread(store.sessions)
        assert cookie not in str(stored)
        assert accounts.session(cookie) == alice
        for wrong in ("", "x", cookie[:-1], cookie + "x", stored[0].digest, "\ud800"):
            assert accounts.session(wrong) is None
        signed_in = accounts.signed_in(cookie)
        assert signed_in is not None
        assert accounts.is_live(signed_in.digest)
        await accounts.sign_out(cookie)
        assert accounts.session(cookie) is None
        assert not accounts.is_live(signed_in.digest), "so visits to services that began with it end too"
        assert await asyncio.to_thread(store.sessions) == []

    with_accounts(work)


def test_sessions_expire_and_are_bounded() -> None:
    store, now = RelayStore(), time.time()
    accounts = Accounts(store, session_lifetime=60, now=lambda: now, hasher=CHEAP)

    async def inside() -> None:
        nonlocal now
        alice = await accounts.add("alice", PASSWORD)
        first = await accounts.sign_in(alice)
        cookies = []
        for _ in range(100):
            now += 0.001
            cookies.append(await accounts.sign_in(alice))
        assert accounts.session(first) is None
        assert all(accounts.session(cookie) for cookie in cookies)
        assert len(await asyncio.to_thread(store.sessions)) == 100
        now += 60
        assert not any(accounts.session(cookie) for cookie in cookies)

    run(inside)


def test_what_another_process_writes_is_known_here(tmp_path: Path) -> None:
    here = Accounts(RelayStore(tmp_path / "r"), hasher=CHEAP)
    there = Accounts(RelayStore(tmp_path / "r"), hasher=CHEAP)

    async def prepare() -> str:
        return await here.sign_in(await here.add("alice", PASSWORD))

    cookie = asyncio.run(prepare())
    asyncio.run(there.synchronize())
    assert there.session(cookie) is not None
    asyncio.run(there.set_password("alice", "another one"))
    asyncio.run(there.add("bob"))
    assert here.session(cookie) is not None
    asyncio.run(here.synchronize())
    assert here.session(cookie) is None, "a new password signs out everywhere"
    assert [account.id for account in here.list()] == ["alice", "bob"]


def test_a_sign_in_during_a_synchronisation_is_kept(tmp_path: Path) -> None:
    here, there = RelayStore(tmp_path / "r"), RelayStore(tmp_path / "r")
    accounts = Accounts(here, hasher=CHEAP)
    alice = asyncio.run(accounts.add("alice", PASSWORD))
    asyncio.run(Accounts(there, hasher=CHEAP).add("bob"))

    async def inside() -> None:
        signs_in = [accounts.sign_in(alice) for _ in range(10)]
        cookies, *_ = await asyncio.gather(asyncio.gather(*signs_in), accounts.synchronize(), accounts.synchronize())
        assert all(accounts.session(cookie) for cookie in cookies)
        assert accounts.get("bob") is not None

    run(inside)


def test_strangers_who_try_a_name_keep_its_owner_out_in_new_places_alone() -> None:
    async def work(accounts: Accounts, _: RelayStore) -> None:
        home = "2001:db8:1::"
        assert await accounts.check_password("alice", PASSWORD, home + "1") is not None
        for count in range(10):
            await accounts.check_password("alice", "wrong", f"10.0.0.{count}")
        with pytest.raises(Answer):
            await accounts.check_password("alice", PASSWORD, "10.0.1.1")
        assert await accounts.check_password("alice", PASSWORD, home + "2") is not None
        for _ in range(10):
            await accounts.check_password("alice", "wrong", home + "3")
        with pytest.raises(Answer):  # whoever shares her network has tries of their own, and no more
            await accounts.check_password("alice", PASSWORD, home + "1")

    with_accounts(work)


def test_one_address_cannot_have_all_passwords_checked_at_once() -> None:
    async def work(accounts: Accounts, _: RelayStore) -> None:
        tries = [accounts.check_password(f"user{count}", "wrong", "10.0.0.66") for count in range(20)]
        flood = asyncio.gather(*tries, return_exceptions=True)
        await asyncio.sleep(0)  # all of them have begun
        assert await accounts.check_password("alice", PASSWORD, "10.0.0.7") is not None
        turned_away = [item for item in await flood if isinstance(item, Answer)]
        assert len(turned_away) == 12
        assert {(answer.status, answer.retry_after) for answer in turned_away} == {(429, 5)}
        assert accounts._waiting.total == 0

    with_accounts(work)
