"""What tests of deploys share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def quiet() -> Iterator[None]:
    """Deploys that fail are logged with a traceback."""
    logging.getLogger("portico.pipelines").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("portico.pipelines").setLevel(logging.NOTSET)
