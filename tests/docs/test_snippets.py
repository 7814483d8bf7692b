"""Every Python snippet of README and docs runs: in page order, in one kernel a page. JSON parses; commands exist."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT, name, snippets
from tests.live_jupyter import JupyterServer

RUNNABLE = [page for page in PAGES if any(snippet.language == "python" and snippet.runs for snippet in snippets(page))]

COMMANDS = {"curl", "git", "jupyter", "make", "pip", "python", "uvicorn", ".venv/bin/python", ".venv/bin/ruff"}
"""What a reader may be asked to type; any other word at the head of a command is a slip, or belongs here."""

LANGUAGES = {"python", "console", "json", "javascript", "html", "text"}


@pytest.mark.parametrize("page", RUNNABLE, ids=name)
def test_python_runs(page: Path, jupyter_server: JupyterServer):
    kernel = jupyter_server.kernel(f"{page.stem}.ipynb")
    try:
        # as a notebook has it when the page is tried out: relative files land in the test's own folder
        for snippet in snippets(page):
            if snippet.language == "python" and snippet.runs:
                output = kernel.execute(snippet.text)
                assert output.error is None, f"{name(page)}, line {snippet.line}: {output.error[1]}\n{output.error[2]}"
    finally:
        kernel.shutdown()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_is_not_run_says_why(page: Path):
    for snippet in snippets(page):
        assert snippet.runs or snippet.reason, f"{name(page)}, line {snippet.line}: say <!-- not run: ... --> above it"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_other_snippets_are_what_they_say(page: Path):
    for snippet in snippets(page):
        where = f"{name(page)}, line {snippet.line}"
        assert snippet.language in LANGUAGES, where
        if snippet.language == "json":
            json.loads(snippet.text)
        elif snippet.language == "console":
            for command in commands(snippet.text):
                assert command.split()[0] in COMMANDS, f"{where}: {command}"


def commands(text: str) -> list[str]:
    """The commands of a console snippet: what stands behind a prompt, with continuation lines joined."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_console_snippets_have_prompts(page: Path):
    for snippet in snippets(page):
        if snippet.language == "console":
            assert commands(snippet.text), f"{name(page)}, line {snippet.line}: begin commands with '$ '"


def test_make_targets_exist():
    """Each `make target` that a page names is one of the Makefile's."""
    targets = {line.partition(":")[0] for line in (ROOT / "Makefile").read_text().splitlines() if ":" in line}
    for page in PAGES:
        for snippet in snippets(page):
            for command in commands(snippet.text) if snippet.language == "console" else []:
                words = command.partition("#")[0].split()
                if words[0] == "make":
                    assert {word for word in words[1:] if "=" not in word} <= targets, f"{name(page)}: {command}"


def test_the_pages_are_found():
    assert {DOCS / "README.md", DOCS / "why.md", DOCS / "how-to" / "fastapi.md"} <= set(PAGES)
