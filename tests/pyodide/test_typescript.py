"""js/: its types hold, its tests pass, and it builds. The frames' vectors are the ones that Python's tests read."""

from __future__ import annotations

import json
import re

import pytest

from tests.pyodide import environment


@pytest.mark.timeout(300)
@pytest.mark.parametrize("script", ["check", "test", "build"])
def test_a_script_of_the_workspaces_succeeds(node: str, script: str) -> None:
    environment.npm("run", "--silent", script)


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((environment.JAVASCRIPT / "package-lock.json").read_text("utf-8"))
    resolved = [entry["resolved"] for entry in lock["packages"].values() if "resolved" in entry]
    assert [url for url in resolved if re.match("[a-z+]+:", url)] == []
