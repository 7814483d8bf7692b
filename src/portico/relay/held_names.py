"""Which names are held for whom, written to the store, so that a relay that starts again knows them.

The first change is written at once. What changes within a second after a write is written together, and what changed
back is not written at all: a provider that registers and unregisters in a loop costs one write a second. A relay that
crashes loses that second, and no more.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable

from portico.hub.replicas import PublishedService
from portico.relay.config import ANONYMOUS
from portico.relay.rows import NameRow
from portico.relay.store import RelayStore

logger = logging.getLogger(__name__)

WITHIN = 1.0
"""Seconds between two writes."""

_AGAIN = 10.0  # seconds after a write that failed: a disk that is full stays so for a while


class HeldNames:
    """The changes that are not written yet. Bounded by the names that may be registered in the meantime."""

    def __init__(self, store: RelayStore) -> None:
        self._store = store
        self._changes: dict[tuple[str, str], PublishedService | None] = {}
        """By workspace and name: the service that has it; None if none has."""
        self._uids: dict[str, str | None] = {}
        """Of the workspaces in which something changed."""
        self._timer: asyncio.TimerHandle | None = None
        self._written = -WITHIN
        """When it was last written, on the loop's clock."""
        self._writing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def changed(self, workspace: str, name: str, service: PublishedService | None, uid: str | None = None) -> None:
        """Another has the name now, or says another thing of it. It is read when it is written.

        *uid* is the workspace's: nothing is written where another one of its name is by then.
        """
        if not workspace.startswith(ANONYMOUS):  # nobody can sign in to take such a name up again later
            self._changes[workspace, name] = service
            self._uids[workspace] = uid
            self._in(max(0.0, self._written + WITHIN - asyncio.get_running_loop().time()))

    def _in(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._begin)

    def _begin(self) -> None:
        task = asyncio.get_running_loop().create_task(self.flush())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def flush(self, live: Iterable[tuple[str, PublishedService, str | None]] = ()) -> None:
        """Write what is not written, and when these *live* services were seen: now.

        Each comes between its workspace's name and uid.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        async with self._writing:
            changes, self._changes = self._changes, {}
            uids, self._uids = self._uids, {}
            seen = [found for found in live if not found[0].startswith(ANONYMOUS)]
            uids = {workspace: uid for workspace, _, uid in seen} | uids
            known = [(workspace, service) for (workspace, _), service in changes.items() if service is not None]
            known += [(workspace, service) for workspace, service, _ in seen]
            rows = [_row(workspace, service) for workspace, service in known if service.replicas]
            gone = [key for key, service in changes.items() if service is None or not service.replicas]
            if not rows and not gone:
                return
            self._written = asyncio.get_running_loop().time()
            try:
                await asyncio.to_thread(self._store.write_names, rows, gone, uids)
            except Exception:  # a full disk must not take the services down
                logger.exception("the names of services could not be written down")
                self._changes = changes | self._changes
                self._uids = uids | self._uids
                self._in(_AGAIN)


def _row(workspace: str, service: PublishedService) -> NameRow:
    """What is kept of a name that somebody has."""
    descriptor = service.descriptor
    value = {
        "name": descriptor.name,
        "title": descriptor.title,
        "kind": descriptor.kind,
        "access": descriptor.access,
        "models": list(descriptor.models),
        "tools": descriptor.tools.told(),
        "capabilities": list(descriptor.capabilities),
        **descriptor.more,
    }
    return NameRow(
        workspace=workspace,
        name=descriptor.name,
        owner=service.replicas[0].session.principal.id,
        access=descriptor.access,
        descriptor=value,
        last_seen=time.time(),
    )
