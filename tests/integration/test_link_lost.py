"""The way between a provider and its hub is cut, or the hub's server restarts: the service comes back by itself."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.wire import read_answer
from tests.integration.conftest import Measured
from tests.integration.scripts import Script
from tests.integration.tcp_proxy import TCPProxy
from tests.integration.visit import begin, get, new_id, send
from tests.live_jupyter import JupyterServer, Kernel
from tests.waiting import eventually


@pytest.fixture
def way(jupyter_server: JupyterServer) -> Iterator[TCPProxy]:
    with TCPProxy(jupyter_server.port) as proxy:
        yield proxy


def _listed(server: JupyterServer, name: str) -> str:
    """The service's status, as the hub lists it; "" when it is not there."""
    services = server.api("GET", "portico/api/services")["services"]
    return next((service["status"] for service in services if service["name"] == name), "")


def test_a_cut_link_is_dialled_again(jupyter_server: JupyterServer, way: TCPProxy, measured: Measured) -> None:
    """Requests that come meanwhile wait and are answered; keys stay valid; a stream that ran is cut."""
    name = new_id()
    with Script(way.url, "tests.integration.apps:raw", name=name) as script:
        url = f"{jupyter_server.url}portico/apps/{name}/"
        key = {"Authorization": f"Bearer {script.ask('service.key()')}"}
        assert get(url, key)[1] == b"hello"
        running, answer = begin(f"{url}stream", b"tick\n", key)
        way.cut()
        answer.read_rest()
        running.close()
        assert not answer.complete
        eventually(lambda: _listed(jupyter_server, name) == "reconnecting", 5)
        assert script.ask("service.status") == "reconnecting"
        waiting = send(url, headers=key)
        way.mend()
        mended = time.perf_counter()
        answer = read_answer(waiting)
        measured("answered after the link could be dialled", time.perf_counter() - mended)
        assert answer.read_rest() == b"hello"
        waiting.close()
        eventually(lambda: script.ask("service.status") == "live", 5)
        assert get(url, key)[0].status == 200


def test_cut_again_and_again(jupyter_server: JupyterServer, way: TCPProxy) -> None:
    name = new_id()
    with Script(way.url, "tests.integration.apps:raw", name=name, access="public") as script:
        for _ in range(5):
            way.cut()
            way.mend()
            assert get(script.url)[1] == b"hello"
        assert _listed(jupyter_server, name) == "live"


def test_a_kernels_name_is_held_while_it_lives(jupyter_server: JupyterServer, kernel: Kernel, way: TCPProxy) -> None:
    name = new_id()
    kernel.execute(
        f"""
import os, portico
from tests.integration import apps
service = portico.serve(
    apps.raw, {name!r}, access="public", hub={way.url!r}, token=os.environ["PORTICO_HUB_TOKEN"]
)
"""
    ).check()
    url = f"{jupyter_server.url}portico/apps/{name}/"
    way.cut()
    eventually(lambda: _listed(jupyter_server, name) == "reconnecting", 5)
    waiting = send(url)
    way.mend()
    assert read_answer(waiting).head.status == 200
    waiting.close()


def test_what_is_stopped_while_the_link_is_lost_stays_stopped(jupyter_server: JupyterServer, way: TCPProxy) -> None:
    name = new_id()
    with Script(way.url, "tests.integration.apps:raw", name=name, access="public") as script:
        way.cut()
        eventually(lambda: script.ask("service.status") == "reconnecting", 5)
        script.ask("service.stop()")
        assert script.ask("service.status") == "stopped"
        assert _listed(jupyter_server, name) == "reconnecting"
        way.mend()
        eventually(lambda: _listed(jupyter_server, name) == "", 10, "the hub's letting go of the name")


def test_a_service_that_is_stopped_beside_another_while_the_link_is_lost(
    jupyter_server: JupyterServer, way: TCPProxy
) -> None:
    gone, kept = new_id(), new_id()
    with Script(way.url, "tests.integration.apps:raw", name=gone, access="public") as script:
        serve_another = (
            "portico.serve(__import__('tests.integration.apps').integration.apps.raw, "
            f"{kept!r}, access='public', hub={way.url!r}, token=service.session.address.token).url"
        )
        assert kept in script.ask(serve_another)
        way.cut()
        eventually(lambda: script.ask("service.status") == "reconnecting", 5)
        script.ask("service.stop()")
        way.mend()
        eventually(lambda: _listed(jupyter_server, gone) == "", 10, "the hub's letting go of the name")
        assert _listed(jupyter_server, kept) == "live"
        assert get(f"{jupyter_server.url}portico/apps/{kept}/")[1] == b"hello"


def test_a_wait_for_the_provider_ends_in_a_503(tmp_path: Path, measured: Measured) -> None:
    server = JupyterServer(tmp_path, "--PorticoApp.wait_for_provider=0.3").start()
    try:
        with (
            TCPProxy(server.port) as way,
            Script(way.url, "tests.integration.apps:raw", name="away", access="public"),
        ):
            url = f"{server.url}portico/apps/away/"
            way.cut()
            eventually(lambda: _listed(server, "away") == "reconnecting", 5)
            head, body = get(url)
            assert head.status == 503
            assert head.get("retry-after")
            assert "error" in json.loads(body)
    finally:
        server.stop()


def test_a_server_that_restarts_under_a_script(tmp_path: Path, measured: Measured) -> None:
    """The same URL works again by itself, and keys made before it are valid still."""
    server = JupyterServer(tmp_path).start()
    try:
        with Script(server.url, "tests.integration.apps:raw", name="lasting") as script:
            url = script.url
            key = {"Authorization": f"Bearer {script.ask('service.key()')}"}
            assert get(url, key)[1] == b"hello"
            server.stop()
            eventually(lambda: script.ask("service.status") == "reconnecting", 10)
            server.start()
            started = time.perf_counter()
            eventually(lambda: get(url, key)[0].status == 200, 20, "the service's return")
            measured("back after the server", time.perf_counter() - started)
            assert script.ask("service.status") == "live"
            assert script.ask("service.url") == url
            assert get(url)[0].status == 401
    finally:
        server.stop()


def test_requests_from_all_sides_over_cuts(jupyter_server: JupyterServer, way: TCPProxy) -> None:
    """A request that comes at any time is answered, or, if it was under way, ends in a 502: none hangs."""
    name = new_id()
    seen: list[int] = []
    done = threading.Event()

    with Script(way.url, "tests.integration.apps:raw", name=name, access="public") as script:

        def visit() -> None:
            while not done.is_set():
                seen.append(get(script.url)[0].status)

        threads = [threading.Thread(target=visit) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(5):
            before = len(seen)
            eventually(lambda before=before: len(seen) >= before + 20, 15, "twenty more answers")
            way.cut()
            way.mend()
        done.set()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
    assert set(seen) <= {200, 502}
    assert seen.count(502) <= 4 * 5
