"""Wrappers that are loaded at once, by threads: their imports come one after the other."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from portico.pipelines.loading import load_wrapper

MEETS = """
from tests.pipelines.test_loading_at_once import MEETING
MEETING.arrive()
class PipelineWrapper: pass
"""


class Meeting:
    """Two that would meet if they ran at once."""

    def __init__(self) -> None:
        self.met = False
        self._lock = threading.Lock()
        self._there = 0
        self._both = threading.Event()

    def arrive(self) -> None:
        with self._lock:
            self._there += 1
            if self._there == 2:
                self._both.set()
        if self._both.wait(0.3):  # long enough for the other thread, which has nothing to do but to come
            self.met = self.met or self._there == 2
        with self._lock:
            self._there -= 1


MEETING = Meeting()


def written(folder: Path, text: str, count: int) -> list[Path]:
    folders = [folder / f"p{number}" for number in range(count)]
    for one in folders:
        one.mkdir()
        (one / "pipeline_wrapper.py").write_text(text)
    return folders


def test_two_files_are_never_imported_at_once(tmp_path: Path) -> None:
    folders = written(tmp_path, MEETS, 2)
    with ThreadPoolExecutor(2) as pool:
        assert len([*pool.map(lambda folder: load_wrapper(folder.name, folder), folders)]) == 2
    assert not MEETING.met
