"""The base URL of all models, without a web framework: an edge that is a function call, and services that misbehave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from portico.hub.answers import Answer
from portico.hub.config import HubConfig
from portico.hub.models import socket as models_socket
from portico.hub.models import stored as stored_responses
from portico.hub.models.base import AllModels
from portico.hub.models.exchange import ModelsExchange
from portico.hub.models.socket import ModelsSocket
from portico.hub.visits import Visit, Visits
from portico.models import chat_server
from portico.types import Headers
from tests.in_process import PREFIX, TOKEN, HereHub, Publisher, Received, a_hub, a_request
from tests.transports.recorder import run
from tests.waiting import until

OWNER = (b"authorization", b"Bearer " + TOKEN)
Work = Callable[[HereHub, Publisher], Awaitable[None]]


def cat(messages: Any) -> str:
    return "meow"


async def lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


def answering(status: int, body: bytes = b"{}") -> Any:
    """An app that has nothing else to say, be it asked over HTTP or by a WebSocket."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
        else:
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": body})

    return app


async def failing(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    else:
        raise RuntimeError("on purpose")


class Hanging:
    """Never answers; knows whether anybody has asked, and left."""

    def __init__(self) -> None:
        self.asked, self.left = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        self.asked.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        self.left.set()


def with_hub(work: Work, config: HubConfig | None = None) -> None:
    """Run *work* with a kernel that serves `zoo`, which has the model ``cat``."""

    async def inside() -> None:
        async with a_hub(config) as hub:
            kernel = await hub.kernel().connect()
            assert (await kernel.register("zoo", chat_server({"cat": cat}), models=["cat"])).ok
            try:
                await work(hub, kernel)
            finally:
                kernel.leave()

    run(inside)


def request_for(
    path: str,
    method: str = "GET",
    base: str = "/portico/v1",
    *,
    headers: Headers | None = None,
    prefix: bytes = PREFIX,
    websocket: bool = False,
) -> Visit:
    request = a_request("", method, [OWNER] if headers is None else headers, websocket=websocket)
    return Visit(Visits(), request._replace(target=f"{base}/{path}".encode(), prefix=prefix))


async def begin(hub: HereHub, request: Visit, base: str = "/portico/v1") -> tuple[ModelsExchange, Received]:
    """An exchange that has no body."""
    visit = Received()
    exchange = ModelsExchange(AllModels(hub.gateway, hub.registry, base), request, visit, fin=True)
    assert not await exchange.start()
    return exchange, visit


async def ask(hub: HereHub, path: str, method: str = "GET") -> Received:
    _, visit = await begin(hub, request_for(path, method))
    await until(lambda: visit.done)
    return visit


async def post(
    hub: HereHub, path: str, body: dict[str, Any], piece: int = 1 << 20, base: str = "/portico/v1", **more: Any
) -> Received:
    """POST *body* in pieces of so many bytes."""
    visit = Received()
    exchange = ModelsExchange(
        AllModels(hub.gateway, hub.registry, base), request_for(path, "POST", base, **more), visit, fin=False
    )
    assert await exchange.start()
    data = json.dumps(body).encode()
    for start in range(0, len(data), piece):
        wait = exchange.upload(data[start : start + piece])
        if wait is not None:
            await wait
    exchange.upload_done()
    await until(lambda: visit.done)
    return visit


async def a_response(hub: HereHub, model: str = "cat") -> str:
    made = await post(hub, "responses", {"input": "hi", "model": model})
    assert made.status == 200, made.body
    return str(made.json()["id"])


@pytest.mark.parametrize("base", ["/v1", "/lab/v1", "/portico/v1"])
@pytest.mark.parametrize("prefix", [b"", b"/lab/"])
def test_the_base_url_is_the_edges_to_choose(base: str, prefix: bytes) -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        body = {"messages": [{"role": "user", "content": "hi"}], "model": "zoo/cat"}
        answer = await post(hub, "chat/completions", body, 1, base, prefix=prefix)
        assert answer.json()["choices"][0]["message"]["content"] == "meow"
        _, listed = await begin(hub, request_for("models", base=base), base)
        assert [model["id"] for model in listed.json()["data"]] == ["cat"]
        _, beside = await begin(hub, request_for("models", base=base + "x"), base)
        assert (beside.status, beside.code) == (404, "not_found")

    with_hub(work)


def test_one_service_that_fails_hides_no_response_of_another() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        kept = await a_response(hub)
        for app in (answering(404), answering(405), answering(500), answering(501), failing):
            assert (await kernel.register("other", app, models=["dog"])).ok
            await post(hub, "chat/completions", {"model": "dog"})  # so that it is the one that is asked first
            assert (await ask(hub, f"responses/{kept}")).json()["id"] == kept
        kernel.failures.clear()

    with_hub(work)


@pytest.mark.parametrize(("status", "told"), [(404, 404), (405, 404), (501, 501), (500, 503), (503, 503)])
def test_a_response_that_nobody_has(status: int, told: int) -> None:
    """Where somebody could not say, it is not said to be gone: a client would believe that."""

    async def work(hub: HereHub, kernel: Publisher) -> None:
        assert (await kernel.register("other", answering(status, b"x" * 100_000), models=["dog"])).ok
        assert (await ask(hub, "responses/resp_of_nobody")).status == told
        assert (await ask(hub, "responses/resp_of_nobody", "DELETE")).status == told

    with_hub(work)


def test_a_service_that_is_away_may_have_it() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        kept = await a_response(hub)
        await kernel.cut()
        away = await ask(hub, f"responses/{kept}")
        assert (away.status, away.code) == (503, "response_unavailable")
        assert away.header(b"retry-after") == [b"5"]
        await kernel.connect()
        await kernel.register("zoo", models=["cat"])
        assert (await ask(hub, f"responses/{kept}")).status == 200

    with_hub(work)


def test_a_service_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_responses, "_ASK_SECONDS", 0.2)

    async def work(hub: HereHub, kernel: Publisher) -> None:
        kept = await a_response(hub)
        hanging = Hanging()
        assert (await kernel.register("other", hanging, models=["dog"])).ok
        hub.registry.services["other"].used = asyncio.get_running_loop().time() + 60
        assert (await ask(hub, f"responses/{kept}")).status == 200
        assert hanging.asked.is_set()
        await hanging.left.wait()

    with_hub(work)


def test_a_visitor_who_leaves_ends_the_search() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        hanging = Hanging()
        assert (await kernel.register("other", hanging, models=["dog"])).ok
        exchange, visit = await begin(hub, request_for("responses/resp_of_nobody"))
        await hanging.asked.wait()
        exchange.visitor_left()
        await hanging.left.wait()
        assert (visit.status, visit.body) == (0, b"")
        assert all(replica.in_flight == 0 for service in hub.registry.services.values() for replica in service.replicas)

    with_hub(work)


def test_a_visitor_who_leaves_while_a_provider_is_awaited() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        await kernel.cut()
        visit = Received()
        exchange = ModelsExchange(
            AllModels(hub.gateway, hub.registry, "/portico/v1"), request_for("responses", "POST"), visit, fin=False
        )
        assert await exchange.start()
        wait = exchange.upload(b'{"model": "cat", "input": "hi"}')
        assert wait is not None
        exchange.visitor_left()
        await kernel.connect()
        await kernel.register("zoo", models=["cat"])
        await wait
        assert (visit.status, hub.registry.services["zoo"].requests) == (0, 0)

    with_hub(work)


class Page:
    """Answers everything with a page, a cookie, and the headers that it was asked with."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        headers = [(b"content-type", b"text/html"), (b"set-cookie", b"a=b"), (b"content-security-policy", b"")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": repr(scope["headers"]).encode()})


def test_no_app_has_a_page_or_a_cookie_at_the_base_url() -> None:
    """All of them speak from one origin there, whoever made them."""

    async def work(hub: HereHub, kernel: Publisher) -> None:
        assert (await kernel.register("other", Page(), models=["dog"])).ok
        for answer in (await post(hub, "chat/completions", {"model": "dog"}), await ask(hub, "responses/resp_any")):
            assert answer.header(b"content-security-policy") == [b"sandbox"]
            assert answer.header(b"x-content-type-options") == [b"nosniff"]
            assert answer.header(b"set-cookie") == []

    with_hub(work)


def test_a_strangers_model_shows_a_browser_no_page() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        await kernel.register("pages", Page(), models=["m"], access="public")
        hub.registry.interstitial = True
        for browser in ((b"sec-fetch-mode", b"navigate"), (b"accept", b"text/html"), (b"sec-fetch-dest", b"iframe")):
            for method, path in (("POST", "chat/completions"), ("GET", "responses/resp_1"), ("POST", "responses")):
                exchange, visit = await begin(hub, request_for(path, method, headers=[browser]))
                assert (visit.status, visit.code) == (403, "api"), (browser, path)
                assert not exchange.uploading
            listed = (await begin(hub, request_for("models", headers=[browser])))[1]
            assert listed.status == 200, "the hub's own words"
        assert (await ask(hub, "responses/resp_1")).status == 200, "programs are not held up"

    with_hub(work)


def test_an_apps_own_credential_is_not_shown_to_the_others() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        assert (await kernel.register("other", Page(), models=["dog"], access="public")).ok
        own = [(b"authorization", b"Bearer a key of some app's own")]
        for method, path in (("GET", "responses/resp_any"), ("DELETE", "responses/resp_any")):
            _, visit = await begin(hub, request_for(path, method, headers=own))
            await until(lambda visit=visit: visit.done)
            assert (visit.status, b"some app" in visit.body) == (200, False)

    with_hub(work)


def test_conditions_hold_for_stored_responses_too() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        kept = await a_response(hub)
        once = {"models": ["dog"], "conditions": {"rate": "1/h"}}
        assert (await kernel.register("other", Page(), **once)).ok
        hub.registry.services["other"].used = asyncio.get_running_loop().time() + 60
        assert (await ask(hub, "responses/resp_any")).header(b"content-type") == [b"text/html"]
        unknown = await ask(hub, "responses/resp_any")  # that one may have it, and may not be asked again now
        assert (unknown.status, unknown.code) == (503, "response_unavailable")
        assert (await ask(hub, f"responses/{kept}")).json()["id"] == kept

    with_hub(work)


def test_a_service_with_a_password_is_there_for_its_keys_alone() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        guarded = {"models": ["dog"], "access": "public", "conditions": {"password": "sesame"}}
        assert (await kernel.register("other", Page(), **guarded)).ok
        key = (await hub.keys.mint(("other",), 60))[0].encode()
        for headers, listed in (([OWNER], ["cat"]), ([(b"authorization", b"Bearer " + key)], ["dog"])):
            _, visit = await begin(hub, request_for("models", headers=headers))
            assert [model["id"] for model in visit.json()["data"]] == listed
        _, visit = await begin(hub, request_for("models", headers=[]))
        assert visit.status == 401
        assert (await ask(hub, "responses/resp_any")).status == 404

    with_hub(work, HubConfig(kernel_poll=0.01, passwords=True))


# --- WebSockets --------------------------------------------------------------------------------------------------


async def dial(hub: HereHub) -> tuple[ModelsSocket, Received]:
    visit = Received()
    socket = ModelsSocket(AllModels(hub.gateway, hub.registry, "/portico/v1"), request_for("responses", websocket=True))
    await socket.admit()
    socket.begin(visit)
    await until(lambda: visit.status == 101)
    return socket, visit


async def say(socket: ModelsSocket, **message: Any) -> None:
    wait = socket.visitor_message(json.dumps({"type": "response.create", "input": "hi"} | message).encode(), True)
    if wait is not None:
        await wait


def test_a_service_without_websockets_says_so_in_an_event() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        assert (await kernel.register("other", answering(404), models=["dog"])).ok
        socket, visit = await dial(hub)
        await say(socket, model="dog")
        await until(lambda: visit.closed)
        event = json.loads(visit.messages[-1])
        assert (event["type"], event["status"], event["error"]["code"]) == ("error", 403, "refused")
        assert visit.closed is not None
        assert visit.closed[0] == 1011

    with_hub(work)


def test_a_connection_that_names_no_model_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models_socket, "FIRST_MESSAGE_SECONDS", 0.1)

    async def work(hub: HereHub, kernel: Publisher) -> None:
        _, visit = await dial(hub)
        await until(lambda: visit.closed)
        assert visit.closed is not None
        assert visit.closed[0] == 1008
        used, visit = await dial(hub)
        await say(used, model="cat")
        await until(lambda: any(b'"response.completed"' in message for message in visit.messages))
        used.visitor_closed(1000, "")

    with_hub(work)


def test_a_visitor_who_closes_before_the_service_is_open() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        await kernel.cut()
        socket, visit = await dial(hub)
        wait = socket.visitor_message(b'{"type": "response.create", "model": "cat", "input": "hi"}', True)
        assert wait is not None
        socket.visitor_closed(1001, "")
        await wait
        assert visit.messages == []

    with_hub(work)


def test_who_may_use_no_model_is_refused_before_anything_is_accepted() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        key = (await hub.keys.mint(("another",), 60))[0].encode()
        for headers, status in (([], 401), ([(b"authorization", b"Bearer " + key)], 404)):
            request = request_for("responses", headers=headers, websocket=True)
            with pytest.raises(Answer) as refused:
                await ModelsSocket(AllModels(hub.gateway, hub.registry, "/portico/v1"), request).admit()
            assert refused.value.status == status

    with_hub(work)


@pytest.mark.parametrize("path", ["openapi.json", "docs"])
def test_what_one_service_says_of_itself_is_not_said_of_all(path: str) -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        answer = await ask(hub, path)
        assert (answer.status, answer.code) == (404, "not_found")

    with_hub(work)
