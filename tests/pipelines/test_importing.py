"""Packages that several pipelines need at once: each is imported whole, though its parts import each other."""

from __future__ import annotations

import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import Any

import pytest

from portico.pipelines.components.socket_types import field_type
from portico.pipelines.deployment import Source
from portico.pipelines.importing import import_all, importing, is_imported
from portico.pipelines.loading import load_wrapper
from portico.pipelines.preparing import prepare
from portico.pipelines.runs import piece_text
from portico.pipelines.wrapper import BasePipelineWrapper
from tests.waiting import eventually

PROGRAM = """
import asyncio, sys
from pathlib import Path
from portico.pipelines.deploying.deploying import Deploying
from portico.pipelines.deployments import Deployments
from portico.pipelines.settings import PipelinesSettings
from portico.pipelines.deploying.startup import deploy_all

async def main():
    assert "haystack" not in sys.modules
    deploying = Deploying(Deployments(), PipelinesSettings(pipelines_dir=sys.argv[1]))
    failed = await deploy_all(deploying, None, 16)
    print({name: str(error) for name, error in failed.items()})
    print(sorted(deploying.deployments.present))
    await deploying.close()

asyncio.run(main())
"""

AT_TOP = """
from haystack import Pipeline
from portico.pipelines.wrapper import BasePipelineWrapper
from tests.waiting import eventually

class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = Pipeline()

    def run_api(self, text: str) -> str:
        return text
"""

IN_SETUP = """
from portico.pipelines.wrapper import BasePipelineWrapper
from tests.waiting import eventually

class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        from haystack.dataclasses import ChatMessage
        from haystack import Pipeline
        self.pipeline = Pipeline()

    def run_api(self, text: str) -> str:
        return text
"""

WITHOUT = """
from portico.pipelines.wrapper import BasePipelineWrapper
from tests.waiting import eventually

class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = None

    def run_api(self, text: str) -> str:
        return text
"""

YAML = """
components:
  first: {type: haystack.testing.sample_components.double.Double, init_parameters: {}}
inputs: {value: first.value}
"""


@pytest.mark.parametrize(
    "kinds",
    [
        "top setup without yaml",
        pytest.param("setup", marks=pytest.mark.real),
        pytest.param("yaml without", marks=pytest.mark.real),
    ],
)
def test_pipelines_of_every_kind_are_made_ready_at_once_in_a_new_process(tmp_path: Path, kinds: str) -> None:
    texts = {"top": AT_TOP, "setup": IN_SETUP, "without": WITHOUT}
    names = []
    for kind in kinds.split():
        for number in range(5):
            name = f"{kind}{number}"
            names.append(name)
            if kind == "yaml":
                (tmp_path / f"{name}.yml").write_text(YAML)
            else:
                (tmp_path / name).mkdir()
                (tmp_path / name / "pipeline_wrapper.py").write_text(texts[kind])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.stdout.splitlines() == ["{}", str(sorted(names))], done.stderr[-3000:]


def test_one_thread_imports_at_a_time_and_may_import_within_its_imports() -> None:
    inside, may_go, second = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with importing(), importing():
            inside.set()
            may_go.wait(20)

    def other() -> None:
        with importing():
            second.set()

    threads = [threading.Thread(target=first), threading.Thread(target=other)]
    threads[0].start()
    assert inside.wait(20)
    threads[1].start()
    assert not second.wait(0.05)
    may_go.set()
    assert second.wait(20)
    for thread in threads:
        thread.join(20)


def test_what_a_setup_imports_waits_for_the_imports_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = WITHOUT.replace("self.pipeline = None", "import nobody_has_it_yet; self.pipeline = None")
    (tmp_path / "nobody_has_it_yet.py").write_text("")
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "pipeline_wrapper.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    of_wrapper = load_wrapper("pipeline", tmp_path / "pipeline")
    begun, done = threading.Event(), threading.Event()

    def set_up() -> None:
        begun.set()
        of_wrapper.wrapper().setup()
        done.set()

    thread = threading.Thread(target=set_up)
    with importing():
        thread.start()
        assert begun.wait(20)
        assert not done.wait(0.05)
        assert "nobody_has_it_yet" not in sys.modules
    assert done.wait(20)
    thread.join(20)
    with importing():  # what is there is imported at once: a run that imports waits for no deploy
        thread = threading.Thread(target=set_up)
        done.clear()
        thread.start()
        assert done.wait(20)
    thread.join(20)
    of_wrapper.discard()


def test_a_file_that_hangs_at_its_top_does_not_hold_up_the_others_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("portico.pipelines.importing.LONGEST_WAIT", 0.2)
    begun, gate = tmp_path / "begun", tmp_path / "gate"
    for name, top in {
        "hangs": f"import time\nPath({str(begun)!r}).touch()\nwhile not Path({str(gate)!r}).exists(): time.sleep(0.01)",
        "other": "import colorsys",
    }.items():
        (tmp_path / name).mkdir()
        text = f"from pathlib import Path\n{top}\nclass PipelineWrapper: pass\n"
        (tmp_path / name / "pipeline_wrapper.py").write_text(text)
    hanging = threading.Thread(target=load_wrapper, args=("hangs", tmp_path / "hangs"), daemon=True)
    hanging.start()
    eventually(begun.exists)
    try:
        load_wrapper("other", tmp_path / "other").discard()
        assert hanging.is_alive()
    finally:
        gate.touch()
        hanging.join(10)
    assert "Another pipeline has been importing" in caplog.text
    with importing():
        pass


def test_what_cannot_be_imported_is_left_to_who_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "breaks_at_once.py").write_text("1 / 0")
    (tmp_path / "is_fine_here.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    import_all(["breaks_at_once", "no_such_module_at_all", "is_fine_here", "is_fine_here"])
    assert is_imported("is_fine_here")
    assert not is_imported("breaks_at_once")
    assert not is_imported("no_such_module_at_all")


def test_what_a_thread_is_still_at_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = "from portico.pipelines.importing import is_imported\nthen = is_imported(__name__)\n"
    (tmp_path / "asks_of_itself.py").write_text(module)
    monkeypatch.syspath_prepend(str(tmp_path))
    import_all(["asks_of_itself"])
    assert sys.modules["asks_of_itself"].then is False
    assert is_imported("asks_of_itself")


def test_to_look_for_a_class_of_haystack_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its packages import what they are asked for: another thread may be at them."""

    class Lazy(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} would be imported now")

    monkeypatch.setitem(sys.modules, "haystack.dataclasses", Lazy("haystack.dataclasses"))
    assert field_type(list[int]) == list[int]
    assert piece_text(types.SimpleNamespace()) == "namespace()"
    prepare("n", Plain, Source(kind="object"))


class Plain(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = None

    def run_api(self, texts: list[str]) -> dict[str, int]:
        return {"texts": len(texts)}
