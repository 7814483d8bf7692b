"""`portico status`: what a script can tell from its exit status, and what a person reads."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live_commands import Shell
from tests.live_jupyter import free_port
from tests.live_pipelines import YAML, LivePipelines, running_pipelines


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePipelines]:
    with running_pipelines(tmp_path_factory.mktemp("status")) as live:
        yield live


def test_it_lists_pipelines_and_logins(live: LivePipelines) -> None:
    said = live.portico("status").stdout
    assert said.startswith(f"The server of pipelines is up and running at {live.url}\nNo pipelines are deployed.")
    assert "logged in nowhere" in said
    live.request("POST", "/deploy-yaml", key=True, json={"name": "n", "source_code": YAML, "description": "Doubles"})
    said = live.portico("status").stdout
    assert "\nn         run, tool  Doubles\n" in said
    assert "No pipelines" not in said


@pytest.mark.parametrize("place", ["before", "after"])
def test_options_go_before_the_command_and_after_it(live: LivePipelines, place: str) -> None:
    options = ("--host", "127.0.0.1", f"--port={live.port}", "--no-use-https")
    if place == "before":
        options = options[:-1]  # which Hayhooks never had
    arguments = (*options, "status") if place == "before" else ("status", *options)
    assert f"http://127.0.0.1:{live.port}" in live.shell.run(*arguments).stdout


def test_nobody_there(shell: Shell) -> None:
    port = str(free_port())
    done = shell.run("status", "--port", port, status=1)
    assert f"not responding at http://localhost:{port}" in done.stderr
    assert "portico run" in done.stderr
    assert "logged in nowhere" in done.stdout
    assert "up and running" not in done.stdout


@contextmanager
def answering(content: bytes) -> Iterator[str]:
    """Something that gives *content* to each who connects; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(content)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield str(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "no server of pipelines"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "no server of pipelines"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"pipe', "broke off"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not responding"),
        (b"", "not responding"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "the server answered 404"),
        (b'HTTP/1.1 500 X\r\nContent-Length: 25\r\n\r\n{"detail": "\\u001b[31mx"}', "portico: \\x1b[31mx"),
    ],
)
def test_something_else_is_there(shell: Shell, content: bytes, said: str) -> None:
    with answering(content) as port:
        done = shell.run("status", "--host", "127.0.0.1", "--port", port, status=1)
    assert said in done.stderr
    assert "up and running" not in done.stdout


def test_logins_that_cannot_be_read_say_nothing_of_the_server(live: LivePipelines, tmp_path: Path) -> None:
    broken = tmp_path / "credentials.json"
    broken.write_text("{")
    done = live.portico("status", PORTICO_CREDENTIALS=str(broken))
    assert "up and running" in done.stdout
    assert "no file of credentials" in done.stderr


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can be another user")
def test_a_user_without_a_home(live: LivePipelines) -> None:
    """As in a container that runs as a number: nothing was kept, and commands say what they miss."""
    gone = ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")
    environment = {name: value for name, value in live.shell.environment.items() if name not in gone}
    (live.shell.folder / "b.yml").write_text(YAML)

    def portico(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = (
            "import os, sys; from portico.cli import main\n"
            "main(sys.argv[1:-1] + ['1'])\n"  # Python's own files may be root's alone: now all of it is loaded
            "os.setgroups([]); os.setgid(54321); os.setuid(54321)\n"
            "print('as another', file=sys.stderr); sys.exit(main(sys.argv[1:]))"
        )
        command = [sys.executable, "-c", program, *arguments, "--port", str(live.port)]
        return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=60)

    said = portico("status")
    assert "up and running" in said.stdout, said.stderr
    assert "logged in nowhere" in said.stdout
    said = portico("pipeline", "undeploy", "n")
    assert said.returncode == 1
    words = said.stderr.partition("as another\n")[2]
    assert "no home folder: name one for the key by PORTICO_KEY_DIR" in words
    assert "Traceback" not in words
