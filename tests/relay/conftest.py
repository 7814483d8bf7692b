"""A relay that waits a second or two for slow visitors, an app behind it, and who looks after it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

import portico
from portico.provider.service import Service
from tests.live_relay import RelayProcess
from tests.relay.raw_visitors import HANGS, Visitor, Watcher, app, reached

MOST_STREAMS = 100
"""On a link of `guarded`."""


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    relay = RelayProcess(
        tmp_path_factory.mktemp("guarded"),
        header_timeout="1s",
        body_timeout="1s",
        write_timeout="2s",
        max_streams=MOST_STREAMS,
    ).start()
    yield relay
    relay.stop()


@pytest.fixture(scope="module")
def cat(guarded: RelayProcess) -> Iterator[Service]:
    """The app, on `guarded`."""
    service = portico.serve(app, "cat", access="public", hub=guarded.url, token=guarded.token())
    yield service
    service.stop()


@pytest.fixture
def watcher(guarded: RelayProcess, cat: Service) -> Iterator[Watcher]:
    """Afterwards nothing may be under way, and others must be answered."""
    reached.clear()
    watcher = Watcher(guarded)
    yield watcher
    alright = httpx.get(cat.url + "hello", timeout=HANGS)
    assert (alright.status_code, alright.text) == (200, "0")
    watcher.until_nothing_is_left()
    assert cat.session is not None
    assert cat.session.streams == 0


@pytest.fixture
def visitor(watcher: Watcher) -> Iterator[Visitor]:
    """A fresh connection."""
    visitor = Visitor(watcher.relay.port)
    yield visitor
    visitor.close()
