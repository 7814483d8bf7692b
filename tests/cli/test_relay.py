"""`portico relay`: managing users, workspaces and tokens, beside a relay that runs."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.live_commands import Relay, Shell
from tests.waiting import eventually


def test_users(shell: Shell) -> None:
    where = ("--data-dir", "data")
    assert "no password yet" in shell.run("relay", "user", "add", "bob", "--email", "b@example.org", *where).stdout
    shell.run("relay", "user", "passwd", "bob", "--password-stdin", *where, stdin="a long password\n")
    listed = shell.run("relay", "user", "list", *where).stdout
    assert re.search(r"^bob\s+b@example.org\s+no\s+active\s+bob$", listed, re.MULTILINE)
    shell.run("relay", "user", "disable", "bob", *where)
    assert re.search(r"^bob .* disabled", shell.run("relay", "user", "list", *where).stdout, re.MULTILINE)
    assert "may not enter" in shell.run("relay", "token", "--user", "bob", *where, status=2).stderr
    shell.run("relay", "user", "enable", "bob", *where)
    shell.run("relay", "user", "remove", "bob", *where)
    assert shell.run("relay", "user", "list", *where).stdout == "There are no users.\n"


def test_workspaces(shell: Shell) -> None:
    where = ("--data-dir", "data")
    for name in ("ada", "bob"):
        shell.run("relay", "user", "add", name, *where)
    shell.run("relay", "workspace", "add", "team", "--owner", "ada", "--member", "bob", *where)
    listed = shell.run("relay", "workspace", "list", *where).stdout
    assert re.search(r"^team\s+ada, bob$", listed, re.MULTILINE)
    assert shell.run("relay", "token", "--user", "bob", "--workspace", "team", *where).stdout.startswith("eyJ")


def test_a_token_is_good_at_once_and_revoked_at_once(relay: Relay) -> None:
    token = relay.token("--scope", "manage", "--label", "for a test", "--expires", "1h")
    given = {"Authorization": f"Bearer {token}"}
    url = relay.url + "/portico/api/services"
    assert httpx.get(url, headers=given, trust_env=False).status_code == 200
    where = ("--data-dir", relay.data_dir)
    listed = relay.shell.run("relay", "token", "--list", *where).stdout
    [token_id] = re.findall(r"^(\w+)\s+alice\s+alice\s+manage\s+for a test", listed, re.MULTILINE)
    assert token not in listed
    relay.shell.run("relay", "token", "--revoke", token_id, *where)
    # the relay looks every two seconds for what others wrote
    eventually(lambda: httpx.get(url, headers=given, trust_env=False).status_code == 401)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Say where services are"),
        (("--domain", "not a domain"), "--domain: 'not a domain' is no domain"),
        (("--paths", "--port", "many"), "--port: 'many' is no whole number"),
        (("user", "add", "Not A Name"), "cannot be a service name"),
        (("token",), "whose token?"),
        (("token", "--user", "nobody"), "there is no user named 'nobody'"),
        (("token", "--revoke", "nothing"), "there is no token 'nothing'"),
        (("--data-dir", ":memory:", "user", "list"), "managed by nobody else"),
    ],
)
def test_what_cannot_be_meant(shell: Shell, arguments: tuple[str, ...], says: str) -> None:
    said = shell.run("relay", *arguments, status=2, XDG_DATA_HOME=str(shell.folder / "data")).stderr
    assert says in said
    assert said.count("\n") == 1
