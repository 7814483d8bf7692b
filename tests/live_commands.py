"""A real relay, run as its admin runs it, and the command line, as its users type it."""

from __future__ import annotations

import html
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx

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


def last_words(process: subprocess.Popen[str], timeout: float = 30.0) -> tuple[str, str]:
    """What is still to come of standard output and of standard error, to the end of the process.

    `Popen.communicate` loses what was read ahead, once a line was read by itself.
    """
    impatience = threading.Timer(timeout, process.kill)
    impatience.start()
    with ThreadPoolExecutor() as pool:
        out, said = pool.map(lambda pipe: str(pipe.read()), (process.stdout, process.stderr))  # type: ignore[union-attr]
    process.wait()
    impatience.cancel()
    return out, said


@dataclass
class Shell:
    """Runs command lines in a folder of its own, with no login and nothing of this process's environment."""

    folder: Path
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        gone = ("PORTICO_", "HAYHOOKS_", "JPY_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(gone)}
        return kept | {
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "PYTHONUNBUFFERED": "1",
            "HAYSTACK_TELEMETRY_ENABLED": "False",
        }

    def run(self, *arguments: str, status: int = 0, stdin: str = "", **variables: str) -> Done:
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
            raise AssertionError(last_words(process)[1])
        return process, url

    def end(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=20)


@dataclass
class Relay:
    """``portico relay``, in path mode."""

    url: str
    data_dir: str
    shell: Shell

    def token(self, *arguments: str, user: str = "alice") -> str:
        return self.shell.run("relay", "token", "--user", user, "--data-dir", self.data_dir, *arguments).stdout.strip()


PASSWORD = "correct horse battery"
_FIELD = re.compile(r'<input[^>]*? name="([a-z_]+)"(?:[^>]*? value="([^"]*)")?')
_CHOICE = re.compile(r'<select[^>]*? name="([a-z_]+)"[^>]*>\s*<option(?: value="|[^>]*>)([^"<]*)')


def allow(page: str, user: str, password: str, *, action: str = "allow", verify: ssl.SSLContext | bool = True) -> None:
    """Do what a person does in a browser on the *page* of a device login: sign in, and say yes (or ``deny`` it)."""
    parts = urlsplit(page)
    headers = {"Accept": "text/html", "Origin": f"{parts.scheme}://{parts.netloc}"}
    with httpx.Client(trust_env=False, follow_redirects=True, headers=headers, verify=verify) as browser:
        shown = browser.get(page)
        for answers in ({"name": user, "password": password}, {"action": action}):
            form = shown.text[shown.text.index("<form method") :]
            [target] = re.findall(r'action="([^"]+)"', form)[:1]
            fields = {name: html.unescape(value) for name, value in _FIELD.findall(form) + _CHOICE.findall(form)}
            shown = browser.post(urljoin(page, target), data=fields | answers)
            assert shown.status_code == 200, shown.text


@contextmanager
def running_relay(folder: Path) -> Iterator[Relay]:
    """With a user alice, and a workspace my-workspace of hers."""
    shell = Shell(folder)
    port, data = free_port(), str(folder / "data")
    shell.run("relay", "user", "add", "alice", "--data-dir", data, "--password-stdin", stdin=PASSWORD + "\n")
    shell.run("relay", "workspace", "add", "my-workspace", "--owner", "alice", "--data-dir", data)
    process = shell.start("relay", "--paths", "--port", str(port), "--data-dir", data, "--anonymous")
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    try:
        yield Relay(url, data, shell)
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    finally:
        shell.end()
