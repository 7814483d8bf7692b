"""A real server of pipelines, run as its users run it: ``portico run`` in a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.live_commands import Done, Shell
from tests.live_jupyter import free_port

YAML = """\
components:
  double:
    type: haystack.testing.sample_components.double.Double
    init_parameters: {}
  add:
    type: haystack.testing.sample_components.add_value.AddFixedValue
    init_parameters: {add: 3}
connections:
- {sender: double.value, receiver: add.value}
inputs:
  value: double.value
outputs:
  result: add.result
"""
"""2 * value + 3."""

WRAPPER = """\
from portico.pipelines import BasePipelineWrapper


class PipelineWrapper(BasePipelineWrapper):
    def setup(self, {settings}) -> None:
        self.pipeline = None

{methods}
"""


def lay_wrapper(folder: Path, methods: str, *, settings: str = "**settings", before: str = "") -> Path:
    """Write a wrapper with *methods* into *folder*; returns it. *before* goes before the class."""
    folder.mkdir(parents=True, exist_ok=True)
    indented = "".join(f"    {line}" if line.strip() else line for line in methods.splitlines(keepends=True))
    (folder / "pipeline_wrapper.py").write_text(before + WRAPPER.format(settings=settings, methods=indented))
    return folder


@dataclass
class LivePipelines:
    """``portico run``, which answers."""

    url: str
    port: int
    shell: Shell
    process: subprocess.Popen[str]
    said: list[str]
    """What it has written to standard error so far, line by line."""

    @property
    def key(self) -> str:
        """What it has left for the commands."""
        path = self.shell.folder / "state" / "portico" / "keys" / f"{self.port}.json"
        key: str = json.loads(path.read_text())["key"]
        return key

    def portico(self, *arguments: str, status: int = 0, **variables: str) -> Done:
        """Run a command that calls it."""
        return self.shell.run(*arguments, status=status, PORTICO_PORT=str(self.port), **variables)

    def request(self, method: str, path: str, *, key: bool = False, **options: Any) -> httpx.Response:
        """Ask it for *path*, with its key or without."""
        headers = {"Authorization": f"Bearer {self.key}"} if key else {}
        return httpx.request(method, self.url + path, headers=headers, trust_env=False, timeout=30, **options)

    def end(self, number: int = signal.SIGINT) -> str:
        """Send it a signal, and wait until it has ended in order; returns all that it said on standard error."""
        self.process.send_signal(number)
        self.process.wait(30)
        self._reader.join(10)
        said = "".join(self.said)
        assert self.process.returncode == 0, said
        return said

    _reader: threading.Thread = None  # type: ignore[assignment]  # made right after


def start_pipelines(shell: Shell, *arguments: str, **variables: str) -> LivePipelines:
    """Start ``portico run`` with *arguments* on a free port; returns when it answers. `Shell.end` ends it."""
    port = free_port()
    return listening(shell, ["run", "--port", str(port), *arguments], port, **variables)


def listening(shell: Shell, arguments: Sequence[str], port: int, **variables: str) -> LivePipelines:
    """Start a command that serves on *port*; returns when it answers."""
    return live_of(shell, shell.start(*arguments, **variables), port)


def live_of(shell: Shell, process: subprocess.Popen[str], port: int) -> LivePipelines:
    """The server in *process*, once it answers."""
    assert process.stdout is not None
    said: list[str] = []
    reader = threading.Thread(target=_read, args=(process, said), daemon=True)
    reader.start()
    url = process.stdout.readline().strip()
    if not url:
        process.wait(30)
        reader.join(10)
        raise AssertionError("".join(said))
    live = LivePipelines(url, port, shell, process, said)
    live._reader = reader
    return live


def _read(process: subprocess.Popen[str], said: list[str]) -> None:
    assert process.stderr is not None
    said.extend(process.stderr)  # one by one, as they come


@contextmanager
def running_pipelines(folder: Path, *arguments: str, **variables: str) -> Iterator[LivePipelines]:
    """``portico run`` in *folder*, with no login and nothing of this process's environment."""
    shell = Shell(folder)
    try:
        yield start_pipelines(shell, *arguments, **variables)
    finally:
        shell.end()
