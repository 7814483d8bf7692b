"""Deploys to real servers of pipelines: several processes, one that is killed, and requests that do not wait."""

from __future__ import annotations

import base64
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.live_commands import Shell
from tests.live_pipelines import YAML, LivePipelines, lay_wrapper, running_pipelines, start_pipelines
from tests.waiting import eventually

SOURCE = """\
import os
from pathlib import Path
from portico.pipelines import BasePipelineWrapper


class PipelineWrapper(BasePipelineWrapper):
    def setup(self, said: str = "nothing") -> None:
        self.said = said
        {setup}

    def run_api(self) -> str:
        return f"{version} {{self.said}} {{os.getpid()}} {{Path(__file__).parent}}"
"""


def files(version: str, setup: str = "pass") -> dict[str, Any]:
    data = {"encoding": "base64", "content": base64.b64encode(b"\xff\0").decode()}
    return {"pipeline_wrapper.py": SOURCE.format(version=version, setup=setup), "data.bin": data}


def deploy(live: LivePipelines, name: str, body: dict[str, Any], **options: Any) -> httpx.Response:
    return live.request("POST", "/deploy_files", key=True, json={"name": name, "files": body, **options})


def run(live: LivePipelines, name: str) -> str:
    """What it answers; each time over a connection of its own, which any of the processes may take."""
    answer = live.request("POST", f"/{name}/run", json={})
    return answer.json()["result"] if answer.status_code == 200 else str(answer.status_code)


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def asked_many(live: LivePipelines, name: str, times: int = 16) -> Iterator[list[str]]:
    with ThreadPoolExecutor(8) as threads:
        yield [*threads.map(lambda _: run(live, name), range(times))]


def test_with_two_workers_what_is_answered_is_served_by_both(tmp_path: Path) -> None:
    lay_wrapper(tmp_path / "pipelines/own", "def run_api(self) -> str:\n    return 'own'\n")
    with running_pipelines(tmp_path, "--workers", "2") as live:
        for version in ("one", "two"):
            answer = deploy(live, "a", files(version), overwrite=True, settings={"said": version})
            assert answer.status_code == 200, answer.text
            with asked_many(live, "a") as said:
                assert {text.rpartition(" ")[2] for text in said} == {str(tmp_path / "pipelines/a")}
                assert {text.split()[0] for text in said} == {version}
                assert {text.split()[1] for text in said} == {version}
                assert len({text.split()[2] for text in said}) == 2, "both answer"
        assert tree(tmp_path / "pipelines/a")["data.bin"] == b"\xff\0"
        refused = deploy(live, "a", files("three", "raise ValueError('no')"), overwrite=True)
        assert refused.status_code == 422
        assert refused.json() == {"detail": "Failed to call setup() on pipeline wrapper instance: no"}
        with asked_many(live, "a") as said:
            assert {text.split()[0] for text in said} == {"two"}
        with ThreadPoolExecutor(5) as threads:
            statuses = [*threads.map(lambda _: deploy(live, "b", files("one")).status_code, range(5))]
        assert sorted(statuses) == [200, 409, 409, 409, 409]
        assert deploy(live, "c", files("unsaved"), save_files=False).status_code == 200
        with asked_many(live, "c") as said:
            assert {text.split()[0] for text in said} == {"unsaved"}
        for name in ("a", "c", "own"):
            assert live.request("POST", f"/undeploy/{name}", key=True).status_code == 200
            with asked_many(live, name, 8) as said:
                assert set(said) == {"404"}
        assert tree(tmp_path / "pipelines/own")
        live.end()


def test_no_request_waits_for_a_setup_that_does(tmp_path: Path) -> None:
    lay_wrapper(tmp_path / "pipelines/own", "def run_api(self) -> str:\n    return 'own'\n")
    gate = tmp_path / "gate"
    slow = files("slow", f"import time; [time.sleep(0.02) for _ in iter(lambda: Path({str(gate)!r}).exists(), True)]")
    with running_pipelines(tmp_path) as live, ThreadPoolExecutor(1) as threads:
        deploying = threads.submit(deploy, live, "slow", slow)
        for _ in range(20):
            assert run(live, "own") == "own"
        assert deploy(live, "quick", files("quick")).status_code == 200
        assert run(live, "quick").startswith("quick ")
        assert live.request("POST", "/undeploy/quick", key=True).status_code == 200
        assert sorted(live.request("GET", "/status").json()["pipelines"]) == ["own"]
        assert not deploying.done()
        gate.touch()
        assert deploying.result().status_code == 200
        assert run(live, "slow").startswith("slow ")


@pytest.mark.parametrize("workers", [pytest.param("1", marks=pytest.mark.real), "2"])
def test_a_server_that_is_killed_in_a_setup_leaves_the_owners_files(tmp_path: Path, workers: str) -> None:
    methods = "def run_api(self) -> str:\n    return 'own'\n"
    folder = lay_wrapper(tmp_path / "pipelines/own", methods)
    (folder / "notes.bin").write_bytes(b"\xff mine")
    before = tree(folder)
    begun = tmp_path / "begun"
    stuck = files("new", f"import time; Path({str(begun)!r}).touch(); time.sleep(600)")
    shell = Shell(tmp_path)
    try:
        live = start_pipelines(shell, "--workers", workers)
        with ThreadPoolExecutor(2) as threads:
            overwrite = threads.submit(deploy, live, "own", {**stuck, "notes.bin": "theirs"}, overwrite=True)
            fresh = threads.submit(deploy, live, "fresh", stuck)
            eventually(begun.exists)
            eventually((tmp_path / "pipelines/fresh/pipeline_wrapper.py").exists)
            assert tree(folder) == before
            for process in [*psutil.Process(live.process.pid).children(recursive=True), live.process]:
                process.send_signal(signal.SIGKILL)
            live.process.wait(30)
            assert tree(folder) == before
            for asked in (overwrite, fresh):
                with pytest.raises(httpx.HTTPError):
                    asked.result(30)
        again = start_pipelines(shell)
        assert again.request("GET", "/status").json()["pipelines"] == ["own"]
        assert run(again, "own") == "own"
        assert tree(folder) == before
        assert not (tmp_path / "pipelines/fresh").exists()
        again.end()
    finally:
        shell.end()


def test_what_was_undeployed_stays_so_over_a_restart_and_a_stop_in_a_setup_is_undone(tmp_path: Path) -> None:
    for name in ("own", "stays"):
        lay_wrapper(tmp_path / "pipelines" / name, "def run_api(self) -> str:\n    return 'own'\n")
    begun = tmp_path / "begun"
    shell = Shell(tmp_path)
    try:
        live = start_pipelines(shell)
        assert deploy(live, "sent", files("one"), settings={"said": "kept"}).status_code == 200
        live.portico("pipeline", "undeploy", "own")
        before = tree(tmp_path / "pipelines/own"), tree(tmp_path / "pipelines/sent")
        stuck = files("new", f"import time; Path({str(begun)!r}).touch(); time.sleep(600)")
        with ThreadPoolExecutor(1) as threads:
            overwrite = threads.submit(deploy, live, "sent", stuck, overwrite=True)
            eventually(begun.exists)
            live.end(signal.SIGTERM)
            overwrite.exception(30)
        again = start_pipelines(shell)
        assert again.request("GET", "/status").json()["pipelines"] == ["sent", "stays"]
        assert run(again, "sent").startswith("one kept ")
        assert (tree(tmp_path / "pipelines/own"), tree(tmp_path / "pipelines/sent")) == before
        again.portico("pipeline", "deploy-files", "-n", "own", "pipelines/own")
        assert run(again, "own") == "own"
        assert tree(tmp_path / "pipelines/own") == before[0]
        again.end()
    finally:
        shell.end()


def test_with_reload_a_change_of_files_is_served_and_an_error_in_one_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "pipelines"
    lay_wrapper(folder / "own", "def run_api(self) -> str:\n    return 'one'\n")
    (folder / "shared.py").write_text("WORD = 'a'\n")
    lay_wrapper(folder / "uses", "def run_api(self) -> str:\n    return WORD\n", before="from shared import WORD\n")
    (folder / "y.yml").write_text(YAML)

    def value() -> Any:
        answer = live.request("POST", "/y/run", json={"value": 5})
        return answer.json()["result"]["add"]["result"] if answer.status_code == 200 else answer.status_code

    with running_pipelines(tmp_path, "--reload") as live:
        process = live.request("GET", "/status").status_code
        assert process == 200
        assert (run(live, "own"), run(live, "uses"), value()) == ("one", "a", 13)
        lay_wrapper(folder / "own", "def run_api(self) -> str:\n    return 'two'\n")
        (folder / "y.yml").write_text(YAML.replace("add: 3", "add: 4"))
        eventually(lambda: (run(live, "own"), value()) == ("two", 14))
        (folder / "shared.py").write_text("WORD = 'b'\n")
        eventually(lambda: run(live, "uses") == "b")
        (folder / "own/pipeline_wrapper.py").write_text("def broken(")
        lay_wrapper(folder / "more", "def run_api(self) -> str:\n    return 'more'\n")
        eventually(lambda: run(live, "more") == "more")
        assert run(live, "own") == "two"
        assert deploy(live, "sent", files("sent")).status_code == 200
        assert run(live, "sent").startswith("sent ")


def test_twenty_pipelines_that_wait_do_so_together_and_are_told_of_as_they_come_up(tmp_path: Path) -> None:
    before = """import time
from pathlib import Path

def meet(here):  # ends once all twenty have come
    (here / "begun").touch()
    until = time.monotonic() + 60
    while len([*here.parent.glob("*/begun")]) < 20:
        assert time.monotonic() < until, "the others do not begin"
        time.sleep(0.01)
"""
    for number in range(20):
        methods = f"def run_api(self) -> int:\n    return {number}\n"
        folder = lay_wrapper(tmp_path / f"pipelines/p{number}", methods, before=before)
        text = (folder / "pipeline_wrapper.py").read_text()
        (folder / "pipeline_wrapper.py").write_text(text.replace("self.pipeline = None", "meet(Path(__file__).parent)"))
    with running_pipelines(tmp_path) as live:
        assert live.request("POST", "/p7/run", json={}).json() == {"result": 7}
        eventually(lambda: "20 of 20 pipelines are up after " in "".join(live.said))
        said = "".join(live.said)
        assert all(f"/20] p{number} is up" in said for number in range(20))
