"""Deploys and undeploys: whole or not at all, in turn by name, with the files of whoever laid them there untouched."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from portico.errors import Busy, NoSuchPipeline, PipelineError, PipelineExists, PipelineNotSaved
from portico.pipelines.deploying.deploying import Deploying
from portico.pipelines.deploying.startup import deploy_all
from tests.pipelines.deployed import YAML, below, in_folder, lay, said, tree, waiting_for, wrapper
from tests.pipelines.haystack_made import branches
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quiet")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pipelines"


@pytest.fixture
def deploying(folder: Path) -> Deploying:
    return in_folder(folder)


def modules() -> set[str]:
    """Those of all pipelines."""
    return {name for name in sys.modules if name.startswith("portico_pipelines.")}


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
    again = in_folder(folder)
    await deploy_all(again)
    assert list(again.deployments.present) == []
    await again.deploy_yaml("a", YAML)
    after = in_folder(folder)
    await deploy_all(after)
    assert list(after.deployments.present) == ["a"]
    assert tree(folder) == {"a.yaml": YAML.encode()}


async def test_a_wrapper_runs_where_its_files_are_and_bytes_are_kept(deploying: Deploying, folder: Path) -> None:
    files = wrapper("1")
    await deploying.deploy_files("a", files)
    assert tree(folder) == below("a", files)
    assert said(deploying, "a") == "1!\n"
    made = deploying.deployments.find("a").wrapper
    assert made.where() == folder / "a" / "pipeline_wrapper.py"
    assert made.data == files["data.bin"]
    assert os.listdir(folder / ".portico") == ["records"]


async def test_of_five_wrappers_of_one_name_one_wins_and_setup_runs_once(deploying: Deploying, folder: Path) -> None:
    files = wrapper("1", "with (self.here / 'setups').open('a') as file:\n    file.write('x')")
    done = await asyncio.gather(*(deploying.deploy_files("a", files) for _ in range(5)), return_exceptions=True)
    assert [type(each) for each in done].count(PipelineExists) == 4
    assert (folder / "a/setups").read_text() == "x"


async def test_what_waits_for_a_setup_that_waits_is_its_own_name_alone(deploying: Deploying, folder: Path) -> None:
    await deploying.deploy_files("b", wrapper("b"))
    gate = folder / "gate"
    slow = wrapper("1", waiting_for(gate))
    first = asyncio.create_task(deploying.deploy_files("a", slow))
    second = asyncio.create_task(deploying.deploy_files("a", wrapper("2"), overwrite=True))
    await deploying.deploy_files("c", wrapper("c"))
    await deploying.deploy_files("b", wrapper("b2"), overwrite=True)
    await deploying.undeploy("c")
    assert said(deploying, "b") == "b2!\n"
    assert not first.done()
    assert not second.done()
    gate.touch()
    await first
    await second
    assert said(deploying, "a") == "2!\n"


async def test_a_server_that_starts_meanwhile_does_not_take_what_may_fail_yet(
    deploying: Deploying, folder: Path
) -> None:
    lay(folder, {"x": b""})
    gate, begun = folder / "gate", folder / "begun"
    first = asyncio.create_task(deploying.deploy_files("a", wrapper("1", waiting_for(gate, begun))))
    await until(begun.exists)
    other = in_folder(folder)
    assert await deploy_all(other) == {}
    assert not other.deployments.present
    gate.touch()
    await first
    assert said(deploying, "a") == "1!\n"
    assert await deploy_all(in_folder(folder)) == {}


async def test_what_is_not_ready_when_the_server_ends_is_undone(deploying: Deploying, folder: Path) -> None:
    lay(folder, {"x": b""})
    gate, begun = folder / "gate", folder / "begun"
    deploy = asyncio.create_task(deploying.deploy_files("a", wrapper("1", waiting_for(gate, begun))))
    await until(begun.exists)
    await deploying.close()
    assert tree(folder) == {"x": b"", "begun": b""}
    lay(folder, {"gate": b""})
    with pytest.raises(PipelineNotSaved):
        await deploy
    assert tree(folder) == {"x": b"", "begun": b"", "gate": b""}
    assert not deploying.deployments.present


@pytest.mark.parametrize("call", ["replace", "link", "fsync", "symlink"])
async def test_a_disk_that_fails_at_any_step_changes_nothing(
    deploying: Deploying, folder: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    own = {**wrapper("1"), "mine.txt": b"by hand"}
    lay(folder, below("a", own))
    await deploy_all(deploying)
    really = getattr(os, call)
    left = 0

    def failing(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return really(*arguments, **options)

    monkeypatch.setattr(os, call, failing)
    for step in range(1, 200):
        left = step
        try:
            await deploying.deploy_files("a", wrapper("2"), overwrite=True)
            break
        except PipelineNotSaved:
            assert tree(folder) == below("a", own)
            assert said(deploying, "a") == "1!\n"
    assert tree(folder) == below("a", {**own, **wrapper("2")})
    assert said(deploying, "a") == "2!\n"
    await in_folder(folder).start()
    assert tree(folder) == below("a", {**own, **wrapper("2")})


async def test_a_deploy_goes_on_though_its_visitor_has_left(deploying: Deploying, folder: Path) -> None:
    lay(folder, {"x": b""})
    gate, begun = folder / "gate", folder / "begun"
    setup = waiting_for(gate, begun)
    task = asyncio.create_task(deploying.deploy_files("a", wrapper("1", setup)))
    await until(begun.exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.touch()
    await until(lambda: "a" in deploying.deployments.present)


FAILING = [
    wrapper("2", "raise ValueError('no')"),
    wrapper("2", "raise SystemExit(3)"),
    wrapper("2", "raise KeyboardInterrupt"),
    wrapper("2", "(self.here / 'made.txt').write_text('x')\n(self.here / 'more').mkdir()\nraise StopIteration"),
    {**wrapper("2"), "pipeline_wrapper.py": b"import nothing_of_that_name"},
    {**wrapper("2"), "pipeline_wrapper.py": b"\xff\xfe"},
    {**wrapper("2"), "versions.py": b"VERSION ="},
]


@pytest.mark.parametrize("files", FAILING, ids=range(len(FAILING)))
async def test_an_overwrite_that_fails_leaves_code_and_files_as_they_were(
    deploying: Deploying, folder: Path, files: Mapping[str, bytes]
) -> None:
    own = {**wrapper("1"), "notes/mine.txt": b"by hand"}
    lay(folder, below("a", own))
    await deploy_all(deploying)
    first = deploying.deployments.find("a")
    with pytest.raises(PipelineError) as refused:
        await deploying.deploy_files("a", files, overwrite=True)
    assert refused.value.status == 422
    assert deploying.deployments.find("a") is first
    assert said(deploying, "a") == "1!\n"
    assert tree(folder) == below("a", own)
    assert not (folder / ".portico").exists()


@pytest.mark.parametrize(
    "raised",
    ["SystemExit(3)", "KeyboardInterrupt", "GeneratorExit", "StopIteration", "__import__('asyncio').CancelledError"],
)
async def test_whatever_setup_raises_is_said_to_be_its_own(deploying: Deploying, raised: str) -> None:
    with pytest.raises(PipelineError, match=r"^Failed to call setup\(\) on pipeline wrapper instance: "):
        await deploying.deploy_files("a", wrapper("1", f"raise {raised}"))


@pytest.mark.parametrize("files", FAILING, ids=range(len(FAILING)))
async def test_a_first_deploy_that_fails_leaves_nothing(
    deploying: Deploying, folder: Path, files: Mapping[str, bytes]
) -> None:
    with pytest.raises(PipelineError):
        await deploying.deploy_files("a", files)
    assert not deploying.deployments.present
    left = {path for path in tree(folder) if path not in ("a/made.txt",)}  # what its `setup` has made is not ours
    assert not left
    await deploying.deploy_files("a", wrapper("1"), overwrite=True)
    assert said(deploying, "a") == "1!\n"


async def test_an_overwrite_replaces_what_deploys_have_brought_and_leaves_the_rest(
    deploying: Deploying, folder: Path
) -> None:
    before = modules()
    await deploying.deploy_files("a", {**wrapper("1"), "old/gone.txt": b"x", "both/a.txt": b"1"})
    lay(folder, {"a/mine/data.bin": b"mine", "a/both/b.txt": b"by hand"})
    seen = "assert not (self.here / 'old/gone.txt').exists()\nself.mine = (self.here / 'mine/data.bin').read_bytes()"
    files = {**wrapper("2", f"{seen}\n(self.here / 'cache.txt').write_text('c')"), "both/a.txt": b"2"}
    old = deploying.deployments.find("a").wrapper
    await deploying.deploy_files("a", files, overwrite=True)
    by_hand = {"mine/data.bin": b"mine", "both/b.txt": b"by hand", "cache.txt": b"c"}
    assert tree(folder) == below("a", {**files, **by_hand})
    made = deploying.deployments.find("a")
    assert made.wrapper.mine == b"mine"
    assert made.wrapper.where() == folder / "a" / "pipeline_wrapper.py"
    assert made.source.path == folder / "a"
    assert (made.wrapper.here / "cache.txt").read_text() == "c", "what was read of its place before leads there, too"
    lay(made.wrapper.here, {"written.txt": b"w"})
    assert (folder / "a/written.txt").read_text() == "w"
    assert old.run_api(name="said.txt") == "1!\n"
    for number in range(5):
        await deploying.deploy_files("a", wrapper(str(number)), overwrite=True)
    assert len([*(folder / ".portico").glob("staged-*")]) <= 2
    with pytest.raises(PipelineError):
        await deploying.deploy_files("a", FAILING[0], overwrite=True)
    assert len(modules() - before) == 3, "the package, the wrapper and what it imports, of the one that is served"
    await deploying.undeploy("a")
    assert not modules() - before
    await deploying.close()
    assert os.listdir(folder / ".portico") == ["records"]


async def test_the_owners_files_are_replaced_by_an_overwrite_alone(deploying: Deploying, folder: Path) -> None:
    own = wrapper("1")
    lay(folder, below("a", own))
    with pytest.raises(PipelineExists, match="already exists"):
        await deploying.deploy_files("a", wrapper("2"))
    assert tree(folder) == below("a", own)
    await deploying.deploy_files("a", own)  # the same files are no change
    await deploying.undeploy("a")
    await deploying.deploy_files("a", wrapper("2"), overwrite=True)
    await deploying.undeploy("a")
    await deploying.deploy_files("a", wrapper("3"))  # over files that a deploy has brought
    assert tree(folder) == below("a", wrapper("3"))
    lay(folder, {"a/said.txt": b"edited"})
    await deploying.undeploy("a")
    with pytest.raises(PipelineExists):
        await deploying.deploy_files("a", wrapper("4"))
    assert tree(folder) == {**below("a", wrapper("3")), "a/said.txt": b"edited"}


async def test_what_is_not_saved_leaves_no_file_and_runs_where_it_can_read_its_own(
    deploying: Deploying, folder: Path
) -> None:
    await deploying.deploy_files("a", wrapper("1"), save=False)
    await deploying.deploy_yaml("b", YAML, save=False)
    assert said(deploying, "a") == "1!\n"
    assert tree(folder) == {}
    place = deploying.deployments.find("a").wrapper.here
    assert tree(place) == wrapper("1")
    await deploying.close()
    assert tree(place) == {}


async def test_settings_are_each_deployments_own_and_are_there_again_at_the_next_start(
    deploying: Deploying, folder: Path
) -> None:
    files = wrapper("1")
    for name in ("small", "large"):
        await deploying.deploy_files(name, files, settings={"model": name, "top_k": 3})
    again = in_folder(folder)
    assert await deploy_all(again) == {}
    for each in (deploying, again):
        assert each.deployments.find("large").wrapper.settings == {"model": "large", "top_k": 3}
        assert each.deployments.find("small").wrapper.settings == {"model": "small", "top_k": 3}
    assert (folder / ".portico").stat().st_mode & 0o077 == 0, "settings may hold keys"
    await again.deploy_files("small", files, overwrite=True)
    assert again.deployments.find("small").wrapper.settings == {}
    with pytest.raises(PipelineError, match="must be JSON"):
        await again.deploy_files("b", files, settings={"x": object()})
    with pytest.raises(PipelineError, match="65536 characters"):
        await again.deploy_files("b", files, settings={"x": "y" * 70000})


async def test_a_deploy_does_not_write_through_links(deploying: Deploying, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    lay(out, {"x.txt": b"outside"})
    lay(folder, below("a", wrapper("1")))
    for link, to in [("a/sub", "."), ("a/link.txt", "x.txt"), ("b", "."), ("c", "nothing"), ("d.yml", "x.txt")]:
        os.symlink(out / to, folder / link)
    for name, key in [("a", "sub/x.txt"), ("a", "sub/new.txt"), ("a", "link.txt"), ("b", "x.txt"), ("c", "y.txt")]:
        with pytest.raises(PipelineError, match="is a link"):
            await deploying.deploy_files(name, {**wrapper("2"), key: b"in"}, overwrite=True)
    with pytest.raises(PipelineError, match="is a link"):
        await deploying.deploy_yaml("d", YAML, overwrite=True)
    assert tree(out) == {"x.txt": b"outside"}
    assert os.listdir(out) == ["x.txt"]


async def test_a_folder_that_cannot_be_written_is_said_and_undeploying_works(
    deploying: Deploying, folder: Path, tmp_path: Path
) -> None:
    lay(folder, below("a", wrapper("1")))
    (folder / ".portico").write_text("in the way")
    await deploy_all(deploying)
    with pytest.raises(PipelineNotSaved, match=r"^Failed to save the files of pipeline 'b'"):
        await deploying.deploy_files("b", wrapper("1"))
    with pytest.raises(PipelineNotSaved):
        await deploying.deploy_files("a", wrapper("2"), overwrite=True)
    assert said(deploying, "a") == "1!\n"
    assert tree(folder) == {**below("a", wrapper("1"))}
    await deploying.undeploy("a")
    assert not deploying.deployments.present


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "C:a", "a\0", ".portico", "x" * 300])
async def test_bad_names_and_keys_touch_nothing(deploying: Deploying, folder: Path, name: str) -> None:
    for deploy in (deploying.deploy_files(name, wrapper("1")), deploying.deploy_yaml(name, YAML)):
        with pytest.raises(PipelineError) as refused:
            await deploy
        assert refused.value.status == 422
    with pytest.raises(PipelineError):
        await deploying.deploy_files("a", {**wrapper("1"), f"../{name}": b"x"})
    with pytest.raises(PipelineError, match="Missing required file"):
        await deploying.deploy_files("a", {"a.py": b""})
    assert tree(folder) == {}


async def test_the_other_kind_of_pipeline_takes_a_name_over_and_keeps_it_over_a_restart(
    deploying: Deploying, folder: Path
) -> None:
    await deploying.deploy_files("a", wrapper("1"))
    await deploying.deploy_yaml("a", YAML, overwrite=True, description="as YAML", skip_mcp=True)
    again = in_folder(folder)
    await deploy_all(again)
    found = again.deployments.find("a")
    assert (found.source.kind, found.description, found.skip_mcp) == ("yaml", "as YAML", True)


async def test_no_more_wait_than_are_held_in_memory(deploying: Deploying, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portico.pipelines.deploying.deploying.MOST_WAITING", 2)
    done = await asyncio.gather(*(deploying.deploy_yaml(f"a{n}", YAML) for n in range(4)), return_exceptions=True)
    assert [type(each) for each in done].count(Busy) == 2


async def test_no_more_are_served_than_are_held_in_memory(
    deploying: Deploying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portico.pipelines.deploying.deploying.MOST_DEPLOYMENTS", 1)
    await deploying.deploy_yaml("a", YAML)
    with pytest.raises(PipelineError, match="Undeploy one"):
        await deploying.deploy_yaml("b", YAML)
    await deploying.deploy_yaml("a", YAML, overwrite=True)
