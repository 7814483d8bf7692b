"""The package of docs/how-to/adapters.md: its files, as they stand there, installed by pip and served in a notebook."""

from __future__ import annotations

from pathlib import Path

from tests.adapters.packages import install
from tests.docs.pages import DOCS, snippets
from tests.live_jupyter import JupyterServer

PAGE = DOCS / "how-to" / "adapters.md"


def test_the_package_of_the_page_is_installed_and_served(jupyter_server: JupyterServer, tmp_path: Path):
    listed, package, adapter, project, serve, look = snippets(PAGE)
    source, site = tmp_path / "source", tmp_path / "site"
    for name, snippet in zip(listed.text.split(), (project, package, adapter), strict=True):
        file = source / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(snippet.text, "utf-8")
    kernel = jupyter_server.kernel("boards.ipynb")
    try:
        assert kernel.execute("%load_ext portico\nimport sys\nthing = object()").error is None
        refused = kernel.execute("%serve thing")
        assert refused.error is not None
        assert "What can be served: " in refused.error[1]
        install(source, site)  # while the kernel runs, as %pip does
        assert kernel.execute(f"sys.path.append({str(site)!r})").error is None
        kernel.execute(serve.text).check()
        assert kernel.execute(look.text).check().result.startswith("('board', ('add',), ({'type': 'board',")
        assert jupyter_server.api("GET", "portico/apps/board/") == {"todo": ["write an adapter"], "done": []}
        rebound = kernel.execute("board = Board('later')").check()  # the service follows its name
        assert "answers with the new board" in rebound.text
        assert jupyter_server.api("GET", "portico/apps/board/") == {"later": []}
        shown = jupyter_server.api("GET", "portico/api/services/board")
        assert (shown["kind"], shown["tools"]) == ("board", ["add"])
        assert shown["capabilities"] == [{"type": "board", "columns": ["later"]}]
        empty = kernel.execute("nothing = Board()\n%serve nothing")
        assert empty.error is not None
        assert "this board has no columns; name some: Board('todo', 'done')" in empty.error[1]
    finally:
        kernel.shutdown()
