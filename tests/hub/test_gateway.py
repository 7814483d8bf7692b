"""The gate, with a whole hub behind it and a real app at the end of a link: who comes in, and what the app sees."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from portico.hub.config import HubConfig
from portico.hub.keys import MARK
from tests.in_process import COOKIE, ORIGIN, TOKEN, HereHub, Publisher, a_hub, echo
from tests.transports.recorder import run
from tests.waiting import until

Work = Callable[[HereHub, Publisher], Awaitable[None]]
PAGE = (b"accept", b"text/html,*/*")
LOGIN = (b"cookie", COOKIE)
HERE = (b"origin", ORIGIN)
ELSEWHERE = (b"origin", b"https://evil.example")
CHAT = (b"origin", b"https://chat.example")


def with_services(work: Work, config: HubConfig | None = None) -> None:
    """Run *work* with a kernel that serves one echo of each access, and `shared`, which has origins."""

    async def inside() -> None:
        async with a_hub(config) as hub:
            kernel = await hub.kernel().connect()
            for access in ("private", "key", "public"):
                assert (await kernel.register(access, echo, access=access)).ok
            assert (await kernel.register("shared", echo, origins=["https://chat.example"])).ok
            try:
                await work(hub, kernel)
            finally:
                kernel.leave()

    run(inside)


async def a_key(hub: HereHub, *services: str, lifetime: float = 60) -> bytes:
    return (await hub.keys.mint(services, lifetime))[0].encode()


def bearer(token: bytes) -> tuple[bytes, bytes]:
    return b"authorization", b"Bearer " + token


def test_who_comes_in_where() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        cat = bearer(await a_key(hub, "private", "key"))
        other = bearer(await a_key(hub, "dog"))
        nothing = (b"accept", b"*/*")
        for who, expected in {
            nothing: (401, 401, 200),
            LOGIN: (200, 401, 200),
            bearer(TOKEN): (200, 401, 200),
            cat: (200, 200, 200),
            other: (403, 403, 200),
            bearer(b"garbage"): (401, 401, 200),
            bearer(b"a.b.c"): (401, 401, 200),
            bearer(kernel.token.encode()): (401, 401, 401),
            (b"authorization", b"Bearer"): (401, 401, 200),
            (b"cookie", b"portico_key=garbage"): (401, 401, 200),
        }.items():
            for name, status in zip(("private", "key", "public"), expected, strict=True):
                visit = await hub.visit(f"{name}/", headers=[who])
                assert visit.status == status, (who, name, visit.body)
                asked = await hub.visit(f"{name}/", headers=[who], websocket=True)
                # a WebSocket with a cookie needs an Origin; on a public service it is nobody's without one
                strict = who == LOGIN and name == "private"
                assert asked.status == (403 if strict else 101 if status == 200 else status), (who, name)

    with_services(work)


def test_a_deep_token_is_a_401() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        deep = base64.urlsafe_b64encode(b'{"iss":"portico","x":' + b"[" * 30_000)
        for token in (deep + MARK + b"." + deep, b"e30" + b"." + deep + b".x", deep + b"." + deep + b"." + deep):
            assert (await hub.visit("private/", headers=[bearer(token)])).status == 401

    with_services(work)


def test_expired_and_revoked_keys_open_nothing_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        token, _ = await hub.keys.mint(["private", "public"], 60)
        gone, other = await hub.keys.mint(["private", "public"], 3600)
        for given in (token, gone):
            assert (await hub.visit("private/", headers=[bearer(given.encode())])).status == 200
        await hub.keys.revoke(other.id)
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 61)
        for given in (token, gone):
            for name in ("private", "public"):
                visit = await hub.visit(f"{name}/v1/models", headers=[bearer(given.encode())])
                assert visit.status == 401
                assert visit.json()["error"]["code"] == "invalid_key"
                asked = await hub.visit(f"{name}/?portico_key={given}")
                assert asked.status == 401
        monkeypatch.undo()

    with_services(work)


def test_a_browser_is_sent_to_sign_in_and_nobody_else_is() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        visit = await hub.visit("private/a%2Fb?x=1&y=//evil", headers=[PAGE])
        assert visit.status == 302
        assert visit.header(b"location") == [b"/portico/login?next=/portico/apps/private/a%252Fb%3Fx%3D1%26y%3D//evil"]
        assert (await hub.visit("private/")).status == 401
        assert (await hub.visit("private/", "POST", [PAGE])).status == 401
        assert (await hub.visit("key/", headers=[PAGE])).status == 401
        assert (await hub.visit("nothing-here/", headers=[PAGE])).status == 302
        # a login would not help: the browser would come back with the same bad key, for ever
        assert (await hub.visit("private/?portico_key=bad", headers=[PAGE])).status == 401
        assert (await hub.visit("private/?portico_key=bad", headers=[PAGE, LOGIN])).status == 401

    with_services(work)


def test_what_is_here_is_not_said_before_the_gate() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        here, nowhere = await hub.visit("private/"), await hub.visit("nowhere/")
        assert (here.status, here.body, here.code) == (nowhere.status, nowhere.body, nowhere.code)
        assert (await hub.visit("private")).status == (await hub.visit("nowhere")).status == 308
        key = bearer(await a_key(hub, "private"))
        for name in ("shared", "nowhere"):
            assert (await hub.visit(f"{name}/", headers=[key])).status == 403
        assert (await hub.visit("nowhere/", headers=[LOGIN])).status == 404

    with_services(work)


def test_a_slash_is_added_and_nothing_else_is_changed() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        visit = await hub.visit("private?a=%2F&b", headers=[PAGE])
        assert visit.header(b"location") == [b"/portico/apps/private/?a=%2F&b"]
        for odd in ("", "a%2Fb", "%5cevil.example", "..", "UPPER", "a" * 31):
            assert (await hub.visit(odd)).status == 401

    with_services(work)


def test_the_app_sees_nothing_of_the_hubs() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        key = await a_key(hub, "private")
        visit = await hub.visit(
            f"private/p?a=1&_xsrf=2&token={TOKEN.decode()}&token=own&portico%5Fkey=x&b=%20&k={key.decode()}",
            headers=[
                LOGIN,
                (b"cookie", b"own=1; _xsrf=2; portico_key=3; also=" + key + b"; last=4"),
                (b"referer", b"http://hub.example:8888/lab?token=" + TOKEN),
                (b"x-forwarded-for", b"1.2.3.4"),
                (b"x_forwarded_host", b"evil"),
                (b"forwarded", b"for=1.2.3.4"),
                (b"x-xsrftoken", b"2"),
                (b"x-api-key", key),
                bearer(TOKEN),
            ],
        )
        assert visit.status == 200
        seen = visit.json()
        assert seen["query"] == "a=1&token=own&b=%20"
        assert seen["headers"] == [
            ["host", "hub.example:8888"],
            ["cookie", "own=1; last=4"],
            ["referer", "http://hub.example:8888/lab"],
            ["x-forwarded-for", "192.0.2.7"],
            ["x-forwarded-proto", "http"],
            ["x-forwarded-host", "hub.example:8888"],
            ["x-forwarded-prefix", "/portico/apps/private"],
        ]
        assert seen["identity"]["access"] == "user"

    with_services(work)


def test_what_is_not_the_hubs_passes() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        given = [(b"authorization", b"Basic YTpi"), (b"cookie", b"session=1"), (b"x-csrftoken", b"django")]
        visit = await hub.visit("public/?token=mine&portico=1", headers=given)
        assert visit.json()["query"] == "token=mine&portico=1"
        for name, value in given:
            assert [name.decode(), value.decode()] in visit.json()["headers"]
        # with a login too
        visit = await hub.visit("private/?token=mine", headers=[*given, LOGIN])
        assert visit.json()["query"] == "token=mine"
        assert ["authorization", "Basic YTpi"] in visit.json()["headers"]

    with_services(work)


@pytest.mark.parametrize("token", [b"user-token-of-ada", b"user-token-of-eve", TOKEN])
def test_no_credential_of_the_server_reaches_an_app_wherever_it_was_not_needed(token: bytes) -> None:
    """Tokens that only the identity provider can tell: it is asked, though a key or nothing opens the service."""

    async def work(hub: HereHub, kernel: Publisher) -> None:
        cookie = (b"cookie", b"portico_key=" + await a_key(hub, "private", "key"))
        for target, extra in (("public/", []), ("key/", [cookie]), ("private/", [cookie])):
            for where, headers in ((b"", [bearer(token)]), (b"?a=1&token=" + token, [])):
                visit = await hub.visit(target.encode() + where, headers=[*headers, *extra])
                assert visit.status == 200
                assert token not in visit.body, (target, where, headers)

    with_services(work)


def test_a_token_that_is_the_apps_own_is_asked_after_and_passes() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        visit = await hub.visit("public/?token=apps-own", headers=[bearer(b"sk-another-service")])
        assert ["authorization", "Bearer sk-another-service"] in visit.json()["headers"]
        assert hub.door.asked == 1
        await hub.visit("public/")
        assert hub.door.asked == 1

    with_services(work)


def test_subprotocols_carry_no_key() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        key = (await a_key(hub, "public")).decode()
        offered = ("chat", f"key.{key}", key)
        visit = await hub.visit(
            "public/",
            headers=[(b"sec-websocket-protocol", ", ".join(offered).encode())],
            websocket=True,
            subprotocols=offered,
        )
        await until(lambda: visit.messages)
        assert MARK not in visit.messages[0]
        assert b'"subprotocols": ["chat"]' in visit.messages[0]

    with_services(work)


def test_another_sites_page_cannot_use_a_login() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert (await hub.visit("private/", method, [LOGIN])).status == 403
            assert (await hub.visit("private/", method, [LOGIN, ELSEWHERE])).status == 403
            assert (await hub.visit("private/", method, [LOGIN, HERE])).status == 200
            assert (await hub.visit("private/", method, [LOGIN, (b"x-xsrftoken", b"matches-the-cookie")])).status == 200
            assert (await hub.visit("private/", method, [bearer(TOKEN), ELSEWHERE])).status == 200
            whoever = await hub.visit("public/", method, [LOGIN, ELSEWHERE])
            assert whoever.json()["identity"] == {"access": "anonymous"}
        embedded = [(b"sec-fetch-site", b"cross-site"), (b"sec-fetch-mode", b"no-cors")]
        assert (await hub.visit("private/", headers=[LOGIN, *embedded])).status == 403
        for origin, status in ((HERE, 101), (ELSEWHERE, 403)):
            visit = await hub.visit("private/", headers=[LOGIN, origin], websocket=True)
            assert visit.status == status
        assert (await hub.visit("private/", headers=[LOGIN], websocket=True)).status == 403

    with_services(work)


def test_another_sites_page_cannot_use_a_keys_cookie() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        cookie = (b"cookie", b"a=1; portico_key=" + await a_key(hub, "key", "public"))
        assert (await hub.visit("key/", headers=[cookie])).status == 200
        assert (await hub.visit("key/", "POST", [cookie])).status == 403
        assert (await hub.visit("key/", "POST", [cookie, ELSEWHERE])).status == 403
        assert (await hub.visit("key/", "POST", [cookie, HERE])).status == 200
        assert (await hub.visit("key/", headers=[cookie, ELSEWHERE], websocket=True)).status == 403
        assert (await hub.visit("key/", headers=[cookie, HERE], websocket=True)).status == 101
        whoever = await hub.visit("public/", "POST", [cookie, ELSEWHERE])
        assert whoever.json()["identity"] == {"access": "anonymous"}
        stale = (b"cookie", b"portico_key=stale")
        assert (await hub.visit("key/", headers=[(b"cookie", stale[1] + b"; " + cookie[1])])).status == 200
        assert (await hub.visit("private/", headers=[stale, LOGIN])).status == 200

    with_services(work)


def test_a_link_with_a_key_leaves_a_cookie_and_a_clean_url() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        key = (await a_key(hub, "key", lifetime=600)).decode()
        visit = await hub.visit(f"key/a%2Fb?x=1&portico_key={key}&y=2")
        assert visit.status == 303
        assert visit.header(b"location") == [b"/portico/apps/key/a%2Fb?x=1&y=2"]
        assert visit.header(b"referrer-policy") == [b"no-referrer"]
        cookie = visit.header(b"set-cookie")[0].decode()
        parts = cookie.split("; ")
        assert parts[0] == f"portico_key={key}"
        assert {"Path=/portico/apps/key/", "HttpOnly", "SameSite=Lax"} <= set(parts)
        assert "Secure" not in parts
        age = next(int(part[8:]) for part in parts if part.startswith("Max-Age="))
        assert 0 < age <= 600
        over_tls = await hub.visit(f"key/?portico_key={key}", scheme="https")
        assert "; Secure" in over_tls.header(b"set-cookie")[0].decode()
        assert (await hub.visit(f"private/?portico_key={key}")).status == 403
        assert (await hub.visit(f"key/?portico_key={key}", "POST")).status == 200
        asked = await hub.visit(f"key/?portico_key={key}", websocket=True)
        assert asked.status == 101
        await until(lambda: asked.messages)
        assert key.encode() not in asked.messages[0]

    with_services(work)


def test_cors_is_spoken_for_the_origins_that_a_service_names() -> None:
    ask = (b"access-control-request-method", b"POST")
    wanted = (b"access-control-request-headers", b"authorization,x-stainless-os")

    async def work(hub: HereHub, kernel: Publisher) -> None:
        preflight = await hub.visit("shared/v1/models", "OPTIONS", [CHAT, ask, wanted])
        assert preflight.status == 204
        assert preflight.header(b"access-control-allow-origin") == [b"https://chat.example"]
        assert preflight.header(b"access-control-allow-headers") == [wanted[1]]
        for name, origin in (("shared", ELSEWHERE), ("private", CHAT), ("key", CHAT), ("nowhere", CHAT)):
            refused = await hub.visit(f"{name}/", "OPTIONS", [origin, ask, LOGIN])
            assert refused.status == 401
            assert refused.header(b"access-control-allow-origin") == []
        assert (await hub.visit("public/", "OPTIONS", [ELSEWHERE, ask])).json()["path"].endswith("public/")
        key = bearer(await a_key(hub, "shared"))
        answered = await hub.visit("shared/", "POST", [CHAT, key])
        assert answered.status == 200
        assert answered.header(b"access-control-allow-origin") == [b"https://chat.example"]
        assert answered.header(b"access-control-allow-credentials") == []
        assert (await hub.visit("shared/", "POST", [ELSEWHERE, key])).header(b"access-control-allow-origin") == []

    with_services(work)


def test_errors_can_be_read_by_a_page_of_an_allowed_origin() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        token, key = await hub.keys.mint(["shared"], 60)
        other = await a_key(hub, "dog")
        await hub.keys.revoke(key.id)
        gone, anothers = bearer(token.encode()), bearer(other)
        for who, status in (([], 401), ([gone], 401), ([anothers], 403), ([bearer(b"garbage")], 401)):
            visit = await hub.visit("shared/", "POST", [CHAT, *who])
            assert visit.status == status
            assert visit.header(b"access-control-allow-origin") == [b"https://chat.example"]

    with_services(work)


def test_an_app_cannot_speak_for_the_origin() -> None:
    async def hostile(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await echo(scope, receive, send)
        headers = [
            (b"set-cookie", b"_xsrf=1; Path=/"),
            (b"Set-Cookie", b"mine=1; Path=/; Domain=example"),
            (b"Clear-Site-Data", b'"*"'),
            (b"access-control-allow-origin", b"*"),
            (b"access-control-allow-credentials", b"true"),
            (b"x-app", b"passes"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def work(hub: HereHub, kernel: Publisher) -> None:
        await kernel.register("hostile", hostile, access="public", origins=["https://chat.example"])
        visit = await hub.visit("hostile/")
        assert visit.headers == [(b"set-cookie", b"mine=1; Path=/portico/apps/hostile/"), (b"x-app", b"passes")]

    with_services(work)


def test_a_service_that_comes_back_is_waited_for() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        await kernel.cut()
        waiting = asyncio.create_task(hub.visit("public/"))
        await asyncio.sleep(0)
        await kernel.connect()
        assert (await waiting).status == 200

    with_services(work)


def test_one_that_does_not_come_back_is_said_to_be_away_then_gone() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        await kernel.cut()
        visit = await hub.visit("public/")
        assert (visit.status, visit.code) == (503, "provider_reconnecting")
        assert visit.header(b"retry-after") == [b"5"]
        hub.kernels.clear()
        told = asyncio.Event()
        hub.registry.listen(lambda what, name: told.set() if (what, name) == ("removed", "public") else None)
        if "public" in hub.registry.services:
            await told.wait()
        visit = await hub.visit("public/")
        assert (visit.status, visit.code) == (503, "service_gone")
        assert (await hub.visit("private/", headers=[LOGIN])).code == "service_gone"
        assert (await hub.visit("private/")).status == 401

    with_services(work, HubConfig(wait_for_provider=0.05, kernel_poll=0.01))


def test_heads_that_no_provider_reads_are_refused() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        visit = await hub.visit("public/", headers=[(b"x-long", b"x" * 70_000)])
        assert visit.status == 431
        service = hub.registry.services["public"]
        assert all(replica.in_flight == 0 for replica in service.replicas)

    with_services(work)


def test_in_flight_counts_come_back_to_nothing() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        for _ in range(20):
            await hub.visit("public/")
        service = hub.registry.services["public"]
        assert service.requests == 20
        assert sum(replica.in_flight for replica in service.replicas) == 0

    with_services(work)
