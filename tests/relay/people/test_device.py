"""The device flow of RFC 8628: from a program's question to its token, and every way in which it ends without one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.requests import Request

from portico.hub.answers import Answer
from portico.relay.people.accounts import Account
from portico.relay.people.device import _LETTERS, GRANT_TYPE, DeviceFlow, OAuthError
from portico.relay.people.forms import page_of
from portico.relay.people.tokens import TokenRing
from portico.relay.store import RelayStore
from tests.transports.recorder import run

ALICE, EVE, ADMIN = Account("alice"), Account("eve"), Account("root", admin=True)


class Clock:
    time = 1000.0

    def __call__(self) -> float:
        return self.time


class Flow(DeviceFlow):
    """In which alice enters `alice` and `team`, eve and root what is called as they are."""

    def __init__(self, **options: Any) -> None:
        self.clock = Clock()
        self.ring = TokenRing(RelayStore())
        self.entries = {
            ("alice", "alice"): ALICE,
            ("alice", "team"): ALICE,
            ("eve", "eve"): EVE,
            ("root", "root"): ADMIN,
        }
        super().__init__(
            self.ring,
            verification_uri="https://share.example.org/portico/device",
            token_lifetime=3600.0,
            max_token_lifetime=7200.0,
            may_enter=lambda user, workspace: self.entries.get((user, workspace)),
            now=self.clock,
            **options,
        )

    def ask(self, address: str = "10.0.0.1", **form: str) -> dict[str, Any]:
        return self.begin({"client_id": "portico"} | form, address=address, agent="portico/1 (laptop)")

    async def try_to_get(self, begun: dict[str, Any], **form: str) -> dict[str, Any]:
        asked = {"grant_type": GRANT_TYPE, "client_id": "portico", "device_code": begun["device_code"]} | form
        return (await self.poll(asked))[0]

    async def error(self, begun: dict[str, Any], **form: str) -> str:
        with pytest.raises(OAuthError) as raised:
            await self.try_to_get(begun, **form)
        return raised.value.code


def with_flow(work: Callable[[Flow], Awaitable[None]]) -> None:
    flow = Flow()
    run(lambda: work(flow))


def test_a_program_gets_what_its_user_allows_once() -> None:
    async def work(flow: Flow) -> None:
        begun = flow.ask(scope="publish:cat* keys", expires_in="30m", label="laptop")
        assert begun["interval"] == 5
        assert len(begun["device_code"]) >= 43, "256 bits"
        assert len(begun["user_code"]) == 9
        assert set(begun["user_code"]) <= set(_LETTERS + "-")
        assert begun["verification_uri_complete"].endswith(f"?user_code={begun['user_code']}")
        assert begun["device_code"] not in repr(flow._by_device), "it is not kept"
        assert await flow.error(begun) == "authorization_pending"
        pending = flow.find(begun["user_code"].lower().replace("-", " "), ALICE, "10.0.0.9")
        assert pending is not None
        assert (pending.address, pending.agent, pending.scopes) == (
            "10.0.0.1",
            "portico/1 (laptop)",
            ("publish:cat*", "keys"),
        )
        assert flow.allow(pending, ALICE, "team")
        assert not flow.allow(pending, ALICE, "alice")
        flow.clock.time += 5
        got = await flow.try_to_get(begun)
        assert (got["token_type"], got["expires_in"], got["scope"], got["workspace"]) == (
            "Bearer",
            1800,
            "publish:cat* keys",
            "team",
        )
        grant = flow.ring.verify(got["access_token"])
        assert (grant.user_id, grant.workspace, grant.label) == ("alice", "team", "laptop")
        assert await flow.error(begun) == "invalid_grant"

    with_flow(work)


def test_who_asks_for_nothing_gets_the_defaults_within_bounds() -> None:
    async def work(flow: Flow) -> None:
        begun = flow.ask(expires_in="500d")
        pending = flow.find(begun["user_code"], ALICE, "")
        assert pending is not None
        assert flow.allow(pending, ALICE, "alice")
        got = await flow.try_to_get(begun)
        assert got["expires_in"] == 7200
        assert got["scope"] == "publish:* keys consume:*"

    with_flow(work)


def test_who_polls_too_fast_is_slowed_down_more_each_time() -> None:
    async def work(flow: Flow) -> None:
        begun = flow.ask()
        assert await flow.error(begun) == "authorization_pending"
        flow.clock.time += 4
        assert await flow.error(begun) == "slow_down"
        flow.clock.time += 9
        assert await flow.error(begun) == "slow_down"
        flow.clock.time += 15
        assert await flow.error(begun) == "authorization_pending"

    with_flow(work)


def test_a_no_and_a_silence_end_it() -> None:
    async def work(flow: Flow) -> None:
        denied, late = flow.ask(), flow.ask()
        pending = flow.find(denied["user_code"], ALICE, "")
        assert pending is not None
        flow.deny(pending)
        assert not flow.allow(pending, ALICE, "alice")
        assert await flow.error(denied) == "access_denied"
        flow.clock.time += 600
        assert flow.find(late["user_code"], ALICE, "") is None
        assert await flow.error(late) == "expired_token"
        assert await flow.error(late) == "invalid_grant"

    with_flow(work)


def test_nobody_allows_what_they_may_not() -> None:
    async def work(flow: Flow) -> None:
        begun = flow.ask(scope="admin")
        pending = flow.find(begun["user_code"], ALICE, "")
        assert pending is not None
        assert not flow.allow(pending, ALICE, "alice"), "not an admin"
        assert not flow.allow(pending, EVE, "alice"), "not her workspace"
        assert await flow.error(begun) == "authorization_pending"
        assert flow.allow(pending, ADMIN, "root")
        del flow.entries["root", "root"]
        flow.clock.time += 5
        assert await flow.error(begun) == "access_denied", "disabled meanwhile"

    with_flow(work)


def test_a_device_code_is_good_for_the_program_that_got_it() -> None:
    async def work(flow: Flow) -> None:
        begun = flow.ask()
        assert await flow.error(begun, client_id="another") == "invalid_grant"
        assert await flow.error(begun, client_id="") == "invalid_request"
        assert await flow.error(begun, device_code="x") == "invalid_grant"
        assert await flow.error(begun, device_code=begun["user_code"]) == "invalid_grant"
        assert await flow.error(begun, grant_type="authorization_code") == "unsupported_grant_type"

    with_flow(work)


def test_a_token_is_given_once_however_many_poll_at_once() -> None:
    async def work(flow: Flow) -> None:
        begun = flow.ask()
        pending = flow.find(begun["user_code"], ALICE, "")
        assert pending is not None
        flow.allow(pending, ALICE, "alice")
        got = await asyncio.gather(*(flow.try_to_get(begun) for _ in range(5)), return_exceptions=True)
        assert sum(isinstance(item, dict) for item in got) == 1

    with_flow(work)


def test_codes_cannot_be_guessed_at_will() -> None:
    async def work(flow: Flow) -> None:
        begun = flow.ask()
        for count in range(10):
            assert flow.find("BBBB-BBBB", EVE, f"10.0.1.{count}") is None
        with pytest.raises(Answer) as raised:
            flow.find(begun["user_code"], EVE, "10.0.2.1")
        assert raised.value.status == 429
        for count in range(9):
            flow.find("BBBB-BBBB", Account(f"user{count}"), "10.0.1.1")
        with pytest.raises(Answer):
            flow.find("BBBB-BBBB", Account("user99"), "10.0.1.1")
        assert flow.find(begun["user_code"], ALICE, "10.0.0.1") is not None

    with_flow(work)


def test_what_is_pending_is_bounded_and_forgotten() -> None:
    async def work(flow: Flow) -> None:
        for _ in range(20):
            flow.ask()
        with pytest.raises(OAuthError) as raised:
            flow.ask()
        assert raised.value.status == 429
        for count in range(980):
            flow.ask(f"10.1.{count // 250}.{count % 250}")
        with pytest.raises(OAuthError):
            flow.ask("10.9.9.9")
        flow.clock.time += 1200
        flow.ask()
        assert len(flow._by_device) == len(flow._by_user_code) == 1

    with_flow(work)


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"client_id": ""}, "invalid_request"),
        ({"client_id": "a\nb"}, "invalid_request"),
        ({"scope": "everything"}, "invalid_scope"),
        ({"workspace": "../x"}, "invalid_request"),
        ({"expires_in": "soon"}, "invalid_request"),
        ({"label": "x" * 201}, "invalid_request"),
    ],
)
def test_questions_that_make_no_sense(form: dict[str, str], code: str) -> None:
    with pytest.raises(OAuthError) as raised:
        Flow().ask(**form)
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("referer", "origin"),
    [
        ("http://[", "null"),
        ("//[::1", "null"),
        ("https://evil.test/" + "x" * 5000, "https://evil.test"),
        ("about:blank", ""),
    ],
)
def test_a_page_that_hides_behind_what_is_no_url(referer: str, origin: str) -> None:
    request = Request({"type": "http", "headers": [(b"referer", referer.encode())]})
    assert page_of(request) == origin


def test_a_user_holds_so_many_tokens() -> None:
    flow = Flow(max_tokens=2)

    async def work() -> None:
        for _ in range(2):
            begun = flow.ask()
            assert flow.allow(flow._by_user_code[begun["user_code"].replace("-", "")], ALICE, "alice")
            assert (await flow.try_to_get(begun))["access_token"]
        begun = flow.ask()
        assert flow.allow(flow._by_user_code[begun["user_code"].replace("-", "")], ALICE, "alice")
        with pytest.raises(OAuthError, match="as many tokens") as raised:
            await flow.try_to_get(begun)
        assert raised.value.status == 429
        begun = flow.ask()
        assert flow.allow(flow._by_user_code[begun["user_code"].replace("-", "")], EVE, "eve")
        assert (await flow.try_to_get(begun))["access_token"]

    run(work)
