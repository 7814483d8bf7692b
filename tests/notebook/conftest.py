"""A kernel with the magic loaded. One for each module: every test serves under names of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.live_jupyter import JupyterServer, Kernel, Output

APP = """\
from fastapi import FastAPI

def answering(word):
    app = FastAPI()

    @app.get("/")
    def home():
        return word

    return app
"""


@pytest.fixture(scope="module")
def notebook(jupyter_server: JupyterServer) -> Iterator[Kernel]:
    kernel = jupyter_server.kernel()
    kernel.execute("%load_ext portico\nimport portico\n" + APP).check()
    yield kernel
    kernel.shutdown()


@pytest.fixture
def run(notebook: Kernel) -> Callable[[str], Output]:
    """Run a cell that must succeed."""
    return lambda code: notebook.execute(code).check()


@pytest.fixture
def get(jupyter_server: JupyterServer) -> Callable[[str], object]:
    """What a service answers to the server's own user: the decoded JSON."""
    return lambda path: jupyter_server.api("GET", "portico/apps/" + path)
