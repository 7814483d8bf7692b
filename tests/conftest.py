"""Fixtures that several rooms of tests share: one real Jupyter server for all that do not change it."""

from __future__ import annotations

import itertools
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.live_jupyter import JupyterServer, Kernel
from tests.live_relay import RelayProcess
from tests.pyodide import environment

# How long an example takes, and making it, is up to what else the machine does.
settings.register_profile("portico", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("portico")

# Haystack tells its makers of each pipeline that runs. Tests call nobody; what they start inherits it.
os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell without job control starts what runs in the background so. Each program of a test would inherit it, and
    # Python and asyncio leave it at that: Ctrl-C would mean nothing to them.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def jupyter_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """A Jupyter server with Portico's extension; tests that stop it start one of their own."""
    server = JupyterServer(tmp_path_factory.mktemp("jupyter")).start()
    yield server
    server.stop()


@pytest.fixture
def kernel(jupyter_server: JupyterServer) -> Iterator[Kernel]:
    """A fresh kernel of the shared server."""
    kernel = jupyter_server.kernel()
    yield kernel
    kernel.shutdown()


@pytest.fixture(scope="session")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    """A relay in path mode, where anonymous providers are let in; tests that stop it start one of their own."""
    relay = RelayProcess(tmp_path_factory.mktemp("relay"), anonymous=True).start()
    yield relay
    relay.stop()


@pytest.fixture(scope="session")
def relay_by_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    """The same, on which each service has a host name of its own: call it by address, and name the host in Host."""
    relay = RelayProcess(tmp_path_factory.mktemp("relay-by-host"), domain="share.localhost", anonymous=True).start()
    yield relay
    relay.stop()


@pytest.fixture(scope="session")
def fuzz_seconds() -> float:
    """How long a test that is marked `fuzz` goes on: some seconds in `make test`, minutes in `make test-real`."""
    return float(os.environ.get("PORTICO_FUZZ_SECONDS", "4"))


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js, with js/ installed. In CI its absence is a failure."""
    try:
        return environment.node()
    except LookupError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def bundle(node: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to load Pyodide from, with Portico in it."""
    return environment.bundle(tmp_path_factory.mktemp("pyodide") / "bundle")


@pytest.fixture(scope="session")
def release(node: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a release: Pyodide, Portico and FastAPI, compiled."""
    folder = tmp_path_factory.mktemp("release")
    return environment.release(folder / "bundle", folder / "wheels")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how long each room has taken, of tests in all processes, where more than one was run."""
    rooms: Counter[str] = Counter()
    for report in itertools.chain.from_iterable(terminalreporter.stats.values()):
        if isinstance(report, pytest.TestReport):
            rooms[report.nodeid.partition("::")[0].removeprefix("tests/").partition("/")[0]] += report.duration
    if len(rooms) > 1:
        terminalreporter.section("seconds of each room")
        for room, seconds in rooms.most_common():
            terminalreporter.line(f"{seconds:7.1f}  {room}")
