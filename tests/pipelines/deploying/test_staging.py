"""Where files lie while a wrapper is tried: it looks as its place will, and leads there afterwards."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from portico.pipelines.deploying.file_locks import FileLock
from portico.pipelines.deploying.staging import Staged, remove_left, rename_modules
from tests.pipelines.deployed import lay, tree


def seen(folder: Path) -> dict[str, bytes]:
    """All files, those that links lead to as well."""
    found = {}
    for above, _, files in os.walk(folder, followlinks=True):
        for name in files:
            path = Path(above, name)
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def test_it_looks_as_the_place_will(tmp_path: Path) -> None:
    place = tmp_path / "a"
    lay(place, {"x.py": b"old", "gone/old.py": b"", "mine.txt": b"mine", "data/big.bin": b"big", "mix/mine": b"m"})
    lay(place, {"mix/gone": b"", "mix/in/mine": b"deep", "__pycache__/x.pyc": b""})
    new = {"x.py": b"new", "mix/in/new": b"n", "fresh/y.py": b"y"}
    staged = Staged("a", new, tmp_path / ".portico")
    staged.link(place, {"gone/old.py", "mix/gone"})
    assert seen(staged.path) == {
        **new,
        "mine.txt": b"mine",
        "data/big.bin": b"big",
        "mix/mine": b"m",
        "mix/in/mine": b"deep",
    }
    assert (staged.path / "data").is_symlink(), "what is large is not copied"
    staged.remove()
    assert tree(place)["data/big.bin"] == b"big"
    assert not (tmp_path / ".portico").exists()


def test_what_was_made_there_is_handed_on_and_its_own_place_is_a_link(tmp_path: Path) -> None:
    place = tmp_path / "a"
    lay(place, {"x.py": b"new", "there.txt": b"mine", "sub/a": b"a"})
    staged = Staged("a", {"x.py": b"new"}, tmp_path / ".portico")
    staged.link(place, ())
    (staged.path / "sub").unlink()
    lay(staged.path, {"made.txt": b"1", "folder/made.txt": b"2", "sub/b": b"3", "sub/a": b"not this"})
    staged.moved(place)
    assert tree(place) == {
        "x.py": b"new",
        "there.txt": b"mine",
        "made.txt": b"1",
        "folder/made.txt": b"2",
        "sub/a": b"a",
        "sub/b": b"3",
    }
    assert staged.path.resolve() == place
    staged.remove()
    assert (place / "x.py").exists()


def test_modules_say_where_they_are_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    lay(old, {"package/__init__.py": b"", "package/part.py": b"", "older.py": b""})
    lay(tmp_path, {"older/x.py": b""})
    monkeypatch.syspath_prepend(str(old))
    part = importlib.import_module("package.part")
    spec = importlib.util.spec_from_file_location("beside", tmp_path / "older/x.py")
    assert spec is not None
    monkeypatch.setitem(sys.modules, "beside", importlib.util.module_from_spec(spec))
    rename_modules(old, new)
    package = sys.modules["package"]
    assert part.__file__ == str(new / "package/part.py")
    assert [*package.__path__] == [str(new / "package")]
    assert part.__spec__ is not None
    assert part.__spec__.origin == str(new / "package/part.py")
    assert sys.modules["beside"].__file__ == str(tmp_path / "older/x.py")
    for name in ("package", "package.part"):
        monkeypatch.delitem(sys.modules, name)


def test_what_is_left_of_others_goes_and_what_is_in_use_stays(tmp_path: Path) -> None:
    staged = Staged("a", {"x": b""}, tmp_path)
    left = tmp_path / "staged-left"
    lay(left, {"lock": b"", "a/x": b""})
    outside = tmp_path / "outside"
    lay(outside, {"y": b"mine"})
    (left / "a/link").symlink_to(outside, target_is_directory=True)
    for folder in (left, staged.path.parent):
        os.utime(folder, (0, 0))
    remove_left(tmp_path)
    assert staged.path.exists()
    assert not left.exists()
    assert tree(outside) == {"y": b"mine"}
    staged.remove()
    lock = FileLock(tmp_path / "lock")
    assert lock.try_take()
    assert lock.is_held
    assert not FileLock(tmp_path / "lock").try_take()
    lock.free()
    assert FileLock(tmp_path / "lock").try_take()
