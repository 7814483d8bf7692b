"""The tests as a house: where those of a module are, and what `make test` runs, which says when something fails."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.__main__ import WITHOUT_SERVERS, parts, run
from tests.where import PROVEN_IN

HERE = Path(__file__).parent
SERVERS = re.compile(
    r"\b(jupyter_server|kernel|notebook|relay|relay_by_host|guarded|node|bundle|release|browser|page)\b: "
)
"""What a test asks for that needs a server, a page or Node.js of its session."""


SOURCE = HERE.parent / "src" / "portico"
ACROSS = {"browser", "chat_clients", "conformance", "docs", "frameworks", "integration", "lite", "pyodide", "security"}
"""Folders that prove something of the whole, by whatever rooms it takes. CONTRIBUTING.md says what."""


def test_each_folder_is_a_room_or_proves_something_of_the_whole() -> None:
    folders = {path.parent.relative_to(HERE) for path in HERE.rglob("test_*.py")} - {Path()}
    strange = [str(folder) for folder in folders if not (SOURCE / folder / "__init__.py").is_file()]
    assert [folder for folder in strange if folder.partition("/")[0] not in ACROSS] == []
    contributing = (HERE.parent / "CONTRIBUTING.md").read_text("utf-8")
    assert [name for name in sorted(ACROSS) if f"| `tests/{name}/` |" not in contributing] == []
    assert [name for name in sorted(ACROSS) if not list((HERE / name).glob("test_*.py"))] == []


def modules_of(room: Path) -> set[str]:
    """The modules and packages right in a room of src/portico."""
    inside = {path.stem for path in room.glob("*.py")} - {"__init__", "__main__", "version"}
    return inside | {path.parent.name for path in room.glob("*/__init__.py")}


def is_of(test: Path, module: str) -> bool:
    return test.stem == f"test_{module}" or test.stem.startswith(f"test_{module}_")


@pytest.mark.parametrize("test", sorted(HERE.rglob("test_*.py")), ids=lambda test: test.relative_to(HERE).as_posix())
def test_a_test_is_named_after_a_module_of_its_room(test: Path) -> None:
    room = test.parent.relative_to(HERE)
    if room == Path():
        known = ("environments", "house", "notebooks", "packaging", "rooms")  # of the tree, and no module of it
        assert test.stem.removeprefix("test_") in known or any(is_of(test, each) for each in modules_of(SOURCE))
    elif room.parts[0] not in ACROSS:
        assert any(is_of(test, module) for module in modules_of(SOURCE / room)), f"{test.name}: of which module?"


def test_the_tests_of_each_module_are_found_by_its_name_or_in_the_list() -> None:
    named, unnamed = set(), set()
    for path in SOURCE.rglob("*.py"):
        module = path.relative_to(SOURCE).with_suffix("")
        if module.name not in ("__init__", "__main__", "version"):
            tests = HERE.joinpath(module.parent).glob(f"test_{module.name}*.py")
            (named if any(is_of(test, module.name) for test in tests) else unnamed).add(module.as_posix())
    assert sorted(unnamed - PROVEN_IN.keys()) == [], "give each a test of its name, or a line in tests/where.py"
    assert sorted(PROVEN_IN.keys() - unnamed) == [], "tests/where.py: these are gone, or have tests of their name"
    assert [path for path in PROVEN_IN.values() if not (HERE / path).is_file()] == []


def test_rooms_without_servers_start_none() -> None:
    for room in WITHOUT_SERVERS:
        where = HERE / room
        for path in [where] if where.is_file() else where.rglob("*.py"):
            text = path.read_text()
            asked = re.findall(r"^(?:async )?def test_\w+\((.*)", text, re.MULTILINE)
            assert [line for line in asked if SERVERS.search(line)] == [], path
            assert not re.search(r"^from tests\.(live_\w+|browser)", text, re.MULTILINE), path


def test_every_test_is_in_one_part() -> None:
    first, second = (arguments for arguments in parts([]).values())
    there = [argument for argument in first if not argument.startswith("-")]
    assert [f"--ignore={path}" for path in there] == [argument for argument in second if "--ignore" in argument]
    assert all(Path(path).exists() for path in there)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pytest that is run by a test begins at once."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.mark.parametrize(("first", "second", "status"), [(0, 0, 0), (1, 0, 1), (0, 1, 1)])
def test_a_part_that_fails_fails_it_all_and_keeps_none_from_running(
    first: int, second: int, status: int, tmp_path: Path, capfd: pytest.CaptureFixture[str], bare: None
) -> None:
    for name, fails in (("first", first), ("second", second)):
        (tmp_path / f"test_{name}.py").write_text(f"def test_{name}():\n    assert not {fails}\n")
    options = ["--quiet", "-p", "no:cacheprovider"]
    assert run({name: [str(tmp_path / f"test_{name}.py"), *options] for name in ("first", "second")}) == status
    printed = capfd.readouterr().out
    for name, fails in (("first", first), ("second", second)):
        assert re.search(rf"^{name}: {'failed' if fails else 'passed'} .*in 0:\d\d min", printed, re.MULTILINE), printed
    assert re.search(r"^together: 0:\d\d min of 20:00 min", printed, re.MULTILINE)


def test_a_part_of_which_nothing_is_asked_for_is_no_failure(tmp_path: Path, bare: None) -> None:
    (tmp_path / "test_it.py").write_text("def test_it():\n    pass\n")
    asked = {"of another": [str(tmp_path), "-k", "nothing"], "of it": [str(tmp_path), "-k", "it"]}
    assert run({name: [*options, "-p", "no:cacheprovider"] for name, options in asked.items()}) == 0
