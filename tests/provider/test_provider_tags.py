"""A hub is told the tag of a chat server's store, which finds its responses, and no other app's."""

from __future__ import annotations

import asyncio
from typing import Any

from portico.models import chat_server
from portico.provider.provider import Provider
from tests.provider.published import saying, service


def test_the_tag_of_a_chat_server_is_told() -> None:
    async def work() -> None:
        live, server = service(Provider()), chat_server({"m": lambda messages: "m"})
        live.app, live.kind, live.models = server, "chat", server.kinds
        assert live.descriptor()["tag"] == server.tag
        after = chat_server({"m": lambda messages: "n"})
        after.take_over(server)
        live.app = after
        assert live.descriptor()["tag"] == server.tag, "it has the responses now"

    asyncio.run(work())


def test_an_app_that_has_a_tag_of_its_own_says_nothing() -> None:
    async def work() -> None:
        live: Any = service(Provider())
        live.app = saying(b"a")
        live.app.tag = "deutsch"
        assert "tag" not in live.descriptor()

    asyncio.run(work())
