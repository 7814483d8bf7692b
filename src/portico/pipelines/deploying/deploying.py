"""`Deploying`: pipelines come and go while their server runs.

A deploy is made ready on a thread, files and all, and only then takes the place of what was there. It comes whole or
not at all: one that fails, or whose process is killed, leaves the files and the deployment before it as they were.
Deploys of one name come one after another, those of different names side by side. An undeploy leaves all files; what is
undeployed stays so over a restart, until it is deployed again.

Here: the order of these steps. Not here: the files (`folder`, `staging`), how a pipeline is made ready (`preparing`,
`yaml_pipelines`), and which lie in the folder already (`startup`).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol, TypeVar

from portico.errors import Busy, NoSuchPipeline, PipelineError, PipelineExists, PipelineNotSaved
from portico.pipelines.deploying.candidate import Candidate, Laid, make_wrapper, make_yaml
from portico.pipelines.deploying.crew import Crew, CrewChange
from portico.pipelines.deploying.fingerprint import fingerprint
from portico.pipelines.deploying.folder import PipelinesFolder
from portico.pipelines.deploying.following import Following, Proposal
from portico.pipelines.deploying.making import prepare_found
from portico.pipelines.deploying.names import WRAPPER_FILE, check_keys, check_name
from portico.pipelines.deploying.staging import Staged, remove_left
from portico.pipelines.deploying.threads import on_thread
from portico.pipelines.deployment import Deployment
from portico.pipelines.deployments import Deployments

log = logging.getLogger("portico.pipelines")

T = TypeVar("T")

MOST_AT_ONCE: Final = 16
"""Deploys that are made ready at the same time: a thread each, which mostly waits for other servers or for a disk."""
MOST_DEPLOYMENTS: Final = 1000
"""Pipelines of one server: each is in memory, with its modules."""
MOST_WAITING: Final = 64
"""Deploys and undeploys that are under way or wait for their turn, each with its files in memory."""
MOST_SETTINGS: Final = 64 << 10
"""Characters of a deployment's settings as JSON: they are written by hand."""
_ENDS_WITHIN: Final = 1.0  # seconds that deploys under way are given when the server ends
_STAGED_KEPT: Final = 2
"""Folders that are kept for each name: of the deployment, and of the one before it, whose calls may still go on."""


class DeploysInto(Protocol):
    """What of the settings is needed here."""

    @property
    def pipelines_dir(self) -> str: ...


class Deploying:
    """Deploys into *deployments*, whose event loop all of this is for.

    A deploy that was begun goes on to its end, though whoever asked for it has left.
    """

    def __init__(self, deployments: Deployments, settings: DeploysInto | None = None, crew: Crew | None = None) -> None:
        """Without *settings* there is no folder, and nothing is ever saved. *crew* has the server's other processes."""
        self.deployments = deployments
        self.folder = PipelinesFolder(Path(settings.pipelines_dir)) if settings is not None else None
        self._crew = crew
        self._following = Following(crew, deployments) if crew is not None else None
        self._turns: dict[str, _Turn] = {}
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._staged: dict[str, list[Staged]] = {}
        self.tried: set[str] = set()
        """The pipelines of the folder that were to be served at the start, whether or not they are."""

    async def start(self) -> None:
        """Mend what a server before has left half done. Call it before the folder is read."""
        if self._following is not None:
            self._following.begin()
        if self.folder is not None:
            await on_thread(self.folder.mend)
            if self._crew is None or not self._crew.others():  # theirs may be staged where one was killed
                await on_thread(partial(remove_left, self.folder.state))

    async def join(self) -> None:
        """Go with the server's other processes from here on. Call it once the folder's pipelines are served."""
        if self._following is not None:
            await self._following.join()

    async def close(self) -> None:
        """Remove what was needed while it ran, and undo what is not made ready yet."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_ENDS_WITHIN)
        if self.folder is not None:
            try:
                await on_thread(self.folder.undo)
            except OSError:
                log.exception("A deploy could not be undone; the next start tries it again")
        if self._following is not None:
            await self._following.leave()
        for of_name in self._staged.values():
            for each in of_name:
                await on_thread(each.remove)
        self._staged.clear()

    async def deploy_files(
        self,
        name: str,
        files: Mapping[str, bytes],
        *,
        overwrite: bool = False,
        save: bool = True,
        settings: Mapping[str, Any] = MappingProxyType({}),
    ) -> Deployment:
        """Deploy the wrapper in *files*, by their paths with ``/`` between. ``setup`` is given *settings* by name.

        With *save* the files go into the folder ``pipelines_dir/<name>``, where the next start finds them. Raises
        `PipelineError` (422), `PipelineExists`, `PipelineNotSaved` and `Busy`.
        """
        check_name(name)
        check_keys(files)
        if WRAPPER_FILE not in files:
            raise PipelineError(f"Missing required file: {WRAPPER_FILE}")
        checked = _checked(settings)
        folder = self.folder if save else None
        unsaved = self._crew.place / "staged" if self._crew is not None else None

        def make(laid: Laid) -> Candidate:
            return make_wrapper(name, files, checked, folder, overwrite=overwrite, laid=laid, unsaved=unsaved)

        change = self._change(name, "wrapper", settings=checked)
        return await self._run(name, lambda: self._deploy(name, make, overwrite, change))

    async def deploy_yaml(
        self,
        name: str,
        text: str,
        *,
        overwrite: bool = False,
        description: str | None = None,
        save: bool = True,
        skip_mcp: bool = False,
    ) -> Deployment:
        """Deploy the pipeline that the YAML *text* describes; with *save* as ``pipelines_dir/<name>.yml``.

        Raises what `deploy_files` does.
        """
        check_name(name)
        folder = self.folder if save else None

        def make(laid: Laid) -> Candidate:
            return make_yaml(
                name, text, folder, description=description, skip_mcp=skip_mcp, overwrite=overwrite, laid=laid
            )

        change = self._change(name, "yaml", description=description, skip_mcp=skip_mcp)
        return await self._run(name, lambda: self._deploy(name, make, overwrite, change, text))

    async def reload(self, name: str, *, at_any_rate: bool = False) -> None:
        """Serve *name* as it lies in the folder now, if its files are others than those that it is served of.

        *at_any_rate*: in that case as well. Raises `PipelineError`; then what is served stays.
        """
        if self.folder is not None:
            await self._run(name, partial(self._reload, name, self.folder, at_any_rate))

    async def undeploy(self, name: str) -> Deployment:
        """Serve *name* no more, from the next request on; files stay.

        Raises `NoSuchPipeline`; `PipelineError` for a name that no pipeline can have.
        """
        return await self._run(name, lambda: self._undeploy(name))

    async def _deploy(
        self,
        name: str,
        make: Callable[[Laid], Candidate],
        overwrite: bool,
        change: CrewChange | None,
        text: str | None = None,
    ) -> Deployment:
        present = self.deployments.present
        if name in present and not overwrite:
            raise PipelineExists(f"Pipeline '{name}' already exists")
        if name not in present and len(present) >= MOST_DEPLOYMENTS:
            raise PipelineError(f"There are {MOST_DEPLOYMENTS} pipelines already, and no more are served. Undeploy one")
        proposal = Proposal(self._crew, change, text)
        try:
            candidate = await on_thread(_saving(name, partial(make, proposal.laid)))
            try:
                try:
                    await proposal.agree()
                except BaseException:
                    await on_thread(_saving(name, candidate.drop))
                    raise
                made = await on_thread(_saving(name, candidate.keep))
            except BaseException:
                candidate.deployment.discard()
                raise
        except BaseException:
            proposal.withdraw()
            raise
        deployment = self.deployments.add(made, replace=True)
        log.info("Pipeline '%s' is deployed", name)
        if candidate.staged is not None:
            self._staged.setdefault(name, []).append(candidate.staged)
        await self._tell(proposal.change)
        await self._remove_staged(name)
        return deployment

    async def _reload(self, name: str, folder: PipelinesFolder, at_any_rate: bool) -> None:
        found = await on_thread(lambda: folder.find(name))
        served = self.deployments.present.get(name)
        if found is None:
            self.deployments.failed.discard(name)
            path = served.source.path if served is not None else None
            if path is not None and path.is_relative_to(folder.path):  # its owner has taken it out
                self.deployments.remove(name)
                log.info("Pipeline '%s' is not served any more: it is not in its folder", name)
        elif not found.is_undeployed:
            now = await on_thread(lambda: fingerprint(found.path))
            if at_any_rate or served is None or served.source.fingerprint != now:
                try:
                    made = await on_thread(lambda: prepare_found(found))
                except PipelineError:
                    if served is None:
                        self.deployments.failed.add(name)
                    raise
                self.deployments.add(made, replace=True)
                log.info("Pipeline '%s' is served as its files are now", name)

    async def _undeploy(self, name: str) -> Deployment:
        try:
            self.deployments.find(name)
        except NoSuchPipeline:
            check_name(name)  # one that none can have is told as such
            raise
        if (folder := self.folder) is not None:
            try:
                await on_thread(lambda: folder.write_undeployed(name))
            except OSError:  # a folder that is only read: the pipeline goes all the same
                log.warning("Pipeline '%s' will be back at the next start: %s cannot be written", name, folder.state)
        gone = self.deployments.remove(name)
        log.info("Pipeline '%s' is undeployed", name)
        await self._tell(self._change(name, "undeploy"))
        return gone

    def _change(self, name: str, kind: Literal["wrapper", "yaml", "undeploy"], **told: Any) -> CrewChange | None:
        """What the other processes are told, if there are any."""
        if self._crew is None:
            return None
        return CrewChange(id=token_hex(8), by=self._crew.id, name=name, kind=kind, **told)

    async def _tell(self, change: CrewChange | None) -> None:
        """Have the other processes serve what this one serves, and wait until they do."""
        if self._following is not None and change is not None:
            await self._following.tell(change)

    async def _remove_staged(self, name: str) -> None:
        of_name = self._staged.get(name, [])
        old, of_name[:] = of_name[:-_STAGED_KEPT], of_name[-_STAGED_KEPT:]
        for each in old:
            await on_thread(each.remove)

    async def _run(self, name: str, job: Callable[[], Awaitable[T]]) -> T:
        """Do *job* to its end when it is its turn, whether or not anybody still waits for it."""
        if len(self._tasks) >= MOST_WAITING:
            raise Busy(f"{MOST_WAITING} deploys wait already. Try again later")
        task = asyncio.ensure_future(self._in_turn(name, job))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # its visitor may have left: what it is was logged where it was raised

    async def _in_turn(self, name: str, job: Callable[[], Awaitable[T]]) -> T:
        async with self.turn(name), self._places:
            if self._crew is None or self._following is None:
                return await job()
            async with self._crew.turn(name):
                await self._following.catch_up()
                return await job()

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Nothing else is done with *name* meanwhile."""
        turn = self._turns.setdefault(name, _Turn())
        turn.wanted += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.wanted -= 1
            if not turn.wanted:
                del self._turns[name]


class _Turn:
    """Whose turn it is with one name, and how many want it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.wanted = 0


def _saving(name: str, act: Callable[[], T]) -> Callable[[], T]:
    def acting() -> T:
        try:
            return act()
        except OSError as error:
            log.exception("The files of pipeline '%s' could not be saved", name)
            raise PipelineNotSaved(f"Failed to save the files of pipeline '{name}': {error}") from error

    return acting


def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they will be read at the next start. Raises `PipelineError` for what JSON does not hold."""
    try:
        text = json.dumps(dict(settings))
    except (TypeError, ValueError, RecursionError) as error:
        raise PipelineError(f"The settings of a pipeline must be JSON: {error}") from error
    if len(text) > MOST_SETTINGS:
        raise PipelineError(f"The settings of a pipeline may have {MOST_SETTINGS} characters as JSON, and have more")
    read: dict[str, Any] = json.loads(text)
    return read
