"""The file with a server's key: who may read it, and whom it is believed from."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from portico.errors import StoreFailed
from portico.pipelines.key_file import FoundKey, KeyFile, default_folder, find, make_key

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="users are kept apart by their profiles there")

HOME = ("127.0.0.1", "::1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "keys"


def left_by_another(folder: Path, port: int = 1416, **changed: object) -> Path:
    """A file as a server would leave it, but with no server that holds it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{port}.json"
    path.write_text(json.dumps({"port": port, "key": "forged", "addresses": ["127.0.0.1"], **changed}))
    path.chmod(0o600)
    return path


def test_the_commands_find_what_a_server_left(folder: Path) -> None:
    key = make_key()
    assert len(key) >= 43
    assert make_key() != key
    file = KeyFile.leave(key, 1416, HOME, folder)
    assert find(1416, folder) == FoundKey(key, HOME)
    assert find(1417, folder) is None
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert key not in repr(find(1416, folder))
    file.remove()
    assert find(1416, folder) is None
    assert list(folder.iterdir()) == []
    file.remove()  # once more does nothing


def test_no_umask_opens_it(folder: Path) -> None:
    before = os.umask(0)
    try:
        file = KeyFile.leave("k", 1, HOME, folder)
        os.umask(0o777)
        other = KeyFile.leave("k", 2, HOME, folder)
    finally:
        os.umask(before)
    assert [stat.S_IMODE(each.path.stat().st_mode) for each in (file, other)] == [0o600, 0o600]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_a_killed_server_left_counts_no_more(folder: Path) -> None:
    program = (
        "import os, sys, pathlib; from portico.pipelines.key_file import KeyFile\n"
        "kept = KeyFile.leave('its key', 1416, ['127.0.0.1'], pathlib.Path(sys.argv[1]))\n"
        "print('left', flush=True); sys.stdin.read()"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"left\n"
    found = find(1416, folder)
    with pytest.raises(StoreFailed, match="another server of yours"):
        KeyFile.leave("mine", 1416, HOME, folder)
    server.kill()
    server.communicate()
    assert found == FoundKey("its key", ("127.0.0.1",))
    assert (folder / "1416.json").exists()
    assert find(1416, folder) is None, "whoever listens there now is not that server"
    file = KeyFile.leave("mine", 1416, HOME, folder)
    assert find(1416, folder) == FoundKey("mine", HOME)
    file.remove()


def test_a_server_removes_its_own_file_alone(folder: Path) -> None:
    first = KeyFile.leave("one", 1416, HOME, folder)
    first.path.unlink()
    second = KeyFile.leave("two", 1416, HOME, folder)
    first.remove()
    assert find(1416, folder) == FoundKey("two", HOME)
    second.remove()
    third = KeyFile.leave("three", 1416, HOME, folder)
    third.path.unlink()
    folder.rmdir()
    third.remove()


def test_no_symbolic_link_is_followed(folder: Path, tmp_path: Path) -> None:
    real = left_by_another(tmp_path / "elsewhere")
    folder.mkdir(parents=True, mode=0o700)
    (folder / "1416.json").symlink_to(real)
    with pytest.raises(StoreFailed, match="cannot be read"):
        find(1416, folder)
    before = real.read_bytes()
    file = KeyFile.leave("mine", 1416, HOME, folder)
    assert real.read_bytes() == before, "the link is replaced, and what it named is not written to"
    assert not (folder / "1416.json").is_symlink()
    assert find(1416, folder) == FoundKey("mine", HOME)
    file.remove()


def test_a_pipe_and_a_folder_of_its_name_hold_nothing_up(folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o700)
    os.mkfifo(folder / "1416.json", 0o600)
    with pytest.raises(StoreFailed, match="no plain file"):
        find(1416, folder)
    KeyFile.leave("mine", 1416, HOME, folder).remove()
    (folder / "1417.json").mkdir()
    with pytest.raises(StoreFailed, match="cannot be written"):
        KeyFile.leave("mine", 1417, HOME, folder)
    assert [path.name for path in folder.iterdir()] == ["1417.json"], "no draft is left"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_may_open_is_refused(folder: Path, mode: int) -> None:
    file = KeyFile.leave("k", 1416, HOME, folder)
    file.path.chmod(mode)
    with pytest.raises(StoreFailed, match="others may read it"):
        find(1416, folder)
    file.remove()


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_folder_that_others_may_write_is_refused(folder: Path, mode: int) -> None:
    left_by_another(folder)
    folder.chmod(mode)
    for attempt in (lambda: find(1416, folder), lambda: KeyFile.leave("k", 1416, HOME, folder)):
        with pytest.raises(StoreFailed, match=r"others may write it.*PORTICO_KEY_DIR"):
            attempt()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_and_a_folder_of_another_user_are_refused(folder: Path) -> None:
    file = KeyFile.leave("k", 1416, HOME, folder)
    os.chown(file.path, 65534, -1)
    with pytest.raises(StoreFailed, match="another user's"):
        find(1416, folder)
    os.chown(folder, 65534, -1)
    with pytest.raises(StoreFailed, match="another user's"):
        KeyFile.leave("k", 1417, HOME, folder)


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("")
    with pytest.raises(StoreFailed, match="cannot be made"):
        KeyFile.leave("k", 1416, HOME, tmp_path / "keys")
    with pytest.raises(StoreFailed, match="cannot be opened"):
        find(1416, tmp_path / "keys")
    assert find(1416, tmp_path / "absent") is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no file with a key"),
        (b"[" * 100_000, "no file with a key"),
        (b"{}", "no file with a key"),
        (b"[1]", "no file with a key"),
        (b'{"port": 1416, "key": 5, "addresses": []}', "no file with a key"),
        (b'{"port": 1416, "key": "k\\r\\nx: y", "addresses": []}', "no file with a key"),
        ('{"port": 1416, "key": "€", "addresses": []}'.encode(), "no file with a key"),
        (b'{"port": 1416, "key": "k", "addresses": [5]}', "no file with a key"),
        (b'{"port": 1417, "key": "k", "addresses": []}', "of another port"),
    ],
)
def test_what_is_in_it_is_checked(folder: Path, content: bytes, said: str) -> None:
    file = KeyFile.leave("k", 1416, HOME, folder)
    file.path.write_bytes(content)  # the same file, which the server still holds
    with pytest.raises(StoreFailed, match=said):
        find(1416, folder)
    file.remove()


def test_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "linux":
        assert default_folder({"XDG_STATE_HOME": "/state"}) == Path("/state/portico/keys")
        assert default_folder({"XDG_STATE_HOME": "relative"}) == Path.home() / ".local/state/portico/keys"
    assert default_folder({}).is_absolute()
