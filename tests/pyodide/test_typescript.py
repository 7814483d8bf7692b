"""js/: its types hold, its tests pass, it builds, and what Python's package ships of it is what it builds."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.version import Version

from portico.version import __version__
from tests.pyodide import environment

PACKAGES = sorted(path.parent for path in (environment.JAVASCRIPT / "packages").glob("*/package.json"))
LOCK = environment.JAVASCRIPT / "package-lock.json"
BUILT = environment.ROOT / "src" / "portico" / "static"

# What a script or a declaration names: from "...", import "...", import("..."), new URL("...", import.meta.url).
_NAMED = re.compile(r"""(?:\bfrom|\bimport\s*\(?|\bnew URL\()\s*["']([^"']+)["']""")


def read(path: Path) -> dict[str, object]:
    content = json.loads(path.read_text("utf-8"))
    assert isinstance(content, dict)
    return content


@pytest.mark.timeout(300)
@pytest.mark.parametrize("script", ["check", "test", "build"])
def test_a_script_of_the_workspaces_succeeds(node: str, script: str) -> None:
    environment.npm("run", "--silent", script)


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads(LOCK.read_text("utf-8"))
    resolved = [entry["resolved"] for entry in lock["packages"].values() if "resolved" in entry]
    assert [url for url in resolved if re.match("[a-z+]+:", url)] == []


# --- packages ---------------------------------------------------------------------------------------------------------


def test_no_import_leaves_its_package() -> None:
    left = [
        f"{file.relative_to(environment.JAVASCRIPT)}: {named}"
        for package in PACKAGES
        for file, named in named_in(package)
        if named.startswith(".") and not (file.parent / named).resolve().is_relative_to(package)
    ]
    assert left == [], "import other packages by their names, and let them export what is needed"


def test_what_is_imported_of_another_package_is_exported_by_it() -> None:
    exported = {
        f"{package.name}{entry.removeprefix('.')}": targets
        for package in PACKAGES
        for entry, targets in json.loads((package / "package.json").read_text("utf-8"))["exports"].items()
    }
    used = {
        (package.name, named)
        for package in PACKAGES
        for _, named in named_in(package)
        if named.partition("/")[0] in {other.name for other in PACKAGES}
    }
    assert {"portico-browser/preview", "portico-browser/exchanges"} <= {named for _, named in used}
    for importer, named in sorted(used):
        assert "source" in exported[named], f"{importer} is built from the source of {named}"
        owner = named.partition("/")[0]
        if owner != importer:
            assert owner in read(environment.JAVASCRIPT / "packages" / importer / "package.json")["dependencies"]
    for name, targets in exported.items():
        if "source" in targets:
            assert (environment.JAVASCRIPT / "packages" / name.partition("/")[0] / targets["source"]).is_file()


def named_in(package: Path) -> Iterator[tuple[Path, str]]:
    """The files of *package*, each with each module or file that it names."""
    for file in sorted(package.rglob("*")):
        if file.suffix in {".ts", ".mjs"} and not {"dist", "node_modules"} & set(file.relative_to(package).parts):
            for match in _NAMED.finditer(file.read_text("utf-8")):
                yield file, match[1]


# --- the version ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", [*PACKAGES, BUILT / "labextension"], ids=lambda folder: folder.name)
def test_a_package_has_the_version_of_python(folder: Path) -> None:
    version = read(folder / "package.json")["version"]
    assert isinstance(version, str)
    assert Version(version) == Version(__version__), "run: npm run build:python, in js/"
    assert re.fullmatch(r"\d+\.\d+\.\d+(-[a-z]+\.\d+)?", version), "npm reads no other"


def test_the_lock_file_has_the_version_of_python() -> None:
    packages = json.loads(LOCK.read_text("utf-8"))["packages"]
    versions = {path.name: Version(packages[f"packages/{path.name}"]["version"]) for path in PACKAGES}
    assert versions == dict.fromkeys(versions, Version(__version__)), "run: npm run build:python, in js/"


@pytest.mark.parametrize("version", ["0.1.0.dev0", "1.2.3", "1.20.0a1", "2.0.0b3", "2.0.0rc1"])
def test_a_new_version_is_written_everywhere(node: str, tmp_path: Path, version: str) -> None:
    done = with_version(node, tmp_path, version)
    assert done.returncode == 0, done.stderr
    written = [*(tmp_path / "js" / "packages").glob("*/package.json")]
    assert {path.parent.name for path in written} == {path.name for path in PACKAGES}
    for path in written:
        assert Version(str(read(path)["version"])) == Version(version)
        source = environment.JAVASCRIPT / "packages" / path.parent.name / "package.json"
        assert read(path) | {"version": ""} == read(source) | {"version": ""}
    lock = json.loads((tmp_path / "js" / "package-lock.json").read_text("utf-8"))["packages"]
    assert {Version(lock[f"packages/{path.name}"]["version"]) for path in PACKAGES} == {Version(version)}


@pytest.mark.parametrize("version", ["1.2", "1.2.3.post1", "latest"])
def test_a_version_that_npm_cannot_have_is_refused(node: str, tmp_path: Path, version: str) -> None:
    done = with_version(node, tmp_path, version)
    assert done.returncode != 0
    assert f"src/portico/version.py says {version}. Give a version such as 1.2.3" in done.stderr
    for path in PACKAGES:
        copy = tmp_path / "js" / "packages" / path.name / "package.json"
        assert copy.read_text("utf-8") == (path / "package.json").read_text("utf-8")


def with_version(node: str, folder: Path, version: str) -> subprocess.CompletedProcess[str]:
    """Run version.mjs in a copy below *folder*, where Python's version is *version*."""
    for path in (environment.JAVASCRIPT / "version.mjs", LOCK, *(path / "package.json" for path in PACKAGES)):
        copy = folder / path.relative_to(environment.ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    source = environment.ROOT / "src" / "portico" / "version.py"
    copy = folder / source.relative_to(environment.ROOT)
    copy.parent.mkdir(parents=True)
    copy.write_text(source.read_text("utf-8").replace(__version__, version))
    return subprocess.run(
        [node, str(folder / "js" / "version.mjs")], capture_output=True, text=True, timeout=60, cwd=folder
    )


# --- what is built ----------------------------------------------------------------------------------------------------


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_what_is_shipped_is_what_the_typescript_builds(node: str, tmp_path: Path) -> None:
    for package in PACKAGES:
        environment.npm("exec", f"--workspace={package.name}", "--", "node", "build.mjs", str(tmp_path))
    assert files_in(BUILT) == files_in(tmp_path)
    for name in sorted(files_in(tmp_path)):
        shipped = (BUILT / name).read_text("utf-8")
        assert shipped == (tmp_path / name).read_text("utf-8"), f"{name}: run npm run build:python, in js/"


def test_scripts_of_the_package_are_built_ones() -> None:
    elsewhere = [path for path in (environment.ROOT / "src").rglob("*.js") if not path.is_relative_to(BUILT)]
    assert elsewhere == []


def test_built_files_are_marked_as_generated(tmp_path: Path) -> None:
    """GitHub folds them in diffs, and counts them for no language."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True, timeout=60)
    shutil.copy(environment.ROOT / ".gitattributes", tmp_path)
    built = [f"src/portico/static/{name}" for name in sorted(files_in(BUILT))]
    written = ["js/version.mjs", "js/packages/portico-browser/site/index.html", "src/portico/browser/compile.mjs"]
    command = ["git", "check-attr", "-z", "linguist-generated", "--", *built, *written]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    words = done.stdout.split("\0")
    values = dict(zip(words[:-1:3], words[2::3], strict=True))
    assert {path for path, value in values.items() if value in ("set", "true")} == set(built)
