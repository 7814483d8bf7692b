"""`portico bundle`: what is in the folder, and that it comes compiled. Chromium's part is in tests/browser."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from portico.browser import bundle as bundles
from portico.browser import export
from portico.cli import main
from tests.pyodide import environment
from tests.pyodide.test_import import last_line

OFFLINE = """
import { readFileSync } from "node:fs";
const [folder, program] = process.argv.slice(2);
const { loadPyodide } = await import(folder + "/pyodide.mjs");
globalThis.fetch = (url) => { console.error("asked for", String(url)); process.exit(2); };
const packages = ["portico", "fastapi"];
const python = await loadPyodide({ indexURL: folder + "/", packages, env: { HOME: "/home/pyodide" } });
try {
  console.log(await python.runPythonAsync(readFileSync(program, "utf-8")));
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
process.exit(0);
"""
"""No package comes but from the folder: there is nothing to fetch with."""


def load(node: str, folder: Path, program: str, scratch: Path) -> Any:
    """Run *program* in the Pyodide of a bundle, under Node; the JSON that it ends with."""
    (scratch / "offline.mjs").write_text(OFFLINE)
    (scratch / "program.py").write_text(program)
    done = subprocess.run(
        [node, str(scratch / "offline.mjs"), str(folder.resolve()), str(scratch / "program.py")],
        capture_output=True,
        text=True,
        timeout=100,
        env=os.environ | {"NODE_NO_WARNINGS": "1"},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return last_line(done.stdout)


COMPILED = """
import _frozen_importlib_external as files, json, sys, time, zipimport
seen = []
compile_file, compile_in_zip = files.SourceLoader.source_to_code, zipimport._compile_source

def from_file(self, data, path, *given, **named):
    seen.append(path)
    return compile_file(self, data, path, *given, **named)

def from_zip(path, source):
    seen.append(path)
    return compile_in_zip(path, source)

files.SourceLoader.source_to_code, zipimport._compile_source = from_file, from_zip
known = len(sys.modules)
began = time.perf_counter()
import portico
cold = time.perf_counter() - began
import anyio.to_thread, fastapi, portico.tab.bridge, portico.models
open("/tmp/plain.py", "w").close()
sys.path.insert(0, "/tmp")
import plain
json.dumps({"compiled": seen, "import": cold, "modules": len(sys.modules) - known})
"""


def test_it_loads_offline_and_nothing_is_compiled(node: str, release: Path, tmp_path: Path) -> None:
    told = load(node, release, COMPILED, tmp_path)
    assert told["compiled"] == ["/tmp/plain.py"]
    assert told["modules"] > 200
    assert told["import"] < 0.3


APP = """from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def broken():
    return {}["a key that is not there"]
"""
FAILING = f"""
import json, pathlib, sys
pathlib.Path("/home/pyodide/failing.py").write_text({APP!r})
sys.path.insert(0, "/home/pyodide")
from failing import app
from portico.calls.log import Entry

async def nothing(*given):
    return {{"type": "http.request"}}

asked = {{"type": "http", "method": "GET", "path": "/", "root_path": "", "query_string": b"", "headers": []}}
try:
    await app(asked, nothing, nothing)
except KeyError as error:
    entry = Entry("GET /", error)
json.dumps({{"own": entry.own, "all": entry.traceback}})
"""


def test_a_traceback_shows_the_apps_own_lines(node: str, release: Path, tmp_path: Path) -> None:
    told = load(node, release, FAILING, tmp_path)
    program, app = (line for line in told["own"].splitlines() if "File " in line)
    assert 'File "<exec>"' in program
    assert app == 'File "/home/pyodide/failing.py", line 8, in broken'
    assert 'return {}["a key that is not there"]' in told["own"]
    assert 'File "fastapi/routing.py", line ' in told["all"]


def test_all_is_compiled_and_has_its_hash(release: Path) -> None:
    lock = json.loads((release / export.LOCK_FILE).read_text())
    assert {entry["file_name"] for entry in lock["packages"].values()} == {path.name for path in release.glob("*.whl")}
    assert {"portico", "fastapi", "pydantic-core", "anyio"} <= set(lock["packages"])
    assert not {"pyodide-build", "rich", "websockets"} & set(lock["packages"]), "a visitor does not need them"
    for entry in lock["packages"].values():
        file = release / entry["file_name"]
        assert entry["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
        assert set(entry["depends"]) <= set(lock["packages"])
    for file in (*release.glob("*.whl"), release / "python_stdlib.zip"):
        with zipfile.ZipFile(file) as archive:
            kinds = {Path(name).suffix for name in archive.namelist()}
        assert ".pyc" in kinds
        assert (".py" in kinds) == file.name.startswith("anyio-"), "it reads its own source"


def test_it_is_made_anew_and_nothing_else_is_touched(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--pyodide-dir", str(environment.PYODIDE), "--wheels", str(release.parent / "wheels"))
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "letter.txt").write_text("not for the world")
    assert main(["bundle", str(folder), *options]) == 2
    assert "holds something else" in capsys.readouterr().err
    (folder / "letter.txt").rename(folder / export.LOCK_FILE)
    (folder / "old-1-py3-none-any.whl").touch()
    assert main(["bundle", str(folder), *options]) == 0
    assert "portico" in json.loads((folder / export.LOCK_FILE).read_text())["packages"]
    assert not list(folder.glob("old-*"))
    assert not list(folder.glob("fastapi-*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pyodide-dir", "empty"], "empty is no folder of Pyodide"),
        (["--pyodide-dir", str(environment.PYODIDE), "--wheels", "empty"], "there are no wheels in empty"),
    ],
)
def test_what_cannot_be_is_one_line(
    node: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert main(["bundle", "made", *options]) == 2
    said = capsys.readouterr().err
    assert said.startswith("portico: ")
    assert message in said


def test_what_cannot_be_compiled_is_named_and_the_old_bundle_stays(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at_hand = shutil.copytree(release.parent / "wheels", tmp_path / "wheels")
    with zipfile.ZipFile(at_hand / "broken-1-py3-none-any.whl", "w") as archive:
        archive.writestr("broken/__init__.py", "def app(:")
        archive.writestr("broken-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    folder = shutil.copytree(release, tmp_path / "bundle")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    options = ("--pyodide-dir", str(environment.PYODIDE), "--wheels", str(at_hand))
    assert main(["bundle", str(folder), "broken", *options]) == 1
    said = capsys.readouterr().err
    assert said.startswith("portico: the bundle could not be compiled: ")
    assert "broken/__init__.py" in said
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_without_node_it_says_so(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--pyodide-dir", str(environment.PYODIDE), "--wheels", str(release.parent / "wheels"))
    monkeypatch.setenv("PATH", "")
    assert main(["bundle", str(tmp_path / "bundle"), *options]) == 2
    assert "Node.js is needed" in capsys.readouterr().err


@pytest.mark.parametrize(("version", "message"), [("0.0.1", "make it anew"), ("", "there is no Portico in it")])
def test_a_bundle_of_another_version_is_not_exported(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], version: str, message: str
) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / export.LOCK_FILE).write_text((release / export.LOCK_FILE).read_text())
    if version:
        with zipfile.ZipFile(folder / f"portico-{version}-cp314-none-any.whl", "w") as archive:
            about = f"Metadata-Version: 2.1\nName: portico\nVersion: {version}\n"
            archive.writestr(f"portico-{version}.dist-info/METADATA", about)
    (tmp_path / "app.py").write_text("app = 1")
    assert main(["export", str(tmp_path / "app.py"), str(tmp_path / "site"), "--bundle", str(folder)]) == 2
    assert message in capsys.readouterr().err


def test_the_compiler_is_that_of_the_release_group() -> None:
    groups = tomllib.loads((environment.ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert bundles.COMPILER[0] in {one.partition(";")[0].strip() for one in groups["release"]}
