"""A real Jupyter server and real kernels for tests: started as a user starts them, spoken to over the server's API."""

from __future__ import annotations

import json
import os
import random
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect, unix_connect

from portico.provider.unix import UnixHandler

ROOT = Path(__file__).resolve().parent.parent
TOKEN = "test-token-not-a-secret"


def free_port() -> int:
    """A port that nobody has, and that no outgoing connection is given before a server listens there."""
    while True:
        port = _ANY.randrange(10_240, 32_000)  # below those that systems give to connections
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


_ANY = random.SystemRandom()  # no test's seed makes it draw the same twice


@dataclass
class Output:
    """What a cell gave: text of both streams, displayed bundles, the error's name, value and traceback."""

    text: str = ""
    displays: list[dict[str, Any]] = field(default_factory=list)
    updates: list[dict[str, Any]] = field(default_factory=list)
    result: str = ""
    error: tuple[str, str, str] | None = None

    def check(self) -> Output:
        assert self.error is None, "\n".join(self.error or ())
        return self


class JupyterServer:
    """``jupyter server`` on a port of its own, with folders of its own."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        port: int | None = None,
        env: dict[str, str] | None = None,
        root: Path | None = None,
        token: str = TOKEN,
        tls: ssl.SSLContext | None = None,
        sock: Path | None = None,
    ) -> None:
        """*root* is where notebooks are; *folder* itself by default.

        *tls* is how tests check its certificate, where the *arguments* give it one; *sock* is the Unix socket that it
        listens on, instead of a port.
        """
        self.token = token
        self.folder = folder
        self.root = root or folder
        self.port = port or free_port()
        self.base = "/"
        self.log = folder / "server.log"
        self._arguments = arguments
        self._env = env or {}
        self.tls = tls
        self.sock = sock
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        if self.sock is not None:
            return f"http://localhost{self.base}"
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}{self.base}"

    def open(self, request: urllib.request.Request | str, timeout: float = 30) -> Any:
        """As `urllib.request.urlopen`, of this server."""
        if self.sock is not None:
            return urllib.request.build_opener(UnixHandler(str(self.sock))).open(request, timeout=timeout)
        return urllib.request.urlopen(request, timeout=timeout, context=self.tls)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> JupyterServer:
        env = os.environ | {
            "JUPYTER_CONFIG_DIR": str(self.folder / "config"),
            "JUPYTER_DATA_DIR": str(self.folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.folder / "runtime"),
            "IPYTHONDIR": str(self.folder / "ipython"),
            "PYTHONPATH": str(ROOT),
            **self._env,
        }
        for variable in ("PORTICO_HUB_URL", "PORTICO_HUB_TOKEN", "PORTICO_KERNEL_ID", "JPY_PARENT_PID"):
            env.pop(variable, None)
        command = [
            sys.executable, "-m", "jupyter_server", "--allow-root", "--no-browser",
            f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1",
            f"--IdentityProvider.token={self.token}", f"--ServerApp.root_dir={self.root}", *self._arguments,
        ]  # fmt: skip
        if self.sock is not None:
            command = [part for part in command if not part.startswith(("--ServerApp.port", "--ServerApp.ip="))]
            command.append(f"--ServerApp.sock={self.sock}")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, env=env, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT)
        self._wait()
        return self

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                self.open(self.url + "api", timeout=5).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"the Jupyter server did not start:\n{self.log.read_text()}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
            self._process = None

    def api(self, method: str, path: str, body: Any = None, *, token: str = "") -> Any:
        """Call the server's REST API; returns the decoded JSON, or raises `urllib.error.HTTPError`."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"token {token or self.token}", "Content-Type": "application/json"},
        )
        with self.open(request) as response:
            text = response.read()
        return json.loads(text) if text else None

    def kernel(self, notebook: str = "") -> Kernel:
        """Start a kernel: bare, or as the session of a notebook path."""
        if notebook:
            session = self.api(
                "POST",
                "api/sessions",
                {"path": notebook, "type": "notebook", "name": notebook, "kernel": {"name": "python3"}},
            )
            return Kernel(self, session["kernel"]["id"])
        return Kernel(self, self.api("POST", "api/kernels", {"name": "python3"})["id"])


class Kernel:
    """A running kernel, spoken to over the server's WebSocket."""

    def __init__(self, server: JupyterServer, kernel_id: str) -> None:
        self.server = server
        self.id = kernel_id
        self.updates: list[dict[str, Any]] = []
        """Updates of displays that came while cells were waited for, of whichever cell they are."""
        self._socket = self._connect()

    def _connect(self) -> ClientConnection:
        url = f"{self.server.url.replace('http', 'ws', 1)}api/kernels/{self.id}/channels?token={self.server.token}"
        options: dict[str, Any] = {"max_size": None, "max_queue": None, "proxy": None, "open_timeout": 60}
        if self.server.sock is not None:
            self._manager = unix_connect(str(self.server.sock), url, **options)
        else:
            self._manager = connect(url, ssl=self.server.tls, **options)
        return self._manager.__enter__()

    def execute(self, code: str, timeout: float = 60) -> Output:
        """Run *code* as a cell and wait for its end."""
        return self.wait(self.send(code), timeout)

    def send(self, code: str) -> str:
        """Run *code* as a cell, without waiting; returns the message's id for `wait`."""
        message_id = uuid.uuid4().hex
        header = {"msg_id": message_id, "msg_type": "execute_request", "username": "", "session": "t", "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": False}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        self._socket.send(json.dumps({**message, "buffers": []}))
        return message_id

    def wait(
        self, message_id: str, timeout: float = 60, *, on_display: Callable[[dict[str, str]], None] | None = None
    ) -> Output:
        """What the cell gave, once it is idle and has replied. *on_display* sees what it shows when it shows it."""
        output = Output()
        deadline = time.monotonic() + timeout
        idle = replied = False
        while not (idle and replied):
            message = json.loads(self._socket.recv(max(0.01, deadline - time.monotonic())))
            if message["msg_type"] == "update_display_data":
                self.updates.append(message["content"])
            if message.get("parent_header", {}).get("msg_id") != message_id:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                output.text += content["text"]
            elif kind == "display_data":
                output.displays.append(content)
                if on_display is not None:
                    on_display(content["data"])
            elif kind == "update_display_data":
                output.updates.append(content)
            elif kind == "execute_result":
                output.result = content["data"].get("text/plain", "")
                output.displays.append(content)
            elif kind == "error":
                output.error = (content["ename"], content["evalue"], "\n".join(content["traceback"]))
            elif kind == "status" and content["execution_state"] == "idle":
                idle = True
            elif kind == "execute_reply":
                replied = True
        return output

    def restart(self) -> None:
        self.server.api("POST", f"api/kernels/{self.id}/restart")
        self.reconnect()

    def reconnect(self) -> None:
        """Open the WebSocket anew, as a front end does when the kernel was started anew."""
        self._manager.__exit__(None, None, None)
        self._socket = self._connect()

    def shutdown(self) -> None:
        self._manager.__exit__(None, None, None)
        try:
            self.server.api("DELETE", f"api/kernels/{self.id}")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
