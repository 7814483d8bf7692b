"""One kernel of a real Jupyter server that serves the models of `zoo`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.live_jupyter import JupyterServer, Kernel


@dataclass(frozen=True)
class Served:
    """A chat service: its URL with a slash at its end, a key of it, and the kernel that it lives in."""

    url: str
    key: str
    kernel: Kernel

    @property
    def base_url(self) -> str:
        """What an OpenAI client is given."""
        return f"{self.url}v1"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def evaluate(self, expression: str) -> Any:
        """What *expression* is in the kernel, by way of JSON."""
        text = self.kernel.execute(f"import json; print('\\n' + json.dumps({expression}))").check().text
        return json.loads(text.strip().splitlines()[-1])


def serve(kernel: Kernel, line: str, cell: str = "") -> Served:
    """Run *cell* in *kernel*, then ``%serve`` *line*."""
    kernel.execute("%load_ext portico").check()
    if cell:
        kernel.execute(cell).check()
    kernel.execute(f"served = %serve {line}").check()
    output = kernel.execute("print(served.url, served.key())").check()
    url, key = output.text.split()
    return Served(url, key, kernel)


@pytest.fixture(scope="session")
def zoo(jupyter_server: JupyterServer) -> Iterator[Served]:
    """The models of `zoo`, for tests that change nothing."""
    kernel = jupyter_server.kernel()
    yield serve(kernel, "zoo.MODELS --name client-zoo --chat", "from tests.chat_clients import zoo")
    kernel.shutdown()
