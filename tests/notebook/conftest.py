"""A kernel with the magic loaded. One for each module: every test serves under names of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

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


Post = Callable[[str, Any], tuple[int, Any]]


def poster(server: JupyterServer, below: str) -> Post:
    """POSTs JSON to a path under *below*, as the server's own user; gives the status and the answer."""

    def post(path: str, body: Any) -> tuple[int, Any]:
        request = Request(
            f"{server.url}{below}{path}",
            json.dumps(body).encode(),
            {"Authorization": f"token {server.token}", "Content-Type": "application/json"},
        )
        try:
            with urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            return error.code, json.load(error)

    return post


@pytest.fixture
def post(jupyter_server: JupyterServer) -> Post:
    """POST JSON to a path under ``portico/apps/``; the status and the answer."""
    return poster(jupyter_server, "portico/apps/")
