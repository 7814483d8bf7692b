"""The command that is told for a package that is missing."""

import sys
import types

import pytest

from portico import packages
from portico.functions.failing import failure_of
from portico.functions.given import role_of
from portico.functions.invalid import is_invalid


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


def test_a_module_that_is_still_being_imported_has_a_part_of_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may import it at this very moment; nothing that looks at it may fail for that."""
    begun = types.ModuleType("starlette.datastructures")
    monkeypatch.setitem(sys.modules, "starlette.datastructures", begun)
    monkeypatch.setitem(sys.modules, "starlette.exceptions", types.ModuleType("starlette.exceptions"))
    monkeypatch.setitem(sys.modules, "pydantic_core", types.ModuleType("pydantic_core"))
    assert packages.loaded("starlette.datastructures", "Headers") is None
    assert packages.loaded("no_such_module", "Headers") is None
    assert role_of(int) is None
    assert failure_of(ValueError("x")).type == "ValueError"
    assert not is_invalid(ValueError("x"))
    begun.Headers = int  # type: ignore[attr-defined]
    assert packages.loaded("starlette.datastructures", "Headers") is int
