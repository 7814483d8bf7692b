"""`Watching`: pipelines that follow their files while the server runs (``--reload``).

A pipeline whose code or YAML has changed is made ready anew beside the one that is served, and takes its place; one
that fails leaves the old one there, and is in the log. A pipeline that is laid into the folder comes, one that is taken
out goes. No process is started anew for it.

Here: which change is whose. Not here: how one is made ready and served (`deploying`). Needs watchfiles.
"""

from __future__ import annotations

import asyncio
import fnmatch
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from portico.errors import InvalidOption, PorticoError
from portico.pipelines.deploying.fingerprint import SUFFIXES
from portico.pipelines.deploying.names import WRAPPER_FILE, YAML_SUFFIXES
from portico.pipelines.deploying.threads import on_thread

if TYPE_CHECKING:
    from portico.pipelines.deploying.deploying import Deploying

log = logging.getLogger("portico.pipelines")

_SETTLED: Final = 200
"""Milliseconds in which nothing more has changed: an editor writes several files at once, or takes one away and puts
another into its place."""
_LONGEST: Final = 1600
"""Milliseconds after which changes are heeded though more keep coming."""
_FIRST: Final = 500  # milliseconds until what has changed before files were watched is looked for
_APPEARS: Final = 1.0  # seconds between two looks for a folder that is not there yet


class Watching:
    """Watches the folder of one `Deploying`, on its event loop, from `start` to `stop`."""

    def __init__(self, deploying: Deploying, ignore: Sequence[str] = ()) -> None:
        """*ignore*: patterns of files' and folders' names that do not count. Raises `InvalidOption`."""
        try:
            import watchfiles  # noqa: F401 -- whether it is there, is said before anything starts
        except ImportError:
            raise InvalidOption("--reload needs watchfiles: pip install 'portico[pipelines]'") from None
        self._deploying = deploying
        self._ignore = ignore
        self._task: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()

    def start(self) -> None:
        """From here on; what lies in the folder must be served already."""
        if self._deploying.folder is not None:
            self._task = asyncio.create_task(self._watch(self._deploying.folder.path))

    async def stop(self) -> None:
        self._stopped.set()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _watch(self, folder: Path) -> None:
        import watchfiles

        while not await on_thread(folder.is_dir):  # noqa: ASYNC110 -- somebody makes it some time
            await asyncio.sleep(_APPEARS)
        changes = watchfiles.awatch(
            folder,
            watch_filter=lambda _, path: self.counts(Path(path)),
            debounce=_LONGEST,
            step=_SETTLED,
            rust_timeout=_FIRST,
            yield_on_timeout=True,
        )
        is_first = True
        async for changed in changes:
            if is_first:
                is_first = False
                await self._look()
            await self._take(sorted({Path(path) for _, path in changed}))

    async def _look(self) -> None:
        """Find what has changed since the pipelines were made ready, and before their files were watched."""
        folder = self._deploying.folder
        assert folder is not None
        there = {found.name for found in await on_thread(folder.found) if self.counts(found.path)}
        for name in sorted({*self._deploying.deployments.present, *(there - self._deploying.tried)}):
            await self._reload(name)

    async def _take(self, changed: Sequence[Path]) -> None:
        present = self._deploying.deployments.present
        shared = [path for path in changed if await on_thread(partial(self._is_shared, path))]
        if sum(map(forget_modules, shared)):
            for name in present:
                await self._reload(name, at_any_rate=True)
        for name in sorted({self._name_of(path) for path in changed}):
            await self._reload(name)

    def counts(self, path: Path) -> bool:
        """Whether a change of *path* is one of a pipeline."""
        folder = self._deploying.folder
        if folder is None or not path.is_relative_to(folder.path):
            return False
        parts = path.relative_to(folder.path).parts
        return (
            bool(parts)
            and not any(
                part.startswith(".")
                or part == "__pycache__"
                or any(fnmatch.fnmatch(part, each) for each in self._ignore)
                for part in parts
            )
            and (path.suffix in SUFFIXES or len(parts) == 1)
        )

    def _name_of(self, path: Path) -> str:
        assert self._deploying.folder is not None
        first = Path(path.relative_to(self._deploying.folder.path).parts[0])
        return first.stem if first.suffix in YAML_SUFFIXES else first.name

    def _is_shared(self, path: Path) -> bool:
        """Whether it is a module that lies beside the pipelines, for all of them to import."""
        assert self._deploying.folder is not None
        top = self._deploying.folder.path / path.relative_to(self._deploying.folder.path).parts[0]
        return path.suffix == ".py" and not (top / WRAPPER_FILE).exists()

    async def _reload(self, name: str, *, at_any_rate: bool = False) -> None:
        try:
            await self._deploying.reload(name, at_any_rate=at_any_rate)
        except PorticoError:  # it is in the log
            log.warning("Pipeline '%s' stays as it was before its files changed", name)
        except Exception:  # a folder that cannot be read, say: the next change may find it otherwise
            log.exception("Pipeline '%s' could not be looked at", name)


def forget_modules(file: Path) -> int:
    """Have what was imported from *file* imported anew; gives how many modules that were."""
    names = [name for name, module in sys.modules.copy().items() if getattr(module, "__file__", None) == str(file)]
    for name in names:
        sys.modules.pop(name, None)
    return len(names)
