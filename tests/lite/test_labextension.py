"""The extension for JupyterLab, as it is shipped: what the TypeScript builds, and where Jupyter looks for it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.lite import site
from tests.pyodide import environment


def test_what_is_shipped_is_what_the_typescript_builds(node: str, tmp_path: Path) -> None:
    environment.npm("exec", "--workspace=portico-jupyterlite", "--", "node", "build.mjs", str(tmp_path))
    built = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.relative_to(tmp_path).parts[0] for path in built} == {"labextension", "src"}
    for path in built:
        shipped = environment.ROOT / path.relative_to(tmp_path)
        assert shipped.read_text("utf-8") == path.read_text("utf-8"), "run: npm run build:python, in js/"


def test_it_is_found_where_portico_is_installed(tmp_path: Path) -> None:
    wheel = environment.portico_wheel(tmp_path)
    environment.run(
        [*site.PIP, "install", "--no-deps", "--no-index", "--target", str(tmp_path / "target"), str(wheel)],
        tmp_path,
        60,
    )
    installed = tmp_path / "target" / "share" / "jupyter" / "labextensions" / "portico"
    about = json.loads((installed / "package.json").read_text("utf-8"))
    assert (installed / about["jupyterlab"]["_build"]["load"]).is_file()
    assert (installed / "preview" / "service-worker.js").read_bytes() == (
        environment.ROOT / "src" / "portico" / "browser" / "static" / "service-worker.js"
    ).read_bytes()
