"""A kernel that serves one echo of each access, a login, and keys and tokens of every kind."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import jwt
import pytest

from tests.integration.visit import eventually
from tests.live_jupyter import JupyterServer, Kernel
from tests.security.visitor import Login, ask, log_in

ORIGIN = "https://chat.example.com"

SERVE = f"""
import json, os, portico
from tests.hub.in_process import echo
from tests.security.apps import counting, hostile
for access in ("private", "key", "public"):
    portico.serve(echo, f"echo-{{access}}", access=access)
portico.serve(echo, "echo-shared", origins=["{ORIGIN}"])
portico.serve(hostile, "hostile", access="public")
portico.serve(counting, "counting")
def secret_model(messages): return "a secret"
portico.serve(secret_model, "secret-model", chat=True, origins=["{ORIGIN}"])
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


def make_key(server: JupyterServer, *services: str, lifetime: float = 600) -> tuple[str, str]:
    """A key, and its id."""
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
