"""The extension for JupyterLab, as it is shipped: where Jupyter looks for it."""

from __future__ import annotations

import json
from pathlib import Path

from tests import environments
from tests.lite import site
from tests.pyodide import environment


def test_it_is_found_where_portico_is_installed(tmp_path: Path) -> None:
    wheel = environment.portico_wheel(tmp_path)
    environments.run(
        [*site.PIP, "install", "--no-deps", "--no-index", "--target", str(tmp_path / "target"), str(wheel)],
        tmp_path,
        60,
    )
    installed = tmp_path / "target" / "share" / "jupyter" / "labextensions" / "portico"
    about = json.loads((installed / "package.json").read_text("utf-8"))
    assert (installed / about["jupyterlab"]["_build"]["load"]).is_file()
    assert (installed / "preview" / "service-worker.js").read_bytes() == (
        environment.ROOT / "src" / "portico" / "static" / "site" / "service-worker.js"
    ).read_bytes()
