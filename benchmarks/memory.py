"""How far the resident memory of some processes rises while something goes on."""

import threading
from types import TracebackType
from typing import Self

import psutil

INTERVAL = 0.02  # seconds between two looks: a buffer that fills and drains faster is not found
MIB = 1 << 20


class PeakMemory:
    """Watches within its `with` block; then `growth` is, by name, the highest rise in bytes."""

    def __init__(self, **pids: int) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._before = self._rss()
        self.growth = dict.fromkeys(self._before, 0)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._done.wait(INTERVAL):
            self._look()

    def _look(self) -> None:
        for name, rss in self._rss().items():
            self.growth[name] = max(self.growth[name], rss - self._before[name])

    def _rss(self) -> dict[str, int]:
        return {name: process.memory_info().rss for name, process in self._processes.items()}
