"""Conditions at the gate, with a whole hub behind it: what a request meets, and what the app never sees of it."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from portico.hub import answers
from portico.hub.answers import Answer
from portico.hub.conditions import Conditions
from portico.hub.config import HubConfig
from portico.hub.request import Target
from tests.in_process import COOKIE, HOST, ORIGIN, HereHub, Publisher, Received, a_hub, a_request, a_visit, echo
from tests.transports.recorder import run
from tests.waiting import until

Work = Callable[[HereHub, Publisher], Awaitable[None]]
CONFIG = HubConfig(passwords=True, kernel_poll=0.01)
PAGE = (b"accept", b"text/html,*/*")
HERE = (b"origin", ORIGIN)
ELSEWHERE = (b"origin", b"https://evil.example")


def with_a_hub(work: Work, config: HubConfig = CONFIG) -> None:
    async def inside() -> None:
        async with a_hub(config) as hub:
            kernel = await hub.kernel().connect()
            try:
                await work(hub, kernel)
            finally:
                kernel.leave()

    run(inside)


async def publish(kernel: Publisher, conditions: object, app: Any = echo, access: str = "public", **more: Any) -> None:
    ack = await kernel.register("cat", app, access=access, conditions=conditions, **more)
    assert ack.ok, ack.error


def basic(password: str) -> tuple[bytes, bytes]:
    return b"authorization", b"Basic " + base64.b64encode(f"anybody:{password}".encode())


def pass_cookie(hub: HereHub) -> tuple[bytes, bytes]:
    conditions = hub.registry.services["cat"].descriptor.conditions
    assert conditions is not None
    return b"cookie", b"portico_pass=" + hub.gateway.enforcer.make_pass(conditions, "cat").encode()


async def upload(hub: HereHub, target: str, chunks: list[bytes], length: int | None = None) -> Received:
    """POST a body that comes in pieces, and says its length before or not."""
    given = [(b"content-length", str(length).encode())] if length is not None else []
    request, visit = a_request(target, "POST", given), Received()
    try:
        forward = await hub.open(request, visit, fin=False)
        for chunk in chunks:
            wait = forward.upload(chunk)
            if wait is not None:
                await wait
        forward.upload_done()
    except Answer as answer:
        visit.answer(answer)
    await until(lambda: visit.done)
    return visit


# --- what may be asked for --------------------------------------------------------------------------------------


def test_what_cannot_be_kept_is_not_registered() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        for access, conditions, code in (
            ("public", {"rate": "often"}, "invalid_option"),
            ("public", {"pasword": "x"}, "invalid_option"),
            ("private", {"password": "x"}, "invalid_option"),
            ("key", {"password": "x"}, "invalid_option"),
        ):
            ack = await kernel.register("cat", echo, access=access, conditions=conditions)
            assert (ack.ok, ack.code) == (False, code)
        assert "cat" not in hub.registry.services

    with_a_hub(work)


def test_a_hub_that_shows_no_form_says_so() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        ack = await kernel.register("cat", echo, access="public", conditions={"password": "x"})
        assert (ack.ok, ack.code) == (False, "access")
        assert "key" in ack.error

    with_a_hub(work, HubConfig(kernel_poll=0.01))


def test_replicas_have_the_same_conditions() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        await publish(kernel, {"password": "x", "rate": "5/s"})
        other = await hub.kernel("k2").connect()
        for conditions in (None, {"password": "y", "rate": "5/s"}, {"password": "x"}):
            ack = await other.register("cat", echo, access="public", conditions=conditions, replica=True)
            assert (ack.ok, ack.code) == (False, "access")
        same = {"rate": "5/s", "password": "x"}
        assert (await other.register("cat", echo, access="public", conditions=same, replica=True)).ok

    with_a_hub(work)


# --- time, place, rate ------------------------------------------------------------------------------------------


def test_time_and_place() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        await publish(kernel, {"expires": time.time() - 1})
        visit = await hub.visit("cat/", headers=[PAGE])
        assert (visit.status, visit.code) == (403, "link_expired")
        assert b"This link has expired" in visit.body
        assert (await hub.visit("cat/", websocket=True)).code == "link_expired"
        await publish(kernel, {"cidr": ["192.0.2.0/24"], "expires": time.time() + 60})
        assert (await hub.visit("cat/")).status == 200
        visit = await hub.visit("cat/v1/models", client=("198.51.100.1", 5))
        assert (visit.status, visit.code) == (403, "address")
        assert visit.json()["error"]["type"] == "permission_error"
        assert (await hub.visit("cat/", client=None)).status == 403
        # who may not know that it is there does not learn its conditions
        await publish(kernel, {"cidr": ["192.0.2.0/24"]}, access="private")
        assert (await hub.visit("cat/", client=("198.51.100.1", 5))).status == 401

    with_a_hub(work)


def test_a_rate_is_of_each_key_and_of_each_address() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        await publish(kernel, {"rate": "2/h"}, access="public")
        keys = [(await hub.keys.mint(["cat"], 60))[0].encode() for _ in range(2)]
        for who in [*([(b"authorization", b"Bearer " + key)] for key in keys), []]:
            for _ in range(2):
                assert (await hub.visit("cat/", headers=who)).status == 200
            visit = await hub.visit("cat/v1/models", headers=who)
            assert (visit.status, visit.code) == (429, "rate_limited")
            assert visit.json()["error"]["type"] == "rate_limit_error"
            assert 1790 < int(visit.header(b"retry-after")[0]) <= 1800
        assert (await hub.visit("cat/", client=("192.0.2.8", 5))).status == 200

    with_a_hub(work)


# --- passwords --------------------------------------------------------------------------------------------------


def test_a_program_sends_the_password_and_the_app_does_not_see_it() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        await publish(kernel, {"password": "open: sesame"})
        visit = await hub.visit("cat/")
        assert (visit.status, visit.code) == (401, "password_needed")
        assert visit.header(b"www-authenticate")[0].startswith(b"Basic ")
        visit = await hub.visit("cat/", headers=[basic("wrong")])
        assert (visit.status, visit.code) == (401, "wrong_password")
        for websocket in (False, True):
            visit = await hub.visit("cat/", headers=[basic("open: sesame")], websocket=websocket)
            assert visit.status == (101 if websocket else 200)
            await until(lambda visit=visit: visit.done or visit.messages)
            assert "authorization" not in [name for name, _ in json.loads(visit.body or visit.messages[0])["headers"]]

    with_a_hub(work)


def test_a_browser_is_shown_a_form_and_not_asked_in_a_window_of_its_own() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        await publish(kernel, {"password": "x"})
        visit = await hub.visit("cat/a%2Fb?x=1&y=<z>", headers=[PAGE])
        assert visit.status == 401
        assert b'action="/portico/apps/cat/.portico/password"' in visit.body
        assert b'value="/portico/apps/cat/a%2Fb?x=1&amp;y=&lt;z&gt;"' in visit.body
        assert visit.header(b"www-authenticate")[0].startswith(b"Bearer ")
        fetched = await hub.visit("cat/data", headers=[(b"sec-fetch-mode", b"cors")])
        assert fetched.header(b"www-authenticate")[0].startswith(b"Bearer ")
        posted = await hub.visit("cat/a", "POST", [PAGE])
        assert b'value="/portico/apps/cat/"' in posted.body

    with_a_hub(work)


def test_a_pass_opens_and_never_reaches_the_app() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        await publish(kernel, {"password": "x"})
        cookie = pass_cookie(hub)
        others = b"; __Host-portico_pass=1; portico_confirmed=2; __host-Portico_Visitor=3; portico_state=4; own=5"
        visit = await hub.visit("cat/", headers=[(b"cookie", cookie[1] + others), basic("apps own")])
        assert visit.status == 200
        assert ["cookie", "own=5"] in visit.json()["headers"]
        assert ["authorization", basic("apps own")[1].decode()] in visit.json()["headers"]
        # a password that need not have been sent is kept from the app as well
        visit = await hub.visit("cat/", headers=[cookie, basic("x")])
        assert "authorization" not in [name for name, _ in visit.json()["headers"]]
        # nor is it where another stands beside it, or where it is badly written
        name, value = basic("x")
        for shown in (
            [(name, value), basic("apps own")],
            [basic("apps own"), (name, value)],
            [(name, value.replace(b" ", b"\t"))],
            [(name, value.rstrip(b"="))],
            [(name, value[:9] + b" " + value[9:])],
        ):
            visit = await hub.visit("cat/", headers=[cookie, *shown])
            assert visit.status == 200
            assert "authorization" not in [name for name, _ in visit.json()["headers"]], shown
        # another site's page cannot use it
        assert (await hub.visit("cat/", "POST", [cookie])).status == 403
        assert (await hub.visit("cat/", "POST", [cookie, ELSEWHERE])).status == 403
        assert (await hub.visit("cat/", "POST", [cookie, HERE])).status == 200
        assert (await hub.visit("cat/", headers=[cookie, ELSEWHERE], websocket=True)).status == 403
        assert (await hub.visit("cat/", headers=[cookie, HERE], websocket=True)).status == 101
        # another password, other passes
        await publish(kernel, {"password": "y"})
        assert (await hub.visit("cat/", headers=[cookie])).status == 401
        forged = (b"cookie", b"portico_pass=99999999999.x")
        assert (await hub.visit("cat/", headers=[forged])).status == 401

    with_a_hub(work)


def test_a_key_needs_no_password_and_a_login_does() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        await publish(kernel, {"password": "x"})
        for services, status in ((["cat"], 200), (["dog"], 401)):
            key = (await hub.keys.mint(services, 60))[0].encode()
            assert (await hub.visit("cat/", headers=[(b"authorization", b"Bearer " + key)])).status == status
            assert (await hub.visit("cat/", headers=[(b"cookie", b"portico_key=" + key)])).status == status
        assert (await hub.visit("cat/", headers=[(b"cookie", COOKIE)])).status == 401
        preflight = [ELSEWHERE, (b"access-control-request-method", b"POST")]
        assert (await hub.visit("cat/", "OPTIONS", preflight)).status == 401, "it reaches no app"

    with_a_hub(work)


def test_guesses_are_held_up_for_an_address() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        await publish(kernel, {"password": "x"})
        for _ in range(10):
            assert (await hub.visit("cat/", headers=[basic("wrong")])).status == 401
        visit = await hub.visit("cat/", headers=[basic("x")])
        assert (visit.status, visit.code) == (429, "too_many_attempts")
        assert 0 < int(visit.header(b"retry-after")[0]) <= 600
        assert (await hub.visit("cat/", headers=[pass_cookie(hub)])).status == 200
        assert (await hub.visit("cat/", headers=[basic("x")], client=("192.0.2.8", 5))).status == 200

    with_a_hub(work)


def test_on_a_host_of_its_own_over_tls_no_neighbour_can_set_the_cookies() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        await publish(kernel, {"password": "x"})
        name, value = pass_cookie(hub)
        for scheme, cookie, status in (
            ("https", b"__Host-" + value, 200),
            ("https", value, 401),
            ("http", value, 200),
            ("http", b"__Host-" + value, 401),
        ):
            request = a_visit("", headers=[(name, cookie)], scheme=scheme, prefix=b"")
            request.target = Target("cat", b"/", b"", "")
            try:
                await hub.gateway.admit(request)
                got = 200
            except Answer as answer:
                got = answer.status
            assert got == status, (scheme, cookie)

    with_a_hub(work)


# --- how much at once, and how large ----------------------------------------------------------------------------


class Waiting:
    """An app that reads, and answers when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.read = self.waiting = 0
        self.cut = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await echo(scope, receive, send)
        if scope["type"] == "websocket":
            await echo(scope, receive, send)
            return
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.cut.set()
                return
            self.read += len(message.get("body", b""))
            more = message.get("more_body", False)
        self.waiting += 1
        await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % self.read})


def test_so_many_at_once_and_no_more() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        app = Waiting()
        await publish(kernel, {"concurrency": 2}, app)
        first = [asyncio.create_task(hub.visit("cat/")) for _ in range(2)]
        await until(lambda: app.waiting == 2)
        for websocket in (False, True):
            visit = await hub.visit("cat/", websocket=websocket)
            assert visit.status == 429
            assert visit.header(b"retry-after") == [b"1"]
        app.go.set()
        assert {visit.status for visit in await asyncio.gather(*first)} == {200}
        assert (await hub.visit("cat/")).status == 200

    with_a_hub(work)


def test_a_body_that_says_it_is_too_large_is_refused_at_the_gate() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        app = Waiting()
        app.go.set()
        await publish(kernel, {"max_body": 10}, app)
        visit = await upload(hub, "cat/", [], 11)
        assert (visit.status, visit.code) == (413, "too_large")
        assert hub.registry.services["cat"].requests == 0
        assert (await upload(hub, "cat/", [b"x" * 10], 10)).body == b"10"

    with_a_hub(work)


def test_a_body_that_grows_too_large_is_cut_off() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        app = Waiting()
        await publish(kernel, {"max_body": 10}, app)
        visit = await upload(hub, "cat/", [b"x" * 6, b"x" * 6, b"x" * 6])
        assert (visit.status, visit.code) == (413, "too_large")
        await app.cut.wait()
        assert app.read <= 6
        app.read = 0
        app.go.set()
        assert (await upload(hub, "cat/", [b"x" * 5, b"x" * 5])).body == b"10"
        assert sum(replica.in_flight for replica in hub.registry.services["cat"].replicas) == 0

    with_a_hub(work)


def test_the_hubs_own_limit_of_a_body_holds_for_every_service() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        for conditions in (None, {"rate": "100/s"}, {"max_body": 1000}):
            await publish(kernel, conditions)
            assert (await upload(hub, "cat/", [b"x" * 11])).status == 413
            assert (await upload(hub, "cat/", [], 11)).status == 413
            assert (await upload(hub, "cat/", [b"x" * 10])).status == 200

    with_a_hub(work, HubConfig(kernel_poll=0.01, max_body=10))


# --- strangers' apps, and providers that are away -----------------------------------------------------------------


def test_a_browser_is_told_before_the_first_page_that_a_stranger_made_it() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        await publish(kernel, None)
        hub.registry.interstitial = True
        visit = await hub.visit("cat/a?b=1", headers=[PAGE])
        assert (visit.status, visit.code) == (403, "confirm_needed")
        assert b'action="/portico/apps/cat/.portico/confirm"' in visit.body
        assert b'value="/portico/apps/cat/a?b=1"' in visit.body
        assert b"hub.example:8888" in visit.body
        for method, headers, websocket, status in (
            ("GET", [(b"accept", b"*/*")], False, 200),
            ("POST", [(b"accept", b"*/*")], False, 200),
            ("GET", [PAGE], True, 101),
        ):
            assert (await hub.visit("cat/", method, headers, websocket=websocket)).status == status
        cookie = (b"cookie", b"portico_confirmed=" + hub.gateway.enforcer.make_confirmation("cat").encode())
        visit = await hub.visit("cat/", headers=[PAGE, cookie])
        assert visit.status == 200
        assert "cookie" not in [name for name, _ in visit.json()["headers"]]
        other = (b"cookie", b"portico_confirmed=" + hub.gateway.enforcer.make_confirmation("dog").encode())
        assert (await hub.visit("cat/", headers=[PAGE, other])).status == 403
        assert (await hub.visit("nothing-here/", headers=[PAGE])).code != "confirm_needed"

    with_a_hub(work)


NAVIGATES = (b"sec-fetch-mode", b"navigate")
ANYTHING = (b"accept", b"*/*")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PROPFIND"])
@pytest.mark.parametrize(
    "headers",
    [
        [PAGE],
        [PAGE, (b"range", b"bytes=0-")],
        [(b"accept", b"application/json"), (b"accept", b"Text/HTML;q=0.1")],
        [(b"accept", b"application/xhtml+xml")],
        [ANYTHING, NAVIGATES, (b"sec-fetch-dest", b"document")],
        [ANYTHING, (b"sec-fetch-dest", b"document")],
        *([ANYTHING, NAVIGATES, (b"sec-fetch-dest", place)] for place in (b"iframe", b"frame", b"embed", b"object")),
        [ANYTHING, (b"sec-fetch-dest", b"iframe"), (b"sec-fetch-mode", b"same-origin")],
        [(b"upgrade-insecure-requests", b"1")],
        [ANYTHING, (b"sec-purpose", b"prefetch;prerender"), (b"sec-fetch-mode", b"no-cors")],
        [ANYTHING, (b"purpose", b"Prefetch")],
        [ANYTHING, (b"sec-fetch-user", b"?1")],
        [ANYTHING, (b"service-worker-navigation-preload", b"true")],
        [ANYTHING, (b"purpose", b"prefetch")],
    ],
)
def test_every_navigation_is_told_by_whatever_method_and_leads_to_the_page_by_get(
    method: str, headers: list[tuple[bytes, bytes]]
) -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        await publish(kernel, None)
        hub.registry.interstitial = True
        visit = await hub.visit("cat/form?a=1", method, [PAGE, *headers])
        assert (visit.status, visit.code) == (403, "confirm_needed")
        assert b'value="/portico/apps/cat/form?a=1"' in visit.body
        assert (b"send it again" in visit.body) is (method not in ("GET", "HEAD"))
        alone = await hub.visit("cat/form?a=1", method, headers)
        assert (alone.status, alone.code) == (403, "confirm_needed")
        _, body = a_visit("cat/", method, headers).render(answers.confirm_needed("/", "/", HOST))
        assert body.startswith(b"<!doctype html>"), "a browser is shown a page, whatever it says that it accepts"
        key, _ = await hub.keys.mint(["cat"], 60)
        given = [(b"authorization", b"Bearer " + key.encode()), *headers]
        assert (await hub.visit("cat/", method, given)).code == "confirm_needed"
        by_cookie = [(b"cookie", b"portico_key=" + key.encode()), (b"origin", ORIGIN), *headers]
        assert (await hub.visit("cat/", method, by_cookie)).code == "confirm_needed"
        cookie = (b"cookie", b"portico_confirmed=" + hub.gateway.enforcer.make_confirmation("cat").encode())
        assert (await hub.visit("cat/form", method, [cookie, *headers])).status == 200

    with_a_hub(work)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [ANYTHING],
        [(b"accept", b"application/json"), (b"sec-fetch-mode", b"cors"), (b"sec-fetch-dest", b"empty")],
        [ANYTHING, (b"sec-fetch-mode", b"no-cors"), (b"sec-fetch-dest", b"image")],
        [(b"accept", b"text/event-stream")],
    ],
)
def test_programs_and_scripts_are_not_held_up(headers: list[tuple[bytes, bytes]]) -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        await publish(kernel, None)
        hub.registry.interstitial = True
        for method in ("GET", "POST", "HEAD"):
            assert (await hub.visit("cat/", method, headers)).status == 200
        assert (await hub.visit("cat/", headers=[NAVIGATES], websocket=True)).status == 101

    with_a_hub(work)


def test_a_stranger_is_warned_of_before_a_password_is_asked_for() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        await publish(kernel, {"password": "open"})
        hub.registry.interstitial = True
        for method in ("GET", "POST"):
            assert (await hub.visit("cat/", method, [PAGE, NAVIGATES])).code == "confirm_needed"
        cookie = (b"cookie", b"portico_confirmed=" + hub.gateway.enforcer.make_confirmation("cat").encode())
        assert (await hub.visit("cat/", headers=[PAGE, NAVIGATES, cookie])).code == "password_needed"

    with_a_hub(work)


def test_one_that_has_been_away_for_long_is_not_waited_for() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        await publish(kernel, None)
        await kernel.cut()
        [session] = [replica.session for replica in hub.registry.services["cat"].replicas]
        assert session.lost_at is not None
        session.lost_at -= 11
        hub.gateway._opening._since -= 11
        started = time.monotonic()
        visit = await hub.visit("cat/", headers=[PAGE])
        assert (visit.status, visit.code) == (503, "provider_away")
        assert visit.header(b"retry-after") == [b"10"]
        assert b'http-equiv="refresh"' in visit.body
        assert (await hub.visit("cat/v1/models")).json()["error"]["type"] == "server_error"
        assert time.monotonic() - started < 5
        # a hub that has just started waits as if the link was lost then
        hub.gateway._opening._since = time.monotonic()
        waiting = asyncio.create_task(hub.visit("cat/"))
        await asyncio.sleep(0)
        await kernel.connect()
        assert (await waiting).status == 200

    with_a_hub(work)


def test_who_waits_goes_to_whoever_takes_the_name_up_again() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        await publish(kernel, None)
        await kernel.cut()
        waiting = asyncio.create_task(hub.visit("cat/"))
        await asyncio.sleep(0)
        again = await hub.kernel().connect()  # the same kernel's, and another session
        await publish(again, None)
        assert (await waiting).status == 200
        assert hub.registry.services["cat"].requests == 1
        # but not past what the new one asks for
        await again.cut()
        waiting = asyncio.create_task(hub.visit("cat/"))
        await asyncio.sleep(0)
        await publish(await hub.kernel().connect(), {"password": "x"})
        visit = await waiting
        assert (visit.status, visit.code) == (503, "provider_reconnecting")

    with_a_hub(work)


def test_who_waited_is_asked_anew_if_the_conditions_have_changed() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        await publish(kernel, None)
        visit = Received()
        admission = await hub.gateway.admit(a_visit("cat/"))
        await publish(kernel, None)
        assert (await hub.open(a_request("cat/"), visit, admission=admission)).stream is not None
        await until(lambda: visit.done)
        await publish(kernel, {"password": "x"})
        with pytest.raises(Answer) as caught:
            await hub.open(a_request("cat/"), Received(), admission=admission)
        assert caught.value.status == 503

    with_a_hub(work)


def test_conditions_can_be_shown() -> None:
    found = Conditions.read({"password": "x", "rate": "5/s"}, CONFIG)
    assert found is not None
    assert json.loads(json.dumps(found.public())) == {"password": True, "rate": "5/s"}
