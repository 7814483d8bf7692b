"""A real relay for the module, and a folder with an app in it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live_commands import APP, Relay, Shell, last_words, running_relay


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    (tmp_path / "myapp.py").write_text(APP)
    made = Shell(tmp_path)
    yield made
    made.end()


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    with running_relay(tmp_path_factory.mktemp("relay")) as relay:
        yield relay


Interrupt = Callable[[subprocess.Popen[str]], str]


@pytest.fixture
def interrupt() -> Interrupt:
    """Press Ctrl-C; returns what was said on standard error."""

    def press(process: subprocess.Popen[str]) -> str:
        process.send_signal(signal.SIGINT)
        _, said = last_words(process)
        assert process.returncode == 0, said
        return said

    return press
