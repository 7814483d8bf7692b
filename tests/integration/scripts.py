"""Providers that are no kernels: `user_script` in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import TracebackType
from typing import Any

from tests.live_jupyter import ROOT, TOKEN


class Script:
    """A running script that serves an app. *hub* is a server's URL; *options* are those of `portico.serve`."""

    def __init__(
        self, hub: str, app: str, *, token: str = TOKEN, arguments: tuple[str, ...] = (), **options: Any
    ) -> None:
        given = {"app": app, "serve": {"hub": hub, "token": token, **options}}
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PORTICO_", "JPY_"))}
        self.process = subprocess.Popen(
            [sys.executable, *arguments, "-m", "tests.integration.user_script", json.dumps(given)],
            cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.told = self._read()
        """What it said first: its URL, or the error that `serve` raised."""

    @property
    def url(self) -> str:
        assert "url" in self.told, self.told
        return str(self.told["url"])

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return dict(json.loads(line))

    def ask(self, expression: str) -> Any:
        """Evaluate *expression* in the script; its value must be fit for JSON."""
        assert self.process.stdin is not None
        self.process.stdin.write(f'{{"value": {expression}}}\n')
        self.process.stdin.flush()
        return self._read()["value"]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def end(self, timeout: float = 20) -> tuple[int, str]:
        """Let it run to its end; returns its exit code and what it wrote to stderr."""
        _, errors = self.process.communicate(timeout=timeout)
        return self.process.returncode, errors

    def __enter__(self) -> Script:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.kill()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
