"""The relay's pages for people, by uvicorn and httpx: nobody is signed in, sent on or made to allow unasked."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from portico.relay.config import RelayConfig
from portico.relay.people.sign_in import OneTimeCodes, authorize_url, way_back
from tests.relay.accounts_relay import PASSWORD, AccountsRelay, with_relay

DOMAIN = "share.example.org"
TO_CAT = "/portico/authorize?workspace=alice&service=cat&state=s-1"


def cookies_of(answer: httpx.Response) -> str:
    return "\n".join(answer.headers.get_list("set-cookie"))


def test_signing_in_and_out() -> None:
    async def work(relay: AccountsRelay) -> None:
        async with relay.browser() as browser:
            asked = await browser.get("/portico/")
            assert (asked.status_code, asked.headers["location"]) == (303, "/portico/login?next=%2Fportico%2F")
            page = await browser.get("/portico/login")
            policy = page.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert page.headers["cache-control"] == "no-store"
            assert page.headers["cross-origin-opener-policy"] == "same-origin"
            wrong = await relay.send_form(
                browser, "/portico/login", "/portico/login", {"name": "alice", "password": "wrong"}
            )
            unknown = await relay.send_form(
                browser, "/portico/login", "/portico/login", {"name": "mallory", "password": "wrong"}
            )
            assert (wrong.status_code, unknown.status_code) == (401, 401)
            assert "do not go together" in wrong.text
            assert "do not go together" in unknown.text
            assert "portico_session" not in cookies_of(wrong)
            done = await relay.sign_in(browser)
            assert (done.status_code, done.headers["location"]) == (303, "/portico/")
            cookie = cookies_of(done).lower()
            assert "httponly" in cookie
            assert "samesite=lax" in cookie
            assert "domain=" not in cookie
            assert "alice" in (await browser.get("/portico/")).text
            value = browser.cookies["portico_session"]
            out = await relay.send_form(browser, "/portico/logout", "/portico/logout", {})
            assert out.status_code == 303
            assert "portico_session" not in browser.cookies
            assert relay.accounts.session(value) is None
            assert "signed out" in (await browser.get("/portico/logout")).text

    with_relay(work)


def test_over_https_the_cookie_is_bound_to_the_host() -> None:
    async def work(relay: AccountsRelay) -> None:
        async with relay.browser() as browser:
            page = await browser.get("/portico/login")
            form = page.headers["set-cookie"]
            assert form.startswith("__Host-portico_form=")
            assert "Secure" in form
            token = page.text.partition('name="form_token" value="')[2].partition('"')[0]
            done = await browser.post(
                "/portico/login",
                data={"name": "alice", "password": PASSWORD, "form_token": token},
                headers={"Origin": f"https://{DOMAIN}", "Cookie": form.partition(";")[0]},
            )
            assert done.headers["set-cookie"].startswith("__Host-portico_session=")
            assert "Secure" in done.headers["set-cookie"]
            assert "Path=/" in done.headers["set-cookie"]

    with_relay(work, domain=DOMAIN, base_url=f"https://{DOMAIN}")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://cat--alice.share.example.org", "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Dest": "iframe"},
    ],
)
def test_no_other_page_and_no_script_sends_a_form(headers: dict[str, str]) -> None:
    async def work(relay: AccountsRelay) -> None:
        async with relay.browser() as browser:
            fields = {"name": "alice", "password": PASSWORD}
            answer = await relay.send_form(browser, "/portico/login", "/portico/login", fields, **headers)
            assert answer.status_code == 403
            assert "portico_session" not in cookies_of(answer)

    with_relay(work)


def test_a_form_is_its_own_browsers_and_its_own_users() -> None:
    async def work(relay: AccountsRelay) -> None:
        async with relay.browser() as alice, relay.browser() as eve:
            await relay.sign_in(alice)
            await relay.sign_in(eve, "bob")
            page = await eve.get("/portico/logout")
            token = page.text.partition('name="form_token" value="')[2].partition('"')[0]
            for stolen in (token, "", "x"):
                answer = await alice.post(
                    "/portico/logout", data={"form_token": stolen}, headers={"Origin": relay.config.base_url}
                )
                assert answer.status_code == 403
            alice.cookies.set(
                "portico_form", eve.cookies["portico_form"], domain=urlsplit(relay.address).hostname or ""
            )
            answer = await alice.post(
                "/portico/logout", data={"form_token": token}, headers={"Origin": relay.config.base_url}
            )
            assert answer.status_code == 403, "a planted cookie does not make another's form hers"
            assert relay.accounts.session(alice.cookies["portico_session"]) is not None

    with_relay(work)


def test_an_apps_script_reads_no_page() -> None:
    async def work(relay: AccountsRelay) -> None:
        async with relay.browser() as browser:
            await relay.sign_in(browser)
            for path in ("/portico/", "/portico/login?again=1", "/portico/logout", "/portico/device", TO_CAT):
                for dest in ("empty", "iframe", "script", "image"):
                    answer = await browser.get(path, headers={"Sec-Fetch-Dest": dest})
                    assert answer.status_code == 403, (path, dest)
                    assert "form_token" not in answer.text
                    assert "location" not in answer.headers

    with_relay(work)


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/portico/",
        "//evil.example/portico/",
        "/\\evil.example",
        "/portico/\\..\\..\\evil",
        "/portico/../evil",
        "/alice/apps/cat/",
        "javascript:alert(1)",
        "/portico/\r\nSet-Cookie: a=b",
        "/portico/é",
        "",
        "portico/",
        "/portico/" + "x" * 9000,
    ],
)
def test_nobody_is_sent_to_another_site(target: str) -> None:
    assert way_back(target) == "/portico/"


def test_one_is_sent_back_to_where_one_was_going() -> None:
    async def work(relay: AccountsRelay) -> None:
        async with relay.browser() as browser:
            asked = await browser.get("/portico/device?user_code=BCDF-GHJK")
            page = asked.headers["location"]
            done = await relay.sign_in(browser, page=page)
            assert done.headers["location"] == "/portico/device?user_code=BCDF-GHJK"
        async with relay.browser() as browser:
            done = await relay.sign_in(browser, page="/portico/login?next=https://evil.example/")
            assert done.headers["location"] == "/portico/"

    with_relay(work)


def test_wrong_passwords_are_bounded_and_the_page_says_so() -> None:
    async def work(relay: AccountsRelay) -> None:
        async with relay.browser() as browser:
            for _ in range(10):
                await relay.send_form(browser, "/portico/login", "/portico/login", {"name": "bob", "password": "no"})
            answer = await relay.sign_in(browser, "bob")
            assert answer.status_code == 429
            assert int(answer.headers["retry-after"]) > 0
            assert "Too many attempts" in answer.text

    with_relay(work)


def test_the_home_page_takes_back_ones_own_tokens_alone() -> None:
    async def work(relay: AccountsRelay) -> None:
        mine, theirs = await relay.token("publish:cat", label="laptop"), await relay.token("keys", user="bob")
        async with relay.browser() as browser:
            await relay.sign_in(browser)
            page = await browser.get("/portico/")
            assert "laptop" in page.text
            assert mine not in page.text
            for token in (mine, theirs):
                token_id = relay.tokens.verify(token).token_id
                await relay.send_form(browser, "/portico/", "/portico/tokens", {"id": token_id})
            assert [grant.revoked for grant in relay.tokens.list(user_id="alice")] == [True]
            assert relay.tokens.verify(theirs)

    with_relay(work)


def test_a_service_on_its_own_host_gets_a_code_that_is_good_there_once() -> None:
    async def work(relay: AccountsRelay) -> None:
        root = relay.config.service_url("alice", "cat")
        async with relay.browser() as browser:
            asked = await browser.get(TO_CAT)
            assert asked.headers["location"].startswith("/portico/login?next=")
            login = await browser.get(asked.headers["location"])
            port = urlsplit(relay.address).port
            assert f"form-action 'self' http://*.{DOMAIN}:{port};" in login.headers["content-security-policy"]
            done = await relay.sign_in(browser, page=asked.headers["location"])
            sent = await browser.get(done.headers["location"])
            assert sent.headers["location"].startswith(root + ".portico/callback?")
            assert sent.headers["referrer-policy"] == "no-referrer"
            query = {name: values[0] for name, values in parse_qs(urlsplit(sent.headers["location"]).query).items()}
            assert query["state"] == "s-1"
            redeemed = relay.app.codes.redeem(query["code"], root)
            assert redeemed is not None
            assert redeemed.account.id == "alice"
            assert relay.accounts.is_live(redeemed.session)
            assert relay.app.codes.redeem(query["code"], root) is None, "once"
            await relay.send_form(browser, "/portico/logout", "/portico/logout", {})
            assert not relay.accounts.is_live(redeemed.session), "signed out of services too"

    with_relay(work, domain=DOMAIN)


def test_a_code_is_for_its_root_and_its_minute() -> None:
    async def work(relay: AccountsRelay) -> None:
        now = 0.0
        codes = OneTimeCodes(relay.accounts, now=lambda: now)
        cookie = await relay.accounts.sign_in(relay.account())
        who = relay.accounts.signed_in(cookie)
        assert who is not None
        root = "https://cat--alice.share.example.org/"
        for wrong in (root.replace("cat", "dog"), root[:-1], "", "\ud800"):
            code = codes.issue(who, root)
            assert codes.redeem(code, wrong) is None
            assert codes.redeem(code, root) is None, "who tried it wrongly has used it up"
        code = codes.issue(who, root)
        now = 60.0
        assert codes.redeem(code, root) is None
        code = codes.issue(who, root)
        assert len(codes._codes) == 1, "what is over is forgotten"
        await relay.accounts.sign_out(cookie)
        assert codes.redeem(code, root) is None, "signed out meanwhile"

    with_relay(work)


def test_one_user_cannot_have_all_codes() -> None:
    async def work(relay: AccountsRelay) -> None:
        codes = OneTimeCodes(relay.accounts, now=lambda: 0.0)
        who = relay.accounts.signed_in(await relay.accounts.sign_in(relay.account()))
        other = relay.accounts.signed_in(await relay.accounts.sign_in(relay.account("bob")))
        assert who is not None
        assert other is not None
        root = "https://cat--alice.share.example.org/"
        theirs = codes.issue(other, root)
        mine = [codes.issue(who, root) for _ in range(1000)]
        assert len(codes._codes) == 101
        assert codes.redeem(mine[0], root) is None
        assert codes.redeem(mine[-1], root) is not None
        assert codes.redeem(theirs, root) is not None

    with_relay(work, domain=DOMAIN)


def test_who_may_not_enter_a_workspace_is_told_and_gets_no_code() -> None:
    async def work(relay: AccountsRelay) -> None:
        async with relay.browser() as browser:
            await relay.sign_in(browser, "bob")
            answer = await browser.get(TO_CAT)
            assert answer.status_code == 403
            assert "bob" in answer.text
            assert "Sign in as someone else" in answer.text
            again = answer.text.partition('href="/portico/login?again=1')[2].partition('"')[0].replace("&amp;", "&")
            done = await relay.sign_in(browser, "alice", "/portico/login?again=1" + again)
            sent = await browser.get(done.headers["location"])
            assert sent.headers["location"].startswith(relay.config.service_url("alice", "cat"))

    with_relay(work, domain=DOMAIN)


@pytest.mark.parametrize(
    "query",
    [
        "workspace=evil.example/x&service=cat",
        "workspace=alice&service=cat.evil",
        "workspace=alice&service=cat@evil",
        "workspace=alice",
        "workspace=alice&service=cat&state=a%26b",
    ],
)
def test_authorize_sends_nobody_elsewhere(query: str) -> None:
    async def work(relay: AccountsRelay) -> None:
        async with relay.browser() as browser:
            await relay.sign_in(browser)
            answer = await browser.get("/portico/authorize?" + query)
            assert answer.status_code == 400
            assert "location" not in answer.headers

    with_relay(work, domain=DOMAIN)


def test_by_paths_a_code_is_for_one_service_too() -> None:
    async def work(relay: AccountsRelay) -> None:
        async with relay.browser() as browser:
            await relay.sign_in(browser)
            location = (await browser.get(TO_CAT)).headers["location"]
            root = relay.config.service_url("alice", "cat")
            assert location.startswith(root + ".portico/callback?")
            code = parse_qs(urlsplit(location).query)["code"][0]
            assert relay.app.codes.redeem(code, relay.config.service_url("alice", "dog")) is None

    with_relay(work, paths=True)


def test_the_url_to_sign_in_at_leads_back() -> None:
    url = authorize_url(RelayConfig(domain=DOMAIN), "alice", "cat", "s-1")
    assert url == f"https://{DOMAIN}{TO_CAT}"


def test_a_program_is_let_in_only_where_its_user_may_and_means_to() -> None:
    async def work(relay: AccountsRelay) -> None:
        await relay.accounts.add_workspace("team", "alice", ["bob"])

        def begin(**form: str) -> dict[str, Any]:
            return relay.app.devices.begin({"client_id": "portico"} | form, address="192.0.2.7", agent="<b>evil</b>")

        async with relay.browser() as browser:
            await relay.sign_in(browser)
            page = "/portico/device?user_code="
            foreign = await browser.get(page + begin(workspace="bob")["user_code"])
            assert "may not enter" in foreign.text
            assert 'value="allow"' not in foreign.text
            admin = await browser.get(page + begin(scope="admin")["user_code"])
            assert "may not do yourself" in admin.text
            begun = begin(scope="publish:cat* manage")
            asked = await relay.send_form(
                browser, "/portico/device", "/portico/device", {"user_code": begun["user_code"].lower()}
            )
            assert "192.0.2.7" in asked.text
            assert "another address than yours" in asked.text
            assert "&lt;b&gt;evil" in asked.text
            assert "names fit cat*" in asked.text
            assert "See and stop every service" in asked.text
            allow = {"action": "allow", "user_code": begun["user_code"], "workspace": "bob"}
            refused = await relay.send_form(browser, page + begun["user_code"], "/portico/device", allow)
            assert refused.status_code == 403
            done = await relay.send_form(
                browser, page + begun["user_code"], "/portico/device", allow | {"workspace": "team"}
            )
            assert "team" in done.text
            denied = begin()
            fields = {"action": "deny", "user_code": denied["user_code"]}
            assert (
                "Nothing was allowed"
                in (await relay.send_form(browser, page + denied["user_code"], "/portico/device", fields)).text
            )
            gone = await relay.send_form(browser, "/portico/device", "/portico/device", fields)
            assert gone.status_code == 404
            assert "No program waits" in gone.text
            for _ in range(12):
                guess = await browser.get(page + "BBBB-BBBB")
            assert guess.status_code == 429

    with_relay(work)


def test_nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)

    async def work(relay: AccountsRelay) -> None:
        async with relay.browser() as browser:
            await relay.sign_in(browser)
            token = await relay.token("manage")
            async with relay.program(token) as program:
                await program.get("/portico/api/me")
            await asyncio.sleep(0)
            ours = [record.getMessage() for record in caplog.records if record.name.startswith("portico")]
            for secret in (PASSWORD, token, browser.cookies["portico_session"]):
                assert secret not in "\n".join(ours)

    with_relay(work)
