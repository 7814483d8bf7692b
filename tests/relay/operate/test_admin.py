"""The admin's page as browsers have it: who sees it, who may end what by it, and what the metrics name."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

import portico
from portico.provider.service import Service
from portico.relay.people.accounts import Accounts
from portico.relay.store import RelayStore
from tests.live_relay import ALICE, PASSWORD, RelayProcess
from tests.security.provider import dial
from tests.waiting import eventually

PAGE = "portico/admin"
_TOKEN = re.compile(r'data-token="([0-9a-f]+)"')


async def app(scope: object, receive: object, send: object) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
    await send({"type": "http.response.body", "body": b"here"})  # type: ignore[operator]


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    """Where alice is an admin, and bob and carol are none."""
    folder: Path = tmp_path_factory.mktemp("admin")
    relay = RelayProcess(folder)
    store = RelayStore(relay.config.database)
    for name in ("bob", "carol"):
        asyncio.run(Accounts(store).add(name, PASSWORD))
    store.close()
    relay.start()
    yield relay
    relay.stop()


@pytest.fixture
def cat(relay: RelayProcess) -> Iterator[Service]:
    service = portico.serve(app, "cat", access="public", hub=relay.url, token=relay.token())
    yield service
    service.stop()


class Browser(httpx.Client):
    """Keeps cookies, and says what browsers say of a navigation."""

    def __init__(self, relay: RelayProcess, user: str = "") -> None:
        said = {"Accept": "text/html", "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"}
        super().__init__(base_url=relay.url, headers=said, timeout=20, trust_env=False)
        self.origin = relay.url.rstrip("/")
        self._user = user

    def __enter__(self) -> Self:
        super().__enter__()
        if self._user:
            page = self.get("portico/login").text
            hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
            sent = self.submit("portico/login", hidden | {"name": self._user, "password": PASSWORD})
            assert sent.status_code == 303, sent.text
        return self

    def submit(self, path: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        """Send a form."""
        return self.post(path, data=fields, headers={"Origin": self.origin} | headers)

    @property
    def form_token(self) -> str:
        found = _TOKEN.search(self.get(PAGE).text)
        assert found is not None
        return found[1]


def test_the_page_is_for_admins(relay: RelayProcess) -> None:
    with Browser(relay) as nobody, Browser(relay, "bob") as bob, Browser(relay, ALICE) as alice:
        answer = nobody.get(PAGE)
        assert (answer.status_code, answer.headers["location"]) == (303, "/portico/login?next=/portico/admin")
        assert nobody.get(PAGE + "/live").status_code == 401
        assert nobody.submit(PAGE, {"action": "kick", "id": "1"}).status_code == 303
        for path in (PAGE, PAGE + "/live"):
            assert bob.get(path).status_code == 403
        assert bob.submit(PAGE, {"action": "kick", "id": "1"}).status_code == 403
        shown = alice.get(PAGE)
        assert shown.status_code == 200
        assert "script-src 'nonce-" in shown.headers["content-security-policy"]
        assert shown.headers["x-frame-options"] == "DENY"
        with_token = {"Authorization": f"Bearer {relay.token('admin')}"}
        assert nobody.get(PAGE, headers=with_token).status_code == 303, "no token opens the page"
        assert alice.get("portico/api/admin").status_code == 401, "and no cookie the API"


def test_a_form_is_believed_only_from_the_admins_own_page(relay: RelayProcess, cat: Service) -> None:
    stop = {"action": "stop", "id": "cat", "workspace": ALICE}
    with Browser(relay, ALICE) as alice, Browser(relay, ALICE) as elsewhere:
        token, foreign = alice.form_token, elsewhere.form_token
        assert token != foreign
        for given in ({}, {"form_token": ""}, {"form_token": foreign}):
            assert alice.submit(PAGE, stop | given).status_code == 403
        right = stop | {"form_token": token}
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Dest": "empty"},
            {"Sec-Fetch-Dest": "iframe"},
            {"Origin": "", "Sec-Fetch-Site": "cross-site"},
        ):
            assert alice.submit(PAGE, right, **headers).status_code == 403, headers
        assert alice.get(PAGE, headers={"Sec-Fetch-Dest": "empty"}).status_code == 403, "no script reads the token"
        assert alice.get(PAGE + "/live").status_code == 403
        assert alice.get(PAGE + "/live", headers={"X-Portico-Form": token}).status_code == 200
        assert alice.put(PAGE).status_code == 405
        assert httpx.get(cat.url, trust_env=False).text == "here"
        done = alice.submit(PAGE, right)
        assert (done.status_code, done.headers["location"]) == (303, "/portico/admin#services")
        assert httpx.get(cat.url, trust_env=False).status_code == 401, "a stranger is not told what there is"
        assert alice.submit(PAGE, right).status_code == 404
        assert alice.submit(PAGE, right | {"action": "explode"}).status_code == 400


def test_a_link_is_ended_and_does_not_come_back(relay: RelayProcess, cat: Service) -> None:
    with Browser(relay, ALICE) as alice:
        page = alice.get(PAGE).text
        [number] = re.findall(r'aria-label="Kick link (\d+)"', page)
        done = alice.submit(PAGE, {"action": "kick", "id": number, "form_token": alice.form_token})
        assert (done.status_code, done.headers["location"]) == (303, "/portico/admin#links")
        assert httpx.get(cat.url, trust_env=False).status_code in (401, 503)
        assert "No provider is linked." in alice.get(PAGE).text
        eventually(lambda: cat.status == "failed", what="the provider's hearing of it, which does not dial again")
        assert "admin closed this link" in cat.error
        gone = alice.submit(PAGE, {"action": "kick", "id": number, "form_token": alice.form_token})
        assert gone.status_code == 404


def test_users_and_tokens_are_ended(relay: RelayProcess) -> None:
    with Browser(relay, ALICE) as alice, Browser(relay, "carol") as carol:
        token = relay.token("publish:*")

        def ask() -> httpx.Response:
            said = {"Authorization": f"Bearer {token}"}
            return httpx.get(relay.url + "portico/api/me", headers=said, trust_env=False)

        token_id = ask().json()["token"]["id"]
        fields = {"form_token": alice.form_token}
        assert alice.submit(PAGE, fields | {"action": "revoke", "id": token_id}).status_code == 303
        assert ask().status_code == 401
        assert carol.get("portico/").status_code == 200
        assert alice.submit(PAGE, fields | {"action": "disable", "id": "carol"}).status_code == 303
        assert carol.get("portico/").status_code == 303, "she is signed out"
        assert alice.submit(PAGE, fields | {"action": "enable", "id": "carol"}).status_code == 303
        assert alice.submit(PAGE, fields | {"action": "disable", "id": ALICE}).status_code == 409, "herself"


def test_a_link_that_has_not_said_who_it_is_is_shown(relay: RelayProcess) -> None:
    with dial(relay), Browser(relay, ALICE) as alice:
        page = alice.get(PAGE)
    assert page.status_code == 200
    assert "not known yet" in page.text


def test_what_is_shown_is_text(relay: RelayProcess) -> None:
    title = "<script>alert(1)</script>"
    service = portico.serve(app, "titled", title=title, access="public", hub=relay.url, token=relay.token())
    try:
        with Browser(relay, ALICE) as alice:
            page = alice.get(PAGE).text
        assert title not in page
        assert "&lt;script&gt;alert(1)" in page
    finally:
        service.stop()


def test_metrics_name_no_tenant_service_or_path(relay: RelayProcess, cat: Service) -> None:
    """Whatever visitors and providers make up, the number of series stays."""
    admin = {"Authorization": f"Bearer {relay.token('admin')}"}

    def series() -> set[tuple[str, tuple[tuple[str, str], ...]]]:
        text = httpx.get(relay.url + "metrics", headers=admin, trust_env=False).text
        return {
            (sample.name, tuple(sorted(sample.labels.items())))
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    with httpx.Client(base_url=relay.url, trust_env=False) as visitor:
        visitor.get("nobody/apps/nothing/")
        visitor.get("alice/apps/cat/")
        visitor.request("BREW", "portico/api/me")
        before = series()
        for number in range(30):
            visitor.get(f"w{number}/apps/s{number}/p{number}?q={number}", headers={"User-Agent": f"a{number}"})
            visitor.get(f"alice/apps/cat/p{number}")
        after = series()
    assert after == before
    labels = {name for _, pairs in after for name, _ in pairs}
    assert labels <= {"status", "code", "way", "version", "implementation", "major", "minor", "patchlevel"}
