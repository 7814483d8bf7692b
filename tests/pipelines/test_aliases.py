"""Files that import from Hayhooks find the names here, while it is not installed; and it, when it is."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import portico.pipelines
from portico.pipelines.aliases import MODULES, PUBLIC
from portico.pipelines.preparing import prepare_folder
from tests.pipelines.folders import folder_of


@pytest.fixture(autouse=True)
def _without_hayhooks() -> None:
    assert getattr(find_spec("hayhooks"), "origin", "portico") == "portico", "the real one is not to be installed here"


@pytest.mark.parametrize("module", MODULES)
def test_every_name_is_one_of_ours(module: str) -> None:
    found = import_module(module)
    assert sorted(found.__all__) == sorted(MODULES[module])
    for name, home in MODULES[module].items():
        value = getattr(found, name)
        assert value is getattr(found, name)
        if home not in ("haystack", "errors", "settings"):
            assert value is getattr(import_module(f"portico.pipelines.{home}"), name)
        assert name in dir(found)


def test_all_that_hayhooks_exports_is_exported_here_too() -> None:
    assert set(MODULES["hayhooks"]) <= set(portico.pipelines.__all__)
    assert set(PUBLIC) == set(portico.pipelines.__all__)
    for name in portico.pipelines.__all__:
        assert getattr(portico.pipelines, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        portico.pipelines.nonsense  # noqa: B018


def test_what_we_have_not_is_not_there() -> None:
    with pytest.raises(ImportError, match="cannot import name 'DurableContext' from 'hayhooks'"):
        from hayhooks import DurableContext  # noqa: F401
    with pytest.raises(AttributeError, match="Portico, which stands in for it, has no such name"):
        import_module("hayhooks").DurableContext  # noqa: B018
    with pytest.raises(ModuleNotFoundError, match=r"hayhooks\.durable"):
        import_module("hayhooks.durable")


def run(program: str, *path: Path) -> tuple[list[str], str]:
    line = f"import sys; sys.path[:0] = {[str(one) for one in path]!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", line + program], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split(), done.stderr


def test_the_log_says_so_once_and_nothing_heavy_is_imported() -> None:
    out, err = run(
        "import portico.pipelines\n"
        "from hayhooks import BasePipelineWrapper, log\nimport hayhooks.server.logger\nfrom hayhooks import log\n"
        "print(*[name for name in ('pydantic', 'haystack', 'fastapi', 'mcp') if name in sys.modules])"
    )
    assert out == []
    assert err.count("hayhooks is not installed") == 1


def test_a_hayhooks_that_is_installed_comes_first(tmp_path: Path) -> None:
    (tmp_path / "hayhooks").mkdir()
    (tmp_path / "hayhooks" / "__init__.py").write_text("log = 'the real one'")
    out, err = run("import portico.pipelines\nfrom hayhooks import log; print(log)", tmp_path)
    assert (" ".join(out), err) == ("the real one", "")
    out, err = run(
        "import portico.pipelines\nfrom hayhooks import log\n"
        "try:\n    import hayhooks.events\nexcept ImportError:\n    print('gone')",
        tmp_path,
    )
    assert out == ["gone"]


def test_nobody_else_sees_them_without_the_room() -> None:
    out, _ = run("import portico\ntry:\n    import hayhooks\nexcept ImportError:\n    print('none')")
    assert out == ["none"]


def test_a_file_of_hayhooks_is_served_and_may_import_at_any_time(tmp_path: Path) -> None:
    text = """
    from typing import List
    from hayhooks.server.pipelines.utils import get_last_user_message
    from hayhooks.server.utils.base_pipeline_wrapper import BasePipelineWrapper
    from hayhooks.server.logger import log


    class PipelineWrapper(BasePipelineWrapper):
        def setup(self) -> None:
            self.pipeline = None

        def run_api(self, urls: List[str], question: str) -> str:
            log.trace(f"Running pipeline with urls: {urls} and question: {question}")
            from hayhooks import streaming_generator
            from hayhooks.server.pipelines.utils import streaming_generator as same
            return get_last_user_message([{"role": "user", "content": question}]) + str(streaming_generator is same)
    """
    folder = folder_of(tmp_path / "chat", "")
    (folder / "pipeline_wrapper.py").write_text(textwrap.dedent(text))
    made = prepare_folder("chat", folder)
    assert made.wrapper.run_api([], "why") == "whyTrue"
    made.discard()
