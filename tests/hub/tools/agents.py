"""A hub in the test's process with providers whose tools are called as the test says, and agents that ask.

A `Toolbox` is a provider's service with tools: it answers ``.control``'s question for their schemas, and calls at
``/mcp``. `ask` is one HTTP request under the URL of all tools; `Agent` asks as one caller does, in one era.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from portico.asgi.instance import Instance
from portico.hub.config import HubConfig
from portico.hub.descriptor import Principal
from portico.hub.tools.base import AllTools
from portico.hub.tools.exchange import ToolsExchange
from portico.hub.visits import Visit, Visits
from portico.protocol.control import FEATURE, SERVICE
from portico.protocol.offer import ToolList
from portico.types import Headers
from tests.in_process import PREFIX, TOKEN, HereHub, Publisher, Received, a_hub, a_request
from tests.waiting import until

URL = "/portico/mcp"
OWNER = (b"authorization", b"Bearer " + TOKEN)
MODERN = "2026-07-28"
OLD = "2025-06-18"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "a test", "version": "1"},
}

Send = Callable[[dict[str, Any]], Awaitable[None]]
Answering = Callable[["Call"], Awaitable[None]]


class Call:
    """One call, as a provider's app has it."""

    def __init__(self, scope: dict[str, Any], body: bytes, send: Any, left: asyncio.Event) -> None:
        self.headers = dict(scope["headers"])
        self.path: str = scope["path"]
        self.identity = scope["extensions"]["portico"]
        self.message = json.loads(body)
        self.params: dict[str, Any] = self.message["params"]
        self.left = left
        self._send = send

    @property
    def id(self) -> Any:
        return self.message["id"]

    async def head(self, status: int = 200, kind: bytes = b"text/event-stream") -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})

    async def say(self, data: bytes, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def event(self, message: Any, more: bool = True) -> None:
        await self.say(b"event: message\r\ndata: " + json.dumps(message).encode() + b"\r\n\r\n", more)

    async def json(self, message: Any, status: int = 200) -> None:
        await self.head(status, b"application/json")
        await self.say(json.dumps(message).encode(), False)

    async def result(self, text: str) -> None:
        await self.json({"jsonrpc": "2.0", "id": self.id, "result": a_result(text)})


def a_result(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "resultType": "complete"}


async def echo(call: Call) -> None:
    """The result is what the service was sent."""
    told = {"name": call.params["name"], "arguments": call.params.get("arguments"), "identity": call.identity}
    await call.result(json.dumps(told))


class Toolbox:
    """A provider with tools."""

    def __init__(self, kernel: Publisher) -> None:
        self.kernel = kernel
        self.schemas: dict[str, dict[str, Any]] = {}
        """Of each service, by the name of the tool: what describes it."""
        self.says: dict[str, Any] = {}
        """What is answered in place of a service's schemas."""
        self.asked: list[str] = []
        """The questions for schemas."""
        self.answers: dict[str, Answering] = {}
        """By the service's name, how its calls are answered."""
        self.calls: list[Call] = []

    @staticmethod
    async def link(hub: HereHub, name: str = "k1", *, control: bool = True) -> Toolbox:
        """A kernel of *hub*. Without *control* it answers no questions, as older providers do not."""
        return await Toolbox.of(hub.kernel(name), control=control)

    @staticmethod
    async def of(kernel: Publisher, *, control: bool = True) -> Toolbox:
        """A provider that has not dialled yet."""
        if control:
            kernel.features = (FEATURE,)
        box = Toolbox(await kernel.connect())
        kernel.apps[SERVICE] = Instance(box._control, lambda where, error: kernel.failures.append(error))
        await kernel.apps[SERVICE].start()
        return box

    async def serve(self, service: str, *tools: str, answer: Answering = echo, **descriptor: Any) -> None:
        """Serve *tools*, each described by no more than a sentence."""
        schemas = {tool: {"description": f"Does {tool}.", "inputSchema": {"type": "object"}} for tool in tools}
        await self.describe(service, schemas, answer=answer, **descriptor)

    async def describe(
        self, service: str, schemas: dict[str, Any], *, answer: Answering = echo, **descriptor: Any
    ) -> None:
        self.schemas[service], self.answers[service] = schemas, answer

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await self._answer(service, scope, receive, send)

        told = descriptor.pop("tools", ToolList.of(schemas).told())
        ack = await self.kernel.register(service, app, tools=told, **descriptor)
        assert ack.ok, ack.error

    async def _control(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        service = scope["query_string"].decode().partition("service=")[2]
        self.asked.append(service)
        says = self.says.get(service)
        if callable(says):
            says = await says()
        if says is None:
            tools = [{"name": name, "schema": schema} for name, schema in self.schemas[service].items()]
            says = {"tools": tools, "digest": "whatever"}
        status, body = 200, says if isinstance(says, bytes) else json.dumps(says).encode()
        if isinstance(says, int):
            status, body = says, b'{"error": {"message": "no", "code": "no"}}'
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, service: str, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        left = asyncio.Event()

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            left.set()

        watching = asyncio.create_task(watch())
        call = Call(scope, body, send, left)
        self.calls.append(call)
        try:
            await self.answers[service](call)
        finally:
            watching.cancel()


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


@asynccontextmanager
async def a_toolbox(config: HubConfig | None = None) -> Any:
    """A hub, and a provider that has served nothing yet."""
    async with a_hub(config or HubConfig(passwords=True, kernel_poll=0.01)) as hub:
        yield hub, await Toolbox.link(hub)


class Reading(Received):
    """What an agent is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.exchange: ToolsExchange | None = None

    @property
    def events(self) -> list[dict[str, Any]]:
        """The messages of a stream of events, so far."""
        assert self.header(b"content-type") == [b"text/event-stream"], self.body
        found = []
        for part in self.body.split(b"\n\n"):
            data = [line[6:] for line in part.split(b"\n") if line.startswith(b"data: ")]
            if data:
                found.append(json.loads(b"\n".join(data)))
        return found

    def leave(self) -> None:
        assert self.exchange is not None
        self.exchange.visitor_left()


async def begin(
    hub: HereHub,
    body: bytes | None = None,
    *,
    method: str = "",
    headers: Headers | None = None,
    query: str = "",
    path: str = URL,
    piece: int = 1 << 20,
    **more: Any,
) -> Reading:
    """One HTTP request, as it is: its body was sent, and its answer may be on the way."""
    method = method or ("GET" if body is None else "POST")
    given = a_request("", method, [OWNER] if headers is None else headers, **more)
    target = path.encode() + (b"?" + query.encode() if query else b"")
    visit = Visit(Visits(), given._replace(target=target, prefix=PREFIX))
    reading = Reading()
    exchange = reading.exchange = ToolsExchange(AllTools(hub.workspace.tools, URL), visit, reading, fin=body is None)
    if await exchange.start():
        assert body is not None
        for start in range(0, len(body), piece):
            exchange.upload(body[start : start + piece])
        exchange.upload_done()
    return reading


async def ask(hub: HereHub, body: bytes | None = None, **more: Any) -> Reading:
    """The same to its end."""
    reading = await begin(hub, body, **more)
    await until(lambda: reading.done)
    return reading


class Agent:
    """One caller. By default the server's owner, in the era of 2026-07-28."""

    def __init__(
        self,
        hub: HereHub,
        key: bytes | None = TOKEN,
        *,
        version: str = MODERN,
        query: str = "",
        headers: Headers | None = None,
    ) -> None:
        self.hub, self.version, self.query = hub, version, query
        self.given: Headers = [*(headers or ())] + ([(b"authorization", b"Bearer " + key)] if key else [])
        self.more: dict[str, Any] = {}
        self._number = 0

    @property
    def modern(self) -> bool:
        return self.version == MODERN

    def message(self, method: str, params: dict[str, Any] | None = None, id_: Any = None) -> dict[str, Any]:
        params = dict(params or {})
        if self.modern:
            params["_meta"] = {**META, **params.get("_meta", {})}
        self._number += 1
        return {"jsonrpc": "2.0", "id": self._number if id_ is None else id_, "method": method, "params": params}

    def headers(self, message: Any = None) -> Headers:
        headers = [*self.given, (b"accept", b"application/json, text/event-stream")]
        headers.append((b"content-type", b"application/json"))
        if self.version:
            headers.append((b"mcp-protocol-version", self.version.encode()))
        if self.modern and isinstance(message, dict):
            headers.append((b"mcp-method", message["method"].encode()))
            if message["method"] == "tools/call":
                headers.append((b"mcp-name", message["params"]["name"].encode()))
        return headers

    async def begin(self, message: Any) -> Reading:
        body = json.dumps(message).encode()
        return await begin(self.hub, body, headers=self.headers(message), query=self.query, **self.more)

    async def send(self, message: Any) -> Reading:
        reading = await self.begin(message)
        await until(lambda: reading.done)
        return reading

    async def ask(self, method: str, params: dict[str, Any] | None = None, id_: Any = None) -> dict[str, Any]:
        """The whole response to a request."""
        message = self.message(method, params, id_)
        reading = await self.send(message)
        said = reading.events[-1] if reading.header(b"content-type") == [b"text/event-stream"] else reading.json()
        assert said["id"] == message["id"], said
        return said

    async def tools(self) -> dict[str, dict[str, Any]]:
        """All tools that are told, by their names, in their order."""
        found: dict[str, dict[str, Any]] = {}
        cursor: str | None = None
        while True:
            result = (await self.ask("tools/list", {"cursor": cursor} if cursor else {}))["result"]
            assert not found.keys() & {tool["name"] for tool in result["tools"]}
            found |= {tool["name"]: tool for tool in result["tools"]}
            cursor = result.get("nextCursor")
            if cursor is None:
                return found

    async def begin_call(self, name: str, arguments: Any = None, id_: Any = None, **meta: Any) -> Reading:
        params = {"name": name, "arguments": {} if arguments is None else arguments, "_meta": meta}
        return await self.begin(self.message("tools/call", params, id_))

    async def call(self, name: str, arguments: Any = None) -> dict[str, Any]:
        return await self.ask("tools/call", {"name": name, "arguments": {} if arguments is None else arguments})

    async def listen(self, id_: Any = "listen-1") -> Reading:
        """Hear of changes, from now on."""
        if self.modern:
            asked = {"notifications": {"toolsListChanged": True}}
            reading = await self.begin(self.message("subscriptions/listen", asked, id_))
        else:
            headers = [*self.given, (b"accept", b"text/event-stream"), (b"mcp-protocol-version", self.version.encode())]
            reading = await begin(self.hub, headers=headers, query=self.query, **self.more)
        await until(lambda: reading.status)
        return reading


def text_of(said: dict[str, Any]) -> str:
    """The text of a call's result, which is no error."""
    assert not said["result"].get("isError"), said
    return str(said["result"]["content"][0]["text"])


def changes(reading: Reading) -> int:
    """How often it was told that the list has changed."""
    return sum(event.get("method") == "notifications/tools/list_changed" for event in reading.events)


async def a_key(hub: HereHub, *services: str, seconds: float = 600) -> bytes:
    """A key for *services*."""
    body = {"services": list(services), "expires_in": seconds}
    return str((await hub.control.mint(Principal(id="user:owner"), body))["key"]).encode()
