"""A kernel reaches its own server: with a certificate that nobody signed, or on a Unix socket."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from portico.provider.tls import unchecked
from tests.integration.tls_proxy import certificate
from tests.live_jupyter import JupyterServer, Kernel

APP = """
%load_ext portico
import json, portico
async def app(scope, receive, send):
    if scope["type"] == "http":
        proto = dict(scope["headers"]).get(b"x-forwarded-proto", b"").decode()
        told = json.dumps({"scheme": scope["scheme"], "proto": proto})
        headers = [(b"content-type", b"application/json"), (b"set-cookie", b"a=b")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": told.encode()})
%serve app
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module", params=["certfile", "ssl_options"])
def secure(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """A server whose certificate is of another name, and signed by itself."""
    folder = tmp_path_factory.mktemp("secure")
    path = certificate(folder, "somewhere.example", "somewhere.example", address=False)
    setting = (
        f"--ServerApp.certfile={path}"
        if request.param == "certfile"
        else f"--ServerApp.ssl_options={{'certfile': '{path}'}}"
    )
    server = JupyterServer(folder, setting, tls=unchecked()).start()
    yield server
    server.stop()


@pytest.fixture
def kernel(secure: JupyterServer) -> Iterator[Kernel]:
    kernel = secure.kernel()
    yield kernel
    kernel.shutdown()


def visit(server: JupyterServer, path: str, **options: object) -> httpx.Response:
    transport = httpx.HTTPTransport(
        verify=server.tls if server.tls is not None else ssl.create_default_context(),
        uds=str(server.sock) if server.sock is not None else None,
    )
    with httpx.Client(transport=transport, trust_env=False) as client:
        return client.get(server.url + path, **options)  # type: ignore[arg-type]


def test_a_kernel_links_to_its_own_server_and_makes_keys_there(secure: JupyterServer, kernel: Kernel) -> None:
    kernel.execute(APP).check()
    key = kernel.execute("print(service.key('5m'))").check().text.strip()
    answer = visit(secure, "portico/apps/app/", headers={"Authorization": f"Bearer {key}"})
    assert answer.json() == {"scheme": "https", "proto": "https"}
    assert "Secure" in visit(secure, f"portico/apps/app/?portico_key={key}").headers["set-cookie"]
    doctor = kernel.execute("%serve --doctor").check().text
    assert "ok it has the Portico extension" in doctor
    assert "linked" in doctor


def test_that_certificate_is_taken_and_no_other(secure: JupyterServer, kernel: Kernel) -> None:
    kernel.execute("import os\nos.environ['PORTICO_HUB_CERTIFICATE'] = '0' * 64").check()
    error = kernel.execute(APP).error
    assert error is not None
    assert "is not the one that it had when it started this kernel" in error[1]
    doctor = kernel.execute("%serve --doctor").check().text
    assert "Was the server's certificate renewed?" in doctor


def test_other_hosts_are_checked_as_ever(secure: JupyterServer, kernel: Kernel) -> None:
    """The certificate is good for the very URL of the kernel's own server, and by no other name of it."""
    elsewhere = secure.url.replace("127.0.0.1", "localhost")
    error = kernel.execute(f"{APP.rpartition('%serve')[0]}%serve app --hub {elsewhere} --token {secure.token}").error
    assert error is not None
    assert "certificate" in error[1].lower()
    doctor = kernel.execute(f"%serve --doctor --hub {elsewhere}").check().text
    assert "SSL_CERT_FILE" in doctor


def test_on_a_unix_socket() -> None:
    with tempfile.TemporaryDirectory() as short:  # such a path has at most 107 bytes
        sock = Path(short) / "jupyter.sock"
        server = JupyterServer(Path(short), sock=sock).start()
        try:
            kernel = server.kernel()
            kernel.execute(APP).check()
            key = kernel.execute("print(service.key('5m'))").check().text.strip()
            assert visit(server, "portico/apps/app/").status_code == 401
            answer = visit(server, "portico/apps/app/", headers={"Authorization": f"Bearer {key}"})
            assert answer.json()["scheme"] == "http"
            assert "ok it has the Portico extension" in kernel.execute("%serve --doctor").check().text
            kernel.shutdown()
        finally:
            server.stop()


def test_a_public_url_of_https_is_told_to_apps(folder: Path) -> None:
    """TLS ends at a proxy of which the server does not hear; who runs it has said so."""
    server = JupyterServer(folder, "--PorticoApp.public_url=https://share.example.org/jupyter/").start()
    try:
        kernel = server.kernel()
        card = kernel.execute(APP).check().displays[0]["data"]["text/plain"]
        assert "https://share.example.org/jupyter/portico/apps/app/" in card
        key = kernel.execute("print(service.key('5m'))").check().text.strip()
        bearer = {"Authorization": f"Bearer {key}"}
        answer = visit(server, "portico/apps/app/", headers=bearer)
        assert answer.json() == {"scheme": "https", "proto": "https"}
        assert "Secure" in visit(server, f"portico/apps/app/?portico_key={key}").headers["set-cookie"]
        direct = {**bearer, "Origin": f"http://127.0.0.1:{server.port}"}
        assert visit(server, "portico/apps/app/", headers=direct).json()["scheme"] == "http", "a page without a proxy"
        kernel.shutdown()
    finally:
        server.stop()
