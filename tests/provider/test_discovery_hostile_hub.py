"""A hostile hub or relay: what it says is shown without what would run, forge or steer; a URL is a page's, or none."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from portico import foreign
from portico.cli.account import listed, table, when
from portico.errors import LinkClosed, Refused, RemoteProtocolError
from portico.protocol import Connection, Limits, ResetCode, Role, frames, handshake
from portico.protocol.events import Ack, GoAway, Hello, Reset, Welcome
from portico.provider import api
from portico.provider.discovery import HubAddress
from portico.provider.login import DeviceLogin
from tests.protocol.fake_link import FakeLink

NASTY = "a\x1b]0;owned\x07\r\nb\x00c\u202egnp.exe\u2066\x9b31m\ud800"
"""A terminal's escapes, line breaks, a NUL, marks that turn the writing, and half a letter."""

BAD_URLS = [
    "javascript:alert(1)",
    "JAVASCRIPT:alert(1)",
    " javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "file:///etc/passwd",
    "ftp://hub.test/",
    "vbscript:x",
    "//hub.test/",
    "/portico/apps/cat/",
    "cat",
    "http:/hub.test/",
    "http://",
    "http:///path",
    "https://:80/",
    "https://user@hub.test/",
    "https://hub.test@evil.test/",
    "https://hub.test:port/",
    "https://hub.test:99999/",
    "https://[::1/",
    "https://hub.test/\x1b[31m",
    "https://hub.test/\r\nSet-Cookie: a=b",
    "https://hub.test/\t",
    "https://hub.test/ x",
    "https://hub.test/\u202e",
    "https://hub.test/\u200b",
    'https://hub.test/"onclick="alert(1)',
    "https://hub.test/<b>",
    "https://hub.test\\@evil.test/",
    "https://hub.test/`id`",
    "https://hub.test/" + "x" * 5000,
]
GOOD_URLS = [
    "http://hub.test/",
    "https://hub.test/user/ada@example.com/portico/apps/cat/",
    "http://127.0.0.1:8888/portico/apps/cat/",
    "http://[::1]:8888/a/",
    "https://münchen.test/caf%C3%A9/;a=(b)'c'?d=$e&f",
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_url_that_is_no_pages(url: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- what it says is looked at below
        foreign.web_url(url)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("url", GOOD_URLS)
def test_a_pages_url(url: str) -> None:
    assert foreign.web_url(url) == url


@pytest.mark.parametrize("value", [None, 1, "", [], {"a": 1}])
def test_what_is_not_even_text(value: object) -> None:
    with pytest.raises(ValueError, match="text"):
        foreign.web_url(value)


def asking() -> Connection:
    """A provider that has said HELLO."""
    provider = Connection(Role.PROVIDER)
    provider.send_hello(Hello(token="t", session="0" * 32, epoch=0))
    provider.data_to_send()
    return provider


@pytest.mark.parametrize("url", BAD_URLS)
def test_an_ack_or_a_welcome_with_such_a_url_ends_the_link(url: str) -> None:
    link = FakeLink()
    ack = frames.pack_json(frames.ACK, {"request": 1, "ok": True, "url": url})
    with pytest.raises(RemoteProtocolError, match="not the URL of a page") as caught:
        link.provider.receive_message(ack, 0.0)
    assert str(caught.value).isprintable()
    for welcome in (Welcome(base_url=url), Welcome(base_url="http://h/", info={"public_base_url": url})):
        with pytest.raises(RemoteProtocolError, match="not the URL of a page"):
            asking().receive_message(handshake.pack_welcome(welcome, Limits()), 0.0)


def flat(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from flat(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from flat(inner)
    elif isinstance(value, str):
        yield value


def test_whatever_a_hub_says_is_one_bounded_line() -> None:
    said = NASTY.replace("\ud800", "") * 200
    link = FakeLink()
    [ack] = link.provider.receive_message(
        handshake.pack_ack(Ack(request=1, ok=False, error=said, code=NASTY[:-1], detail={NASTY[:-1]: [NASTY[:-1]]})),
        0.0,
    )
    assert isinstance(ack, Ack)
    stream_id = link.open()
    link.run()
    [reset] = link.provider.receive_message(frames.pack_reset(stream_id, 1, said), 0.0)
    assert isinstance(reset, Reset)
    [goaway] = link.provider.receive_message(frames.pack_goaway(0, 2, 10, said), 0.0)
    assert isinstance(goaway, GoAway)
    info = {
        "workspace": NASTY[:-1],
        "user": {"id": NASTY[:-1]},
        "allowed_relays": [said],
        "deep": [[[[[[[[[["x"]]]]]]]]]],
    }
    [welcome] = asking().receive_message(
        handshake.pack_welcome(Welcome(base_url="http://h/", agent=said, info=info), Limits()), 0.0
    )
    assert isinstance(welcome, Welcome)
    shown = [ack.error, ack.code, reset.reason, goaway.reason, welcome.agent, *flat(ack.detail), *flat(welcome.info)]
    assert all(text.isprintable() for text in shown)
    assert max(map(len, shown)) < 100_000
    assert all(len(text) < 8000 for text in (ack.error, reset.reason, goaway.reason, welcome.agent))


def test_a_provider_is_shown_the_same_way_by_its_hub() -> None:
    link = FakeLink(shake_hands=False)
    link.provider.send_hello(Hello(token="t", session="0" * 32, epoch=0, agent=NASTY[:-1]))
    [hello] = link.hub.receive_message(link.provider.data_to_send(), 0.0)
    assert isinstance(hello, Hello)
    assert hello.agent.isprintable()


def test_versions_of_another_make_a_short_error() -> None:
    value = {"versions": [10**4000] * 15, "settings": {}}
    with pytest.raises(RemoteProtocolError) as caught:
        asking().receive_message(frames.pack_json(frames.WELCOME, value), 0.0)
    assert len(str(caught.value)) < 300


# --- a relay's control API and its login ---------------------------------------------------------------------------


class Relay(HTTPServer):
    """Answers each request with the next of *answers*."""

    def __init__(self, *answers: tuple[int, object]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.url = f"http://127.0.0.1:{self.server_port}/"

    def __enter__(self) -> Relay:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Relay

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, answer = self.server.answers.pop(0)
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None: ...


def challenge(**more: object) -> dict[str, object]:
    return {
        "verification_uri": "http://relay.test/device",
        "user_code": "ABCD-EFGH",
        "expires_in": 600,
        "device_code": "secret",
        **more,
    }


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_login_at_a_page_that_is_none(url: str) -> None:
    with Relay((200, challenge(verification_uri=url)), (200, challenge(verification_uri_complete=url))) as relay:
        for _ in range(2):
            with pytest.raises(LinkClosed, match="does not answer as a relay does") as caught:
                DeviceLogin(relay.url).begin()
            assert str(caught.value).isprintable()


def test_a_login_whose_link_leads_elsewhere_than_it_says() -> None:
    with Relay((200, challenge(verification_uri_complete="http://evil.test/device?code=1"))) as relay:
        asked = DeviceLogin(relay.url).begin()
    assert (asked.url, asked.complete_url) == ("http://relay.test/device", "")


def test_a_login_with_a_nasty_code_and_endless_times() -> None:
    answer = challenge(user_code=NASTY * 100, expires_in=1e300, interval=1e300)
    with Relay((200, answer)) as relay:
        asked = DeviceLogin(relay.url).begin()
    assert asked.code.isprintable()
    assert len(asked.code) < 400
    assert asked.expires_in <= 24 * 3600
    assert asked.interval <= 60


@pytest.mark.parametrize("lifetime", [10**400, -(10**400), 1e300, float("nan"), float("inf"), "x", None])
def test_a_login_that_lasts_no_time_that_there_is(lifetime: object) -> None:
    given = {"access_token": "secret", "expires_in": lifetime}
    with Relay((200, challenge()), (200, given)) as relay:
        login = DeviceLogin(relay.url, sleep=lambda seconds: None)
        credential = login.finish(login.begin())
    assert (credential.token, credential.expires) == ("secret", 0.0)


@pytest.mark.parametrize(
    "answer",
    [
        (403, {"error": {"message": NASTY * 500, "code": NASTY}}),
        (400, {"error": NASTY, "error_description": NASTY * 500}),
        (200, b"[" * 100_000),
        (500, b"[" * 100_000),
        (200, b"\xff\xfe"),
        (400, b'{"error": {"message": 5}}'),
    ],
)
def test_what_a_control_api_answers_is_one_bounded_line(answer: tuple[int, object]) -> None:
    with Relay(answer) as relay, pytest.raises((Refused, LinkClosed)) as caught:
        api.call(HubAddress(relay.url, "t", "test"), "GET", "services")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 8000


def test_a_key_that_steers_the_terminal_is_none() -> None:
    with pytest.raises(Refused):
        api.key_of({"key": "abc\x1b[31m"})
    with pytest.raises(Refused):
        api.key_of({"key": ["abc"]})


def test_tables_show_no_controls() -> None:
    shown = table([["NAME", "URL"], [NASTY, "x" * 10_000], ["b", "\n\n"]])
    assert len(shown.splitlines()) == 3
    assert all(line.isprintable() for line in shown.splitlines())
    assert max(map(len, shown.splitlines())) < 2000
    assert listed({"services": ["a", 1, {"name": "b"}, None]}, "services") == [{"name": "b"}]
    assert listed({"services": "abc"}, "services") == []
    for odd in (float("inf"), float("nan"), 1e300, -1, "x", None):
        assert when(odd) in ("-", "never")


def test_a_reason_is_not_lost() -> None:
    link = FakeLink()
    [goaway] = link.provider.receive_message(frames.pack_goaway(0, int(ResetCode.REFUSED), 0, "日 è vietato"), 0.0)
    assert isinstance(goaway, GoAway)
    assert goaway.reason == "日 è vietato"


@pytest.mark.parametrize("url", ["http+unix://%2Ftmp%2Fjupyter.sock/portico/apps/", "https://a.example/"])
def test_a_server_may_be_on_a_unix_socket(url: str) -> None:
    assert foreign.server_url(url) == url


@pytest.mark.parametrize(
    "url",
    ["http+unix:///tmp", "http+unix://a\nb/", "http+unix://a@b/", "unix://%2Ftmp", "http+unix:a", "javascript:a", 1],
)
def test_nothing_else_is_a_servers_url(url: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        foreign.server_url(url)
