"""A site of JupyterLite, built here, whole: its kernel, Pyodide and all packages are files of it.

As an admin builds one: in an environment with jupyterlite-core and Portico, whose extension is found there. Nothing
comes from a CDN, and the packages are those of the index, pinned. ``python -m tests.lite.site FOLDER`` makes one.
"""

from __future__ import annotations

import json
import shutil
import sys
import sysconfig
import venv
from pathlib import Path

from tests import environments
from tests.pyodide import environment

HERE = Path(__file__).parent
APPS = ("lab", "repl")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
KERNEL = ("ipython", "comm", "micropip")
"""What the kernel itself needs of Pyodide's packages."""
FUNCTIONS = ("python-multipart", "docstring-parser", "fastapi-offline")
"""What functions need besides FastAPI. Not mcp: two packages that it needs are compiled for Pyodide's CDN alone."""

_KERNEL = "@jupyterlite/pyodide-kernel-extension:kernel"

_SETTINGS = {
    "jupyter-lite-schema-version": 0,
    "jupyter-config-data": {
        "appName": "JupyterLite",
        "litePluginSettings": {_KERNEL: {"disablePyPIFallback": True}},
    },
}

_OVERRIDES = {"@jupyterlab/apputils-extension:themes": {"adaptive-theme": True}}
"""Light or dark, as the visitor's system is."""


def builder() -> Path:
    """The folder of an environment that builds sites, without Portico."""
    requirements, here = HERE / "requirements.txt", sysconfig.get_path("purelib")

    def make(folder: Path) -> None:
        venv.create(folder, with_pip=False)
        # jupyter-server, which is asked to list the notebooks, is where the tests run
        [packages] = folder.glob("lib/python*/site-packages")
        (packages / "tests.pth").write_text(here)
        pip(folder, "install", "--ignore-installed", "--no-deps", "--requirement", str(requirements))

    return environments.kept("lite-builder", requirements.read_bytes() + here.encode(), make)


def pip(builder: Path, *arguments: str) -> None:
    """Run pip for the *builder*."""
    environments.run([*PIP[:3], "--python", str(builder / "bin" / "python"), *PIP[3:], *arguments], HERE)


def wheels() -> tuple[Path, ...]:
    """The wheels of wheels.txt, for Pyodide."""
    return tuple(environment.wheels("lite-wheels", HERE / "wheels.txt").glob("*.whl"))


def build(folder: Path, *, portico: bool = True, notebooks: tuple[Path, ...] = (), compiled: bool = False) -> Path:
    """Build a site below *folder*, with or without *portico* where it is built; returns the folder to be served.

    With *compiled*, its Pyodide is a bundle of `portico bundle`: the kernel's packages, and what functions need.
    """
    source, output = folder / "source", folder / "site"
    source.mkdir()
    if compiled:
        environment.release(source / "static" / "pyodide", folder / "at-hand", (*KERNEL, *FUNCTIONS), wheels())
    else:
        environment.bundle(source / "static" / "pyodide", wheels())
    (source / "jupyter-lite.json").write_text(json.dumps(_SETTINGS), "utf-8")
    (source / "overrides.json").write_text(json.dumps(_OVERRIDES), "utf-8")
    (source / "files").mkdir()
    for notebook in notebooks:
        shutil.copy(notebook, source / "files")
    apps = [word for app in APPS for word in ("--apps", app)]
    where = ["--lite-dir", str(source), "--output-dir", str(output)]
    lean = ["--no-sourcemaps", "--no-unused-shared-packages"]
    with_it = builder()
    command = [str(with_it / "bin" / "python"), "-m", "jupyterlite_core", "build", *where, *apps, *lean]
    config = str(folder / "config")
    with environments.one_at_a_time(with_it):  # since Portico is installed in it, or not
        if portico:
            wheel = environment.portico_wheel(folder / "wheel")
            pip(with_it, "install", "--no-deps", "--no-index", "--ignore-installed", str(wheel))
        elif (with_it / "share" / "jupyter" / "labextensions" / "portico").exists():
            pip(with_it, "uninstall", "--yes", "portico")
        environments.run(command, folder, JUPYTER_PREFER_ENV_PATH="1", JUPYTER_CONFIG_DIR=config)
    return output


if __name__ == "__main__":
    print(build(Path(sys.argv[1]), notebooks=tuple(sorted((environment.ROOT / "notebooks").glob("*.ipynb")))))
