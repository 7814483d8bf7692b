"""Several processes of one server: what one deploys or undeploys, all serve or none. Here they are of one process."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from portico.errors import NoSuchPipeline, PipelineError, PipelineExists
from portico.pipelines.deploying.crew import Crew, CrewChange
from portico.pipelines.deploying.deploying import Deploying
from portico.pipelines.deploying.startup import deploy_all
from tests.pipelines.deployed import YAML, in_folder, said, tree, wrapper
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quiet")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pipelines"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "crew"
    place.mkdir(mode=0o700)
    return place


@pytest.fixture
async def crew(folder: Path, place: Path) -> AsyncIterator[list[Deploying]]:
    """Three members."""
    members = [in_folder(folder, Crew(place)) for _ in range(3)]
    for member in members:
        await deploy_all(member)
    yield members
    for member in members:
        await member.close()


def told(deploying: Deploying) -> dict[str, object]:
    """What each wrapper says of its files, and what its ``setup`` was given."""
    present = deploying.deployments.present
    return {name: (said(deploying, name), each.wrapper.settings) for name, each in present.items()}


def served(crew: list[Deploying]) -> list[list[str]]:
    return [[*each.deployments.present] for each in crew]


async def test_what_is_answered_is_served_by_all(crew: list[Deploying], folder: Path, place: Path) -> None:
    await crew[0].deploy_yaml("a", YAML, description="first")
    assert served(crew) == [["a"]] * 3
    await crew[1].deploy_yaml("b", YAML, save=False)
    assert served(crew) == [["a", "b"]] * 3
    await crew[2].deploy_yaml("a", YAML, overwrite=True, description="second", skip_mcp=True)
    for each in crew:
        found = each.deployments.find("a")
        assert (found.description, found.skip_mcp, found.source.path) == ("second", True, folder / "a.yml")
    await crew[1].undeploy("a")
    assert served(crew) == [["b"]] * 3
    assert tree(folder) == {"a.yml": YAML.encode()}
    for each in crew:
        with pytest.raises(NoSuchPipeline):
            await each.undeploy("a")
    assert len(os.listdir(place / "yaml")) == 1, "what is not served any more is not kept"
    assert os.listdir(place / "proposals") == os.listdir(place / "answers") == []


async def test_of_deploys_of_one_name_in_all_of_them_at_once_one_wins(crew: list[Deploying]) -> None:
    done = await asyncio.gather(*(each.deploy_yaml("a", YAML) for each in crew * 2), return_exceptions=True)
    assert [type(each) for each in done].count(PipelineExists) == 5
    assert served(crew) == [["a"]] * 3


async def test_one_that_fails_changes_nothing_anywhere(crew: list[Deploying], folder: Path, place: Path) -> None:
    await crew[0].deploy_yaml("a", YAML, description="first")
    with pytest.raises(PipelineError, match="at least one of"):
        await crew[1].deploy_yaml("a", "components: {}", overwrite=True)
    with pytest.raises(PipelineError):
        await crew[2].deploy_yaml("b", "components: {}")
    assert [each.deployments.find("a").description for each in crew] == ["first"] * 3
    assert served(crew) == [["a"]] * 3
    assert tree(folder) == {"a.yml": YAML.encode()}
    assert os.listdir(place / "proposals") == os.listdir(place / "answers") == []
    assert len(os.listdir(place / "yaml")) == 1


async def test_one_that_comes_later_serves_what_the_others_do(crew: list[Deploying], folder: Path, place: Path) -> None:
    await crew[0].deploy_yaml("saved", YAML)
    await crew[0].deploy_yaml("unsaved", YAML, save=False)
    await crew[0].deploy_yaml("gone", YAML)
    await crew[0].undeploy("gone")
    late = in_folder(folder, Crew(place))
    await deploy_all(late)
    assert sorted(late.deployments.present) == ["saved", "unsaved"]
    await crew[1].deploy_yaml("more", YAML)
    assert sorted(late.deployments.present) == ["more", "saved", "unsaved"]
    await late.undeploy("unsaved")
    assert served(crew) == [["saved", "more"]] * 3
    await late.close()


@pytest.mark.fuzz
async def test_whatever_is_deployed_and_undeployed_at_once_all_serve_the_same_and_so_does_the_next_start(
    crew: list[Deploying], folder: Path, fuzz_seconds: float
) -> None:
    chance = random.Random(7)
    number = 0
    refused: list[str] = []

    async def act(member: Deploying) -> None:
        nonlocal number
        number += 1
        name = chance.choice("abc")
        broken = chance.random() < 0.2
        setup = "raise ValueError('no')" if broken else "import time\ntime.sleep(0.001)"
        try:
            if chance.random() < 0.25:
                await member.undeploy(name)
            else:
                overwrite = chance.random() < 0.7
                await member.deploy_files(
                    name, wrapper(str(number), setup), overwrite=overwrite, settings={"n": number}
                )
        except (PipelineExists, NoSuchPipeline):
            pass
        except PipelineError as error:
            refused.append(str(error))

    async with asyncio.timeout(fuzz_seconds + 60):
        until = time.monotonic() + fuzz_seconds
        while time.monotonic() < until:
            await asyncio.gather(*(act(chance.choice(crew)) for _ in range(6)))
            seen = [told(each) for each in crew]
            assert seen[0] == seen[1] == seen[2]
            again = in_folder(folder)
            assert await deploy_all(again) == {}
            assert told(again) == seen[0]
            for name in told(again):
                again.deployments.remove(name)
    assert not [*(folder / ".portico").glob("change-*")]
    assert set(refused) == {"Failed to call setup() on pipeline wrapper instance: no"}


KILLED = """
import os, signal, sys
from pathlib import Path
from portico.pipelines.deploying.crew import Crew, CrewChange

crew = Crew(Path(sys.argv[1]))
crew.join(0)
if sys.argv[2:]:
    path = crew.write_yaml("1", Path(sys.argv[2]).read_text())
    crew.propose(CrewChange(id="1", by=crew.id, name="ghost", kind="yaml", laid=str(path)))
print("up", flush=True)
signal.pause()
"""


def killed(place: Path, *arguments: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", KILLED, place, *arguments], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process


async def test_one_that_was_killed_is_waited_for_no_longer(crew: list[Deploying], place: Path) -> None:
    process = await asyncio.to_thread(killed, place)
    deploy = asyncio.create_task(crew[0].deploy_yaml("a", YAML))
    await until(lambda: len(os.listdir(place / "answers")) == 2)  # those of the two that live
    assert not deploy.done()
    process.send_signal(signal.SIGKILL)
    await deploy
    assert served(crew) == [["a"]] * 3
    process.communicate()


async def test_one_that_is_blocked_is_not_waited_for_and_serves_the_same_later(
    crew: list[Deploying], folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portico.pipelines.deploying.crew.TAKEN_UP_WITHIN", 0.3)
    blocked = Crew(place)  # it lives, and its event loop does nothing
    blocked.join(0)
    began = time.monotonic()
    await crew[0].deploy_files("a", wrapper("1"))
    assert served(crew) == [["a"]] * 3
    assert time.monotonic() - began < 5
    last = in_folder(folder, blocked)
    await deploy_all(last)
    assert [*last.deployments.present] == ["a"]
    await last.close()


async def test_one_that_is_slow_is_waited_for(
    crew: list[Deploying], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portico.pipelines.deploying.crew.TAKEN_UP_WITHIN", 0.2)
    slow = "import time\ntime.sleep(1)\nPath(__file__).with_name(f'ready-{time.monotonic_ns()}').touch()"
    await crew[0].deploy_files("a", wrapper("1", slow), save=False)
    assert served(crew) == [["a"]] * 3
    assert len([*crew[0].deployments.find("a").wrapper.here.glob("ready-*")]) == 3


async def test_what_one_proposed_that_was_killed_is_not_served(
    crew: list[Deploying], place: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.yml").write_text(YAML)
    process = await asyncio.to_thread(killed, place, str(tmp_path / "a.yml"))
    await until(lambda: len(os.listdir(place / "answers")) == 3)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    await crew[0].deploy_yaml("ghost", YAML, description="of a live one")
    assert [each.deployments.find("ghost").description for each in crew] == ["of a live one"] * 3


async def test_the_table_has_the_last_change_of_each_name_and_how_far_each_member_is(place: Path) -> None:
    crew = Crew(place)
    crew.join(0)
    assert crew.others() == {}
    assert crew.table().changes == {}
    other = Crew(place)
    other.join(3)
    assert crew.others() == {other.id: 3}
    change = CrewChange(id="1", by=other.id, name="a", kind="undeploy")
    assert await other.settle(change) == 1
    assert crew.table().changes == {"a": change}
    other.leave()
    assert crew.others() == {}
