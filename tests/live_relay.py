"""A real relay for tests: a process of its own, on a port of its own, spoken to as visitors and programs do."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from portico.relay.config import RelayConfig
from portico.relay.people.accounts import Accounts
from portico.relay.people.tokens import EVERY_SCOPE, TokenRing
from portico.relay.store import RelayStore
from tests.live_jupyter import free_port

_RUN = (
    "import json, sys\n"
    "from portico.relay.config import RelayConfig\n"
    "from portico.relay.server import run\n"
    "run(RelayConfig.load(json.loads(sys.argv[1])), on_listening=lambda url: print('listening', url, flush=True))\n"
)

ALICE = "alice"
PASSWORD = "correct horse battery"


def _run(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """The outcome of a coroutine, wherever the test runs: Playwright keeps a loop running in its thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(work())).result()


class RelayProcess:
    """A relay with one user, ``alice``, who is its admin. In path mode, but with *domain* given."""

    def __init__(
        self,
        folder: Path,
        *,
        domain: str = "",
        port: int | None = None,
        env: dict[str, str] | None = None,
        **flags: Any,
    ) -> None:
        """*flags* are settings by their names (`portico.relay.config.SETTINGS`)."""
        self.port = port or free_port()
        self.folder = folder
        self.log = folder / "relay.log"
        where: dict[str, Any] = (
            {"domain": domain, "base_url": f"http://{domain}:{self.port}"}
            if domain
            else {"paths": True, "base_url": f"http://127.0.0.1:{self.port}"}
        )
        self.flags = {"port": self.port, "data_dir": str(folder), **where, **flags}
        self.config = RelayConfig.load(self.flags, environ={})
        self._env = env or {}
        self._process: subprocess.Popen[bytes] | None = None
        store = RelayStore(self.config.database)
        if not any(user.id == ALICE for user in store.users()):
            _run(lambda: Accounts(store).add(ALICE, PASSWORD, email="alice@example.org", admin=True))
        store.close()

    @property
    def url(self) -> str:
        """With a slash at its end, as programs are given it."""
        return self.config.base_url + "/"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def token(self, *scopes: str, lifetime: float = 3600.0, workspace: str = ALICE) -> str:
        """A provider token of alice's, with every scope but ``admin`` if none is named."""

        async def mint() -> str:
            store = RelayStore(self.config.database)
            wanted = scopes or tuple(scope for scope in EVERY_SCOPE if scope != "admin")
            token, _ = await TokenRing(store).mint(user_id=ALICE, workspace=workspace, scopes=wanted, lifetime=lifetime)
            store.close()
            return token

        return _run(mint)

    def start(self) -> RelayProcess:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _RUN, json.dumps(self.flags)],
                env=os.environ | self._env,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith(b"listening"):
            raise RuntimeError(f"the relay did not start:\n{self.log.read_text()}")
        return self

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def send_signal(self, how: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(how)

    def wait(self, timeout: float = 40.0) -> int:
        """Its exit status, once it has ended."""
        assert self._process is not None
        status = self._process.wait(timeout)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return status

    def stop(self, how: signal.Signals = signal.SIGTERM, timeout: float = 40.0) -> int:
        """End it by a signal; returns its exit status."""
        self.send_signal(how)
        return self.wait(timeout)

    def restart(self) -> float:
        """Stop and start; returns how many seconds that took."""
        began = time.monotonic()
        self.stop()
        self.start()
        return time.monotonic() - began

    def service_url(self, name: str, workspace: str = ALICE) -> str:
        return self.config.service_url(workspace, name)
