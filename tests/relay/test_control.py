"""The control API of a relay, by uvicorn and httpx: what each token may do, and how little a wrong one gets."""

from __future__ import annotations

import asyncio
import json
import time

import httpx
import jwt
import pytest

from portico.hub.keys import InvalidKey
from portico.relay.people.device import GRANT_TYPE
from portico.relay.people.oauth import METADATA
from tests.relay.accounts_relay import AccountsRelay, with_relay
from tests.waiting import until

API = "/portico/api/"


def error_of(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, answer.json()["error"]["code"]


def test_who_shows_no_token_of_this_relay_gets_nothing() -> None:
    async def work(relay: AccountsRelay) -> None:
        good = await relay.token("manage")
        claims = jwt.decode(good, options={"verify_signature": False})
        workspace = await relay.workspaces.open("alice")
        key, _ = await workspace.keys.mint(["*"], 60)
        secret = await asyncio.to_thread(relay.store.secret)
        expired = jwt.encode(claims | {"exp": time.time() - 1}, secret, algorithm="HS256")
        revoked = await relay.token("manage")
        await relay.tokens.revoke(relay.tokens.verify(revoked).token_id)
        async with relay.program() as nobody:
            for authorization in (
                None,
                "",
                good,
                "Basic " + good,
                "Bearer",
                "Bearer x.y.z",
                "Bearer " + key,
                "Bearer " + expired,
                "Bearer " + revoked,
                "Bearer " + good[:-2],
                "Bearer " + jwt.encode(claims, None, algorithm="none"),  # type: ignore[arg-type]
            ):
                headers = {} if authorization is None else {"Authorization": authorization}
                for path in ("me", "services", "keys", "tokens", "events", "services/cat"):
                    answer = await nobody.get(API + path, headers=headers)
                    assert error_of(answer)[0] == 401, (authorization, path)
                    assert "bearer" in answer.headers["www-authenticate"].lower()
                    assert good not in answer.text
        async with relay.browser() as browser:
            await relay.sign_in(browser)
            assert error_of(await browser.get(API + "me"))[0] == 401, "no cookie opens the API"
            assert error_of(await browser.get(f"{API}me?token={good}&access_token={good}"))[0] == 401

    with_relay(work)


def test_a_manager_sees_and_stops_everything_of_its_workspace_and_of_no_other() -> None:
    async def work(relay: AccountsRelay) -> None:
        cats = await relay.publish(await relay.token("publish:*"), "cat", "dog")
        await relay.publish(await relay.token("publish:*", user="bob"), "fish")
        async with relay.program(await relay.token("manage")) as alice:
            listed = (await alice.get(API + "services")).json()["services"]
            assert [service["name"] for service in listed] == ["cat", "dog"]
            one = (await alice.get(API + "services/cat")).json()
            assert one["url"].endswith("/alice/apps/cat/")
            assert error_of(await alice.get(API + "services/fish")) == (404, "service_not_found")
            assert error_of(await alice.delete(API + "services/fish")) == (404, "service_not_found")
            assert (await alice.delete(API + "services/cat")).status_code == 204
            await until(lambda: cats.stopped == ["cat"])
        for scopes in (["publish:*"], ["keys"], ["consume:*"]):
            async with relay.program(await relay.token(*scopes)) as weaker:
                for method, path in (
                    ("GET", "services"),
                    ("DELETE", "services/dog"),
                    ("GET", "keys"),
                    ("GET", "events"),
                ):
                    assert error_of(await weaker.request(method, API + path)) == (403, "forbidden")

    with_relay(work)


def test_keys_are_for_what_a_token_says() -> None:
    async def work(relay: AccountsRelay) -> None:
        await relay.publish(await relay.token("publish:*"), "cat", "dog")
        workspace = await relay.workspaces.open("alice")

        async def asked(token: str, services: object) -> httpx.Response:
            async with relay.program(token) as program:
                return await program.post(API + "keys", json={"services": services, "expires_in": 60})

        publisher = await relay.token("publish:cat*")
        made = (await asked(publisher, ["cat"])).json()
        assert workspace.keys.verify(made["key"]).services == ("cat",)
        assert made["created_by"] == "user:alice"
        assert error_of(await asked(publisher, ["dog"])) == (403, "scope"), "another token of the same user has it"
        assert error_of(await asked(publisher, ["cat", "dog"])) == (403, "scope")
        assert error_of(await asked(publisher, ["cats"])) == (403, "forbidden"), "not published"
        assert error_of(await asked(publisher, ["*"])) == (403, "scope")
        assert (await asked(await relay.token("keys"), ["dog", "not-yet"])).status_code == 201
        for services in (None, [], "cat", [["cat"]], ["No Name"]):
            assert error_of(await asked(await relay.token("keys"), services)) == (400, "invalid_services")
        for scope in ("manage", "consume:*"):
            assert error_of(await asked(await relay.token(scope), ["cat"]))[0] == 403
        every = (await asked(await relay.token("keys"), ["*"])).json()
        assert workspace.keys.verify(every["key"]).services == ("*",)
        async with relay.program(await relay.token("manage")) as manager:
            listed = (await manager.get(API + "keys")).json()["keys"]
            assert len(listed) == 3
            assert every["key"] not in json.dumps(listed)
            assert (await manager.delete(API + "keys/" + every["id"])).status_code == 204
            assert error_of(await manager.delete(API + "keys/nothing")) == (404, "key_not_found")
        with pytest.raises(InvalidKey):
            workspace.keys.verify(every["key"])

    with_relay(work)


def test_a_token_gives_no_more_than_it_has_and_not_for_longer() -> None:
    async def work(relay: AccountsRelay) -> None:
        mine = await relay.token("publish:cat*", "keys", lifetime=600)
        async with relay.program(mine) as program:

            async def asked(**body: object) -> httpx.Response:
                return await program.post(API + "tokens", json=body)

            made = (await asked(scopes=["publish:cat-2", "keys"], expires_in=3600, label="for bob")).json()
            grant = relay.tokens.verify(made["token"])
            assert (grant.user_id, grant.workspace, grant.scopes) == ("alice", "alice", ("publish:cat-2", "keys"))
            assert grant.expires <= relay.tokens.verify(mine).expires, "nothing that it makes outlives it"
            for scopes in (
                ["publish:*"],
                ["publish:dog"],
                ["manage"],
                ["admin"],
                ["keys", "consume:cat"],
                "keys admin",
            ):
                assert error_of(await asked(scopes=scopes)) == (403, "scope")
            for scopes in ([], "  ", ["everything"], [7], [["keys"]]):
                answer = await asked(scopes=scopes) if scopes else await asked(scopes=[""])
                assert error_of(answer) == (400, "invalid_scopes")
            assert error_of(await asked(scopes=["keys"], workspace="bob")) == (403, "scope")
            for expires in (0, -1, "60", True, 1e12, [1], 10**400, -(10**400)):
                assert error_of(await asked(scopes=["keys"], expires_in=expires)) == (400, "invalid_expires_in")
            assert error_of(await asked(scopes=["keys"], label="x" * 201)) == (400, "invalid_label")
            assert error_of(await program.post(API + "tokens", content=b"[")) == (400, "invalid_json")
            assert error_of(await program.post(API + "tokens", content=b"[" * 60_000)) == (400, "invalid_json")
            assert error_of(await program.post(API + "tokens", content=b"[]")) == (400, "invalid_body")
            assert error_of(await program.post(API + "tokens", content=b" " * 70_000)) == (413, "too_large")

            key = (await asked(expires_in=3600)).json()
            workspace = await relay.workspaces.open("alice")
            assert workspace.keys.verify(key["token"]).services == ("*",)
            assert abs(key["expires"] - time.time() - 3600) < 60
        async with relay.program(await relay.token("publish:*", "manage")) as without:
            assert error_of(await without.post(API + "tokens", json={})) == (403, "scope")

    with_relay(work)


def test_tokens_are_seen_and_revoked_by_their_maker_and_by_managers() -> None:
    async def work(relay: AccountsRelay) -> None:
        mine, other = await relay.token("keys"), await relay.token("keys")
        bobs, admins = (
            await relay.token("manage", user="bob"),
            await relay.token("admin", user="root", workspace="alice"),
        )
        other_id, mine_id = relay.tokens.verify(other).token_id, relay.tokens.verify(mine).token_id
        async with relay.program(mine) as program:
            made = (await program.post(API + "tokens", json={"scopes": ["keys"]})).json()
            listed = (await program.get(API + "tokens")).json()["tokens"]
            assert {token["id"] for token in listed} == {made["id"], mine_id}
            assert mine not in json.dumps(listed)
            assert error_of(await program.delete(API + "tokens/" + other_id)) == (404, "token_not_found")
            assert (await program.get(API + "tokens/" + made["id"])).json()["scopes"] == ["keys"]
        async with relay.program(bobs) as bob:
            assert error_of(await bob.delete(API + "tokens/" + other_id)) == (404, "token_not_found")
        async with relay.program(await relay.token("manage")) as manager:
            ids = {token["id"] for token in (await manager.get(API + "tokens")).json()["tokens"]}
            assert {other_id, mine_id, made["id"]} < ids
            admin_id = relay.tokens.verify(admins).token_id
            assert error_of(await manager.delete(API + "tokens/" + admin_id)) == (404, "token_not_found")
            assert (await manager.delete(API + "tokens/" + mine_id)).status_code == 204
        async with relay.program(made["token"]) as program:
            assert error_of(await program.get(API + "me")) == (401, "invalid_key"), "revoked with the one that made it"
        async with relay.program(other) as program:
            assert (await program.delete(API + "tokens/" + other_id)).status_code == 204, "a program that logs out"
            assert error_of(await program.get(API + "me"))[0] == 401

    with_relay(work)


def test_me_says_who_and_where() -> None:
    async def work(relay: AccountsRelay) -> None:
        async with relay.program(await relay.token("publish:cat", "consume:*")) as program:
            me = (await program.get(API + "me")).json()
            assert me["user"] == {
                "id": "alice",
                "email": "",
                "is_anonymous": False,
                "scopes": ["publish:cat", "consume:*"],
            }
            assert me["workspace"] == "alice"
            assert me["public_base_url"] == relay.config.base_url
            assert me["token"]["revoked"] is False

    with_relay(work)


def test_events_come_as_they_happen_and_end_with_the_token() -> None:
    async def work(relay: AccountsRelay) -> None:
        token = await relay.token("manage")
        async with (
            relay.program(token) as program,
            program.stream("GET", API + "events") as answer,
        ):
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.aiter_lines()

            async def event() -> tuple[str, dict[str, object]]:
                name = (await anext(lines)).removeprefix("event: ")
                data = json.loads((await anext(lines)).removeprefix("data: "))
                await anext(lines)
                return name, data

            assert (await event())[0] == "services"
            publisher = await relay.publish(await relay.token("publish:*"), "cat")
            name, data = await event()
            assert name == "registered"
            assert data["service"]["name"] == "cat"  # type: ignore[index]
            await relay.tokens.revoke(relay.tokens.verify(token).token_id)
            await publisher.register("dog")
            with pytest.raises(StopAsyncIteration):
                await event()

    with_relay(work)


def test_any_page_may_call_the_api_with_a_token_and_none_with_a_cookie() -> None:
    async def work(relay: AccountsRelay) -> None:
        async with relay.program(await relay.token("keys")) as program:
            for path in (API + "me", API + "nowhere", METADATA, "/portico/token", "/portico/device_authorization"):
                asked = await program.options(path, headers={"Origin": "https://elsewhere.example"})
                assert asked.status_code == 204
                assert "authorization" in asked.headers["access-control-allow-headers"]
                answer = await program.get(path, headers={"Origin": "https://elsewhere.example"})
                assert answer.headers["access-control-allow-origin"] == "*"
                assert "access-control-allow-credentials" not in answer.headers
            page = await program.get("/portico/login", headers={"Origin": "https://elsewhere.example"})
            assert "access-control-allow-origin" not in page.headers

    with_relay(work)


def test_what_is_not_there_says_so_in_the_right_shape() -> None:
    async def work(relay: AccountsRelay) -> None:
        async with relay.program() as program:
            assert error_of(await program.get(API + "nowhere")) == (404, "not_found")
            assert error_of(await program.put(API + "me")) == (405, "method_not_allowed")
            assert error_of(await program.get(API + "me/")) == (404, "not_found"), "no redirect to a host that is sent"
        async with relay.browser() as browser:
            page = await browser.get("/portico/nowhere")
            assert page.status_code == 404
            assert page.headers["content-type"].startswith("text/html")

    with_relay(work)


def test_a_program_signs_in_by_the_device_flow() -> None:
    async def work(relay: AccountsRelay) -> None:
        async with relay.program() as program:
            metadata = (await program.get(METADATA)).json()
            base = relay.config.base_url
            assert metadata["issuer"] == base
            assert GRANT_TYPE in metadata["grant_types_supported"]
            asking, polling = (
                metadata[name].removeprefix(base) for name in ("device_authorization_endpoint", "token_endpoint")
            )
            begun = await program.post(asking, data={"client_id": "portico", "scope": "publish:cat keys"})
            assert begun.headers["cache-control"] == "no-store"
            code = begun.json()
            poll = {"grant_type": GRANT_TYPE, "device_code": code["device_code"], "client_id": "portico"}
            waiting = await program.post(polling, data=poll)
            assert (waiting.status_code, waiting.json()["error"]) == (400, "authorization_pending")
            fast = await program.post(polling, data=poll)
            assert (fast.status_code, fast.json()["error"]) == (400, "slow_down")

            other = (await program.post(asking, data={"client_id": "portico", "label": "laptop"})).json()
            async with relay.browser() as browser:
                await relay.sign_in(browser)
                page = "/portico/device?user_code=" + other["user_code"]
                shown = await browser.get(page)
                assert "127.0.0.1" in shown.text
                assert "python-httpx" in shown.text
                assert "Publish services, under any name" in shown.text
                done = await relay.send_form(browser, page, "/portico/device", {"action": "allow"})
                assert "signed in" in done.text
            got = await program.post(polling, data=poll | {"device_code": other["device_code"]})
            assert got.headers["cache-control"] == "no-store"
            token = got.json()["access_token"]
            assert relay.tokens.verify(token).workspace == "alice"
            again = await program.post(polling, data=poll | {"device_code": other["device_code"]})
            assert again.json()["error"] == "invalid_grant"

            for fields, status, error in (
                ({"client_id": "portico", "scope": "all"}, 400, "invalid_scope"),
                ({"scope": "publish:*"}, 400, "invalid_request"),
                ({}, 415, "invalid_request"),  # httpx sends no body, and so no media type
            ):
                wrong = await program.post(asking, data=fields)
                assert (wrong.status_code, wrong.json()["error"]) == (status, error), fields
            twice = await program.post(
                asking,
                content=b"client_id=a&client_id=b",
                headers={"Content-Type": "application/x-www-form-urlencoded"},
            )
            assert twice.json()["error"] == "invalid_request"
            plain = await program.post(asking, json={"client_id": "a"})
            assert (plain.status_code, plain.json()["error"]) == (415, "invalid_request")

    with_relay(work)
