"""The REST control API, without a web framework: what each call does, and who may make it.

A user of the server sees and stops everything, and makes keys for any service. A kernel, by its credential, makes keys
for what it publishes, and no other. Edges map these methods to routes under ``/portico/api/``.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any, TypeVar

from portico.errors import InvalidName
from portico.hub.answers import Answer, forbidden
from portico.hub.asking import MOST, MOST_SCHEMAS, ask
from portico.hub.config import HubConfig
from portico.hub.descriptor import Principal
from portico.hub.fair_use import Rates, Shares
from portico.hub.keys import KeyRing
from portico.hub.links import Links
from portico.hub.registry import Registry
from portico.hub.replicas import PublishedService
from portico.types import service_name

T = TypeVar("T")

_HEARTBEAT = 15.0  # seconds between comments in a silent event stream, so that proxies keep it
_DEFAULT_LIFETIME = 3600.0
_MAX_QUEUE = 1000

MOST_READERS = 64
"""Streams of events of one user: each holds what its reader has not taken, and looks around once a second."""

MOST_ASKED, MOST_ASKED_OF_ONE = 16, 8
"""Questions to providers under way, of all users and of one: each may hold an answer of some MiB."""

MADE_AT_ONCE, MADE_A_SECOND = 1000, 1.0
"""Keys, and tokens, that one maker makes: a course's at once, then as a program needs them. Each is kept on disk."""


class Control:
    def __init__(
        self, config: HubConfig, registry: Registry, links: Links, keys: KeyRing, url_of: Callable[[str], str]
    ) -> None:
        """*url_of* gives a service's URL, or its path on this server, by its name."""
        self._config = config
        self._registry = registry
        self._links = links
        self._keys = keys
        self._url_of = url_of
        self._readers = Shares(MOST_READERS)
        self._asking = Shares(MOST_ASKED_OF_ONE, MOST_ASKED)
        self._making = Rates(MADE_AT_ONCE, MADE_A_SECOND)

    # --- services -----------------------------------------------------------------------------------------------

    def services(self, who: Principal) -> list[dict[str, Any]]:
        """``GET services``."""
        self._only_managers(who)
        return [self._describe(service) for service in self._registry.services.values()]

    def service(self, who: Principal, name: str) -> dict[str, Any]:
        """``GET services/{name}``."""
        self._only_managers(who)
        return self._describe(self._find(name))

    def stop(self, who: Principal, name: str) -> None:
        """``DELETE services/{name}``: takes it down whoever holds it, and tells them."""
        self._only_managers(who)
        self._find(name)
        self._links.tell_stopped(name, self._registry.remove(name))

    async def stop_as_author(self, who: Principal, name: str) -> None:
        """``POST services/{name}/stop``: has its providers stop it, whose cards then say who asked for that.

        What is not stopped so is taken down as by `stop`.
        """
        self._only_managers(who)
        service = self._find(name)
        await self._within(who, _ask_to_stop(service, who.id))
        if self._registry.services.get(name) is service:
            self.stop(who, name)

    # --- what its provider knows --------------------------------------------------------------------------------

    async def log(self, who: Principal, name: str, given: Mapping[str, str]) -> bytes:
        """``GET services/{name}/log``: as JSON, from its provider as it is (docs/protocol.md, Control).

        *given* are the query's arguments: ``after``, ``limit``, and ``replica``, the place in its list of replicas.
        """
        numbers = {key: _whole(given, key, 10**15) for key in ("after", "limit") if key in given}
        more = "".join(f"&{key}={number}" for key, number in numbers.items())
        return await self._ask(who, name, given, f"/log?service={name}{more}", MOST)

    async def tools(self, who: Principal, name: str, given: Mapping[str, str]) -> bytes:
        """``GET services/{name}/tools``: likewise, with the schemas. *given* may name the ``replica``."""
        return await self._ask(who, name, given, f"/schemas?service={name}", MOST_SCHEMAS)

    async def _ask(self, who: Principal, name: str, given: Mapping[str, str], question: str, most: int) -> bytes:
        self._only_managers(who)
        replicas = self._find(name).replicas
        if "replica" in given:
            number = _whole(given, "replica", len(replicas) - 1)
        else:
            number = next((number for number, replica in enumerate(replicas) if replica.linked), 0)
        asking = ask(replicas[number], "GET", question, asker=who.id, most=most)
        status, body = await self._within(who, asking)
        if status == 200 and _is_object(body):
            return body
        if status == 404:  # it was stopped meanwhile
            raise Answer(404, "service_not_found", f"No service named {name!r} is live here.")
        if status == 403:
            raise forbidden(
                "The program that serves it does not take this server for its author's own, and shows it nothing. "
                "It does to the server that started it, or that its user runs on the same machine.",
                "not_own_hub",
            )
        if status == 400:
            raise Answer(400, "invalid_query", "The program that serves it cannot use these arguments.")
        raise Answer(502, "bad_answer", f"The program that serves it gave an answer that is none (status {status}).")

    async def _within(self, who: Principal, asking: Coroutine[Any, Any, T]) -> T:
        """What comes of *asking*, which counts for *who* while it is under way. Raises an `Answer` (429) too."""
        if not self._asking.has_room(who.id) or self._asking.full:
            asking.close()
            raise Answer(
                429, "too_many_questions", "Too many questions to providers are under way. Try again.", retry_after=2
            )
        self._asking.take(who.id)
        try:
            return await asking
        finally:
            self._asking.give_back(who.id)

    def _find(self, name: str) -> PublishedService:
        service = self._registry.services.get(name)
        if service is None:
            raise Answer(404, "service_not_found", f"No service named {name!r} is live here.")
        return service

    def _describe(self, service: PublishedService) -> dict[str, Any]:
        descriptor = service.descriptor
        return {
            "name": descriptor.name,
            "title": descriptor.title or descriptor.name,
            "kind": descriptor.kind,
            "models": list(descriptor.models),
            "tools": list(descriptor.tools.names),
            "tools_digest": descriptor.tools.digest,
            "capabilities": service.capabilities,
            "access": descriptor.access,
            "origins": list(descriptor.origins),
            "conditions": descriptor.conditions.public() if descriptor.conditions is not None else {},
            "status": service.status,
            "url": self._url_of(descriptor.name),
            "created": service.created,
            "requests": service.requests,
            "in_flight": sum(replica.in_flight for replica in service.replicas),
            "replicas": [
                {
                    **replica.session.holder,
                    "status": replica.status,
                    "in_flight": replica.in_flight,
                    "requests": replica.requests,
                    "capabilities": list(replica.capabilities),
                }
                for replica in service.replicas
            ],
            "more": descriptor.more,
        }

    # --- keys ---------------------------------------------------------------------------------------------------

    def keys(self, who: Principal) -> list[dict[str, Any]]:
        """``GET keys``. The keys themselves are not kept, so they cannot be shown."""
        self._only_managers(who)
        return [key.public() for key in self._keys.list()]

    async def mint(self, who: Principal, body: Any, *, made_with: str = "") -> dict[str, Any]:
        """``POST keys`` with ``{"services": [...], "expires_in": seconds, "label": ""}``; *made_with*: see `Key`."""
        if not isinstance(body, dict):
            raise Answer(400, "invalid_body", 'Send a JSON object: {"services": ["name"], "expires_in": 3600}.')
        names = body.get("services")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or not 0 < len(names) <= 100:
            raise Answer(400, "invalid_services", "services is a list of one to a hundred names.")
        try:
            services = [service_name(name) for name in names]
        except InvalidName as error:
            raise Answer(400, "invalid_services", str(error)) from None
        longest = self._config.max_key_lifetime
        lifetime = body.get("expires_in", min(_DEFAULT_LIFETIME, longest))
        if isinstance(lifetime, bool) or not isinstance(lifetime, (int, float)) or not 1 <= lifetime <= longest:
            raise Answer(
                400,
                "invalid_expires_in",
                f"expires_in is a number of seconds from 1 to {longest:g}, the longest that this server allows.",
            )
        label = body.get("label", "")
        if not isinstance(label, str) or len(label) > 200 or not _can_be_kept(label):
            raise Answer(400, "invalid_label", "label is a text of at most 200 characters.")
        if not who.mints:
            raise forbidden("This token may not make keys.", "scope")
        if not who.manages:
            foreign = [name for name in services if not self._publishes(who, name)]
            if foreign:
                raise forbidden(f"This credential makes keys only for what it serves; {foreign[0]!r} is not that.")
        self.check_making(who.id)
        token, key = await self._keys.mint(
            services, float(lifetime), label=label, created_by=who.id, made_with=made_with
        )
        return {"key": token, **key.public()}

    def check_making(self, maker: str) -> None:
        """Whether *maker* may make one more key. To be followed by the making, with nothing awaited between.

        Raises an `Answer` (429).
        """
        if self._keys.held_by(maker) >= self._config.max_keys:
            raise Answer(
                429, "too_many_keys", "You hold as many keys as you may; a revoked one counts until it expires."
            )
        if wait := self._making.take(maker):
            raise too_often("keys", wait)

    def _publishes(self, who: Principal, name: str) -> bool:
        """Whether *who* serves *name*, and shares it with no other user, whose visitors its keys would let in."""
        service = self._registry.services.get(name)
        holders = [replica.session.principal for replica in service.replicas] if service is not None else []
        return any(holder.id == who.id for holder in holders) and all(who.may_take_from(holder) for holder in holders)

    async def revoke(self, who: Principal, key_id: str) -> None:
        """``DELETE keys/{id}``: from the next request on it opens nothing."""
        self._only_managers(who)
        if await self._keys.revoke(key_id) is None:
            raise Answer(404, "key_not_found", "There is no such key.")

    @staticmethod
    def _only_managers(who: Principal) -> None:
        if not who.manages:
            raise forbidden("This credential publishes and makes keys, and nothing else.")

    # --- events -------------------------------------------------------------------------------------------------

    async def events(self, who: Principal) -> AsyncIterator[str]:
        """``GET events``: server-sent events (HTML standard §9.2).

        First ``services`` with the whole list, then ``registered``, ``updated``, ``status`` (each with the service) and
        ``removed`` (with its name) as they happen; ``activity`` with the counts of requests, at most once a second.
        The stream ends after a while, and its reader comes back: so one who may not read it any more is found out.
        """
        self._only_managers(who)
        if not self._readers.has_room(who.id):
            raise Answer(
                429,
                "too_many_readers",
                f"You read {MOST_READERS} streams of events already. Close some.",
                retry_after=10,
            )
        queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        lagging = asyncio.Event()

        def listen(what: str, name: str) -> None:
            if queue.qsize() < _MAX_QUEUE:
                queue.put_nowait((what, name))
            else:
                lagging.set()

        stop = self._registry.listen(listen)
        self._readers.take(who.id)
        try:
            yield _event("services", {"services": self.services(who), "time": time.time()})
            counts = self._counts()
            waited = 0.0
            clock = asyncio.get_running_loop().time
            end = clock() + self._config.events_lifetime
            while clock() < end:
                try:
                    async with asyncio.timeout(1.0):
                        what, name = await queue.get()
                except TimeoutError:
                    waited += 1.0
                    now_counts = self._counts()
                    if now_counts != counts:
                        counts, waited = now_counts, 0.0
                        yield _event("activity", {"services": counts})
                    elif waited >= _HEARTBEAT:
                        waited = 0.0
                        yield ": still here\n\n"
                    continue
                waited = 0.0
                if lagging.is_set():  # too slow a reader: start over from the whole list
                    lagging.clear()
                    while not queue.empty():
                        queue.get_nowait()
                    yield _event("services", {"services": self.services(who), "time": time.time()})
                    continue
                service = self._registry.services.get(name)
                if what == "removed" or service is None:
                    yield _event("removed", {"name": name, "reason": self._registry.why_gone(name) or ""})
                else:
                    yield _event(what, {"service": self._describe(service)})
        finally:
            stop()
            self._readers.give_back(who.id)

    def _counts(self) -> dict[str, dict[str, int]]:
        return {
            name: {"requests": service.requests, "in_flight": sum(r.in_flight for r in service.replicas)}
            for name, service in self._registry.services.items()
        }


async def _ask_to_stop(service: PublishedService, asker: str) -> None:
    """Ask all of its providers. What each says of it, if anything, is of no account: that the name is gone counts."""
    question = f"/stop?service={service.descriptor.name}"
    asked = [ask(replica, "POST", question, asker=asker) for replica in service.replicas]
    for error in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(error, BaseException) and not isinstance(error, Answer):
            raise error


def _whole(given: Mapping[str, str], name: str, most: int) -> int:
    text = given[name]
    if not (text.isascii() and text.isdigit() and len(text) < 17 and int(text) <= most):
        raise Answer(400, f"invalid_{name}", f"{name} is a whole number from 0 to {most}.")
    return int(text)


def _is_object(body: bytes) -> bool:
    """Whether *body* is an object of JSON: a provider may say anything."""
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


def too_often(what: str, wait: float) -> Answer:
    """*what* is made too often; there is one more in *wait* seconds."""
    return Answer(
        429,
        "made_too_often",
        f"You make {what} too often. Wait {math.ceil(wait)} s, or make one that lasts longer.",
        retry_after=math.ceil(wait),
    )


def _can_be_kept(text: str) -> bool:
    """JSON can hold half of a pair of surrogates, which no file can (RFC 8259 §8.2)."""
    return text.encode("utf-8", "replace").decode() == text


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
