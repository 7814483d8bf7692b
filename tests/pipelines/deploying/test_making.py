"""What the author of a pipeline that cannot be made ready reads in the log: their own lines, and what went wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from portico.errors import PipelineError
from portico.pipelines.deploying import making

FILE = "pipeline_wrapper.py"


def log_of(folder: Path, text: str, caplog: pytest.LogCaptureFixture, **files: str) -> str:
    for name, content in {"pipeline_wrapper": text, **files}.items():
        (folder / f"{name}.py").write_text(content)
    with pytest.raises(PipelineError):
        making.prepare_folder("mine", folder, {})
    [record] = caplog.records
    return record.getMessage() + ("\nwith exc_info" if record.exc_info else "")


@pytest.mark.parametrize(
    ("text", "where", "error"),
    [
        ("x = 1\nimport not_there_at_all\n", "line 2, in <module>", "ModuleNotFoundError: No module named"),
        ("x = 1\nclass Broken\n", "line 2\n    class Broken\n", "SyntaxError: expected ':'"),
        ("x = 1\n\n{}['llm']\n", "line 3, in <module>", "KeyError: 'llm'"),
        ("class PipelineWrapper:\n    def setup(self):\n        open('no.bin')\n", "line 3, in setup", "No such file"),
        ("class PipelineWrapper:\n    def __init__(self):\n        1 / 0\n", "line 3, in __init__", "ZeroDivision"),
        ("from helpers import x", "line 1, in <module>", "ValueError: in a helper"),
    ],
)
def test_the_log_has_the_authors_lines_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, where: str, error: str
) -> None:
    said = log_of(tmp_path, text, caplog, helpers="\nraise ValueError('in a helper')\n")
    assert said.startswith("Pipeline 'mine' could not be made ready: Failed to ")
    assert f'File "{tmp_path / FILE}", {where}' in said
    assert error in said.splitlines()[-1]
    assert "importlib" not in said
    assert str(Path(making.__file__).parents[2]) not in said
    assert "direct cause" not in said
    assert ('helpers.py", line 2' in said) is ("helper" in text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("class Mine: pass", "does not define a 'PipelineWrapper' class: write 'class PipelineWrapper(BasePipeline"),
        ("class PipelineWrapper:\n    def setup(self): pass\n", "must be implemented"),
        ("# /// script\n# dependencies = ['not-there-at-all']\n# ///\n", "pip install not-there-at-all"),
    ],
)
def test_what_portico_finds_out_has_no_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, why: str
) -> None:
    said = log_of(tmp_path, text, caplog)
    assert why in said
    assert len(said.splitlines()) == 1


def test_a_very_long_traceback_is_cut(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    said = log_of(tmp_path, f"raise ValueError({'x' * 100_000!r})", caplog)
    assert "\n...\n" in said
    assert len(said) < 130_000, "its message, and as much of the traceback as is kept"
