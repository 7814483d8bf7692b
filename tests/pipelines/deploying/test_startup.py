"""All pipelines of a folder at the start: many at a time, each told of, and none the worse for another's failure."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from portico.errors import PipelineError
from portico.pipelines.deploying.startup import StartupStep, deploy_all
from tests.pipelines.deployed import YAML, below, in_folder, lay, said, tree, wrapper

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quiet")]


TOGETHER = """
import time
(self.here / "begun").touch()
until = time.monotonic() + 60
while len([*self.here.parent.glob("*/begun")]) < 20:
    assert time.monotonic() < until, "the others do not begin"
    time.sleep(0.01)
""".strip()
"""A `setup` that ends once those of all twenty have begun."""


async def test_twenty_that_wait_do_so_together_with_progress(tmp_path: Path) -> None:
    for number in range(20):
        lay(tmp_path, below(f"p{number:02}", wrapper(str(number), TOGETHER)))
    deploying = in_folder(tmp_path)
    told: list[StartupStep] = []
    seen: list[int] = []

    def tell(step: StartupStep) -> None:
        told.append(step)
        seen.append(len(deploying.deployments.present))

    assert await deploy_all(deploying, tell, at_once=20) == {}
    assert [(step.done, step.total) for step in told] == [(number, 20) for number in range(1, 21)]
    assert seen == [*range(1, 21)], "each is served as soon as it is up"
    assert {step.name for step in told} == {f"p{number:02}" for number in range(20)}
    assert [*deploying.deployments.present] == [f"p{number:02}" for number in range(20)]
    assert all(step.seconds > 0 and step.error is None for step in told)
    assert [said(deploying, f"p{number:02}") for number in range(20)] == [f"{number}!\n" for number in range(20)]


async def test_no_more_are_made_ready_at_once_than_is_said(tmp_path: Path) -> None:
    setup = (
        "import time\nhere = self.here.parent\nmine = here / f'{self.here.name}.now'\nmine.touch()\n"
        "time.sleep(0.05)\nself.most = len([*here.glob('*.now')])\nmine.unlink()"
    )
    for number in range(6):
        lay(tmp_path, below(f"p{number}", wrapper("1", setup)))
    for at_once in (1, 2):
        deploying = in_folder(tmp_path)
        assert await deploy_all(deploying, at_once=at_once) == {}
        assert max(each.wrapper.most for each in deploying.deployments.present.values()) <= at_once


async def test_one_that_fails_is_told_of_and_the_others_are_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lay(tmp_path, {"a.yml": YAML.encode(), "b.yaml": b"components: {}", "notes.txt": b"", "d/readme.txt": b""})
    lay(tmp_path, below("c", wrapper("1", "raise SystemExit(1)")))
    lay(tmp_path, below(".hidden", wrapper("1")) | below("__pycache__", wrapper("1")))
    lay(tmp_path, below("e.", wrapper("1")))
    told: list[StartupStep] = []
    deploying = in_folder(tmp_path)
    logging.getLogger("portico.pipelines").setLevel(logging.INFO)
    failed = await deploy_all(deploying, told.append)
    assert [*deploying.deployments.present] == ["a"]
    assert sorted(failed) == ["b", "c", "e."]
    assert deploying.deployments.failed == failed.keys()
    assert all(isinstance(error, PipelineError) for error in failed.values())
    assert {step.name: step.error for step in told if step.error is not None} == failed
    assert f"{tmp_path / 'd'} is passed over: it has no pipeline_wrapper.py" in caplog.text
    assert "Traceback" in caplog.text


async def test_a_folder_that_is_not_there_has_no_pipelines(tmp_path: Path) -> None:
    deploying = in_folder(tmp_path / "pipelines")
    assert await deploy_all(deploying) == {}
    assert not deploying.deployments.present
    assert tree(tmp_path) == {}
