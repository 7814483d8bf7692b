"""Sixty-four streams of one pipeline at once, over real sockets: none has a piece of another, and all end with their
clients."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from haystack.dataclasses import StreamingChunk

from portico.pipelines.chats.chat import PipelineModels
from portico.pipelines.streams.streaming import streaming_generator
from tests.models.conftest import uvicorn_on_loopback
from tests.pipelines.haystack_parts import SyncOnly, of
from tests.pipelines.serving import app
from tests.pipelines.test_runs import Bare

STREAMS = 64
ENOUGH = 8
"""Pieces of each stream that are read before its client leaves."""

_OF = re.compile(r"<(\d+)>")


class Marked(Bare):
    """Streams the number that its request has, by a real pipeline, until it is told to end."""

    def setup(self) -> None:
        self.running = 0
        self.changed = threading.Condition()
        self.pipeline = of(SyncOnly())

    def _run(self, mark: str) -> Any:
        def give(callback: Any) -> None:
            with self.changed:
                self.running += 1
            try:
                while True:
                    callback(StreamingChunk(content=f"<{mark}>"))
                    time.sleep(0.02)  # as a model does: fifty tokens a second
            finally:
                with self.changed:
                    self.running -= 1
                    self.changed.notify_all()

        return streaming_generator(of(SyncOnly(give)), pipeline_run_args={"part": {"tag": mark}})

    def run_api(self, mark: str) -> Any:
        return self._run(mark)

    def run_chat_completion(self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]) -> Any:
        return self._run(messages[-1]["content"])


def request(kind: str, mark: int, host: str) -> bytes:
    chat = {"model": "n", "stream": True, "messages": [{"role": "user", "content": str(mark)}]}
    path, body = ("/v1/chat/completions", chat) if kind == "chat" else ("/n/run", {"mark": str(mark)})
    raw = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
    )
    return head.encode() + raw


@pytest.mark.parametrize("kind", ["run", "chat"])
def test_none_has_a_piece_of_another_and_all_end_within_a_second_of_their_clients(kind: str) -> None:
    wrapper = Marked()
    served = app(n=wrapper)
    served.pipelines.parts.append(PipelineModels(served.pipelines.deployments))

    async def listen(mark: int, host: str, port: int) -> tuple[asyncio.StreamWriter, list[str]]:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(request(kind, mark, f"{host}:{port}"))
        heard = ""
        while len(_OF.findall(heard)) < ENOUGH:
            piece = await reader.read(65536)
            assert piece, heard
            heard += piece.decode()
        assert heard.startswith("HTTP/1.1 200"), heard
        return writer, _OF.findall(heard)

    async def visit_all(host: str, port: int) -> float:
        heard = await asyncio.gather(*[listen(mark, host, port) for mark in range(STREAMS)])
        assert [set(marks) for _, marks in heard] == [{str(mark)} for mark in range(STREAMS)]
        assert wrapper.running == STREAMS
        left = time.monotonic()
        for writer, _ in heard:
            writer.transport.abort()
        assert await asyncio.to_thread(all_ended)
        return time.monotonic() - left

    def all_ended() -> bool:
        with wrapper.changed:
            return wrapper.changed.wait_for(lambda: wrapper.running == 0, 5)

    with uvicorn_on_loopback(served) as url:
        host, port = urlsplit(url).hostname, urlsplit(url).port
        assert host
        assert port
        assert asyncio.run(visit_all(host, port)) < 1
