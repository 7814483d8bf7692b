"""`deploy_all`: everything that lies in the pipelines' folder, at the start of a server, many at a time.

Here: which pipelines, how many at once, and who is told how far it is. Not here: one pipeline (`making`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from portico.errors import PipelineError
from portico.pipelines.deploying.deploying import MOST_DEPLOYMENTS, Deploying
from portico.pipelines.deploying.folder import FoundPipeline
from portico.pipelines.deploying.making import prepare_found
from portico.pipelines.deploying.names import check_name
from portico.pipelines.deploying.threads import on_thread

log = logging.getLogger("portico.pipelines")

AT_ONCE: Final = 16
"""Pipelines that are made ready at a time, unless it is said: `setup` mostly waits, for models and for networks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartupStep:
    """One pipeline of the folder is up, or is not."""

    name: str
    done: int
    """How many are through with it, this one included."""
    total: int
    seconds: float
    """How long this one took."""
    error: PipelineError | None = None


Tell = Callable[[StartupStep], object]


async def deploy_all(
    deploying: Deploying, tell: Tell | None = None, at_once: int = AT_ONCE
) -> Mapping[str, PipelineError]:
    """Deploy all pipelines of *deploying*'s folder; gives those that failed, by name, with the reason.

    One that fails is in the log, and the others are served all the same. Each is served as soon as it is ready. Those
    that were undeployed are passed over. What a deploy has left half done is undone first. Raises `OSError` where the
    folder cannot be read.
    """
    await deploying.start()
    folder = deploying.folder
    if folder is None:
        await deploying.join()
        return {}
    wanted = []
    for found in await on_thread(folder.found):
        if found.is_undeployed:
            log.info("Pipeline '%s' was undeployed, and is not served until it is deployed again", found.name)
        else:
            wanted.append(found)
    for found in wanted[MOST_DEPLOYMENTS:]:
        log.warning("%s is passed over: no more than %d pipelines are served", found.path, MOST_DEPLOYMENTS)
    wanted = wanted[:MOST_DEPLOYMENTS]
    deploying.tried.update(found.name for found in wanted)
    failed: dict[str, PipelineError] = {}
    places = asyncio.Semaphore(max(at_once, 1))
    done = 0

    async def deploy_one(found: FoundPipeline) -> None:
        nonlocal done
        began, error = time.monotonic(), None
        try:
            began = await _deploy(found, deploying, places)
        except PipelineError as failure:
            failed[found.name] = error = failure
            deploying.deployments.failed.add(found.name)
        done += 1
        if tell is not None:
            seconds = time.monotonic() - began
            tell(StartupStep(name=found.name, done=done, total=len(wanted), seconds=seconds, error=error))

    async with asyncio.TaskGroup() as group:
        for found in wanted:
            group.create_task(deploy_one(found))
    deploying.deployments.arrange(found.name for found in wanted)  # which is up first is a matter of chance
    await deploying.join()
    return failed


async def _deploy(found: FoundPipeline, deploying: Deploying, places: asyncio.Semaphore) -> float:
    """Serve one pipeline of the folder; gives the time at which it was begun. Raises `PipelineError`."""
    check_name(found.name)
    async with deploying.turn(found.name), places:
        began = time.monotonic()
        deployment = await on_thread(lambda: prepare_found(found))
        deploying.deployments.add(deployment, replace=True)
        return began
