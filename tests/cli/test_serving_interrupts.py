"""Ctrl-C and SIGTERM end a program that serves, whatever its hub does: it may not answer, or be gone."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.test_serve_event_functions import FUNCTIONS
from tests.live_commands import Relay, Shell, last_words

SCRIPT = """\
import threading
import portico

async def app(scope, receive, send):
    raise RuntimeError("nobody calls it")

print(portico.serve(app, "waits", hub="SERVER_URL", token="PROVIDER_TOKEN").url, flush=True)
threading.Event().wait()
"""
WITHIN = 20.0  # seconds, on a machine that is busy; alone it is one or two


@contextmanager
def silent(relay: Relay) -> Iterator[None]:
    """The relay takes what comes, and answers nothing."""
    process = relay.shell.running[-1]
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def start(shell: Shell, relay: Relay, code: str) -> subprocess.Popen[str]:
    """Run a program until it has printed its URL."""
    path = shell.folder / "program.py"
    path.write_text(code.replace("SERVER_URL", relay.url).replace("PROVIDER_TOKEN", relay.token("--publish", "*")))
    process = subprocess.Popen(
        [sys.executable, "-X", "dev", str(path)],
        env=shell.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    shell.running.append(process)
    assert process.stdout is not None
    assert process.stdout.readline(), last_words(process)[1]
    return process


@pytest.mark.parametrize("code", [FUNCTIONS, SCRIPT], ids=["connect_to_server", "serve and wait"])
def test_a_program_ends_by_ctrl_c_though_its_hub_is_silent(shell: Shell, relay: Relay, code: str) -> None:
    process = start(shell, relay, code)
    with silent(relay):
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = last_words(process)
        assert time.monotonic() - began < WITHIN
    assert process.returncode == -signal.SIGINT, said
    assert said.rstrip().endswith("KeyboardInterrupt"), said  # a connection that was left open would be said after it


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("arguments", [(), ("--reload",)], ids=["serve", "reload"])
def test_the_command_line_ends_by_a_signal_though_its_hub_is_silent(
    shell: Shell, relay: Relay, how: signal.Signals, arguments: tuple[str, ...]
) -> None:
    process, _ = shell.serve("myapp:app", f"--server-url={relay.url}", *arguments, PORTICO_TOKEN=relay.token())
    with silent(relay):
        began = time.monotonic()
        process.send_signal(how)
        _, said = last_words(process)
        assert time.monotonic() - began < WITHIN
    assert process.returncode == 0, said
    assert "Traceback" not in said


def test_a_program_ends_by_ctrl_c_while_its_hub_is_gone(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.live_commands import running_relay

    with running_relay(tmp_path_factory.mktemp("short")) as relay:
        process = start(shell, relay, FUNCTIONS)
        relay.shell.running[-1].kill()
        relay.shell.running[-1].wait(20)
        process.send_signal(signal.SIGINT)
        _, said = last_words(process)
    assert said.rstrip().endswith("KeyboardInterrupt"), said
