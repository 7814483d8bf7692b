"""Compressed bodies, keys and unnamed models under the base URL of all models."""

import gzip
import json
import zlib
from typing import Any

import pytest

from portico.hub.models import exchange as all_models
from portico.hub.models.base import AllModels
from portico.hub.models.exchange import ModelsExchange
from portico.types import Headers
from tests.hub.models.test_base import Hanging, HereHub, Publisher, Received, answering, begin, request_for, with_hub
from tests.waiting import turns, until

BODY = {"messages": [{"role": "user", "content": "hi"}], "model": "zoo/cat"}


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


class Answered(Received):
    """Counts what its visitor is told: one answer, which nothing breaks off afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[int | str] = []

    def respond(self, status: int, headers: Headers, body: bytes, fin: bool) -> None:
        self.told.append(status)
        super().respond(status, headers, body, fin)

    def cut(self) -> None:
        self.told.append("cut")
        super().cut()


async def sending(hub: HereHub, coding: str = "", *headers: tuple[bytes, bytes]) -> tuple[ModelsExchange, Answered]:
    """An exchange whose body is to come, in this *coding*."""
    visit = Answered()
    request = request_for("chat/completions", "POST")
    request.request.headers.extend([(b"content-encoding", coding.encode())] if coding else [])
    request.request.headers.extend(headers)
    exchange = ModelsExchange(AllModels(hub.gateway, hub.registry, "/portico/v1"), request, visit, fin=False)
    await exchange.start()
    return exchange, visit


async def send(hub: HereHub, data: bytes, coding: str, piece: int = 1 << 20) -> Answered:
    exchange, visit = await sending(hub, coding, (b"content-length", b"%d" % len(data)))
    if not visit.done:
        for start in range(0, len(data), piece):
            wait = exchange.upload(data[start : start + piece])
            if wait is not None:
                await wait
        exchange.upload_done()
    await until(lambda: visit.done)
    await turns()
    return visit


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("identity", bytes),
    ],
)
@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_a_compressed_body_is_decoded(coding: str, encode: Any, piece: int) -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        visit = await send(hub, encode(json.dumps(BODY).encode()), coding, piece)
        assert visit.status == 200, visit.body
        assert visit.json()["choices"][0]["message"]["content"] == "meow"

    with_hub(work)


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress"])
def test_another_coding_is_415(coding: str) -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        visit = await send(hub, b"x" * 100, coding)
        assert (visit.status, visit.code) == (415, "content_encoding")

    with_hub(work)


def test_a_body_that_is_cut_off_or_no_gzip_is_400() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        whole = gzip.compress(json.dumps(BODY).encode())
        for data in (whole[:-3], whole[:5], b"{}" + whole, b""):
            visit = await send(hub, data, "gzip")
            assert (visit.status, visit.code) == (400, "invalid_body"), data

    with_hub(work)


@pytest.mark.parametrize("named_first", [True, False])
def test_a_bomb_is_stopped_at_the_limit(named_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(all_models, "MOST_OF_A_BODY", 1 << 20)
    fields: dict[str, Any] = {"padding": "0" * (20 << 20)}
    body = {"model": "cat", **fields} if named_first else {**fields, "model": "cat"}

    async def work(hub: HereHub, kernel: Publisher) -> None:
        visit = await send(hub, gzip.compress(json.dumps(body).encode()), "gzip")
        assert (visit.status, visit.code) == (413, "too_large")

    with_hub(work)


def test_the_list_is_refused_for_a_wrong_key_whatever_is_public() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        assert (await kernel.register("open", answering(200), models=["public"], access="public")).ok
        _, visit = await begin(hub, request_for("models", headers=[]))
        assert [model["id"] for model in visit.json()["data"]] == ["public"]
        for key in (b"Bearer wrong", b"bearer sk-" + b"x" * 40):
            for path in ("models", "models/public"):
                _, visit = await begin(hub, request_for(path, headers=[(b"authorization", key)]))
                assert (visit.status, visit.code) == (401, "invalid_key")

    with_hub(work)


def test_a_model_without_a_name_is_the_only_one() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        data = json.dumps({**BODY, "model": ""}).encode()
        assert (await send(hub, gzip.compress(data), "gzip")).json()["choices"][0]["message"]["content"] == "meow"
        assert (await send(hub, data, "identity")).status == 200
        assert (await kernel.register("other", answering(200), models=["dog"])).ok
        visit = await send(hub, data, "identity")
        assert (visit.status, visit.code) == (400, "missing_model")

    with_hub(work)


LONG = {"model": "dog", "messages": [{"role": "user", "content": "hi " * 200_000}]}
PACKED = gzip.compress(json.dumps(LONG).encode())
BROKEN = PACKED[:-8] + b"x" * 8
"""Its check sum is wrong: the model is named, and passed on, before that is seen."""


def test_a_broken_body_is_answered_once() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        app = Hanging()
        assert (await kernel.register("dogs", app, models=["dog"])).ok
        assert (await send(hub, BROKEN, "gzip")).told == [400]
        await app.left.wait()

    with_hub(work)


def test_a_body_that_is_broken_behind_a_refusal_is_answered_once() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        app = Hanging()
        assert (await kernel.register("dogs", app, models=["dog"], conditions={"concurrency": 1})).ok
        first, _ = await sending(hub)
        first.upload(b'{"model": "dog"}')
        await app.asked.wait()
        visit = await send(hub, BROKEN, "gzip")
        assert (visit.told, visit.code) == ([429], "concurrency")
        first.visitor_left()

    with_hub(work)


def test_a_body_that_is_broken_behind_a_413_is_answered_once() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        assert (await kernel.register("dogs", Hanging(), models=["dog"], conditions={"max_body": 1000})).ok
        visit = await send(hub, BROKEN, "gzip")
        assert (visit.told, visit.code) == ([413], "too_large")

    with_hub(work)


def test_a_body_that_is_broken_behind_a_whole_answer_breaks_nothing_off() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        assert (await kernel.register("dogs", answering(200), models=["dog"])).ok
        exchange, visit = await sending(hub, "gzip")
        exchange.upload(PACKED[:-8])
        await until(lambda: visit.done)
        exchange.upload(b"x" * 8)
        await turns()
        assert visit.told == [200]

    with_hub(work)


def test_who_has_left_is_told_nothing_of_a_broken_body() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        app = Hanging()
        assert (await kernel.register("dogs", app, models=["dog"])).ok
        exchange, visit = await sending(hub, "gzip")
        exchange.upload(PACKED[:-8])
        await app.asked.wait()
        exchange.visitor_left()
        exchange.upload(b"x" * 8)
        await app.left.wait()
        await turns()
        assert visit.told == []

    with_hub(work)
