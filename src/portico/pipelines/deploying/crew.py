"""`Crew`: the processes of one server with several workers, each with the same pipelines. They talk by files.

One folder, which only their user may enter and the server's first process makes, holds what they tell each other; so
nothing listens on a port. Each process looks into it `LOOKS` times a second, which costs some microseconds.

- ``members/<id>.lock``: held by its process for as long as it lives; ``<id>.json``: how far that process is.
- ``proposals/<id>.json``: a deploy that one process wants. Every other one makes it ready as well, and writes
  ``answers/<id>.<member>.json``: that it is, or why it cannot. If all are, the first writes it into
- ``table.json``: the last change of each name, and how many changes there were. Then all of them serve it.
- ``turns/<number>.lock``: held by the process that changes what is served under a name of that number.
- ``staged``, ``yaml``: the files of deploys that are not saved.

Here: what is said, and who is alive. Not here: what a deploy is (`deploying`, `following`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from portico.errors import PipelineError
from portico.pipelines.deploying.file_locks import FileLock

log = logging.getLogger("portico.pipelines")

LOOKS: Final = 40.0
"""Times a second. A deploy takes about two looks more than its `setup`."""
SERVED_WITHIN: Final = 10.0
"""Seconds that a deploy waits, before it is answered, for others to serve what they have made ready: they swap a
reference. One that is stopped in a debugger holds nobody up for longer."""

TAKEN_UP_WITHIN: Final = 10.0
"""Seconds within which another process must begin to make a deploy ready. One that does not has an event loop that is
blocked, or is stopped: it serves what the others do once it goes on."""

_TURNS: Final = 4096
"""Locks for names: two names share one hardly ever, and then wait for each other."""
_UNDEPLOYS_KEPT: Final = 1000
"""Undeploys that the table holds, for a process that has not seen them yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrewChange:
    """A deploy or an undeploy, as the others are told."""

    id: str
    by: str
    """The member that began it."""
    name: str
    kind: Literal["wrapper", "yaml", "undeploy"]
    laid: str = ""
    """The folder in which a wrapper is made ready, or a file with the YAML."""
    place: str = ""
    """Where its files are, or the YAML file is, once it is served. Empty for what is not saved."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    description: str | None = None
    skip_mcp: bool = False


@dataclass(frozen=True, slots=True)
class CrewTable:
    """The last change of each name, the latest at the end, and how many there were."""

    revision: int = 0
    changes: Mapping[str, CrewChange] = field(default_factory=dict)


class Crew:
    """One process among them. Its methods read and write small files of a local folder."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.id = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._lock = FileLock(place / "members" / f"{self.id}.lock")
        self._silent: frozenset[str] = frozenset()  # those that did not answer the last time
        for folder in ("members", "proposals", "answers", "turns", "yaml"):
            (place / folder).mkdir(exist_ok=True)

    # who is there

    def join(self, revision: int) -> None:
        """Be counted, as one that serves all changes up to *revision*."""
        self._lock.take()
        self.say_served(revision)

    def leave(self) -> None:
        (self.place / "members" / f"{self.id}.json").unlink(missing_ok=True)
        self._lock.free()

    def say_served(self, revision: int) -> None:
        self._write(f"members/{self.id}.json", {"revision": revision})

    def others(self) -> dict[str, int]:
        """The other members that live, and how many changes each has seen."""
        found = {}
        for path in sorted((self.place / "members").glob("*.json")):
            if path.stem != self.id and self.lives(path.stem) and (read := self._read(path)) is not None:
                found[path.stem] = read["revision"]
        return found

    def lives(self, member: str) -> bool:
        if member == self.id:
            return True
        path = self.place / "members" / f"{member}.lock"
        if not path.exists():
            return False
        lock = FileLock(path)
        if not lock.try_take():
            return True
        (self.place / "members" / f"{member}.json").unlink(missing_ok=True)  # it has been killed
        path.unlink(missing_ok=True)
        lock.free()
        return False

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """No other process changes what is served as *name* meanwhile."""
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % _TURNS
        lock = FileLock(self.place / "turns" / f"{number}.lock")
        await _take(lock)
        try:
            yield
        finally:
            lock.free()

    # what one of them says, and the others answer

    def propose(self, change: CrewChange) -> None:
        self._write(f"proposals/{change.id}.json", asdict(change))

    def withdraw(self, change: CrewChange) -> None:
        """Nothing comes of it: those who have made it ready drop it."""
        (self.place / "proposals" / f"{change.id}.json").unlink(missing_ok=True)
        for path in (self.place / "answers").glob(f"{change.id}.*"):
            path.unlink(missing_ok=True)

    async def agree(self, change: CrewChange) -> None:
        """Wait until all others have it ready. Raises `PipelineError` as the first that cannot."""
        began = time.monotonic()
        while True:
            silent, at_it = [], []
            for member in self.others():
                answer = self._read(self.place / "answers" / f"{change.id}.{member}.json")
                if answer is None:
                    silent.append(member)
                elif answer["error"] is None:
                    at_it.append(member)
                elif answer["error"]:
                    raise PipelineError(answer["error"])
            is_late = time.monotonic() - began > TAKEN_UP_WITHIN
            if not at_it and (is_late or not silent):
                self._silent = frozenset(silent)
                for member in silent:
                    log.warning("The worker process %s does not answer: it serves '%s' later", member, change.name)
                return
            await _look_later()

    async def settle(self, change: CrewChange) -> int:
        """Have all serve it; gives its number among the changes."""
        lock = FileLock(self.place / "table.lock")
        await _take(lock)
        try:
            table = self.table()
            changes = {name: each for name, each in table.changes.items() if name != change.name}
            undeployed = [name for name, each in changes.items() if each.kind == "undeploy"]
            for name in undeployed[: max(len(undeployed) - _UNDEPLOYS_KEPT, 0)]:
                del changes[name]
            changes[change.name] = change
            revision = table.revision + 1
            told = {name: asdict(each) for name, each in changes.items()}
            self._write("table.json", {"revision": revision, "changes": told})
        finally:
            lock.free()
        return revision

    async def served(self, revision: int) -> None:
        """Wait until all others serve it, or for `SERVED_WITHIN`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SERVED_WITHIN):
                while late := [
                    member for member, seen in self.others().items() if seen < revision and member not in self._silent
                ]:
                    await _look_later()
                return
        log.warning("The worker processes %s do not answer, and may serve what was there before", ", ".join(late))

    def proposals(self) -> list[CrewChange]:
        """What others want, of those that live."""
        read = [self._read(path) for path in sorted((self.place / "proposals").glob("*.json"))]
        changes = [CrewChange(**each) for each in read if each is not None]
        return [change for change in changes if change.by != self.id and self.lives(change.by)]

    def take_up(self, change: CrewChange) -> None:
        """It is being made ready here."""
        self._write(f"answers/{change.id}.{self.id}.json", {"error": None})

    def answer(self, change: CrewChange, error: str) -> None:
        """It is ready here; or *error* says why it is not."""
        self._write(f"answers/{change.id}.{self.id}.json", {"error": error})

    def table(self) -> CrewTable:
        read = self._read(self.place / "table.json")
        if read is None:
            return CrewTable()
        return CrewTable(read["revision"], {name: CrewChange(**each) for name, each in read["changes"].items()})

    def mark(self) -> object:
        """Something that is another whenever the table or the proposals are others. It costs two looks at a disk."""
        try:
            table = (self.place / "table.json").stat()
        except FileNotFoundError:
            return os.listdir(self.place / "proposals")
        return table.st_ino, table.st_mtime_ns, os.listdir(self.place / "proposals")

    def write_yaml(self, change_id: str, text: str) -> Path:
        """Where *text* is for the others to read, until another deploy or an undeploy of its name is served."""
        path = self.place / "yaml" / f"{change_id}.yml"
        path.write_bytes(text.encode())
        return path

    def remove_yaml(self, change: CrewChange) -> None:
        if change.kind == "yaml" and change.laid:
            Path(change.laid).unlink(missing_ok=True)

    def _write(self, path: str, what: Mapping[str, Any]) -> None:
        unready = self.place / f"{path}.{self.id}.unready"
        unready.write_text(json.dumps(dict(what)))
        os.replace(unready, self.place / path)

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            read: dict[str, Any] = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        return read


async def _take(lock: FileLock) -> None:
    while not lock.try_take():
        await _look_later()


async def _look_later() -> None:
    await asyncio.sleep(1 / LOOKS)
