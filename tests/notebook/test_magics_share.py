"""`%serve --share` in a real kernel, by a real relay: the link works, the card shows it, and it goes as it came."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import httpx
import pytest

from tests.live_commands import allow
from tests.live_jupyter import JupyterServer, Kernel, Output
from tests.live_relay import ALICE, PASSWORD, RelayProcess


@pytest.fixture
def shared(notebook: Kernel, relay: RelayProcess) -> RelayProcess:
    """The relay, with its address and a token of alice's in the kernel's environment."""
    token = relay.token("publish:*", "keys")
    given = {"PORTICO_RELAY": relay.url, "PORTICO_TOKEN": token, "PORTICO_CREDENTIALS": "/nowhere"}
    notebook.execute(f"import os\nos.environ |= {given!r}").check()
    return relay


Run = Callable[[str], Output]


def asked(url: str, **options: object) -> httpx.Response:
    return httpx.get(url, trust_env=False, timeout=20, **options)  # type: ignore[arg-type]


def test_shared_beside_where_it_is(run: Run, get: Callable[[str], object], shared: RelayProcess) -> None:
    output = run("a = answering('first')\n%serve a --name both --share --expires 2h")
    [card] = [display["data"] for display in output.displays]
    link = shared.service_url("both")
    assert link in card["text/html"]
    assert "<svg" in card["text/html"]
    assert "public: open to whoever has the link" in card["text/plain"]
    assert "open until" in card["text/plain"]
    assert "private: open to you" in card["text/plain"], "on the server it is as private as ever"
    assert asked(link).json() == get("both/") == "first"
    run("a = answering('second')")
    assert asked(link).json() == get("both/") == "second", "both follow the name"
    listed = run("%serve --list").text
    assert link in listed
    run("%serve --unshare both")
    assert asked(link).status_code == 401
    assert get("both/") == "second"


def test_a_password_and_a_key(run: Run, shared: RelayProcess) -> None:
    run("b = answering('b')\n%serve b --name guarded --share --password sesame")
    link = shared.service_url("guarded")
    assert asked(link).status_code == 401
    assert asked(link, auth=("", "sesame")).json() == "b"
    assert "sesame" not in run("service").result
    run("%serve b --name guarded --share --access key")
    assert asked(link, auth=("", "sesame")).status_code == 401
    key = run("print(service.shares[0].key('5m'))").text.strip()
    assert asked(link, headers={"Authorization": f"Bearer {key}"}).json() == "b"
    run("service.stop()")
    assert asked(link, headers={"Authorization": f"Bearer {key}"}).status_code == 404


def test_what_restricts_a_link_stays_until_it_is_taken_away(run: Run, shared: RelayProcess) -> None:
    run("e = answering('e')\n%serve e --name kept --share --password sesame --expires 2h --rate 1000/min")
    expires = run("print(service.shares[0].expires)").text
    [card] = [display["data"] for display in run("%serve e --name kept --share").displays]
    link = shared.service_url("kept")
    assert asked(link).status_code == 401
    assert asked(link, auth=("", "sesame")).json() == "e"
    assert run("print(service.shares[0].expires)").text == expires, "the time is the one that was said first"
    assert (
        "The link has a password, an expiry and a rate, as before (--no-password, --no-expires, --no-rate to"
        in (card["text/plain"])
    )
    assert "--no-password" in card["text/html"]
    [card] = [display["data"] for display in run("%serve e --name kept --share --no-password").displays]
    assert "The link does not have a password any more." in card["text/plain"]
    assert asked(link).json() == "e"
    assert run("print(service.shares[0].expires)").text == expires
    run("%serve e --name kept --share --no-expires --expires 1h")
    assert run("print(service.shares[0].expires)").text != expires
    run("service.stop()")


def test_a_password_is_put_aside_where_keys_alone_open(run: Run, shared: RelayProcess) -> None:
    run("f = answering('f')\n%serve f --name aside --share --password sesame")
    link = shared.service_url("aside")
    run("%serve f --name aside --share --access key")
    run("%serve f --name aside --share")
    assert asked(link, auth=("", "sesame")).status_code == 401, "it is open to keys alone until that is taken away"
    [card] = [display["data"] for display in run("%serve f --name aside --share --access public").displays]
    assert "The link has a password, as before" in card["text/plain"]
    assert asked(link).status_code == 401
    assert asked(link, auth=("", "sesame")).json() == "f"
    run("service.stop()")


def test_a_link_holds_while_the_cell_asks_for_it(run: Run, shared: RelayProcess) -> None:
    run("g = answering('g')\n%serve g --name while --share")
    link = shared.service_url("while")
    assert asked(link).json() == "g"
    [card] = [display["data"] for display in run("%serve g --name while").displays]
    assert "It is not shared any more by" in card["text/plain"]
    assert asked(link).status_code == 401
    run("link = service.share(os.environ['PORTICO_RELAY'])")
    run("%serve g --name while")
    assert asked(link).json() == "g", "one that a cell made by itself is that cell's to take back"
    run("service.stop()")


TAKEN_BACK = {
    "by a cell without --share": "%serve i --name back",
    "by its name": "%serve --unshare back",
    "in Python": "service.unshare()",
    "by stopping the service": "%serve --stop back",
}


@pytest.mark.parametrize("line", TAKEN_BACK.values(), ids=TAKEN_BACK)
def test_a_link_that_was_taken_back_is_not_open_when_it_is_there_again(
    run: Run, shared: RelayProcess, line: str
) -> None:
    run("i = answering('i')\n%serve i --name back --share --password sesame --rate 1000/min")
    run(line)
    [card] = [display["data"] for display in run("%serve i --name back --share").displays]
    link = shared.service_url("back")
    assert asked(link).status_code == 401
    assert asked(link, auth=("", "sesame")).json() == "i"
    assert "The link has a password and a rate, as before (--no-password, --no-rate" in card["text/plain"]
    run(line)
    run("%serve i --name back\nlink = service.share(os.environ['PORTICO_RELAY'])")
    assert asked(link).status_code == 401
    run("link = service.share(os.environ['PORTICO_RELAY'], password=None, rate=None)")
    assert asked(link).json() == "i"
    run("service.stop()")


def test_public_access_and_origins_hold_while_they_are_named(run: Run, shared: RelayProcess) -> None:
    run("h = answering('h')\n%serve h --name open --access public --origin https://a.example --title Open")
    [card] = [display["data"] for display in run("%serve h --name open --share --expires 1h").displays]
    text = card["text/plain"]
    assert "It is open to you and whoever has a key now; before it was public." in text
    assert "Pages of https://a.example cannot call it any more" in text
    assert run("print(service.access, service.origins, service.title)").text.strip() == "private () Open"
    run("%serve h --name open --access key")
    run("%serve h --name open")
    assert run("print(service.access)").text.strip() == "key"
    run("service.stop()")


def test_nothing_typed_is_no_password(notebook: Kernel, shared: RelayProcess) -> None:
    typed = "get_ipython().kernel.getpass = lambda *arguments, **options: ''"  # what ipykernel gives to each cell
    notebook.execute(f"i = answering('i')\n{typed}").check()
    error = notebook.execute("%serve i --name typed --share --password").error
    assert error is not None
    assert "no password was given" in error[1]
    assert asked(shared.service_url("typed")).status_code == 401, "it is not shared"
    card = notebook.execute("%serve i --name typed --share --password sesame").check().displays[0]["data"]
    assert "The password is in this cell" in card["text/plain"]
    assert "sesame" not in notebook.execute("service.shares[0].conditions").check().result
    notebook.execute("service.stop()").check()


def test_by_a_stranger_the_link_cannot_be_guessed(run: Run, shared: RelayProcess) -> None:
    run("del os.environ['PORTICO_TOKEN']")
    run("c = answering('c')\n%serve c --name nobodys --share")
    link = run("print(service.shares[0].url)").text.strip()
    assert re.fullmatch(rf"{re.escape(shared.url)}anon-[a-z0-9]{{25}}/apps/nobodys/", link)
    assert asked(link).json() == "c"
    run("service.stop()")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("%serve d --expires 2h", "add --share"),
        ("%serve d --share --relay nowhere", "is no hub's URL"),
        ("%serve d --share --rate often", "is a number of requests"),
        ("%serve --unshare nothing", "no service named"),
    ],
)
def test_what_does_not_work_is_said(notebook: Kernel, shared: RelayProcess, line: str, says: str) -> None:
    notebook.execute("d = answering('d')").check()
    error = notebook.execute(line).error
    assert error is not None
    assert error[0] == "ServeError"
    assert says in error[1]


def test_without_a_relay_it_says_what_to_do(notebook: Kernel, shared: RelayProcess) -> None:
    notebook.execute("del os.environ['PORTICO_RELAY']").check()
    output = notebook.execute("d = answering('d')\n%serve d --name alone --share")
    assert output.error is not None
    assert "portico login" in output.error[1]
    assert len(output.displays) == 1, "it is live all the same, and its card is there"


def test_an_administrators_choice_is_kept(tmp_path_factory: pytest.TempPathFactory, relay: RelayProcess) -> None:
    setting = "--PorticoApp.allowed_relays=https://share.example.org"
    server = JupyterServer(tmp_path_factory.mktemp("strict"), setting).start()
    try:
        kernel = server.kernel()
        code = f"%load_ext portico\nasync def app(scope, receive, send): ...\n%serve app --share --relay {relay.url}"
        error = kernel.execute(code).error
        assert error is not None
        assert "The administrator of the Jupyter server" in error[1]
        assert "https://share.example.org" in error[1]
        kernel.shutdown()
    finally:
        server.stop()


def test_logged_in_from_a_notebook(
    notebook: Kernel, relay: RelayProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The page is opened and allowed by a person; here by what the person's browser would send."""
    where = tmp_path_factory.mktemp("login") / "credentials.json"
    notebook.execute(
        f"os.environ['PORTICO_CREDENTIALS'] = {str(where)!r}\nos.environ.pop('PORTICO_TOKEN', None)"
    ).check()

    def open_page(bundle: dict[str, str]) -> None:
        [page] = re.findall(r"Open (\S+)", bundle["text/plain"])
        allow(page, ALICE, PASSWORD)

    output = notebook.wait(notebook.send(f"%serve --login --relay {relay.url}"), on_display=open_page)
    assert "You are logged in" in output.check().text
    kept = json.loads(where.read_text())["relays"][relay.url]
    assert kept["workspace"] == ALICE
