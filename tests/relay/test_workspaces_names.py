"""Whose a name is, in a workspace that several users share: who may take it, join it, and make keys for it."""

from __future__ import annotations

from typing import Any

import pytest

from portico.errors import Refused
from tests.in_process import Publisher
from tests.relay.accounts_relay import AccountsRelay, with_relay
from tests.waiting import until


async def team(relay: AccountsRelay, *scopes: str, user: str = "alice") -> str:
    """A token for the workspace that alice and bob share."""
    if relay.accounts.get("alice") is not None and "team" not in relay.accounts.workspaces_of(relay.account()):
        await relay.accounts.add_workspace("team", "alice", ["bob"])
    return await relay.token(*(scopes or ["publish:*"]), user=user, workspace="team")


def holders(relay: AccountsRelay, name: str = "cat") -> list[str]:
    service = relay.workspaces.get("team").registry.services.get(name)
    return [replica.session.principal.id for replica in service.replicas] if service is not None else []


@pytest.mark.parametrize("how", [{"replace": True}, {"replica": True}, {"replace": True, "replica": True}, {}])
def test_a_live_name_of_another_user_is_neither_taken_nor_shared(how: dict[str, Any]) -> None:
    async def work(relay: AccountsRelay) -> None:
        alice = await relay.publish(await team(relay), "cat")
        bob = await relay.publish(await team(relay, "publish:*", "keys", user="bob"))
        ack = await bob.register("cat", **how)
        assert (ack.ok, ack.code) == (False, "name_taken")
        assert "another user, alice" in ack.error
        assert ack.detail == {}, "where another user's program runs is not said"
        assert holders(relay) == ["user:alice"]
        assert alice.stopped == []
        assert not (await bob.unregister("cat")).ok
        assert holders(relay) == ["user:alice"]

    with_relay(work)


@pytest.mark.parametrize("how", [{"replace": True}, {"replica": True}])
def test_who_manages_may(how: dict[str, Any]) -> None:
    async def work(relay: AccountsRelay) -> None:
        alice = await relay.publish(await team(relay), "cat")
        bob = await relay.publish(await team(relay, "publish:cat", "manage", user="bob"))
        assert (await bob.register("cat", **how)).ok
        assert holders(relay) == (["user:bob"] if "replace" in how else ["user:alice", "user:bob"])
        if "replace" in how:
            await until(lambda: alice.stopped == ["cat"])

    with_relay(work)


@pytest.mark.parametrize("how", [{"replace": True}, {"replica": True}])
def test_another_token_of_the_same_user_may(how: dict[str, Any]) -> None:
    async def work(relay: AccountsRelay) -> None:
        await relay.publish(await team(relay), "cat")
        second = await relay.publish(await team(relay, "publish:cat"))
        assert (await second.register("cat", **how)).ok

    with_relay(work)


def test_a_name_whose_owner_is_away_is_held_for_that_user() -> None:
    async def work(relay: AccountsRelay) -> None:
        alice = await relay.publish(await team(relay), "cat")
        await alice.cut()
        await until(lambda: relay.workspaces.get("team").registry.services["cat"].status == "reconnecting")
        bob = await relay.publish(await team(relay, user="bob"))
        for how in ({}, {"replace": True}, {"replica": True}):
            assert (await bob.register("cat", **how)).code == "name_taken"
        elsewhere = await relay.publish(
            await team(relay, "publish:cat")
        )  # another machine, another token, the same user
        assert (await elsewhere.register("cat")).ok
        assert holders(relay) == ["user:alice"]

    with_relay(work)


def test_who_is_refused_has_changed_nothing() -> None:
    """A name that is held for a user is not lost by a registration of theirs that is refused."""

    async def work(relay: AccountsRelay) -> None:
        first = await relay.publish(await team(relay), "cat")
        boss = await relay.publish(await team(relay, "publish:*", "manage", user="bob"))
        assert (await boss.register("cat", replica=True)).ok
        await first.cut()
        await until(lambda: relay.workspaces.get("team").registry.services["cat"].replicas[0].session.link is None)
        second = await relay.publish(await team(relay))
        assert (await second.register("cat")).code == "name_taken", "bob's share of it is live"
        assert holders(relay) == ["user:alice", "user:bob"]

    with_relay(work)


def test_a_session_is_taken_up_by_no_other_user_and_by_no_token_that_may_do_less() -> None:
    async def work(relay: AccountsRelay) -> None:
        alice = await relay.publish(await team(relay), "cat")
        for token, why in (
            (await team(relay, "publish:*", "manage", user="bob"), "another provider"),
            (await team(relay, "publish:bird"), "may not publish"),
        ):
            thief = Publisher(relay, token, session=alice.session)  # type: ignore[arg-type]
            with pytest.raises(Refused, match=why):
                await thief.connect(epoch=9)
        assert (await alice.register("cat", title="Still mine")).ok

    with_relay(work)


def test_a_session_speaks_by_the_token_that_it_came_back_with() -> None:
    async def work(relay: AccountsRelay) -> None:
        alice = await relay.publish(await team(relay), "cat")
        await alice.cut()
        alice.token = narrow = await team(relay, "publish:cat")
        await alice.connect()
        assert (await alice.register("bird")).code == "scope", "the former token's scopes have gone with it"
        assert (await alice.register("cat")).ok
        await relay.tokens.revoke(relay.tokens.verify(narrow).token_id)
        await until(lambda: alice.closed)
        assert holders(relay) == []

    with_relay(work)


def test_a_token_makes_no_keys_for_what_another_user_serves() -> None:
    async def work(relay: AccountsRelay) -> None:
        await relay.publish(await team(relay, "publish:*", "manage"), "cat")
        narrow = await team(relay, "publish:cat", user="bob")
        async with relay.program(narrow) as program:
            assert (await program.post("/portico/api/keys", json={"services": ["cat"]})).status_code == 403
        boss = await relay.publish(await team(relay, "publish:*", "manage", user="bob"))
        assert (await boss.register("cat", replica=True)).ok
        async with relay.program(narrow) as program:
            answer = await program.post("/portico/api/keys", json={"services": ["cat"]})
            assert answer.status_code == 403, "it is shared with alice"

    with_relay(work)


def test_what_a_provider_says_of_itself_breaks_no_list() -> None:
    """A structure that is nested deep is not walked through when the holder is shown."""

    async def work(relay: AccountsRelay) -> None:
        nested: Any = "x"
        for _ in range(150):
            nested = [nested]
        said = {"notebook": nested, "host": {"a": nested}, "pid": 7, "kind": "process"}
        provider = Publisher(relay, await team(relay, "publish:*", "manage"), info=said)  # type: ignore[arg-type]
        await provider.connect()
        assert (await provider.register("cat")).ok
        async with relay.program(provider.token) as program:
            [replica] = (await program.get("/portico/api/services/cat")).json()["replicas"]
        assert (replica["notebook"], replica["host"], replica["pid"]) == ("", "", "7")

    with_relay(work)
