"""The files of docs/deploy: nginx runs the nginx.conf of the docs, in front of a real relay; the others are checked."""

from __future__ import annotations

import asyncio
import getpass
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from openai import OpenAI
from websockets.asyncio.client import connect

from portico.relay.config import RelayConfig
from tests.docs.pages import ROOT
from tests.integration.tls_proxy import certificate
from tests.live_jupyter import free_port
from tests.live_relay import RelayProcess
from tests.waiting import eventually

DEPLOY = ROOT / "docs" / "deploy"
DOMAIN = "share.localhost"
_SYSTEM = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])

NGINX = shutil.which("nginx", path=_SYSTEM)
needs_nginx = pytest.mark.skipif(
    NGINX is None,
    reason="nginx is not installed (tests/system-packages.sh does it)",
)

_AROUND = """
daemon off;
user {user};
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/portico.conf;
}}
"""
"""What a distribution's own nginx.conf has around the site's."""


class Nginx:
    """docs/deploy/nginx.conf, with the places changed that it says are to be changed, and the ports."""

    def __init__(self, folder: Path, relay_port: int) -> None:
        self.folder = folder
        self.port, self.plain_port = free_port(), free_port()
        self.certificate = certificate(folder, DOMAIN, DOMAIN, f"*.{DOMAIN}")
        text = self.configuration()
        for old, new in (
            ("/etc/letsencrypt/live/share.example.org/fullchain.pem", str(self.certificate)),
            ("/etc/letsencrypt/live/share.example.org/privkey.pem", str(self.certificate)),
            ("share.example.org", DOMAIN),
            ("server 127.0.0.1:8000;", f"server 127.0.0.1:{relay_port};"),
            ("listen 80;", f"listen {self.plain_port};"),
            ("listen 443 ssl", f"listen {self.port} ssl"),
        ):
            assert old in text, old
            text = text.replace(old, new)
        # The host of a test may have no IPv6.
        text = re.sub(r"^ *listen \[::\]:.*\n", "", text, flags=re.MULTILINE)
        (folder / "portico.conf").write_text(text, "utf-8")
        around = folder / "nginx.conf"
        around.write_text(_AROUND.format(folder=folder, user=getpass.getuser()), "utf-8")
        assert NGINX is not None, "nginx is not installed, and tests/system-packages.sh could not install it"
        command = [NGINX, "-p", str(folder), "-c", str(around), "-e", str(folder / "error.log")]
        subprocess.run([*command, "-t", "-q"], check=True)
        self._process = subprocess.Popen(command)
        self._await()

    def configuration(self) -> str:
        return (DEPLOY / "nginx.conf").read_text("utf-8")

    def _await(self) -> None:
        def listens() -> bool:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self._process.poll() is None, (self.folder / "error.log").read_text()
                return False
            return True

        eventually(listens, what="nginx, which listens,")

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))

    def client(self, *, address: str = "127.0.0.1") -> httpx.Client:
        """A visitor, who comes from *address* and knows where every name of the domain leads."""
        transport = _ToLoopback(verify=self.trust, local_address=address)
        return httpx.Client(transport=transport, timeout=20, trust_env=False)

    def url(self, label: str = "") -> str:
        return f"https://{label + '.' if label else ''}{DOMAIN}:{self.port}/"


class _ToLoopback(httpx.HTTPTransport):
    """What DNS would do."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {**request.extensions, "sni_hostname": request.url.host}
        request.url = request.url.copy_with(host="127.0.0.1")  # Host stays as it was made
        return super().handle_request(request)


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    """Behind nginx alone: it believes what 127.0.0.1 says of visitors, as it does by default."""
    folder = tmp_path_factory.mktemp("relay")
    port = free_port()
    relay = RelayProcess(folder, domain=DOMAIN, port=port)
    yield relay
    if relay.running:
        relay.stop()


@pytest.fixture(scope="module")
def nginx(relay: RelayProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    nginx = Nginx(tmp_path_factory.mktemp("nginx"), relay.port)
    relay.flags["base_url"] = nginx.url().rstrip("/")
    relay.start()
    yield nginx
    nginx.stop()


@pytest.fixture(scope="module")
def cat(relay: RelayProcess, nginx: Nginx) -> Iterator[str]:
    """The URL of an app whose provider is linked through nginx, by TLS."""
    yield from _served(relay, nginx, "cat", "tests.relay.proxied_app:app")


@pytest.fixture(scope="module")
def model(relay: RelayProcess, nginx: Nginx) -> Iterator[str]:
    yield from _served(relay, nginx, "chatty", "tests.relay.proxied_app:patient", "--chat")


def _served(relay: RelayProcess, nginx: Nginx, name: str, app: str, *more: str) -> Iterator[str]:
    given = {
        "PORTICO_TOKEN": relay.token(),
        "PORTICO_CREDENTIALS": str(nginx.folder / "none.json"),
        "SSL_CERT_FILE": str(nginx.certificate),
    }
    command = [sys.executable, "-m", "portico", "serve", app, f"--id={name}", *more]
    process = subprocess.Popen(
        [*command, f"--server-url=https://127.0.0.1:{nginx.port}"],
        cwd=ROOT,
        env=os.environ | given,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url == nginx.url(f"{name}--alice")
    yield url
    process.send_signal(signal.SIGINT)
    process.wait(20)
    process.stdout.close()


@needs_nginx
def test_the_app_is_told_who_its_visitor_is(nginx: Nginx, cat: str) -> None:
    forged = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "http", "Forwarded": "for=192.0.2.1", "X_Own": "1"}
    with nginx.client(address="127.0.0.2") as visitor:
        told = visitor.get(cat + "request//a%2Fb/../c?d=%20e", headers=forged).json()
    assert told["client"] == "127.0.0.2"
    assert told["scheme"] == "https"
    headers = dict(told["headers"])
    assert headers["x-forwarded-for"] == "127.0.0.2"
    assert headers["x-forwarded-proto"] == "https"
    assert headers["x-forwarded-host"] == headers["host"] == httpx.URL(cat).netloc.decode()
    assert headers["x_own"] == "1"
    assert "192.0.2.1" not in str(told)


@needs_nginx
@pytest.mark.parametrize("path", ["request//a//b", "request/a%2Fb", "request/%C3%A4", "request/a%20b%3Fc"])
def test_paths_go_on_as_they_came(nginx: Nginx, cat: str, path: str) -> None:
    with nginx.client() as visitor:
        assert visitor.get(cat + path).json()["raw_path"] == "/" + path


@needs_nginx
def test_events_come_as_they_are_sent(nginx: Nginx, cat: str) -> None:
    with nginx.client() as visitor, visitor.stream("GET", cat + "events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines) == "data: first"  # the second is sent only after this
        assert visitor.post(cat + "go-on").status_code == 200
        assert [line for line in lines if line] == ["data: second"]


@needs_nginx
def test_an_upload_goes_on_as_it_comes(nginx: Nginx, cat: str) -> None:
    piece, count = b"x" * 65536, 400

    def body() -> Iterator[bytes]:
        yield piece
        assert asker.get(cat + "first-piece").status_code == 200, (
            "the app has the first piece before the second is sent"
        )
        for _ in range(count - 1):
            yield piece

    with nginx.client() as visitor, nginx.client() as asker:
        assert visitor.post(cat + "upload", content=body()).json() == len(piece) * count


@needs_nginx
def test_a_large_head_fits(nginx: Nginx, cat: str) -> None:
    with nginx.client() as visitor:
        answer = visitor.get(cat + "cookies")
        assert answer.status_code == 200
        assert len(answer.headers.get_list("set-cookie")) == 10
        answer = visitor.get(cat + "request/", headers={"X-Large": "y" * 30_000})
        assert answer.status_code == 200
        assert len(dict(answer.json()["headers"])["x-large"]) == 30_000


@needs_nginx
def test_websockets(nginx: Nginx, cat: str) -> None:
    async def talk() -> None:
        where = cat.replace("https:", "wss:") + "echo"
        async with connect(where, host="127.0.0.1", port=nginx.port, ssl=nginx.trust, proxy=None) as websocket:
            assert await websocket.recv() == "wss 127.0.0.1"
            for message in (b"cat", b"x" * 1_000_000):
                await websocket.send(message)
                assert await websocket.recv() == message

    asyncio.run(talk())


@needs_nginx
def test_the_openai_sdk_streams(nginx: Nginx, model: str) -> None:
    def say(words: str, base: str) -> Iterator[str]:
        answer = client.with_options(base_url=base).chat.completions.create(
            model="patient", messages=[{"role": "user", "content": words}], stream=True
        )
        for chunk in answer:
            yield chunk.choices[0].delta.content or ""

    with (
        nginx.client() as http,
        OpenAI(api_key="none", base_url=model + "v1", http_client=http, max_retries=0) as client,
    ):
        words = filter(None, say("hello", model + "v1"))
        assert next(words) == "first"
        assert "".join(say("go on", model + "v1")) == "I do"
        assert "".join(words) == " second"
        # all models of the workspace, on a name of their own
        assert "".join(say("go on", nginx.url("alice") + "v1")) == "I do"


@needs_nginx
def test_http2_is_offered(nginx: Nginx, cat: str) -> None:
    context = nginx.trust
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", nginx.port), 10) as plain,
        context.wrap_socket(plain, server_hostname=httpx.URL(cat).host) as secured,
    ):
        assert secured.selected_alpn_protocol() == "h2"
    if curl := shutil.which("curl"):
        host = httpx.URL(cat).host
        command = [curl, "-sS", "--noproxy", "*", "--http2", "--cacert", str(nginx.certificate)]
        shown = subprocess.run(
            [*command, "-w", " %{http_version}", "--resolve", f"{host}:{nginx.port}:127.0.0.1", cat + "request/"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        assert '"scheme":"https"' in shown
        assert f'"url":"{cat}request/"' in shown
        assert shown.endswith(" 2")


@needs_nginx
def test_who_speaks_no_tls_is_sent_on(nginx: Nginx, cat: str) -> None:
    host = httpx.URL(cat).host
    answer = httpx.get(f"http://127.0.0.1:{nginx.plain_port}/a?b=c", headers={"Host": host}, trust_env=False)
    assert answer.status_code == 308
    assert answer.headers["location"] == f"https://{host}/a?b=c"


@needs_nginx
def test_the_relays_own_pages(nginx: Nginx, cat: str) -> None:
    with nginx.client() as visitor:
        assert visitor.get(nginx.url() + "readyz").text == "ready\n"
        page = visitor.get(nginx.url() + "portico/login", headers={"Accept": "text/html"})
        assert page.status_code == 200
        assert page.headers["set-cookie"].startswith("__Host-portico_form=")
        assert visitor.get(nginx.url() + "metrics").status_code == 401
        assert visitor.get(cat + "metrics").json() == {"detail": "Not Found"}, "of a service's host it is the service's"


@needs_nginx
def test_visitors_are_told_of_a_restart_and_the_provider_is_back(nginx: Nginx, cat: str, relay: RelayProcess) -> None:
    relay.stop()
    with nginx.client() as visitor:
        answer = visitor.get(cat + "request/")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "being restarted" in answer.text
        relay.start()
        assert visitor.get(cat + "request/").status_code == 200  # the relay knows the name, and waits for its provider


# --- the other files --------------------------------------------------------------------------------------------


def test_the_settings_are_the_relays() -> None:
    config = RelayConfig.load(environ={}, toml_path=DEPLOY / "relay.toml")
    upstream = re.search(r"server ([0-9.]+):(\d+);", (DEPLOY / "nginx.conf").read_text("utf-8"))
    assert upstream is not None
    assert (config.host, str(config.port)) == upstream.groups()
    assert f"reverse_proxy {config.host}:{config.port}" in (DEPLOY / "Caddyfile").read_text("utf-8")
    assert config.base_url == "https://share.example.org"


def test_the_unit_waits_for_the_drain() -> None:
    unit = (DEPLOY / "portico-relay.service").read_text("utf-8")
    config = RelayConfig.load(environ={}, toml_path=DEPLOY / "relay.toml")
    wait = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert wait is not None
    assert int(wait[1]) > config.drain_timeout + 5
    assert f"/var/lib/{re.search(r'^StateDirectory=(.+)$', unit, re.MULTILINE)[1]}" == config.data_dir  # type: ignore[index]


SYSTEMD = shutil.which("systemd-analyze")


@pytest.mark.skipif(SYSTEMD is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "portico-relay.service"
    text = (DEPLOY / "portico-relay.service").read_text("utf-8")
    unit.write_text(text.replace("/usr/local/lib/portico/bin/portico", sys.executable), "utf-8")
    assert SYSTEMD is not None
    done = subprocess.run([SYSTEMD, "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


CADDY = shutil.which("caddy")


@pytest.mark.skipif(CADDY is None, reason="caddy is not installed")
def test_caddy_takes_its_file() -> None:
    assert CADDY is not None
    text = re.sub(r"\ttls \{.*?\n\t\}\n", "", (DEPLOY / "Caddyfile").read_text("utf-8"), flags=re.DOTALL)
    subprocess.run([CADDY, "adapt", "--adapter", "caddyfile", "--config", "-"], input=text, text=True, check=True)


def test_the_container_is_made_of_what_is_there() -> None:
    text = (DEPLOY / "Containerfile").read_text("utf-8")
    sources = [each for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE) for each in line.split()[:-1]]
    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "relay" in project["project"]["optional-dependencies"]
    settings = dict(re.findall(r"PORTICO_RELAY_([A-Z_]+)=(\S+)", text))
    given = {f"PORTICO_RELAY_{name}": value for name, value in settings.items()} | {"PORTICO_RELAY_PATHS": "yes"}
    assert RelayConfig.load(environ=given).host == "0.0.0.0"
