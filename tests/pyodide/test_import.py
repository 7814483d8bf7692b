"""What runs in Pyodide is importable there, quickly, and asks for nothing that a tab lacks."""

from __future__ import annotations

import ast
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.pyodide import environment

SOURCE = environment.ROOT / "src" / "portico"
RUN = Path(__file__).with_name("run.mjs")

ELSEWHERE = {
    "cli": "a tab has no command line",
    "jupyter": "the server extension",
    "relay": "the standalone hub",
    "hub": "a tab is no hub: keys want PyJWT, SQLite and threads",
    "transports/websocket.py": "CPython's WebSocket; a tab has its own",
    "transports/sansio.py": "of CPython's WebSocket too",
    "transports/whole_frames.py": "of CPython's WebSocket too",
    "provider/tls.py": "browsers check certificates by themselves",
    "provider/unix.py": "a tab has no Unix sockets",
    "calls/workers.py": "threads; WSGI apps run inline where there are none",
    "calls/owner_in_threads.py": "threads",
    "calls/shared_threads.py": "threads",
    "calls/pump.py": "a thread; models run inline where there are none",
    "pipelines/program/addresses.py": "the sockets of a server of pipelines, which a tab cannot be",
    "pipelines/program/app.py": "that server as a FastAPI app, which uvicorn runs",
    "pipelines/program/life.py": "its start and its end",
    "pipelines/program/process.py": "one process of it",
    "pipelines/program/processes.py": "several",
    "pipelines/program/running.py": "how many it is to have",
    "pipelines/program/tools_app.py": "the same with tools alone",
    "pipelines/pictures/graph_png.py": "imports threading for a lock, which works in a tab as well",
    "pipelines/deploying/file_changes.py": "the same",
    "pipelines/importing.py": "the same",
    "pipelines/loading.py": "the same",
    "pipelines/streams/thread_run.py": "a thread; pipelines run inline where there are none",
    "__main__.py": "a tab has no command line",
}
"""What does not run in Pyodide, and why."""

ABSENT = {"ssl", "socket", "threading", "signal", "subprocess", "multiprocessing", "concurrent"}


def in_a_tab() -> list[Path]:
    """The modules that run in Pyodide."""
    return [
        path
        for path in sorted(SOURCE.rglob("*.py"))
        if not {path.relative_to(SOURCE).parts[0], path.relative_to(SOURCE).as_posix()} & set(ELSEWHERE)
    ]


def top_level_imports(path: Path) -> set[str]:
    """The packages that a module imports when it is imported itself, outside of any condition."""
    found: set[str] = set()
    for statement in ast.parse(path.read_text("utf-8")).body:
        if isinstance(statement, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            found.add((statement.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("path", in_a_tab(), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_nothing_is_imported_that_a_tab_lacks(path: Path) -> None:
    assert top_level_imports(path) & ABSENT == set()


PROGRAM = """
import importlib, json, sys, time
began = time.perf_counter()
import portico
cold = time.perf_counter() - began
for name in {modules!r}:
    importlib.import_module(name)
from portico import chat_server, serve
wanted = {{"websockets", "jwt", "tornado", "uvicorn"}} & set(sys.modules)
print(json.dumps({{"import": cold, "all": time.perf_counter() - began, "wanted": sorted(wanted)}}))
"""


NOT_AT_HAND = {"mcp", "mcp_types"}
"""What modules import that are loaded when it is asked for, and what is not among the wheels here: see `test_tools`."""


def test_everything_is_importable_and_the_package_within_300_ms(node: str, bundle: Path, tmp_path: Path) -> None:
    modules = [
        "portico." + path.relative_to(SOURCE).with_suffix("").as_posix().replace("/", ".")
        for path in in_a_tab()
        if not top_level_imports(path) & NOT_AT_HAND
    ]
    modules = [name.removesuffix(".__init__") for name in modules]
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(modules=[name for name in modules if not name.startswith("portico.notebook")]))
    told = last_line(run_inside(node, bundle, program, tmp_path, "portico", "fastapi", "python-multipart"))
    assert told["import"] < 0.3
    assert told["wanted"] == []


MICROPIP = """
import json, pathlib, time
import micropip
began = time.perf_counter()
[wheel] = pathlib.Path("/repo").glob("portico-*.whl")
await micropip.install(f"emfs:{wheel}")
import portico
print(json.dumps({"version": portico.__version__, "seconds": time.perf_counter() - began}))
"""


def test_micropip_installs_the_wheel(node: str, bundle: Path, tmp_path: Path) -> None:
    """With what it needs taken from the lock file; `sys_platform` keeps websockets out."""
    program = tmp_path / "program.py"
    program.write_text(MICROPIP)
    environment.portico_wheel(tmp_path / "wheel")
    told = last_line(run_inside(node, bundle, program, tmp_path / "wheel", "micropip"))
    assert told["version"]


def last_line(printed: str) -> Any:
    """The JSON that a program ends with; installers speak before it."""
    return json.loads(printed.splitlines()[-1])


def run_inside(node: str, bundle: Path, program: Path, mount: Path, *packages: str, timeout: float = 100) -> str:
    """Run *program* in Pyodide under Node, with *mount* as /repo; what it printed."""
    done = subprocess.run(
        [node, str(RUN), str(bundle), str(program), str(mount), *packages],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=os.environ | {"NODE_NO_WARNINGS": "1"},
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    return done.stdout
