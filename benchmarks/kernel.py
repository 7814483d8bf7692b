"""A kernel of the Jupyter server, driven as a front end does: the REST API and the kernel's WebSocket."""

import json
import re
import time
import uuid
from types import TracebackType
from typing import Any, Self

from websockets.sync.client import connect

from benchmarks.servers import HOST, JupyterServer

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class CellFailed(Exception):
    """The cell raised; the message is its traceback."""


class Kernel:
    """Alive within its `with` block."""

    def __init__(self, server: JupyterServer) -> None:
        self._server = server
        self._session = uuid.uuid4().hex

    def __enter__(self) -> Self:
        self._id: str = self._server.request("POST", "/api/kernels", {"name": "python3"})["id"]
        try:
            self._socket = connect(
                f"ws://{HOST}:{self._server.port}/api/kernels/{self._id}/channels?session_id={self._session}",
                additional_headers=self._server.authorization,
                max_size=None,
            )
            # Whoever asks before the kernel's first breath is answered when it is up.
            self.pid = int(self.run("import os; print(os.getpid())", 60))
        except BaseException:
            self._shut_down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._shut_down()

    def run(self, code: str, timeout: float = 30.0) -> str:
        """Runs a cell to its end; returns what it printed."""
        return self.wait(self.submit(code), timeout)

    def submit(self, code: str) -> str:
        """Sends a cell without waiting for it; returns the id that `wait` takes."""
        message_id = uuid.uuid4().hex
        header = {
            "msg_id": message_id,
            "msg_type": "execute_request",
            "session": self._session,
            "username": "benchmarks",
            "version": "5.3",
        }
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        self._socket.send(json.dumps({**message, "channel": "shell", "buffers": []}))
        return message_id

    def wait(self, message_id: str, timeout: float = 30.0) -> str:
        """Waits for a submitted cell; returns what it printed.

        Raises CellFailed when it raised, TimeoutError when it is not done in time.
        """
        deadline = time.monotonic() + timeout
        printed: list[str] = []
        replied = idle = False
        while not (replied and idle):
            message: dict[str, Any] = json.loads(self._socket.recv(max(0.0, deadline - time.monotonic())))
            if message["parent_header"].get("msg_id") != message_id:
                continue
            content = message["content"]
            match message["msg_type"]:
                case "stream":
                    printed.append(content["text"])
                case "error":
                    raise CellFailed(COLOUR.sub("", "\n".join(content["traceback"])))
                case "execute_reply":
                    replied = True
                case "status":
                    idle = content["execution_state"] == "idle"
        return "".join(printed)

    def _shut_down(self) -> None:
        self._server.request("DELETE", f"/api/kernels/{self._id}")
