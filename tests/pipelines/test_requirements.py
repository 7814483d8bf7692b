"""What a wrapper's file says that it needs is compared with what is installed, and nothing is installed."""

from __future__ import annotations

import random
import textwrap
import time

import pytest

from portico.errors import PipelineError
from portico.pipelines.preparing import prepare_folder
from portico.pipelines.requirements import check_text, read
from tests.pipelines.folders import folder_of


def block(text: str) -> str:
    lines = textwrap.dedent(text).strip().split("\n")
    return "\n".join(["import os", "# /// script", *(f"# {line}".rstrip() for line in lines), "# ///", "x = 1"])


@pytest.mark.parametrize(
    "text",
    [
        "import os",
        block("dependencies = []"),
        block('requires-python = ">=3.9"\ndependencies = [\n  "pydantic>=2",\n\n  "Haystack_AI",  # any\n]'),
        block("dependencies = [\"nothing-of-this-name; sys_platform == 'none'\"]"),
        block("[tool.other]\nx = 1"),
        block("x = 1").replace("script", "other").replace("# x = 1", "# = not TOML"),
        block('dependencies = ["pydantic[email]>=2"]').replace("\n", "\r\n"),
    ],
)
def test_what_is_there_is_enough(text: str) -> None:
    check_text("chat", text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'dependencies = ["nothing-of-this-name>=2", "pydantic", "pydantic<1"]',
            r"it needs what is not installed: nothing-of-this-name>=2 \(missing\); pydantic<1 \(2.* is installed\)\. "
            r"Install it: pip install 'nothing-of-this-name>=2' 'pydantic<1'",
        ),
        ('requires-python = "<3"', r"it needs Python <3, and this is 3\..*"),
        ('requires-python = "old"', r"its requirements \(PEP 723\) cannot be read: requires-python = 'old'"),
        ("requires-python = 3", r"its requirements \(PEP 723\) cannot be read: requires-python = 3"),
        ('dependencies = "pydantic"', r".*'dependencies' must be a list of strings"),
        ("dependencies = [1]", r".*'dependencies' must be a list of strings"),
        ('dependencies = ["a b"]', r".*cannot be read: 'a b': .*"),
        ("dependencies = [", r".*cannot be read: .*"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(text: str, said: str) -> None:
    with pytest.raises(PipelineError, match=rf"^Failed to load pipeline module 'chat' - {said}$"):
        check_text("chat", block(text))


def test_one_block_is_enough() -> None:
    with pytest.raises(ValueError, match="several"):
        read(block("x = 1") + "\n" + block("x = 2"))
    assert read(block("x = 1\n\n[tool.y]\nz = 2")) == {"x": 1, "tool": {"y": {"z": 2}}}


def test_a_wrapper_that_lacks_something_is_not_even_imported(tmp_path) -> None:  # type: ignore[no-untyped-def]
    folder = folder_of(tmp_path / "chat", "raise AssertionError('imported')")
    wrapper = folder / "pipeline_wrapper.py"
    wrapper.write_text(block('dependencies = ["nothing-of-this-name"]') + "\n" + wrapper.read_text())
    with pytest.raises(PipelineError, match="nothing-of-this-name"):
        prepare_folder("chat", folder)
    (folder / "pipeline_wrapper.py").write_bytes(b"# \xff")
    with pytest.raises(PipelineError, match=r"^Failed to load pipeline module 'chat' - "):
        prepare_folder("chat", folder)


START = "Failed to load pipeline module 'chat' - "


def outcome(text: str) -> str:
    """The text of the refusal; empty if there is none."""
    try:
        check_text("chat", text)
    except PipelineError as error:
        return str(error)
    return ""


@pytest.mark.fuzz
def test_any_text_is_read_or_refused(fuzz_seconds: float) -> None:
    """Any text of a file is enough, or there is a `PipelineError` of one sentence; nothing else comes of it."""
    rng = random.Random(723)
    parts = [
        "# /// script",
        "# ///",
        "#",
        "# ",
        "dependencies = [",
        '"pydantic"',
        "]",
        "\n",
        "\r\n",
        "=",
        ",",
        "requires-python",
    ]
    parts += [
        '">=3"',
        "[tool]",
        "'",
        '"""',
        "é",
        "\x00",
        "\ud800",
        "# /// other",
        "///",
        "pydantic>=2; x",
        "@ https://x/y",
        "#\t",
    ]
    end = time.monotonic() + fuzz_seconds
    refused = 0
    while time.monotonic() < end:
        text = "".join(rng.choice(parts) + rng.choice(["", "\n", "\n# "]) for _ in range(rng.randrange(30)))
        if rng.random() < 0.5:
            text = f"# /// script\n# {text}\n# ///\n"
        if why := outcome(text):
            assert why.startswith(START)
            refused += 1
    assert refused


def test_a_long_text_takes_no_time() -> None:
    began = time.process_time()
    for text in (
        "# /// script\n" * 50_000,
        "# /// script\n" + "# x\n" * 200_000,
        "#\n" * 200_000,
        "# /// " + "a" * 10**6,
    ):
        outcome(text)
    assert time.process_time() - began < 20  # about a second; a pattern that goes back over it takes hours
