"""The programs in `reference`, and its command lines, by a real relay."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from portico.relay.store import RelayStore, WorkspaceRow
from tests.integration.tls_proxy import TLSProxy
from tests.live_commands import Shell, allow, last_words
from tests.live_jupyter import ROOT, free_port
from tests.live_relay import ALICE, PASSWORD, RelayProcess

HERE = Path(__file__).parent / "reference"
CHAT = ROOT / "tests" / "chat_clients" / "reference"
BY_TOKEN, BY_LOGIN, BY_LOGIN_WITHOUT_TLS, CHAT_BY_TOKEN = (HERE / "commands.txt").read_text().splitlines()
URL, TOKEN = "https://relay.example.org", "your_token_here"


def make(folder: Path, **flags: object) -> RelayProcess:
    """A relay on which alice has a workspace ``my-workspace``, too."""
    relay = RelayProcess(folder, anonymous=True, **flags)
    store = RelayStore(relay.config.database)
    store.add_workspace(WorkspaceRow(name="my-workspace", owner=ALICE, created=time.time(), expires=None))
    store.close()
    return relay.start()


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    relay = make(tmp_path_factory.mktemp("relay"))
    yield relay
    relay.stop()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shell.end()


def start(shell: Shell, relay: RelayProcess, line: str, program: Path, **variables: str) -> subprocess.Popen[str]:
    """Type a command line, where *program* is ``myapp.py``."""
    shutil.copy(program, shell.folder / "myapp.py")
    line = line.replace(URL, relay.config.base_url).replace(TOKEN, relay.token(workspace="my-workspace"))
    portico, *arguments = shlex.split(line)
    assert portico == "portico"
    return shell.start(*arguments, PYTHONPATH=str(ROOT), **variables)


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url, last_words(process)[1]
    return url


def run(shell: Shell, relay: RelayProcess, program: str, **variables: str) -> subprocess.Popen[str]:
    """Run one of the programs with the relay's URL in it."""
    path = shell.folder / program
    path.write_text((HERE / program).read_text().replace(URL, relay.config.base_url))
    process = subprocess.Popen(
        [sys.executable, str(path)],
        env=shell.environment | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    shell.running.append(process)
    return process


def printed(process: subprocess.Popen[str]) -> str:
    """What a program prints that ends by itself."""
    out, said = last_words(process)
    assert process.returncode == 0, said
    return out


def interrupt(process: subprocess.Popen[str]) -> str:
    """Ctrl-C; returns what was printed."""
    process.send_signal(signal.SIGINT)
    out, said = last_words(process)
    assert "Exception ignored" not in said
    return out


def get(url: str, **options: object) -> httpx.Response:
    return httpx.get(url, trust_env=False, timeout=20, **options)  # type: ignore[arg-type]


def check_the_app(url: str, **options: object) -> None:
    assert "<title>Cat</title>" in get(url, follow_redirects=True, **options).text
    assert get(url.rstrip("/") + "/api/v1/test", **options).json() == {"message": "Hello, it works!"}


def allowed(process: subprocess.Popen[str], allow: Callable[[str], None]) -> str:
    """Let *allow* do what a person does on the page that a login asks for; returns the URL that is then printed."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"https?://\S+/portico/device\?\S+", line):
            allow(found.group())
            break
    return url_of(process)


def test_a_command_line_with_a_token(shell: Shell, relay: RelayProcess) -> None:
    process = start(shell, relay, BY_TOKEN, HERE / "myapp.py")
    url = url_of(process)
    assert url == f"{relay.url}my-workspace/apps/cat/"
    check_the_app(url)
    interrupt(process)


def test_a_command_line_with_a_login(shell: Shell, relay: RelayProcess) -> None:
    process = start(shell, relay, BY_LOGIN, HERE / "myapp.py")
    url = allowed(process, lambda page: allow(page, ALICE, PASSWORD))
    assert url == f"{relay.url}my-workspace/apps/cat/"
    check_the_app(url)
    interrupt(process)


@contextmanager
def behind_tls(folder: Path) -> Iterator[tuple[RelayProcess, TLSProxy]]:
    port = free_port()
    with TLSProxy(port, folder) as proxy:
        relay = make(folder, port=port, base_url=proxy.url.rstrip("/"))
        try:
            yield relay, proxy
        finally:
            relay.stop()


def test_a_command_line_without_a_look_at_the_certificate(shell: Shell, tmp_path: Path) -> None:
    with behind_tls(tmp_path) as (relay, proxy):
        refused = start(shell, relay, BY_LOGIN, HERE / "myapp.py")
        out, said = last_words(refused)
        assert (refused.returncode, out) == (1, "")
        assert "certificate" in said.lower()
        process = start(shell, relay, BY_LOGIN_WITHOUT_TLS, HERE / "myapp.py")
        trusting = ssl.create_default_context(cafile=str(proxy.certificate))
        url = allowed(process, lambda page: allow(page, ALICE, PASSWORD, verify=trusting))
        assert url == f"{proxy.url}my-workspace/apps/cat/"
        check_the_app(url, verify=trusting)
        where = ("--server-url", proxy.url, "--disable-ssl")
        assert re.search(r"^cat +live", shell.run("services", *where).stdout, re.MULTILINE)
        key = shell.run("keys", "create", "cat", *where).stdout.strip()
        assert get(url, headers={"Authorization": f"Bearer {key}"}, verify=trusting).status_code == 200
        assert "certificate" in shell.run("services", "--server-url", proxy.url, status=1).stderr.lower()
        shell.run("stop", "cat", *where)
        assert "stopped" in last_words(process)[1]
        assert shell.run("logout", *where).stderr == ""


def test_registered_directly(shell: Shell, relay: RelayProcess) -> None:
    """Without a token: the relay lets strangers in, and makes a workspace for each."""
    process = run(shell, relay, "direct.py")
    says, _, url = url_of(process).rpartition(" ")
    assert says == "Access your app at: "
    assert re.fullmatch(rf"{relay.url}anon-[a-z0-9]+/apps/cat", url)
    check_the_app(url)
    seen = interrupt(process).splitlines()
    assert len(seen) >= 2
    assert re.fullmatch(r"\S+ - \('127\.0\.0\.1', \d+\) - GET - \S*/api/v1/test", seen[-1])


def test_registered_directly_by_who_has_a_token(shell: Shell, relay: RelayProcess) -> None:
    process = run(shell, relay, "direct.py", PORTICO_TOKEN=relay.token(workspace="my-workspace"))
    url = url_of(process).rpartition(" ")[2]
    assert url == f"{relay.url}my-workspace/apps/cat"
    check_the_app(url)
    interrupt(process)


def test_streaming(shell: Shell, relay: RelayProcess) -> None:
    process = start(shell, relay, BY_TOKEN, HERE / "streaming.py")
    url = url_of(process)
    began = time.monotonic()
    with httpx.stream("GET", url + "stream", trust_env=False, timeout=20) as answer:
        pieces = answer.iter_raw()
        first = next(pieces)
        early = time.monotonic() - began
        rest = list(pieces)
    assert first == b"Chunk 0\n"
    assert early < (time.monotonic() - began) / 2, "nothing is held back"
    assert rest == [b"Chunk %d\n" % i for i in range(1, 10)]
    interrupt(process)


@pytest.fixture
def token(shell: Shell, relay: RelayProcess) -> str:
    """For visitors, made by the program."""
    provider = relay.token(workspace="my-workspace")
    return printed(run(shell, relay, "generate_token.py", PORTICO_TOKEN=provider)).strip()


@pytest.mark.parametrize("access", ["public", "key"])
def test_a_chat_server(shell: Shell, relay: RelayProcess, token: str, access: str) -> None:
    line = CHAT_BY_TOKEN if access == "public" else f"{CHAT_BY_TOKEN} --access=key"
    process = start(shell, relay, line, CHAT / "random_markdown.py")
    url = url_of(process)
    assert url == f"{relay.url}my-workspace/apps/openai-chat/"
    assert printed(run(shell, relay, "ask.py", TOKEN=token)).count(" ") >= 100 // 5
    assert get(url + "v1/models").status_code == (200 if access == "public" else 401)
    interrupt(process)


def test_several_models(shell: Shell, relay: RelayProcess, token: str) -> None:
    process = start(shell, relay, CHAT_BY_TOKEN, CHAT / "several_models.py")
    url = url_of(process)
    listed = get(url + "v1/models").json()["data"]
    assert {model["id"] for model in listed} == {"cat-chat-model", "basic-chat-model"}
    assert printed(run(shell, relay, "ask.py", TOKEN=token)).count(" ") >= 100 // 5
    body = {"model": "basic-chat-model", "messages": [{"role": "user", "content": "Hi"}]}
    answer = httpx.post(url + "v1/chat/completions", json=body, trust_env=False).json()
    assert answer["choices"][0]["message"]["content"][:4] in ("This", "Hell", "Enjo")
    interrupt(process)


def test_streaming_text(shell: Shell, relay: RelayProcess, token: str) -> None:
    process = start(shell, relay, CHAT_BY_TOKEN, CHAT / "streaming_text.py")
    url_of(process)
    text = printed(run(shell, relay, "ask_for_a_stream.py", TOKEN=token))
    assert text.startswith(
        "I received your message: 'Tell me about streaming responses'. Here's my detailed response: "
    )
    assert text.endswith("3. Based on my analysis, here's what I think... ")
    interrupt(process)


def test_a_web_based_client(shell: Shell, relay: RelayProcess, token: str) -> None:
    """It is given the URL with ``/v1``, and the token; a browser asks before it sends that from another site's page."""
    line = f"{CHAT_BY_TOKEN} --access=key --origin=https://bettergpt.chat"
    process = start(shell, relay, line, CHAT / "random_markdown.py")
    endpoint = url_of(process) + "v1/chat/completions"
    origin = {"Origin": "https://bettergpt.chat"}
    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    preflight = httpx.options(endpoint, headers=origin | wanted, trust_env=False)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-headers"] == "authorization,content-type"
    body = {"model": "cat-chat-model", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    headers = origin | {"Authorization": f"Bearer {token}"}
    with httpx.stream("POST", endpoint, json=body, headers=headers, trust_env=False) as answer:
        assert answer.headers["access-control-allow-origin"] == "https://bettergpt.chat"
        assert [line for line in answer.iter_lines() if line][-1] == "data: [DONE]"
    interrupt(process)
