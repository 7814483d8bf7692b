"""Real servers for the tests of functions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.models.conftest import Serve, uvicorn_on_loopback


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves apps until the test is over."""
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(uvicorn_on_loopback(app))
