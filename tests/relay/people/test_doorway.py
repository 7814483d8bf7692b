"""What is under ``/.portico/``: forms that let a visitor in, and a sign-in that ends where it began."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.hub.access import KnownUser
from portico.hub.answers import Answer
from portico.hub.config import HubConfig
from portico.hub.gateway import Gateway
from portico.hub.keys import MARK
from portico.hub.registry import Registry
from portico.hub.request import Target, VisitorRequest
from portico.hub.visits import Visit, Visits
from portico.protocol import Kind
from portico.relay.people import doorway
from portico.relay.people.doorway import Doorway, SignedIn, callback_url, login_path, place_of
from portico.types import Headers
from tests.in_process import HereHub, a_hub, echo
from tests.transports.recorder import run

OWN = "cat--w1.share.example.org"
SAME = (b"sec-fetch-site", b"same-origin")
FORM = (b"content-type", b"application/x-www-form-urlencoded")
PAGE = (b"accept", b"text/html")
ADA = SignedIn(KnownUser("ada", "Ada"), "s1")


@dataclass
class Place:
    name: str
    registry: Registry
    gateway: Gateway


def ask(
    what: str, method: str = "GET", given: Headers | None = None, *, query: str = "", root: str = "", **more: Any
) -> Visit:
    """A request under ``/.portico/`` as an edge has read it: on a host of its own, or with a *root* by path."""
    host = more.pop("host", "share.example.org" if root else OWN)
    target = f"{root}/.portico/{what}" + (f"?{query}" if query else "")
    request = VisitorRequest(
        **{
            "kind": Kind.HTTP,
            "method": method,
            "scheme": "https",
            "host": host,
            "http_version": "1.1",
            "target": target.encode(),
            "headers": [(b"host", host.encode()), *(given or [])],
            "client": ("192.0.2.7", 4000),
            "server": (host, 443),
            "prefix": b"/w1/apps/" if root else b"",
        }
        | more
    )
    visit = Visit(Visits(), request)
    visit.target = Target("cat", f"/.portico/{what}".encode(), query.encode(), root)
    return visit


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Relay:
    """The relay's own side of a sign-in: codes that it made, each for a place and for once."""

    def __init__(self) -> None:
        self.codes: dict[str, tuple[str, SignedIn]] = {}
        self.clock = Clock()
        self.doorway = Doorway(
            b"s" * 32,
            redeem=self.redeem,
            sign_in_url=lambda workspace, visit, state: (
                "https://share.example.org/portico/sign-in?" + urlencode({"to": place_of(visit), "state": state})
            ),
            now=self.clock,
        )

    async def redeem(self, code: str, place: str) -> SignedIn | None:
        made_for, who = self.codes.pop(code, ("", ADA))
        return who if made_for == place else None


def field(answer: Answer, name: bytes) -> str:
    [value] = [value.decode() for found, value in answer.headers if found == name]
    return value


def kept(answer: Answer) -> tuple[bytes, bytes]:
    """The cookie that an answer leaves, as the browser sends it."""
    return b"cookie", field(answer, b"set-cookie").partition(";")[0].encode()


def with_a_service(work: Callable[[HereHub, Place, Relay], Awaitable[None]], **descriptor: Any) -> None:
    async def inside() -> None:
        async with a_hub(HubConfig(passwords=True, kernel_poll=0.01)) as hub:
            kernel = await hub.kernel().connect()
            assert (await kernel.register("cat", echo, access="public", **descriptor)).ok
            try:
                await work(hub, Place("w1", hub.registry, hub.gateway), Relay())
            finally:
                kernel.leave()

    run(inside)


async def admitted(hub: HereHub, given: Headers, root: str = "") -> str:
    """What the gate says to a page of the service; "" if it lets the visitor in."""
    request = ask("", given=[PAGE, *given], root=root)
    request.request = request.request._replace(target=f"{root}/".encode())
    request.target = Target("cat", b"/", b"", root)
    try:
        await hub.gateway.admit(request)
    except Answer as answer:
        return answer.code
    return ""


# --- the password -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", ["", "/w1/apps/cat"])
def test_the_password_leaves_a_pass(root: str) -> None:
    async def work(hub: HereHub, place: Place, relay: Relay) -> None:
        assert await admitted(hub, [], root) == "password_needed"
        body = urlencode({"password": "caf\u00e9", "next": f"{root}/a?b=%20c"}).encode()
        answer = await relay.doorway.handle(place, ask("password", "POST", [SAME, FORM], root=root), body)
        assert answer.status == 303
        assert field(answer, b"location") == f"{root}/a?b=%20c"
        name, _, rest = field(answer, b"set-cookie").partition("=")
        assert name == ("portico_pass" if root else "__Host-portico_pass")
        assert {f"Path={root}/", "HttpOnly", "SameSite=Lax", "Secure"} <= set(rest.split("; "))
        assert "Domain" not in rest
        assert await admitted(hub, [kept(answer)], root) == ""

    with_a_service(work, conditions={"password": "caf\u00e9"})


def test_a_wrong_password_leaves_nothing_but_the_form() -> None:
    async def work(hub: HereHub, place: Place, relay: Relay) -> None:
        body = urlencode({"password": "wrong", "next": "/a"}).encode()
        for _ in range(10):
            answer = await relay.doorway.handle(place, ask("password", "POST", [SAME, FORM, PAGE]), body)
            assert (answer.status, answer.code, answer.headers) == (401, "wrong_password", ())
            page = answer.render(html=True, openai=False)[1]
            assert b'value="/a"' in page
            assert b"aria-invalid" in page
        right = urlencode({"password": "x"}).encode()
        answer = await relay.doorway.handle(place, ask("password", "POST", [SAME, FORM]), right)
        assert (answer.status, answer.code) == (429, "too_many_attempts")
        answer = await relay.doorway.handle(place, ask("password"), b"")
        assert (answer.status, field(answer, b"location")) == (303, "/"), "a page that is loaded again"

    with_a_service(work, conditions={"password": "x"})


def test_where_there_is_no_password_nothing_is_said_of_the_service() -> None:
    async def work(hub: HereHub, place: Place, relay: Relay) -> None:
        for name in ("cat", "nowhere"):
            request = ask("password", "POST", [SAME, FORM])
            request.target = request.target._replace(name=name)
            answer = await relay.doorway.handle(place, request, b"password=x&next=/")
            assert (answer.status, field(answer, b"location")) == (303, "/")
            assert not any(name == b"set-cookie" for name, _ in answer.headers)

    with_a_service(work)


def test_an_expired_link_takes_no_password() -> None:
    async def work(hub: HereHub, place: Place, relay: Relay) -> None:
        answer = await relay.doorway.handle(place, ask("password", "POST", [SAME, FORM]), b"password=x")
        assert answer.code == "link_expired"

    with_a_service(work, conditions={"password": "x", "expires": 1})


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ([SAME, FORM], 303),
        ([(b"origin", f"https://{OWN}".encode()), FORM], 303),
        ([(b"origin", b"https://dog--w2.share.example.org"), (b"sec-fetch-site", b"same-site"), FORM], 403),
        ([(b"origin", b"https://evil.example"), (b"sec-fetch-site", b"cross-site"), FORM], 403),
        ([(b"origin", b"null"), FORM], 403),
        ([(b"origin", f"http://{OWN}".encode()), FORM], 403),
        ([FORM], 403),
        ([SAME, (b"content-type", b"text/plain")], 400),
        ([SAME], 400),
    ],
)
def test_forms_come_from_pages_of_the_same_origin(given: Headers, status: int) -> None:
    async def work(hub: HereHub, place: Place, relay: Relay) -> None:
        for what, body in (("password", b"password=x"), ("confirm", b"next=/"), ("logout", b"a=b")):
            answer = await relay.doorway.handle(place, ask(what, "POST", given), body)
            assert answer.status == status, what

    with_a_service(work, conditions={"password": "x"})


def test_hostile_forms() -> None:
    async def work(hub: HereHub, place: Place, relay: Relay) -> None:
        for body in (b"\xff\xfe", b"&" * 1000, b"a=1&" * 1000, b"password", b"%", b"password=%ff%00&next=%ff", b""):
            answer = await relay.doorway.handle(place, ask("password", "POST", [SAME, FORM]), body)
            assert answer.status == 401, body

    with_a_service(work, conditions={"password": "x"})


# --- the warning ------------------------------------------------------------------------------------------------


def test_whoever_goes_on_is_not_asked_again_for_a_day() -> None:
    async def work(hub: HereHub, place: Place, relay: Relay) -> None:
        hub.registry.interstitial = True
        assert await admitted(hub, []) == "confirm_needed"
        answer = await relay.doorway.handle(place, ask("confirm", "POST", [SAME, FORM]), b"next=%2Fa")
        assert (answer.status, field(answer, b"location")) == (303, "/a")
        assert "Max-Age=86400" in field(answer, b"set-cookie")
        assert await admitted(hub, [kept(answer)]) == ""

    with_a_service(work)


# --- where a browser may be sent ---------------------------------------------------------------------------------


@pytest.mark.parametrize("root", ["", "/w1/apps/cat"])
@pytest.mark.parametrize(
    "target",
    [
        "",
        "a",
        "https://evil.example/",
        "//evil.example/",
        "///evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "/a\\..\\..\\b",
        "/w1/apps/cat//evil",
        "/w1/apps/cat/../dog/",
        "/w1/apps/cat/%2e%2E/dog/",
        "/w1/apps/cat/.%2e/dog/",
        "/w1/apps/catch/",
        "/w1/apps/cat/.portico/logout",
        "/../",
        "/.portico/callback?code=1",
        "/a\r\nset-cookie: a=b",
        "/a\tb",
        "/ a",
        "/caf\u00e9",
        "javascript:alert(1)",
    ],
)
def test_no_form_leads_out_of_the_service(root: str, target: str) -> None:
    if root == "" and target in ("/w1/apps/cat//evil", "/w1/apps/catch/", "/w1/apps/cat/.portico/logout"):
        return  # a path like any other, on a host of its own
    assert doorway._inside(ask("confirm", root=root), target.encode()) == root + "/"


@given(st.sampled_from(["", "/w1/apps/cat"]), st.text(max_size=50) | st.text("/.%2eE\\a?#:", max_size=30))
def test_what_is_gone_on_to_is_always_inside(root: str, below: str) -> None:
    """Whatever is asked for, the browser goes to a plain path under the service's root, without a way up."""
    for target in (below, f"{root}/{below}"):
        went = doorway._inside(ask("confirm", root=root), target.encode("utf-8", "surrogatepass"))
        assert went.startswith(root + "/")
        assert went.isascii()
        assert went.isprintable()
        assert "\\" not in went
        assert not went.startswith("//")
        path = went.partition("#")[0].partition("?")[0].lower().replace("%2e", ".")  # a fragment is no path (RFC 3986)
        assert not {".", ".."} & set(path.split("/"))


# --- signing in -------------------------------------------------------------------------------------------------


async def begin(relay: Relay, place: Place, given: Headers | None = None, root: str = "") -> tuple[str, Answer]:
    """The state, and the answer that sends the browser away with it."""
    request = ask("login", given=given or [], query=urlencode({"next": f"{root}/a?b=1"}), root=root)
    answer = await relay.doorway.handle(place, request, b"")
    assert answer.status == 302
    url = field(answer, b"location")
    assert url.startswith("https://share.example.org/portico/sign-in?to=")
    return url.partition("state=")[2], answer


@pytest.mark.parametrize("root", ["", "/w1/apps/cat"])
def test_a_sign_in_ends_where_it_began(root: str) -> None:
    async def work(hub: HereHub, place: Place, relay: Relay) -> None:
        state, answer = await begin(relay, place, root=root)
        where = place_of(ask("login", root=root))
        relay.codes["c1"] = where, ADA
        assert callback_url("https", where) == f"https://{'share.example.org' if root else OWN}{root}/.portico/callback"
        request = ask("callback", given=[kept(answer)], query=f"code=c1&state={state}", root=root)
        ended = await relay.doorway.handle(place, request, b"")
        assert (ended.status, field(ended, b"location")) == (303, f"{root}/a?b=1")
        name, value = kept(ended)
        assert value.startswith(b"portico_visitor=" if root else b"__Host-portico_visitor=")
        assert MARK in value, "so that no hub ever passes it on"
        page = ask("", given=[(name, value)], root=root)
        assert relay.doorway.visitor("w1", page) == ADA
        assert relay.doorway.visitor("w1", page) == ADA
        # of this workspace, this host and this root, and for so long
        assert relay.doorway.visitor("w2", page) is None
        assert relay.doorway.visitor("w1", ask("", given=[(name, value)], root=root, host="dog--w1.x.org")) is None
        assert relay.doorway.visitor("w1", ask("", given=[(name, value)], root=f"{root}/dog")) is None
        assert relay.doorway.visitor("w1", ask("", given=[(name, value + b"x")], root=root)) is None
        assert relay.doorway.visitor("w1", ask("", root=root)) is None
        relay.clock.now += 12 * 3600
        assert relay.doorway.visitor("w1", page) is None
        # and once
        again = await relay.doorway.handle(place, request, b"")
        assert again.code == "sign_in_failed"

    with_a_service(work)


def test_nobody_is_signed_in_by_someone_elses_link() -> None:
    async def work(hub: HereHub, place: Place, relay: Relay) -> None:
        state, mine = await begin(relay, place)
        _, others = await begin(relay, place)
        where = place_of(ask("login"))

        async def end(given: Headers, query: str, **more: Any) -> str:
            relay.codes["c1"] = where, ADA
            return (await relay.doorway.handle(place, ask("callback", given=given, query=query, **more), b"")).code

        assert await end([], f"code=c1&state={state}") == "sign_in_failed"
        assert await end([kept(others)], f"code=c1&state={state}") == "sign_in_failed"
        for query in ("code=c1", "code=c1&state=", f"code=c1&state={state}x", "code=c1&state=e30.e30.", "", "%ff=%ff"):
            assert await end([kept(mine)], query) == "sign_in_failed", query
        assert await end([kept(mine)], f"code=c1&state={state}", host="dog--w1.share.example.org") == "sign_in_failed"
        assert await end([kept(mine)], f"code=unknown&state={state}") == "sign_in_failed"
        relay.clock.now += 901
        assert await end([kept(mine)], f"code=c1&state={state}") == "sign_in_failed"
        relay.clock.now -= 901
        assert await end([kept(mine)], f"code=c1&state={state}") == "seen"

    with_a_service(work)


def test_two_pages_of_one_browser_may_sign_in_at_once() -> None:
    async def work(hub: HereHub, place: Place, relay: Relay) -> None:
        first, answer = await begin(relay, place)
        second, other = await begin(relay, place, [kept(answer)])
        assert kept(other) == kept(answer)
        for state in (first, second):
            relay.codes["c1"] = place_of(ask("login")), ADA
            request = ask("callback", given=[kept(other)], query=f"code=c1&state={state}")
            assert (await relay.doorway.handle(place, request, b"")).status == 303

    with_a_service(work)


def test_a_state_is_no_sign_in_and_a_sign_in_is_no_state() -> None:
    async def work(hub: HereHub, place: Place, relay: Relay) -> None:
        state, _ = await begin(relay, place)
        page = ask("", given=[(b"cookie", b"__Host-portico_visitor=" + state.encode())])
        assert relay.doorway.visitor("w1", page) is None

    with_a_service(work)


def test_another_sites_page_cannot_load_a_sign_in() -> None:
    async def work(hub: HereHub, place: Place, relay: Relay) -> None:
        elsewhere = [(b"sec-fetch-site", b"cross-site"), (b"sec-fetch-mode", b"no-cors")]
        assert (await relay.doorway.handle(place, ask("login", given=elsewhere), b"")).status == 403
        linked = [(b"sec-fetch-site", b"cross-site"), (b"sec-fetch-mode", b"navigate")]
        assert (await relay.doorway.handle(place, ask("login", given=linked), b"")).status == 302

    with_a_service(work)


def test_signing_out_forgets() -> None:
    async def work(hub: HereHub, place: Place, relay: Relay) -> None:
        answer = await relay.doorway.handle(place, ask("logout", "POST", [SAME, FORM]), b"")
        assert answer.status == 303
        assert field(answer, b"set-cookie").startswith("__Host-portico_visitor=; Path=/; Max-Age=0;")

    with_a_service(work)


def test_there_is_nothing_else_here() -> None:
    async def work(hub: HereHub, place: Place, relay: Relay) -> None:
        for what in ("", "passwords", "password/", "../", "%70assword", "\u00ff"):
            assert (await relay.doorway.handle(place, ask(what), b"")).status == 404
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
            assert (await relay.doorway.handle(place, ask("password", method, [SAME, FORM]), b"")).status == 405
        assert (await relay.doorway.handle(place, ask("callback", "POST", [SAME, FORM]), b"")).status == 405

    with_a_service(work)


def test_no_query_is_taken_apart_at_length() -> None:
    async def work(hub: HereHub, place: Place, relay: Relay) -> None:
        for what in ("login", "callback"):
            for query in ("&" * 50_000, "a=b&" * 12_000, "next=/&" * 5_000):
                assert (await relay.doorway.handle(place, ask(what, query=query), b"")).status == 431
            assert (await relay.doorway.handle(place, ask(what, query="a=b&" * 900), b"")).status in (302, 403)

    with_a_service(work)


def test_the_gate_sends_a_browser_to_sign_in_here() -> None:
    assert login_path(ask("", root="/w1/apps/cat")) == "/w1/apps/cat/.portico/login"
    assert login_path(ask("")) == "/.portico/login"
