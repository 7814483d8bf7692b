"""Deploys and undeploys: whole or not at all, in turn by name, with the files of whoever laid them there untouched."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from portico.errors import NoSuchPipeline, PipelineError, PipelineExists
from portico.pipelines.deploying import Deploying
from portico.pipelines.deployments import Deployments
from portico.pipelines.startup import deploy_all
from tests.pipelines.haystack_made import branches

YAML = branches().dumps() + "inputs:\n  value: [first.value, add.value]\n"


pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class InFolder:
    pipelines_dir: str


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pipelines"


@pytest.fixture
def deploying(folder: Path) -> Deploying:
    return Deploying(Deployments(), InFolder(str(folder)))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Deploys that fail are logged with a traceback."""
    logging.getLogger("portico.pipelines").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("portico.pipelines").setLevel(logging.NOTSET)


def lay(folder: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def tree(folder: Path) -> dict[str, bytes]:
    """All files that are somebody's, and none of the server's own."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not {".portico", "__pycache__"} & set(path.parts)
    }


async def test_of_five_deploys_of_one_name_at_once_one_wins(deploying: Deploying, folder: Path) -> None:
    done = await asyncio.gather(*(deploying.deploy_yaml("a", YAML) for _ in range(5)), return_exceptions=True)
    assert [str(each) for each in done if isinstance(each, PipelineExists)] == ["Pipeline 'a' already exists"] * 4
    assert list(deploying.deployments.present) == ["a"]
    assert tree(folder) == {"a.yml": YAML.encode()}


async def test_a_yaml_that_fails_replaces_nothing(deploying: Deploying, folder: Path) -> None:
    first = await deploying.deploy_yaml("a", YAML)
    with pytest.raises(PipelineError, match="at least one of 'inputs' or 'outputs'"):
        await deploying.deploy_yaml("a", branches().dumps(), overwrite=True)
    assert deploying.deployments.find("a") is first
    assert tree(folder) == {"a.yml": YAML.encode()}


async def test_what_is_undeployed_stays_so_with_its_files_until_it_is_deployed_again(
    deploying: Deploying, folder: Path
) -> None:
    lay(folder, {"a.yaml": YAML.encode()})
    assert await deploy_all(deploying) == {}
    await deploying.undeploy("a")
    assert tree(folder) == {"a.yaml": YAML.encode()}
    with pytest.raises(NoSuchPipeline, match=r"^Pipeline 'a' not found$"):
        await deploying.undeploy("a")
    again = Deploying(Deployments(), InFolder(str(folder)))
    await deploy_all(again)
    assert list(again.deployments.present) == []
    await again.deploy_yaml("a", YAML)
    after = Deploying(Deployments(), InFolder(str(folder)))
    await deploy_all(after)
    assert list(after.deployments.present) == ["a"]
    assert tree(folder) == {"a.yaml": YAML.encode()}
