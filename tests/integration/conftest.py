"""What the tests with real servers, kernels and provider processes share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.integration.scripts import Script
from tests.integration.visit import new_id
from tests.live_jupyter import JupyterServer, Kernel

Measured = Callable[[str, float], None]


@pytest.fixture
def measured(record_property: Callable[[str, object], None], request: pytest.FixtureRequest) -> Measured:
    """Records a figure with the test's result, and prints it (``pytest -rP`` shows it)."""

    def measured(what: str, value: float) -> None:
        record_property(what, value)
        print(f"measured: {request.node.name}: {what}: {value:.3f}")

    return measured


@pytest.fixture(scope="session")
def serving_kernel(jupyter_server: JupyterServer) -> Iterator[Kernel]:
    """A kernel that serves what many tests visit. No test ends it."""
    kernel = jupyter_server.kernel("shared.ipynb")
    kernel.execute(
        """
import os, portico
from tests.integration import apps
raw = portico.serve(apps.raw, "raw", access="public")
streaming = portico.serve(apps.streaming(), "streaming", access="public")
"""
    ).check()
    yield kernel
    kernel.shutdown()


@pytest.fixture(scope="session")
def raw_url(jupyter_server: JupyterServer, serving_kernel: Kernel) -> str:
    """Where `tests.integration.apps.raw` is, served by a kernel."""
    return f"{jupyter_server.url}portico/apps/raw/"


@pytest.fixture(scope="session")
def streaming_url(jupyter_server: JupyterServer, serving_kernel: Kernel) -> str:
    """Where `tests.integration.apps.streaming` is, served by a kernel."""
    return f"{jupyter_server.url}portico/apps/streaming/"


@pytest.fixture
def script(jupyter_server: JupyterServer) -> Iterator[Script]:
    """A script that serves `tests.integration.apps.raw` under a name of its own; the test may kill it."""
    # a name is held a minute for a script that was killed
    with Script(jupyter_server.url, "tests.integration.apps:raw", name=new_id(), access="public") as script:
        yield script
