"""No call of the hub's own code holds the event loop: keys in a file, links, the gate and the control API, all at once.

`tests.transports.recorder.run` fails on any blocking call (blockbuster), as it does in the other tests of this folder.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from blockbuster import BlockingError

from portico.hub.descriptor import Principal
from portico.hub.keys import SQLiteKeyStore
from tests.in_process import COOKIE, a_hub, echo
from tests.transports.recorder import run
from tests.waiting import until

USER = Principal(id="user:ada")


def test_the_hub_holds_no_loop(tmp_path: Path) -> None:
    store = SQLiteKeyStore(tmp_path / "keys.sqlite3")  # a server opens it before its loop runs
    other = SQLiteKeyStore(tmp_path / "keys.sqlite3")

    async def work() -> None:
        async with a_hub(store=store) as hub:
            kernel = await hub.kernel().connect()
            await kernel.register("cat", echo)
            made = await hub.control.mint(USER, {"services": ["cat"]})
            key = (b"authorization", b"Bearer " + made["key"].encode())
            visits = [hub.visit("cat/", headers=[key]) for _ in range(20)]
            visits += [hub.visit("cat/", headers=[(b"cookie", COOKIE)]) for _ in range(20)]
            assert {visit.status for visit in await asyncio.gather(*visits)} == {200}
            socket = await hub.visit("cat/", headers=[key], websocket=True)
            await until(lambda: socket.messages)
            assert hub.control.keys(USER)
            await hub.control.revoke(USER, made["id"])
            await asyncio.to_thread(other.touch, {made["id"]: 1.0})  # another server of this user writes
            await hub.keys.synchronize()
            assert (await hub.visit("cat/", headers=[key])).status == 401
            hub.control.stop(USER, "cat")
            kernel.leave()

    run(work)
    store.close()
    other.close()


def test_the_net_would_catch_one(tmp_path: Path) -> None:
    store = SQLiteKeyStore(tmp_path / "keys.sqlite3")

    async def work() -> None:
        with pytest.raises(BlockingError):
            (tmp_path / "file").write_text("x")

    run(work)
    store.close()
