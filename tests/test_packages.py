"""The command that is told for a package that is missing."""

import pytest

from portico import packages


@pytest.mark.parametrize(
    ("in_tab", "notebook", "command"),
    [
        (False, False, "pip install 'portico[functions]'"),
        (False, True, "%pip install 'portico[functions]'"),
        (True, True, "%pip install fastapi pydantic"),
        (True, False, "%pip install fastapi pydantic"),
    ],
)
def test_the_command_is_the_one_that_works_there(
    in_tab: bool, notebook: bool, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "IN_TAB", in_tab)
    monkeypatch.setattr("builtins.__IPYTHON__", notebook, raising=False)
    if not notebook:
        monkeypatch.delattr("builtins.__IPYTHON__")
    assert packages.to_install("functions", "fastapi", "pydantic") == command
