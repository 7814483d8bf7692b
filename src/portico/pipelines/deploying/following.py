"""`Following`: what one worker process does as others of its server deploy and undeploy.

Here: making ready what another proposes, and serving what all have agreed on. Not here: what is said between them
(`crew`), and the process that begins a change (`deploying`).
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from portico.errors import PipelineError
from portico.pipelines.deploying.crew import LOOKS, Crew, CrewChange, CrewTable
from portico.pipelines.deploying.making import prepare_folder, prepare_yaml
from portico.pipelines.deploying.staging import rename_modules
from portico.pipelines.deploying.threads import on_thread
from portico.pipelines.deployment import Deployment
from portico.pipelines.deployments import Deployments

log = logging.getLogger("portico.pipelines")


class Proposal:
    """A deploy of this process, which the others make ready meanwhile. Where there are none, nothing happens."""

    def __init__(self, crew: Crew | None, change: CrewChange | None, text: str | None) -> None:
        self.change = change
        self._crew = crew
        self._text = text

    def laid(self, folder: Path | None, place: Path | None) -> None:
        """The files are where they can be made ready. Called on a thread, as `candidate.Laid`."""
        if self._crew is None or self.change is None:
            return
        if self._text is not None:
            folder = self._crew.write_yaml(self.change.id, self._text)
        self.change = replace(self.change, laid=str(folder), place=str(place) if place is not None else "")
        self._crew.propose(self.change)

    async def agree(self) -> None:
        """Raises `PipelineError` where another process cannot make it ready."""
        if self._crew is not None and self.change is not None:
            await self._crew.agree(self.change)

    def withdraw(self) -> None:
        if self._crew is not None and self.change is not None:
            self._crew.withdraw(self.change)
            self._crew.remove_yaml(self.change)


class Following:
    """Keeps *deployments* as the crew has agreed. All on one event loop."""

    def __init__(self, crew: Crew, deployments: Deployments) -> None:
        self._crew = crew
        self._deployments = deployments
        self._served: dict[str, str] = {}  # the change of each name that is served here, by its id
        self._ready: dict[str, asyncio.Task[Deployment]] = {}  # what others propose, by the id of the change
        self._task: asyncio.Task[None] | None = None
        self._catching_up = asyncio.Lock()
        self._begun_at = CrewTable()

    def begin(self) -> None:
        """Note what the crew serves already. Call it before the pipelines' folder is read."""
        self._begun_at = self._crew.table()

    async def join(self) -> None:
        """Be one of the crew, once the pipelines of the folder are served."""
        for name, change in self._begun_at.changes.items():
            if change.kind != "undeploy" and change.place and name in self._deployments.present:
                self._served[name] = change.id  # it lay in the folder
        self._crew.join(self._begun_at.revision)
        await self.catch_up()
        self._task = asyncio.create_task(self._follow())

    async def leave(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for task in self._ready.values():
            task.add_done_callback(_drop)
        self._ready.clear()
        self._crew.leave()

    async def tell(self, change: CrewChange) -> None:
        """This process serves *change*: have the others do so, and wait until they do."""
        before = self._crew.table().changes.get(change.name)
        self._served[change.name] = change.id
        revision = await self._crew.settle(change)
        self._crew.withdraw(change)
        await self._crew.served(revision)
        if before is not None:
            self._crew.remove_yaml(before)

    async def catch_up(self) -> None:
        """Serve what all have agreed on."""
        async with self._catching_up:
            table = self._crew.table()
            for name, change in table.changes.items():
                if self._served.get(name) == change.id or change.by == self._crew.id:
                    continue
                await self._serve(change)
                self._served[name] = change.id
            self._crew.say_served(table.revision)

    async def _follow(self) -> None:
        mark: object = None
        while True:
            await asyncio.sleep(1 / LOOKS)
            try:
                now = self._crew.mark()
                if now != mark or self._ready:
                    mark = now
                    self._look_at_proposals()
                    await self.catch_up()
            except Exception:  # a disk that is full, say: the next look may do better
                log.exception("What other worker processes deploy could not be seen")

    def _look_at_proposals(self) -> None:
        proposals = {change.id: change for change in self._crew.proposals()}
        agreed = {change.id for change in self._crew.table().changes.values()}
        for gone in self._ready.keys() - proposals.keys() - agreed:
            self._ready.pop(gone).add_done_callback(_drop)
        for change in proposals.values():
            if change.id not in self._ready and change.id not in self._served.values():
                self._crew.take_up(change)
                self._ready[change.id] = asyncio.create_task(on_thread(partial(_make, change)))
                self._ready[change.id].add_done_callback(partial(self._answer, change))

    def _answer(self, change: CrewChange, task: asyncio.Task[Deployment]) -> None:
        error = task.exception()
        try:
            self._crew.answer(change, "" if error is None else str(error) or type(error).__name__)
        except OSError:
            log.exception("Other worker processes could not be told that '%s' is ready", change.name)

    async def _serve(self, change: CrewChange) -> None:
        ready = self._ready.pop(change.id, None)
        if change.kind == "undeploy":
            if change.name in self._deployments.present:
                self._deployments.remove(change.name)
            return
        try:
            if ready is not None:
                deployment = await ready
            else:  # it was agreed on before this process was asked
                deployment = await on_thread(partial(_make, change, settled=True))
        except PipelineError:
            log.error("Pipeline '%s' is not served by the worker process %s", change.name, self._crew.id)
            return
        if change.kind == "wrapper" and change.place and change.laid != change.place:
            rename_modules(Path(change.laid), Path(change.place))
            deployment = replace(deployment, source=replace(deployment.source, path=Path(change.place)))
        self._deployments.add(deployment, replace=True)


def _drop(task: asyncio.Task[Deployment]) -> None:
    """Nothing has come of what was made ready."""
    if task.exception() is None:
        task.result().discard()


def _make(change: CrewChange, *, settled: bool = False) -> Deployment:
    if change.kind == "wrapper":
        return prepare_folder(
            change.name, Path(change.place if settled and change.place else change.laid), change.settings
        )
    path = Path(change.place) if change.place else None
    text = Path(change.laid).read_bytes().decode()
    return prepare_yaml(change.name, text, path=path, description=change.description, skip_mcp=change.skip_mcp)
