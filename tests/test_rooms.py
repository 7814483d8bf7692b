"""The tests as a house: what `make test` runs where, and that it says so when something fails."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.__main__ import WITHOUT_SERVERS, parts, run

HERE = Path(__file__).parent
SERVERS = re.compile(
    r"\b(jupyter_server|kernel|notebook|relay|relay_by_host|guarded|node|bundle|release|browser|page)\b: "
)
"""What a test asks for that needs a server, a page or Node.js of its session."""


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
