"""Hypha from PyPI, as a rival: its server and a provider of the app, in an environment of their own.

The environment is made when it is first asked for, and anew when the requirements have changed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.paths import SERVICE, NotServed, ServingPath
from benchmarks.row import Say
from benchmarks.servers import HOST, Program, Server, free_port

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "hypha-requirements.txt"
INSTALL_TIMEOUT = 900  # seconds
NO_LIMIT = "1000000000"
LIMITS = ("HYPHA_HTTP_RATE_LIMIT", "HYPHA_HTTP_BURST_LIMIT", "HYPHA_WS_MSG_RATE_LIMIT", "HYPHA_WS_MSG_BURST_LIMIT")


def python(say: Say) -> Path:
    """The interpreter of the environment. Raises NotServed when it cannot be made."""
    folder = Path(sys.prefix) / "rivals" / "hypha"
    executable = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    mark = folder / "made-from"
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    if not mark.is_file() or mark.read_text() != digest:
        say("  installing Hypha, for the first time: a minute or two")
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, symlinks=os.name != "nt")
        pip = [sys.executable, "-m", "pip", "--python", str(executable), "install", "--quiet"]
        done = subprocess.run(
            [*pip, "--disable-pip-version-check", "--requirement", str(REQUIREMENTS)],
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT,
        )
        if done.returncode:
            raise NotServed(f"Hypha cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
        mark.write_text(digest)
    return executable


class HyphaServer(Server):
    def __init__(self, executable: Path, directory: Path) -> None:
        port = free_port()
        command = [str(executable), "-m", "hypha.server", "--host", HOST, "--port", str(port)]
        super().__init__("hypha", command, port, directory, dict.fromkeys(LIMITS, NO_LIMIT))


class HyphaProvider(Program):
    """The app in a process of its own, registered in an anonymous workspace."""

    def __init__(self, executable: Path, server: HyphaServer, directory: Path) -> None:
        command = [str(executable), "-m", "benchmarks.hypha_provider", f"http://{HOST}:{server.port}", SERVICE]
        super().__init__("hypha-provider", command, "SERVED ", directory, {})
        self._server = server

    def path(self) -> ServingPath:
        workspace = self.said().split()[1]
        return ServingPath("hypha", self._server.port, f"/{workspace}/apps/{SERVICE}/")
