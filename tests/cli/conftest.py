"""A real relay, run as its admin runs it, and the command line, as its users type it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.live_jupyter import free_port

APP = """\
import os
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

app = FastAPI()

@app.get("/", response_class=HTMLResponse)
async def root():
    return "<title>Cat</title>"

@app.get("/api/v1/test")
async def test():
    return {"message": "Hello, it works!"}

@app.get("/word")
async def word():
    return os.environ.get("CAT_WORD", "none")

def make():
    return app

def reply(messages):
    return "miau"
"""


Done = subprocess.CompletedProcess[str]


@dataclass
class Shell:
    """Runs command lines in a folder of its own, with no login and nothing of this process's environment."""

    folder: Path
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PORTICO_", "JPY_"))}
        return kept | {"XDG_CONFIG_HOME": str(self.folder / "config"), "PYTHONUNBUFFERED": "1"}

    def run(
        self, *arguments: str, status: int = 0, stdin: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``portico`` with *arguments* to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "portico", *arguments],
            cwd=self.folder,
            env=self.environment | variables,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert "/portico/" not in "".join(line for line in done.stderr.splitlines() if line.startswith("  File"))
        return done

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "portico", *arguments],
            cwd=self.folder,
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.running.append(process)
        return process

    def serve(self, *arguments: str, **variables: str) -> tuple[subprocess.Popen[str], str]:
        """Start ``portico serve``; returns when its URL is there."""
        process = self.start("serve", *arguments, **variables)
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise AssertionError(process.communicate(timeout=20)[1])
        return process, url

    def end(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=20)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    (tmp_path / "myapp.py").write_text(APP)
    made = Shell(tmp_path)
    yield made
    made.end()


@dataclass
class Relay:
    """``portico relay``, in path mode."""

    url: str
    data_dir: str
    shell: Shell

    def token(self, *arguments: str, user: str = "alice") -> str:
        return self.shell.run("relay", "token", "--user", user, "--data-dir", self.data_dir, *arguments).stdout.strip()


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """With a user alice, and a workspace my-workspace of hers."""
    shell = Shell(tmp_path_factory.mktemp("relay"))
    port, data = free_port(), str(shell.folder / "data")
    shell.run("relay", "user", "add", "alice", "--data-dir", data, "--password-stdin", stdin="correct horse battery\n")
    shell.run("relay", "workspace", "add", "my-workspace", "--owner", "alice", "--data-dir", data)
    process = shell.start("relay", "--paths", "--port", str(port), "--data-dir", data, "--anonymous")
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    yield Relay(url, data, shell)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) is not None
    shell.end()


Interrupt = Callable[[subprocess.Popen[str]], str]


@pytest.fixture
def interrupt() -> Interrupt:
    """Press Ctrl-C; returns what was said on standard error."""

    def press(process: subprocess.Popen[str]) -> str:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
        assert process.returncode == 0, said
        return said

    return press
