"""The paths: each a way to reach the same app, all up at once in one `Stage`.

To add one, write its start function and name it in `STARTERS`.
"""

import contextlib
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.kernel import CellFailed, Kernel
from benchmarks.row import Say
from benchmarks.servers import HOST, JupyterServer, UvicornServer

SERVICE = "bench"

Started = TypeVar("Started")
Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class ServingPath:
    """Where the app is, and what a visitor has to show."""

    name: str
    port: int
    prefix: str = "/"  # the path of hello; the app's other routes are below it
    headers: dict[str, str] = field(default_factory=dict)
    host: str = HOST

    def url(self, rest: str) -> str:
        return f"http://{self.host}:{self.port}{self.prefix}{rest}"


class NotServed(Exception):
    """A path could not be started; the message says why."""


class Stage:
    """Everything that one run has started. What nobody asks for is not."""

    def __init__(self, directory: Path, stack: ExitStack, names: Collection[str], say: Say) -> None:
        self.directory = directory
        self.absent: dict[str, str] = {}
        """The paths that could not be started, with the reason."""
        self.say = say
        self._stack = stack
        self._names = names
        self._parts: dict[Callable[[Stage], Any], Any] = {}

    def keep(self, child: AbstractContextManager[Started]) -> Started:
        """Start *child*; it ends with the run. Raises ServerFailed."""
        return self._stack.enter_context(child)

    def part(self, make: "Callable[[Stage], Part]") -> Part:
        """What *make* makes, once in a run."""
        if make not in self._parts:
            self._parts[make] = make(self)
        part: Part = self._parts[make]
        return part

    @cached_property
    def uvicorn(self) -> UvicornServer:
        return self.keep(UvicornServer(self.directory))

    @cached_property
    def jupyter(self) -> JupyterServer:
        return self.keep(JupyterServer(self.directory))

    @cached_property
    def kernel(self) -> Kernel:
        return self.keep(Kernel(self.jupyter))

    @cached_property
    def paths(self) -> dict[str, ServingPath]:
        """Those of a Jupyter server that are up, and what they are compared with."""
        paths = {}
        for name in self._names:
            try:
                paths[name] = STARTERS[name](self)
            except NotServed as error:
                self.absent[name] = str(error)
                self.say(f"{name} could not be started: {error}")
        return paths

    def path(self, name: str) -> ServingPath:
        """Raises NotServed, with the reason, when it is not up."""
        if name not in self.paths:
            raise NotServed(f"{name}: {self.absent.get(name, 'not started in this run')}")
        return self.paths[name]


def start_uvicorn(stage: Stage) -> ServingPath:
    return ServingPath("uvicorn", stage.uvicorn.port)


def start_jupyter_server_proxy(stage: Stage) -> ServingPath:
    prefix = f"/proxy/{stage.uvicorn.port}/"
    return ServingPath("jupyter-server-proxy", stage.jupyter.port, prefix, stage.jupyter.authorization)


def start_request_handler(stage: Stage) -> ServingPath:
    return ServingPath("request-handler", stage.jupyter.port, "/bench/request-handler")


def start_jupyter_handler(stage: Stage) -> ServingPath:
    headers = stage.jupyter.authorization
    return ServingPath("jupyter-handler", stage.jupyter.port, "/bench/jupyter-handler", headers)


def start_delegate(stage: Stage) -> ServingPath:
    return ServingPath("delegate", stage.jupyter.port, "/bench/delegate")


def start_portico(stage: Stage) -> ServingPath:
    return serve_with_portico(stage.jupyter, stage.kernel, SERVICE)


def serve_with_portico(server: JupyterServer, kernel: Kernel, name: str) -> ServingPath:
    """Serves the app from a kernel with private access; visitors bring a key, as programs do."""
    code = (
        "import portico\n"
        "from benchmarks.app import app\n"
        f"service = portico.serve(app, name={name!r})\n"
        "print('KEY', service.key(expires='1h'))\n"
    )
    try:
        printed = kernel.run(code)
    except CellFailed as error:
        raise NotServed(str(error).splitlines()[-1]) from error
    key = next(line.split()[1] for line in printed.splitlines() if line.startswith("KEY "))
    headers = {"Authorization": f"Bearer {key}"}
    return ServingPath("portico", server.port, f"/portico/apps/{name}/", headers)


STARTERS: dict[str, Callable[[Stage], ServingPath]] = {
    "uvicorn": start_uvicorn,
    "delegate": start_delegate,
    "portico": start_portico,
    "request-handler": start_request_handler,
    "jupyter-handler": start_jupyter_handler,
    "jupyter-server-proxy": start_jupyter_server_proxy,
}


@contextlib.contextmanager
def open_stage(names: Collection[str], say: Say) -> Iterator[Stage]:
    """The named paths are started when a measure asks for one; all that was started ends with the block."""
    with (
        tempfile.TemporaryDirectory(prefix="portico-bench-", ignore_cleanup_errors=True) as directory,
        ExitStack() as stack,
    ):
        yield Stage(Path(directory), stack, names, say)
