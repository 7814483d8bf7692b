"""A kernel that serves one echo of each access, a login, and keys and tokens of every kind."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import jwt
import pytest

from portico import tool
from portico.relay.store import RelayStore
from tests.in_process import echo
from tests.live_jupyter import JupyterServer, Kernel
from tests.live_relay import ALICE, RelayProcess
from tests.relay.tenants import Tenant
from tests.security.apps import hostile, secret
from tests.security.relays import Browser, Site
from tests.security.visitor import Login, ask, log_in
from tests.waiting import eventually

ORIGIN = "https://chat.example.com"

SERVE = f"""
import json, os, portico
from tests.in_process import echo
from tests.security.apps import counting, hostile, secret
for access in ("private", "key", "public"):
    portico.serve(echo, f"echo-{{access}}", access=access)
portico.serve(echo, "echo-shared", origins=["{ORIGIN}"])
portico.serve(hostile, "hostile", access="public")
portico.serve(counting, "counting")
def secret_model(messages): return "a secret"
portico.serve(secret_model, "secret-model", chat=True, origins=["{ORIGIN}"])
portico.serve(portico.tool(secret, get=True), "secret-function")
print(json.dumps([os.environ["PORTICO_HUB_TOKEN"], os.environ["PORTICO_KERNEL_ID"]]))
"""


@dataclass(frozen=True)
class Served:
    """The kernel that serves, and its own credential."""

    kernel: Kernel
    token: str


@pytest.fixture(scope="session")
def served(jupyter_server: JupyterServer) -> Iterator[Served]:
    kernel = jupyter_server.kernel("security.ipynb")
    token, _ = json.loads(kernel.execute(SERVE).check().text.strip().splitlines()[-1])
    yield Served(kernel, token)
    kernel.shutdown()


@pytest.fixture(scope="session")
def login(jupyter_server: JupyterServer) -> Login:
    return log_in(jupyter_server)


def make_key(server: JupyterServer, *services: str, lifetime: float = 7200) -> tuple[str, str]:
    """A key, and its id. It outlives the session of tests, which shares it."""
    made = server.api("POST", "portico/api/keys", {"services": list(services), "expires_in": lifetime})
    return made["key"], made["id"]


@pytest.fixture(scope="session")
def key(jupyter_server: JupyterServer, served: Served) -> str:
    """Opens every echo."""
    return make_key(jupyter_server, "echo-private", "echo-key", "echo-public", "echo-shared", "counting")[0]


@pytest.fixture(scope="session")
def revoked(jupyter_server: JupyterServer, served: Served) -> str:
    made, key_id = make_key(jupyter_server, "echo-private", "echo-key", "echo-public")
    bearer = {"Authorization": f"Bearer {made}"}
    assert ask(jupyter_server, "portico/apps/echo-private/", headers=bearer).status == 200
    jupyter_server.api("DELETE", f"portico/api/keys/{key_id}")
    assert ask(jupyter_server, "portico/apps/echo-private/", headers=bearer).status == 401
    return made


@pytest.fixture(scope="session")
def expired(jupyter_server: JupyterServer, served: Served) -> str:
    made, _ = make_key(jupyter_server, "echo-private", "echo-key", "echo-public", lifetime=1)
    bearer = {"Authorization": f"Bearer {made}"}
    eventually(lambda: ask(jupyter_server, "portico/apps/echo-private/", headers=bearer).status == 401, 10)
    return made


@pytest.fixture(scope="session")
def wrong(jupyter_server: JupyterServer, served: Served, expired: str, revoked: str) -> dict[str, dict[str, str]]:
    """Credentials that open nothing, as headers."""
    claims = {"iss": "portico", "aud": "portico:visitor", "jti": "0" * 16, "svc": ["echo-private"], "iat": 0}
    claims["exp"] = int(time.time()) + 600
    other, _ = make_key(jupyter_server, "another-service")
    tokens = {
        "garbage": "garbage",
        "three garbage parts": "a.b.c",
        "expired key": expired,
        "revoked key": revoked,
        "key of another service": other,
        "alg none": jwt.encode(claims, None, "none"),
        "another secret": jwt.encode(claims, "another secret of thirty-two bytes", "HS256"),
        "wrong audience": served.token,
        "nested too deep": "e30." + "W1tb" * 8000 + ".x",
    }
    given = {name: {"Authorization": f"Bearer {token}"} for name, token in tokens.items()}
    return given | {
        "nothing": {},
        "another token": {"Authorization": "token not-the-token"},
        "a forged login": {"Cookie": "username-127-0-0-1-8888=2|1:0|10:1|8:username|4:eA==|deadbeef"},
        "an expired key's cookie": {"Cookie": f"portico_key={expired}"},
    }


# --- a relay ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session", params=["relay", "relay_by_host"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """The same on a relay, by path and by host name; and a stranger beside it, with apps of the same names."""
    relay: RelayProcess = request.getfixturevalue(request.param)
    tenant, stranger = Tenant(relay), Tenant(relay, "")
    for each in (tenant, stranger):
        for access in ("private", "key", "public"):
            each.serve(echo, f"echo-{access}", access=access)
        each.serve(hostile, "hostile", access="public")
        each.serve(secret_model, "secret-model", chat=True)
        each.serve(tool(secret, get=True), "secret-function")
    yield Site(tenant, stranger)
    tenant.leave()
    stranger.leave()


def secret_model(messages: object) -> str:
    return "a secret"


@pytest.fixture(scope="session")
def browser(site: Site) -> Browser:
    """Signed in on ``echo-private``."""
    browser = Browser(site.relay)
    _, answer = browser.sign_in(site.relay.service_url("echo-private"))
    assert answer.json()["identity"]["user"]["id"] == ALICE
    return browser


@dataclass(frozen=True)
class Credentials:
    """Of one relay: what opens, and what once did or never will, as tokens."""

    key: str
    """Opens every echo."""
    token: str
    """A provider's, of the workspace, with every scope but admin."""
    wrong: dict[str, str]
    """What opens nothing of the workspace, anywhere."""


@pytest.fixture(scope="session")
def credentials(site: Site) -> Credentials:
    relay, tenant = site.relay, site.tenant
    every = ("echo-private", "echo-key", "echo-public")
    gone_key, gone_token = tenant.key(*every), relay.token()
    owner = {"Authorization": f"Bearer {tenant.token}"}
    assert ask(site.own, "portico/api/me", headers={"Authorization": f"Bearer {gone_token}"}).status == 200
    for kind, token in (("keys", gone_key), ("tokens", gone_token)):
        made = jwt.decode(token, options={"verify_signature": False})["jti"]
        assert ask(site.own, f"portico/api/{kind}/{made}", "DELETE", owner).status == 204
    short_key, short_token = tenant.key(*every, expires=1), relay.token(lifetime=1)
    api = "portico/api/me"
    eventually(lambda: ask(site.own, api, headers={"Authorization": f"Bearer {short_token}"}).status == 401, 10)
    place = site.app("echo-private")
    eventually(lambda: ask(place, "", headers={"Authorization": f"Bearer {short_key}"}).status == 401, 10)
    now = int(time.time())
    visitor = {"iss": "portico", "aud": f"portico:visitor:{ALICE}", "jti": "0" * 16, "svc": [*every], "iat": now}
    provider = {"iss": "portico", "aud": "portico:provider", "jti": "0" * 32, "sub": ALICE, "ws": ALICE, "iat": now}
    claims = [each | {"exp": now + 600} for each in (visitor, provider | {"scope": "publish:* keys admin"})]
    store = RelayStore(relay.config.database)
    secret = store.secret()
    store.close()
    head = base64.urlsafe_b64encode(b'{"alg":"HS384","typ":"JWT"}').rstrip(b"=")
    body = head + b"." + relay.token().split(".")[1].encode()
    signature = base64.urlsafe_b64encode(hmac.digest(secret, body, "sha384")).rstrip(b"=")
    forged = {"token of another algorithm": (body + b"." + signature).decode()} | {
        f"{kind} {what}": jwt.encode(each, by, algorithm)
        for kind, each in zip(("key", "token"), claims, strict=True)
        for what, by, algorithm in (
            ("of no algorithm", None, "none"),
            ("of another secret", "another secret of thirty-two bytes", "HS256"),
            ("of an id that nobody made", secret, "HS256"),
        )
    }
    wrong = {
        "garbage": "garbage",
        "three garbage parts": "a.b.c",
        "nested too deep": "e30." + "W1tb" * 4000 + ".x",
        "expired key": short_key,
        "expired token": short_token,
        "revoked key": gone_key,
        "revoked token": gone_token,
        "a stranger's key": site.stranger.key("echo-public", "echo-key", "echo-private"),
        **forged,
    }
    return Credentials(tenant.key(*every), tenant.token, wrong)
