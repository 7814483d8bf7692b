"""The life of a process that serves pipelines: what is deployed when it starts, watched while it runs, and ended.

Here: the order of these, for the whole server (`app`) and for the one of tools alone (`tools_app`). Not here: each of
them (`startup`, `watching`, `deploying`).
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from portico.pipelines.deploying.crew import Crew
from portico.pipelines.deploying.deploying import Deploying
from portico.pipelines.deploying.startup import Tell, deploy_all
from portico.pipelines.deploying.watching import Watching
from portico.pipelines.deployments import Deployments
from portico.pipelines.settings import PipelinesSettings
from portico.pipelines.streams.tracing import trace_as_the_environment_says

THREADS: Final = 64
"""Threads of the server's event loop: Haystack gives it those components of a pipeline that cannot wait by themselves,
where others can. Python has as many as processors and 4, which some slow retrievers would hold up. Made when needed."""


def begin(settings: PipelinesSettings) -> Deploying:
    """What deploys, into a table of its own, and tells the server's other processes, if *settings* name where."""
    trace_as_the_environment_says()
    crew = Crew(Path(settings.crew_dir)) if settings.crew_dir else None
    return Deploying(Deployments(settings.streaming_components), settings, crew)


@asynccontextmanager
async def alive(
    settings: PipelinesSettings, deploying: Deploying, tell: Tell | None, close: Callable[[], Awaitable[None]]
) -> AsyncIterator[None]:
    """Deploy what is in the folder, and watch it if it is to be, for as long as the block lasts; then *close*.

    *tell* is told of each pipeline of the folder. Raises `OSError` where the folder cannot be read.
    """
    _import_from(settings.additional_python_path)
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="portico-loop")
    asyncio.get_running_loop().set_default_executor(threads)
    watching = Watching(deploying, settings.files_to_ignore_patterns) if settings.reload else None
    in_parallel = settings.startup_deploy_strategy == "parallel"
    try:
        await deploy_all(deploying, tell, settings.startup_deploy_workers if in_parallel else 1)
        if watching is not None:
            watching.start()
        yield
    finally:
        await close()
        if watching is not None:
            await watching.stop()
        await deploying.close()


def _import_from(folders: str) -> None:
    """Let pipelines import from *folders*, which are written as in PYTHONPATH."""
    for folder in reversed([folder for folder in folders.split(os.pathsep) if folder]):
        path = os.path.abspath(folder)
        if path not in sys.path:
            sys.path.insert(0, path)
