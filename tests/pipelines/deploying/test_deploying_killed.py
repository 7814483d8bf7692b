"""A server that is killed in the middle of a deploy, at any step: the next start finds all files as before, or all as
after, and serves what they say. Until then no file is lost or half written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.deployed import YAML, below, lay, wrapper

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="each step is done by a fork of one process")

OWN = {**wrapper("1"), "notes/mine.txt": b"by hand", "sub/prompt.txt": b"old"}
NEW = {**wrapper("2"), "sub/prompt.txt": b"new", "sub/deep/more.txt": b"more"}
AFTER = {**OWN, **NEW}

ENVIRONMENT = {**os.environ, "HAYSTACK_TELEMETRY_ENABLED": "False"}

DRIVER = '''
"""Forks a process for each step, which is killed before the n-th time that it changes anything on the disk."""
import asyncio, json, logging, os, shutil, signal, sys
from pathlib import Path
from portico.pipelines import preparing
from portico.pipelines.components import yaml_pipelines  # once, and not in each fork
from portico.pipelines.deploying.startup import deploy_all
from tests.pipelines.deployed import in_folder, lay, said, tree

logging.getLogger("portico.pipelines").setLevel(logging.CRITICAL)
base, before = Path(sys.argv[1]), Path(sys.argv[2])
given = json.loads(sys.argv[3])

async def deploy(root):
    deploying = in_folder(root)
    await deploy_all(deploying)
    begin()
    if "files" in given:
        files = {key: bytes.fromhex(value) for key, value in given["files"].items()}
        await deploying.deploy_files("a", files, overwrite=True, settings={"x": 1})
    elif "text" in given:
        await deploying.deploy_yaml("a", given["text"], overwrite=True)
    else:
        await deploying.undeploy("a")

async def look(root):
    deploying = in_folder(root)
    await deploy_all(deploying)
    found = deploying.deployments.present.get("a")
    if found is None:
        return None
    return said(deploying, "a") if found.source.kind == "wrapper" else found.source.text

def child(what):
    process = os.fork()
    if process == 0:
        try:
            what()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    return os.waitpid(process, 0)[1]

if "text" in given:
    yaml_pipelines.prepare_yaml("a", given["text"])  # imports Haystack, once

changing = {"os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "os.chmod", "os.symlink", "shutil.rmtree"}
for step in range(0, 400, given.pop("every", 1)):
    root = base / str(step)
    if before.exists():
        shutil.copytree(before, root)

    def begin():
        left = step
        def count(event, arguments):
            nonlocal left
            writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            if (event in changing or writes) and isinstance(arguments[0], (str, os.PathLike)):
                if os.fspath(arguments[0]).startswith(os.fspath(root)):
                    if left == 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                    left -= 1
        sys.addaudithook(count)

    status = child(lambda: asyncio.run(deploy(root)))
    at_once = {path: content.hex() for path, content in tree(root).items()} if root.exists() else {}
    reading, writing = os.pipe()
    assert child(lambda: os.write(writing, json.dumps(asyncio.run(look(root))).encode())) == 0
    os.close(writing)
    served = json.loads(os.read(reading, 1 << 20))
    os.close(reading)
    later = {path: content.hex() for path, content in tree(root).items()} if root.exists() else {}
    print(json.dumps({"status": status, "at_once": at_once, "later": later, "served": served}), flush=True)
    shutil.rmtree(root, ignore_errors=True)
    if not os.WIFSIGNALED(status):
        break
'''


def steps(tmp_path: Path, before: Mapping[str, bytes], **given: Any) -> list[dict[str, Any]]:
    """What was there after each kill, at once and after another start; and at last, after none."""
    if before:
        lay(tmp_path / "before", before)
    command = [sys.executable, "-c", DRIVER, tmp_path, tmp_path / "before", json.dumps(given)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, env=ENVIRONMENT)
    assert ended.returncode == 0, ended.stderr
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    for each in found:
        for key in ("at_once", "later"):
            each[key] = {path: bytes.fromhex(content) for path, content in each[key].items()}
    assert [each["status"] for each in found[:-1]] == [signal.SIGKILL] * (len(found) - 1)
    return found


def as_hex(files: Mapping[str, bytes]) -> dict[str, str]:
    return {key: content.hex() for key, content in files.items()}


def check(found: list[dict[str, Any]], outcomes: list[tuple[Mapping[str, bytes], Any]], most: int) -> None:
    """Each is one of *outcomes*, files and what is served; and from one on it is the last. No file is ever torn."""
    numbers = []
    for each in found:
        wrong = f"{sorted(each['later'])}, served: {each['served']!r}"
        assert (each["later"], each["served"]) in outcomes, wrong
        numbers.append(outcomes.index((each["later"], each["served"])))
        for path, content in each["at_once"].items():
            assert content in [files.get(path) for files, _ in outcomes], f"{path} is torn"
        for path in set.intersection(*(set(files) for files, _ in outcomes)):
            assert path in each["at_once"], f"{path} is away"
    assert numbers == sorted(numbers)
    assert len(found) > most, "it was killed at each of its steps"


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.real), 5])
def test_an_overwrite_of_its_owners_files(tmp_path: Path, every: int) -> None:
    found = steps(tmp_path, below("a", OWN), files=as_hex(NEW), every=every)
    check(found, [(below("a", OWN), "1!\n"), (below("a", AFTER), "2!\n")], 40 // every)
    assert found[-1]["later"] == below("a", AFTER)


@pytest.mark.real
def test_an_overwrite_that_fails(tmp_path: Path) -> None:
    found = steps(tmp_path, below("a", OWN), files=as_hex(wrapper("2", "raise ValueError('no')")))
    assert os.WEXITSTATUS(found[-1]["status"]) == 1
    check(found, [(below("a", OWN), "1!\n")], 8)
    assert all(each["at_once"] == below("a", OWN) for each in found), "nothing was touched at any time"


@pytest.mark.real
def test_a_first_deploy(tmp_path: Path) -> None:
    check(steps(tmp_path, {}, files=as_hex(NEW)), [({}, None), (below("a", NEW), "2!\n")], 20)


@pytest.mark.real
def test_a_yaml(tmp_path: Path) -> None:
    outcomes = [({"a.yaml": YAML.encode()}, YAML), ({"a.yaml": YAML.encode() + b"# 2\n"}, YAML + "# 2\n")]
    check(steps(tmp_path, outcomes[0][0], text=YAML + "# 2\n"), outcomes, 8)


def test_an_undeploy(tmp_path: Path) -> None:
    check(steps(tmp_path, below("a", OWN)), [(below("a", OWN), "1!\n"), (below("a", OWN), None)], 6)
