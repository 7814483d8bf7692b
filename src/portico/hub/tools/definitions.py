"""What is told of the tools of each service: asked of its provider once, and kept for as long as its digest says.

A provider is asked by ``.control`` (docs/protocol.md). One that does not answer costs its own tools alone, and is left
in peace for a while. What is kept is bounded, and counts for the provider: who says much forgets their own.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from portico.hub.answers import Answer
from portico.hub.asking import MOST_SCHEMAS, ask
from portico.hub.fair_use import Shares, a_quarter
from portico.hub.replicas import ProviderSession, PublishedService, Replica
from portico.hub.tools.cleaning import cleaned, size_of
from portico.hub.tools.messages import MalformedMessage, loads
from portico.hub.tools.names import qualified

logger = logging.getLogger(__name__)

MOST_KEPT: Final = 64 * 1024 * 1024
"""Bytes that are kept of all definitions, as JSON: of tens of thousands of tools, with a kilobyte each."""

MOST_OF_A_SERVICE: Final = 2 * 1024 * 1024
"""Bytes of the definitions of one service, cleaned: what is beyond is not told."""

MOST_ASKED, MOST_ASKED_OF_ONE = 32, 4
"""Providers that are asked at once, of all and of one owner: each answer may hold some MiB for a moment."""

WAITS: Final = 1.0
"""Seconds that a list waits for definitions: a provider knows them without asking anybody."""

_LEFT_ALONE = 5.0  # seconds that a provider is not asked again that did not answer
_NOT_YET = 404
_PAUSES = (0.05, 0.1, 0.2)
"""Seconds: the word that a service is registered and the question for its tools go out at once, and the provider may
be some turns of its loop behind."""
_A_TOOL = 500  # bytes that one counts for besides its JSON, as the objects that hold it
_MOST_FAILED = 1000  # sessions that are left alone at a time

ToolTold = dict[str, Any]
"""One tool, as ``tools/list`` tells it."""

Sized = tuple[ToolTold, int]
"""The same, and its bytes as JSON."""


@dataclass(frozen=True, slots=True)
class _Key:
    """Which definitions: what a provider says under one digest is believed to be the same, of its service alone."""

    session: ProviderSession
    service: str
    digest: str


@dataclass(slots=True)
class _Kept:
    tools: list[Sized]
    size: int
    owner: str


class Definitions:
    """Those of all workspaces of one hub."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self.most = most
        self.of_one = a_quarter(most)
        self.size = 0
        """Bytes that are kept."""
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._asking: dict[_Key, asyncio.Task[None]] = {}
        self._places = Shares(MOST_ASKED_OF_ONE, MOST_ASKED)
        self._free = asyncio.Event()
        self._failed: OrderedDict[ProviderSession, float] = OrderedDict()
        """When each is to be asked again, of the loop's time."""

    def known(self, service: PublishedService) -> list[Sized] | None:
        """The tools of *service*, if they are known."""
        key = _key_of(service)
        kept = self._kept.get(key) if key is not None else None
        if key is None or kept is None:
            return None
        self._kept.move_to_end(key)
        return kept.tools

    async def learn(self, services: Iterable[PublishedService], came: Callable[[str], None]) -> None:
        """Have the providers of *services* asked that are not known; returns once they are, after `WAITS` at most.

        *came* is called with the name of each whose definitions came later than that.
        """
        tasks = [task for service in services if (task := self._ask(service, came)) is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=WAITS)

    def forget(self, service: str, sessions: Iterable[ProviderSession]) -> None:
        """*service* is not served any more by others than *sessions*."""
        stay = set(map(id, sessions))
        for key in [key for key in self._kept if key.service == service and id(key.session) not in stay]:
            self._drop(key)

    def _ask(self, service: PublishedService, came: Callable[[str], None]) -> asyncio.Task[None] | None:
        key = _key_of(service)
        if key is None or key in self._kept:
            return None
        task = self._asking.get(key)
        if task is not None:
            return task
        loop = asyncio.get_running_loop()
        if self._failed.get(key.session, 0.0) > loop.time():
            return None
        replica = next(one for one in service.replicas if one.session is key.session)
        task = self._asking[key] = loop.create_task(self._learn(key, service.descriptor.tools.names, replica))
        began = loop.time()

        def done(task: asyncio.Task[None]) -> None:
            del self._asking[key]
            if loop.time() - began > WAITS and key in self._kept:
                came(key.service)

        task.add_done_callback(done)
        return task

    async def _learn(self, key: _Key, names: tuple[str, ...], replica: Replica) -> None:
        owner = key.session.principal.id
        while not self._places.has_room(owner) or self._places.full:
            await self._free.wait()
        self._places.take(owner)
        try:
            status, body = await _ask(replica, key.service)
            tools = _read(key.service, names, status, body)
        except (Answer, MalformedMessage) as error:
            logger.info("the tools of %s are not told: its provider was asked, and %s", key.service, error)
            self._failed[key.session] = asyncio.get_running_loop().time() + _LEFT_ALONE
            self._failed.move_to_end(key.session)
            while len(self._failed) > _MOST_FAILED:
                self._failed.popitem(last=False)
            return
        finally:
            self._places.give_back(owner)
            self._free.set()
            self._free = asyncio.Event()
        self._failed.pop(key.session, None)
        self._keep(key, tools, owner)

    def _keep(self, key: _Key, tools: list[Sized], owner: str) -> None:
        size = sum(its_size + _A_TOOL for _, its_size in tools) + _A_TOOL
        for old in [old for old in self._kept if old.session is key.session and old.service == key.service]:
            self._drop(old)
        self._kept[key] = _Kept(tools, size, owner)
        self._sizes[owner] = self._sizes.get(owner, 0) + size
        self.size += size
        while self._sizes.get(owner, 0) > self.of_one:
            self._drop(next(old for old, kept in self._kept.items() if kept.owner == owner))
        while self.size > self.most:
            biggest = max(self._sizes, key=lambda one: self._sizes[one])
            self._drop(next(old for old, kept in self._kept.items() if kept.owner == biggest))

    def _drop(self, key: _Key) -> None:
        kept = self._kept.pop(key)
        self.size -= kept.size
        left = self._sizes[kept.owner] - kept.size
        if left:
            self._sizes[kept.owner] = left
        else:
            del self._sizes[kept.owner]


async def _ask(replica: Replica, service: str) -> tuple[int, bytes]:
    """The answer of a provider, which may not have heard yet that its service is registered. Raises an `Answer`."""
    question = f"/schemas?service={service}"
    for pause in _PAUSES:
        status, body = await ask(replica, "GET", question, most=MOST_SCHEMAS)
        if status != _NOT_YET:
            return status, body
        await asyncio.sleep(pause)
    return await ask(replica, "GET", question, most=MOST_SCHEMAS)


def _key_of(service: PublishedService) -> _Key | None:
    """Which definitions are those of *service* now: of a replica that registered what its descriptor says."""
    tools = service.descriptor.tools
    for replica in service.replicas:
        if replica.tools.digest == tools.digest and replica.linked:
            return _Key(replica.session, service.descriptor.name, tools.digest)
    for replica in service.replicas:  # it has lost its link just now
        if replica.tools.digest == tools.digest:
            return _Key(replica.session, service.descriptor.name, tools.digest)
    return None


def _read(service: str, names: tuple[str, ...], status: int, body: bytes) -> list[Sized]:
    """The tools that are told of *service*, of its provider's answer. Raises `MalformedMessage`.

    They are those whose *names* were registered: what is said of others is not read.
    """
    said = loads(body) if status == 200 else None
    listed = said.get("tools") if isinstance(said, dict) else None
    if not isinstance(listed, list):
        raise MalformedMessage(f"its answer has no tools (status {status})")
    definitions: dict[str, Any] = {}
    for one in listed:
        if isinstance(one, dict) and isinstance(one.get("name"), str):
            definitions.setdefault(one["name"], one.get("schema"))
    told: list[Sized] = []
    taken: set[str] = set()
    size = 0
    for name in names:
        as_told = qualified(service, name)
        if name not in definitions or as_told in taken:
            continue
        tool = cleaned(as_told, definitions[name])
        its_size = size_of(tool)
        size += its_size
        if size > MOST_OF_A_SERVICE:
            logger.info("of the tools of %s %d are told: the rest is too much", service, len(told))
            break
        taken.add(as_told)
        told.append((tool, its_size))
    return told
