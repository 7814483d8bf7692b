"""The processes that a run starts, each in its own right, and ends by its own pid."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
SOURCE = os.environ.get("PORTICO_BENCH_SOURCE", str(ROOT / "src"))
"""Where Portico's own code is: this checkout's, or that of the other side when two are compared."""
PYTHONPATH = os.pathsep.join((str(ROOT), SOURCE))
"""Children run that code, wherever the environment's own comes from."""
HOST = "127.0.0.1"
START_TIMEOUT = 60.0  # seconds; a Jupyter server with JupyterLab takes some 3 when the machine is quiet
STOP_TIMEOUT = 10.0


class ServerFailed(Exception):
    """A process did not come up; the message has the end of its log."""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port: int = sock.getsockname()[1]
        return port


class Child:
    """One child process: up when the block is entered, gone when it is left."""

    def __init__(self, name: str, command: list[str], directory: Path, env: dict[str, str]) -> None:
        self.name = name
        self._command, self._env = command, {**os.environ, "PYTHONPATH": PYTHONPATH, **env}
        self._log = directory / f"{name}.log"

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT
            )
        try:
            self._wait_until_up()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def log_tail(self, lines: int = 30) -> str:
        return "\n".join(self.log().splitlines()[-lines:])

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ServerFailed(f"{self.name} ended with {self._process.returncode}:\n{self.log_tail()}")
            if self._is_up():
                return
            time.sleep(0.05)
        raise ServerFailed(f"{self.name} is not up after {START_TIMEOUT:.0f} s:\n{self.log_tail()}")

    def _is_up(self) -> bool:
        raise NotImplementedError

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Server(Child):
    """A child that listens on loopback."""

    def __init__(self, name: str, command: list[str], port: int, directory: Path, env: dict[str, str]) -> None:
        super().__init__(name, command, directory, env)
        self.port = port

    def _is_up(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), 1).close()
        except OSError:
            return False
        return True


class Program(Child):
    """A child that listens nowhere, and prints a line that begins with *sign* once it is up."""

    def __init__(self, name: str, command: list[str], sign: str, directory: Path, env: dict[str, str]) -> None:
        super().__init__(name, command, directory, env)
        self._sign = sign

    def _is_up(self) -> bool:
        return bool(self.said())

    def said(self) -> str:
        """The line, whole; empty if it has not come."""
        lines = self.log().splitlines(keepends=True)
        return next((line.strip() for line in lines if line.startswith(self._sign) and line.endswith("\n")), "")


class UvicornServer(Server):
    """The app on uvicorn with uvloop and httptools, in a process of its own."""

    def __init__(self, directory: Path) -> None:
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "benchmarks.app:app", "--host", HOST, "--port", str(port)]
        command += ["--loop", "uvloop", "--http", "httptools", "--log-level", "warning", "--no-access-log"]
        super().__init__("uvicorn", command, port, directory, {})


class JupyterServer(Server):
    """A real Jupyter server: what is enabled in this environment, plus the benchmarks' extension.

    It has configuration, data and runtime directories of its own, so nothing of the user's is read or left.
    """

    def __init__(self, directory: Path) -> None:
        port = free_port()
        self.token = secrets.token_hex(16)
        homes = {name: directory / name for name in ("config", "data", "runtime", "notebooks", "ipython")}
        for home in homes.values():
            home.mkdir()
        # In a file, and not among the arguments, which everyone on the machine can read.
        config = homes["config"] / "jupyter_server_config.json"
        config.write_text(json.dumps({"IdentityProvider": {"token": self.token}}))
        command = [sys.executable, "-m", "jupyter_server", "--no-browser", f"--ServerApp.ip={HOST}"]
        command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
        command += [f"--ServerApp.root_dir={homes['notebooks']}"]
        command += ["--ServerApp.jpserver_extensions={'benchmarks.server_extension': True}"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--allow-root")
        env = {
            "JUPYTER_CONFIG_DIR": str(homes["config"]),
            "JUPYTER_DATA_DIR": str(homes["data"]),
            "JUPYTER_RUNTIME_DIR": str(homes["runtime"]),
            "IPYTHONDIR": str(homes["ipython"]),
        }
        super().__init__("jupyter-server", command, port, directory, env)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Calls the server's REST API; returns the decoded JSON, or None when the answer has no body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, self.authorization, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = response.read()
        return json.loads(answer) if answer else None
