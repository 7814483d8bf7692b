"""Which route a request goes to, while pipelines come and go."""

from __future__ import annotations

import asyncio
from typing import Any

from portico.pipelines.deployments import Deployments
from portico.pipelines.server.server import PipelinesServer
from portico.types import Receive, Scope, Send
from tests.pipelines.serving import Undeployable, app, ask, run, wrapped
from tests.pipelines.test_runs import Bare, Echo


class Chats(Bare):
    def run_chat_completion(self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]) -> str:
        return "hi"


def test_a_pipeline_that_only_chats_has_no_run() -> None:
    answer = run(app(n=Chats()), "n")
    assert answer.status == 404
    assert answer.json["detail"].startswith("Pipeline 'n' has neither run_api nor run_api_async")


def test_routes_follow_the_table_and_a_pipeline_that_stays_keeps_its_route() -> None:
    deployments = Deployments()
    server = PipelinesServer(deployments, Undeployable())
    deployments.add(wrapped("a", Echo()))
    deployments.add(wrapped("b", Echo()))
    before = server.runs
    assert list(before) == ["a/run", "b/run"]
    deployments.add(wrapped("a", Echo()), replace=True)
    assert server.runs["b/run"] is before["b/run"]
    assert server.runs["a/run"] is not before["a/run"]
    deployments.remove("a")
    assert list(server.runs) == ["b/run"]


def test_names_of_the_servers_own_routes_do_as_names_of_pipelines() -> None:
    served = app(status=Echo(), draw=Echo(), docs=Echo(), v1=Echo())
    for name in ("status", "draw", "docs", "v1"):
        assert run(served, name, {"text": "a"}).json == {"result": "aa"}
    assert ask(served, "GET", "/status/draw").json == {"status": "Up!", "pipeline": "draw"}
    assert run(app(undeploy=Echo()), "undeploy", {"text": "a"}).status == 401


def test_an_app_that_stands_for_a_part_is_asked_for_its_routes() -> None:
    class Part:
        def handles(self, method: str, route: str) -> bool:
            return route == "part"

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        async def shut_down(self) -> None:
            log.append("over")

    log: list[str] = []
    served = app()
    served.pipelines.parts.append(Part())
    assert ask(served, "GET", "/part").status == 204
    assert ask(served, "GET", "/parts").status == 404
    asyncio.run(served.pipelines.close())
    assert log == ["over"]


def test_heads_are_answered_without_a_body_and_other_methods_are_named() -> None:
    served = app(n=Echo())
    head = ask(served, "HEAD", "/status")
    assert (head.status, head.body) == (200, b"")
    for method, path, allow in (
        ("DELETE", "/status", "GET"),
        ("GET", "/n/run", "POST"),
        ("PUT", "/deploy_files", "POST"),
    ):
        refused = ask(served, method, path)
        assert (refused.status, refused.headers["allow"]) == (405, allow)
        assert refused.json == {"detail": "Method Not Allowed"}
