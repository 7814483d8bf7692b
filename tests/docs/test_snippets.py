"""Every Python snippet of README and docs runs: in page order, in one kernel a page. JSON parses; commands exist."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from portico.relay.config import RelayConfig
from tests.docs.pages import DOCS, PAGES, ROOT, name, snippets
from tests.live_jupyter import JupyterServer

RUNNABLE = [page for page in PAGES if any(snippet.language == "python" and snippet.runs for snippet in snippets(page))]

COMMANDS = {
    "claude",
    "codex",
    "curl",
    "git",
    "install",
    "jupyter",
    "make",
    "nginx",
    "pip",
    "podman",
    "portico",
    "python",
    "python3",
    "runuser",
    "sqlite3",
    "systemctl",
    "useradd",
    "uvicorn",
    ".venv/bin/python",
    ".venv/bin/ruff",
    "/usr/local/lib/portico/bin/pip",
}
"""What a reader may be asked to type; any other word at the head of a command is a slip, or belongs here."""

LANGUAGES = {"python", "console", "json", "javascript", "html", "text", "toml"}


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
def test_other_snippets_are_what_they_say(page: Path, tmp_path: Path):
    for snippet in snippets(page):
        where = f"{name(page)}, line {snippet.line}"
        assert snippet.language in LANGUAGES, where
        if snippet.language == "json":
            json.loads(snippet.text)
        elif snippet.language == "toml":
            if "project" in tomllib.loads(snippet.text):
                continue  # a package's
            file = tmp_path / "relay.toml"
            file.write_text(snippet.text, "utf-8")
            RelayConfig.load(environ={}, toml_path=file)
        elif snippet.language == "console":
            for command in commands(snippet.text):
                assert command.split()[0] in COMMANDS, f"{where}: {command}"
                if command.startswith("portico "):
                    assert is_understood(command), f"{where}: {command}"


def is_understood(command: str) -> bool:
    """Whether the command line of Portico would take it; nothing is run."""
    _, name, *words = shlex.split(re.sub(r" [<>|&] .*", "", command), comments=True)
    if name == "--version":
        return True
    parser = argparse.ArgumentParser(allow_abbrev=False, conflict_handler="resolve")  # as `portico.cli` makes it
    import_module(f"portico.cli.{name}").configure(parser)
    try:
        parser.parse_args(words)
    except SystemExit as end:
        return end.code == 0  # --help
    return True


_VARIABLES = re.compile(r"^(?:[A-Z_]+=\S+ +)+")


def commands(text: str) -> list[str]:
    """The commands of a console snippet: what stands behind a prompt and variables, with continuation lines joined."""
    lines = text.replace("\\\n", " ").splitlines()
    return [_VARIABLES.sub("", line.removeprefix("$ ")) for line in lines if line.startswith("$ ")]


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
