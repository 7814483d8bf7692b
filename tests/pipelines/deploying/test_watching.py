"""Pipelines follow their files: whole or not at all, and no process ends for it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from portico.errors import PipelineExists
from portico.pipelines.deploying.deploying import Deploying
from portico.pipelines.deploying.fingerprint import fingerprint
from portico.pipelines.deploying.startup import deploy_all
from portico.pipelines.deploying.watching import Watching
from tests.pipelines.deployed import YAML, below, in_folder, lay, said, wrapper
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quiet")]

OTHER = YAML.replace("value:", "other:")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pipelines"


@pytest.fixture
async def deploying(folder: Path) -> AsyncIterator[Deploying]:
    """Of a folder with the pipeline ``a``, which is watched."""
    lay(folder, {"a.yml": YAML.encode()})
    deploying = in_folder(folder)
    assert await deploy_all(deploying) == {}
    watching = Watching(deploying, ["*.bak.yml"])
    watching.start()
    yield deploying
    await watching.stop()
    await deploying.close()


def text(deploying: Deploying, name: str) -> str:
    found = deploying.deployments.present.get(name)
    return found.source.text if found is not None else ""


async def test_a_yaml_is_served_as_it_is_now_and_the_old_one_stays_while_the_new_one_fails(
    deploying: Deploying, folder: Path
) -> None:
    lay(folder, {"a.yml": (YAML + "# 2\n").encode()})
    await until(lambda: text(deploying, "a") == YAML + "# 2\n")
    lay(folder, {"a.yml": b"components: {}", "b.yml": YAML.encode()})
    await until(lambda: "b" in deploying.deployments.present)
    assert text(deploying, "a") == YAML + "# 2\n"
    assert not deploying.deployments.failed, "it is served, as it was"
    lay(folder, {"a.yml": (YAML + "# 3\n").encode()})
    await until(lambda: text(deploying, "a") == YAML + "# 3\n")


async def test_what_fails_from_the_first_is_known_until_it_is_mended_or_gone(
    deploying: Deploying, folder: Path
) -> None:
    lay(folder, {"b.yml": b"components: {}", "c.yml": b"components: {}"})
    await until(lambda: deploying.deployments.failed == {"b", "c"})
    lay(folder, {"b.yml": YAML.encode()})
    (folder / "c.yml").unlink()
    await until(lambda: not deploying.deployments.failed)
    assert "b" in deploying.deployments.present


async def test_what_is_taken_out_goes_and_what_was_undeployed_stays_away(deploying: Deploying, folder: Path) -> None:
    lay(folder, {"b.yml": YAML.encode(), "x.bak.yml": YAML.encode(), ".hidden.yml": YAML.encode()})
    await until(lambda: "b" in deploying.deployments.present)
    await deploying.undeploy("a")
    lay(folder, {"a.yml": (YAML + "# 2\n").encode(), "c.yml": YAML.encode()})
    await until(lambda: "c" in deploying.deployments.present)
    (folder / "b.yml").unlink()
    await until(lambda: "b" not in deploying.deployments.present)
    assert [*deploying.deployments.present] == ["c"]


async def test_a_wrapper_that_is_laid_in_changed_and_taken_out(
    deploying: Deploying, folder: Path, tmp_path: Path
) -> None:
    lay(tmp_path, below("w", wrapper("1")))
    (tmp_path / "w").rename(folder / "w")  # all of it at once
    await until(lambda: "w" in deploying.deployments.present)
    assert said(deploying, "w") == "1!\n"
    first = deploying.deployments.find("w")
    lay(folder, below("w", {"pipeline_wrapper.py": b"broken(", "run.log": b"x"}) | {"b.yml": YAML.encode()})
    await until(lambda: "b" in deploying.deployments.present)
    assert deploying.deployments.find("w") is first
    lay(folder, below("w", wrapper("2")))
    await until(lambda: said(deploying, "w") == "2!\n")
    shutil.rmtree(folder / "w")
    await until(lambda: "w" not in deploying.deployments.present)


async def test_what_a_deploy_writes_is_not_made_ready_twice(deploying: Deploying, folder: Path) -> None:
    made = await deploying.deploy_yaml("b", YAML)
    again = await deploying.deploy_yaml("a", YAML + "# 2\n", overwrite=True)
    lay(folder, {"c.yml": YAML.encode()})
    await until(lambda: "c" in deploying.deployments.present)
    await deploying.reload("a")
    assert deploying.deployments.find("a") is again
    assert deploying.deployments.find("b") is made
    with pytest.raises(PipelineExists):
        await deploying.deploy_yaml("c", YAML)


def test_the_fingerprint_is_of_names_and_contents_and_not_of_what_a_pipeline_keeps_there(tmp_path: Path) -> None:
    seen = set()
    files = {"pipeline_wrapper.py": b"1", "sub/prompt.jinja": b"2", "q.yml": b"3"}
    changes = [{}, {"sub/prompt.jinja": b"x"}, {"new.py": b""}, {"new.py": b"1"}, {"sub/more/deep.toml": b""}]
    for number, change in enumerate(changes):
        lay(tmp_path / "a", {**files, **change})
        lay(tmp_path / "a", {"db.sqlite": bytes([number]), ".git/x.py": bytes([number]), "__pycache__/y.py": b""})
        before = fingerprint(tmp_path / "a")
        lay(tmp_path / "a", {"db.sqlite": b"changed", ".git/x.py": b"changed", "run.log": b"changed"})
        assert fingerprint(tmp_path / "a") == before
        seen.add(before)
        (tmp_path / "linked").mkdir(exist_ok=True)
        for entry in (tmp_path / "a").iterdir():
            (tmp_path / "linked" / entry.name).symlink_to(entry)
        assert fingerprint(tmp_path / "linked") == before
        shutil.rmtree(tmp_path / "a")
        shutil.rmtree(tmp_path / "linked")
    assert len(seen) == len(changes)
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop/loop").symlink_to(tmp_path / "loop", target_is_directory=True)
    assert fingerprint(tmp_path / "loop")
