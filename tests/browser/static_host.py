"""Exported sites, as `python -m http.server` serves them: no more than files, under a prefix."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from portico.cli import main
from tests.pyodide import environment

PREFIX = "some/where"


class StaticHost:
    """Serves a folder, on loopback, with Python's own server for files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), "0"]
        self._log = (folder.parent / f"{folder.name}.log").open("w+")
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._log, text=True)
        assert self._process.stdout is not None
        found = re.search(r"port (\d+)", self._process.stdout.readline())
        assert found is not None
        self.url = f"http://127.0.0.1:{found[1]}/"

    def asked(self) -> list[str]:
        """The paths that it was asked for."""
        self._log.seek(0)
        return re.findall(r'"(?:GET|HEAD|POST) (\S+)', self._log.read())

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()


def export(app: Path | str, site: Path, *options: str) -> None:
    """``portico export``, with all that the page needs beside it."""
    environment.wheels()
    beside = ("--pyodide-dir", str(environment.PYODIDE), "--wheels", str(environment.wheels()))
    assert main(["export", str(app), str(site), *beside, *options]) == 0
