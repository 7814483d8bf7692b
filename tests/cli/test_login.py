"""`portico login` against a real relay: the device flow (RFC 8628), and what is kept of it."""

from __future__ import annotations

import json
import re
import signal
import stat
from pathlib import Path

import httpx
import pytest

from portico.errors import LinkClosed, Refused
from portico.provider.login import DeviceLogin
from tests.live_commands import PASSWORD, Relay, Shell, allow, last_words

NOBODY = "1"
"""A port on which no server of pipelines listens: `status` says so of it, and of logins in any case."""


def read_page(stderr: object) -> str:
    """The page that the person is asked to open."""
    [page] = re.findall(r"^Open (\S+)$", stderr.readline().strip())  # type: ignore[attr-defined]
    return str(page)


def test_logged_in_once_and_used_from_then_on(shell: Shell, relay: Relay) -> None:
    process = shell.start("login", relay.url)
    allow(read_page(process.stderr), "alice", PASSWORD)
    _, said = last_words(process)
    assert process.returncode == 0, said
    assert re.search(r"this code: [A-Z]{4}-[A-Z]{4}\n", said)
    where = Path(shell.environment["XDG_CONFIG_HOME"]) / "portico" / "credentials.json"
    assert stat.S_IMODE(where.stat().st_mode) == 0o600
    token = json.loads(where.read_text())["relays"][relay.url + "/"]["token"]
    assert token not in said
    assert re.search(
        rf"{re.escape(relay.url)}/\s+alice\s+alice\s+20", shell.run("status", "--port", NOBODY, status=1).stdout
    )
    process, url = shell.serve("myapp:app", "--id=logged-in", f"--server-url={relay.url}", "--access=private")
    assert re.search(r"^logged-in\s+live\s+private", shell.run("services").stdout, re.MULTILINE)
    key = shell.run("keys", "create", "*").stdout.strip()
    answer = httpx.get(url + "word", headers={"Authorization": f"Bearer {key}"}, trust_env=False)
    assert answer.json() == "none"
    shell.run("stop", "logged-in")
    last_words(process)
    assert process.returncode == 1
    assert shell.run("logout", relay.url).stdout.startswith("You are logged out")
    assert "logged in nowhere" in shell.run("status", "--port", NOBODY, status=1).stdout
    refused = shell.run("services", "--server-url", relay.url, status=1, PORTICO_TOKEN=token).stderr
    assert "revoked" in refused
    said = shell.run("services", "--server-url", relay.url, status=1).stderr
    assert said.startswith("portico: Send a token of this relay")


@pytest.mark.parametrize("more", [(), ("--disable-ssl",)])
def test_logged_in_on_the_way(shell: Shell, relay: Relay, more: tuple[str, ...]) -> None:
    """The reference's own command lines."""
    process = shell.start(
        "serve", "myapp:app", "--id=cat", "--name=Cat", f"--server-url={relay.url}", "--workspace=my-workspace",
        "--login", *more,
    )  # fmt: skip
    assert process.stderr is not None
    assert process.stdout is not None
    if more:
        assert "certificate is not checked" in process.stderr.readline()
    allow(read_page(process.stderr), "alice", PASSWORD)
    url = process.stdout.readline().strip()
    assert url == f"{relay.url}/my-workspace/apps/cat/"
    assert httpx.get(url, trust_env=False).text == "<title>Cat</title>"
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    process, again = shell.serve("myapp:app", "--id=cat", f"--server-url={relay.url}", "--login")
    assert again == url, "the login is kept"


def test_declined(shell: Shell, relay: Relay) -> None:
    process = shell.start("login", relay.url)
    allow(read_page(process.stderr), "alice", PASSWORD, action="deny")
    _, said = last_words(process)
    assert process.returncode == 1
    assert said.endswith("portico: the login was declined\n")
    assert "logged in nowhere" in shell.run("status", "--port", NOBODY, status=1).stdout


def test_who_asks_too_often_is_slowed_down_and_the_code_expires(relay: Relay) -> None:
    """The relay's own answers; what passes for time here is counted, so that nobody waits for ten minutes."""
    slept: list[float] = []
    flow = DeviceLogin(relay.url + "/", clock=lambda: sum(slept), sleep=slept.append)
    challenge = flow.begin()
    assert "device" not in repr(challenge).replace("/portico/device", "")
    with pytest.raises(Refused, match="expired"):
        flow.finish(challenge)
    assert slept[0] == challenge.interval
    assert slept[2] > slept[1] >= slept[0], "it is asked at once, in truth, and told to slow down"
    assert sum(slept) >= challenge.expires_in


def test_what_is_no_relay(shell: Shell, relay: Relay) -> None:
    said = shell.run("login", "http://127.0.0.1:1", status=1).stderr
    assert said.count("\n") == 1
    assert "cannot be reached" in said
    assert "No relay is named" in shell.run("login", status=1).stderr
    with pytest.raises((LinkClosed, Refused)):
        DeviceLogin(relay.url + "/nowhere/").begin()


def login(shell: Shell, relay: Relay) -> str:
    """Log in; returns the token."""
    process = shell.start("login", relay.url)
    allow(read_page(process.stderr), "alice", PASSWORD)
    assert "You are logged in" in last_words(process)[1]
    where = Path(shell.environment["XDG_CONFIG_HOME"]) / "portico" / "credentials.json"
    return str(json.loads(where.read_text())["relays"][relay.url + "/"]["token"])


def test_logged_out_everywhere_though_a_relay_is_away(shell: Shell, relay: Relay) -> None:
    token = login(shell, relay)
    where = Path(shell.environment["XDG_CONFIG_HOME"]) / "portico" / "credentials.json"
    kept = json.loads(where.read_text())
    kept["relays"]["http://127.0.0.1:1/"] = {"token": "a.b.c", "expires": 4e9, "saved": 4e9}
    where.write_text(json.dumps(kept))
    done = shell.run("logout", "--all")
    assert done.stdout.splitlines() == [f"You are logged out at {url}." for url in kept["relays"]]
    [said] = done.stderr.splitlines()
    assert "the relay takes it still until 2096-" in said
    assert said.endswith("Revoke it at http://127.0.0.1:1/portico/")
    assert "revoked" in shell.run("services", "--server-url", relay.url, status=1, PORTICO_TOKEN=token).stderr
    assert shell.run("logout", "--all").stdout == "You are logged in nowhere.\n"


def test_logged_out_with_a_token_that_was_revoked_before(shell: Shell, relay: Relay) -> None:
    token = login(shell, relay)
    headers = {"Authorization": f"Bearer {token}"}
    me = httpx.get(f"{relay.url}/portico/api/me", headers=headers, trust_env=False).json()
    gone = httpx.delete(f"{relay.url}/portico/api/tokens/{me['token']['id']}", headers=headers, trust_env=False)
    assert gone.status_code == 204
    assert shell.run("logout").stderr == ""
