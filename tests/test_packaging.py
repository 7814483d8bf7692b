"""What is installed is whole, pure and cheap: the wheel, the server extension, and the import."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, as pip builds it from this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "--wheel-dir", folder, ROOT], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    [path] = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_is_pure_python(wheel: zipfile.ZipFile):
    assert Path(str(wheel.filename)).name.endswith("-py3-none-any.whl")
    [metadata] = [name for name in wheel.namelist() if name.endswith(".dist-info/WHEEL")]
    assert "Root-Is-Purelib: true" in wheel.read(metadata).decode()


def test_the_wheel_holds_all_that_is_needed_and_no_more(wheel: zipfile.ZipFile):
    names = wheel.namelist()
    package = {name for name in names if name.startswith("portico/")}
    source = ROOT / "src"
    extension = source / "portico" / "static" / "labextension"
    shipped = {path for path in source.rglob("*") if is_shipped(path) and not path.is_relative_to(extension)}
    assert package == {path.relative_to(source).as_posix() for path in shipped}
    assert "portico/py.typed" in package
    rest = [name for name in names if name not in package]
    data = (".data/data/etc/jupyter/", ".data/data/share/jupyter/labextensions/portico/")
    assert all(".dist-info/" in name or any(folder in name for folder in data) for name in rest), rest
    found = {name.partition("/labextensions/portico/")[2] for name in rest if "/labextensions/" in name}
    built = {path.relative_to(extension).as_posix() for path in extension.rglob("*") if path.is_file()}
    assert found == built | {"preview/service-worker.js"}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in rest)


def is_shipped(path: Path) -> bool:
    kinds = (".py", ".typed", ".html", ".js", ".mjs", ".css")
    return path.is_file() and "__pycache__" not in path.parts and path.suffix in kinds


def test_the_wheel_turns_the_server_extension_on(wheel: zipfile.ZipFile):
    [config] = [name for name in wheel.namelist() if name.endswith("etc/jupyter/jupyter_server_config.d/portico.json")]
    assert json.loads(wheel.read(config)) == {"ServerApp": {"jpserver_extensions": {"portico.jupyter": True}}}


def test_the_wheel_says_what_it_needs(wheel: zipfile.ZipFile):
    [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = wheel.read(name).decode().splitlines()
    needed = {line.partition(": ")[2].split(";")[0].split(">")[0] for line in metadata if is_core_requirement(line)}
    assert needed == {"anyio", "websockets", "segno"}
    assert {"Provides-Extra: jupyter", "Provides-Extra: relay"} <= set(metadata)


def is_core_requirement(line: str) -> bool:
    return line.startswith("Requires-Dist: ") and "extra ==" not in line


def test_jupyter_says_the_extension_is_ok(tmp_path: Path):
    env = os.environ | {"JUPYTER_CONFIG_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "jupyter", "server", "extension", "list"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)
    said = done.stdout + done.stderr  # it writes to either, as its version goes
    [line] = [line for line in said.splitlines() if "portico.jupyter" in line and "OK" in line]
    assert "X" not in line.split("portico.jupyter")[1]


def modules_after(code: str) -> set[str]:
    """The names in ``sys.modules`` of a fresh interpreter that ran *code*."""
    show = "import sys; print('\\n'.join(sys.modules))"
    command = [sys.executable, "-c", f"{code}\n{show}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_import_costs_next_to_nothing():
    loaded = modules_after("import portico")
    heavy = {"asyncio", "websockets", "anyio", "tornado", "jupyter_server", "jupyter_core", "IPython", "ssl", "jwt"}
    assert loaded & heavy == set()


def test_serve_needs_no_jupyter_server():
    loaded = modules_after("import portico; portico.serve")
    assert loaded & {"tornado", "jupyter_server", "jupyter_client", "traitlets", "IPython", "zmq", "jwt"} == set()


def test_models_need_no_event_loop_to_be_marked():
    loaded = modules_after("import portico\n@portico.model('m')\ndef m(messages): return ''")
    assert loaded & {"asyncio", "websockets", "tornado", "jupyter_server"} == set()


USERS = {"PIL", "haystack", "numpy", "opentelemetry", "pandas", "polars", "pyarrow"}
"""What is imported only where the user has brought it, or not at all."""

ELSEWHERE = {"greenlet", "pyodide", "pyodide_js", "js"}
"""What belongs to another extra or to a browser tab, and is done without elsewhere."""


@pytest.mark.parametrize(
    ("extra", "rooms"), [("functions", ["functions", "tools"]), ("pipelines", ["functions", "pipelines", "tools"])]
)
def test_an_extra_installs_what_its_rooms_import(extra: str, rooms: list[str]):
    brought = installed_by(extra)
    by_module = metadata.packages_distributions()
    lacking = {
        (where, name)
        for room in rooms
        for where, name in imports_of(ROOT / "src" / "portico" / room)
        if name not in sys.stdlib_module_names | USERS | ELSEWHERE | {"portico"}
        and not {canonicalize_name(one) for one in by_module.get(name, [])} & brought
    }
    assert not lacking


def imports_of(folder: Path) -> Iterator[tuple[str, str]]:
    """Each file below *folder*, and the top of each absolute import in it."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = [one.name for one in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names = [node.module]
            else:
                continue
            yield from ((str(path.relative_to(ROOT)), name.partition(".")[0]) for name in names)


def installed_by(extra: str) -> set[str]:
    """The projects that come with ``portico[extra]``, those that they need among them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    waiting = [Requirement(text) for text in (*project["dependencies"], *extras[extra])]
    done: set[tuple[str, str]] = set()
    while waiting:
        one = waiting.pop()
        for wanted in ("", *one.extras):
            if (key := (canonicalize_name(one.name), wanted)) in done:
                continue
            done.add(key)
            texts = extras.get(wanted, []) if one.name == "portico" else metadata.requires(one.name) or ()
            needs = [Requirement(text) for text in texts]
            waiting += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": wanted})]
    return {name for name, _ in done}
