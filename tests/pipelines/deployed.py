"""Pipelines as files, for tests of how they are deployed: a wrapper that tells its version, and folders of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from portico.pipelines.deploying.crew import Crew
from portico.pipelines.deploying.deploying import Deploying
from portico.pipelines.deployments import Deployments
from tests.pipelines.haystack_made import branches

YAML = branches().dumps() + "inputs:\n  value: [first.value, add.value]\n"

_WRAPPER = """
from pathlib import Path
from portico.pipelines.wrapper import BasePipelineWrapper
from .versions import VERSION

class PipelineWrapper(BasePipelineWrapper):
    def setup(self, **settings):
        self.settings = settings
        self.here = Path(__file__).parent
        self.data = (self.here / "data.bin").read_bytes()
{setup}

    def run_api(self, name: str) -> str:
        return VERSION + (Path(__file__).parent / name).read_text()

    def where(self):
        return Path(__file__)
"""


@dataclass
class InFolder:
    """The settings that deploying needs."""

    pipelines_dir: str


def in_folder(folder: Path, crew: Crew | None = None) -> Deploying:
    return Deploying(Deployments(), InFolder(str(folder)), crew)


def wrapper(version: str, setup: str = "") -> dict[str, bytes]:
    """The files of a wrapper that says *version*, with bytes that are not UTF-8 and a module of its own.

    *setup* are lines of its ``setup``.
    """
    lines = "".join(f"        {line}\n" for line in setup.splitlines())
    return {
        "pipeline_wrapper.py": _WRAPPER.format(setup=lines).encode(),
        "versions.py": f"VERSION = {version!r}\n".encode(),
        "data.bin": b"\xff\0\xfe",
        "said.txt": b"!\r\n",
    }


def waiting_for(gate: Path, begun: Path | None = None) -> str:
    """Lines of a ``setup`` that waits until *gate* is there, and makes the file *begun* first."""
    begin = f"Path({str(begun)!r}).touch()\n" if begun is not None else ""
    return f"import time\n{begin}while not Path({str(gate)!r}).exists():\n    time.sleep(0.01)"


def said(deploying: Deploying, name: str) -> str:
    """What the wrapper answers: its version, and what it reads of its folder."""
    text: str = deploying.deployments.find(name).wrapper.run_api("said.txt")
    return text


def lay(folder: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def below(name: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{name}/{key}": content for key, content in files.items()}


def tree(folder: Path) -> dict[str, bytes]:
    """All files that are somebody's, and none of the server's own."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not {".portico", "__pycache__"} & set(path.parts)
    }
