"""Apps that raise what ends programs: their visitors get an error, their authors a traceback, and all else goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from tests.integration.exiting import BEHIND, CUT, KINDS, WHOLE
from tests.integration.visit import begin, get
from tests.live_jupyter import JupyterServer, Kernel
from tests.waiting import eventually

LOOPS = ("own", "kernel")


@pytest.fixture(scope="module")
def kernel(jupyter_server: JupyterServer) -> Iterator[Kernel]:
    kernel = jupyter_server.kernel()
    kernel.execute(
        """
import asyncio, portico
from tests.integration import apps, exiting
neighbour = portico.serve(apps.raw, "neighbour", access="public")
served = {loop: await portico.serve(exiting.exiting(), "exiting-" + loop, access="public", loop=loop)
          for loop in ("own", "kernel")}
"""
    ).check()
    yield kernel
    kernel.shutdown()


def _url(server: JupyterServer, name: str) -> str:
    return f"{server.url}portico/apps/{name}/"


def _value(kernel: Kernel, expression: str) -> str:
    return kernel.execute(f"print({expression})").check().text.strip()


def _all_goes_on(server: JupyterServer, kernel: Kernel) -> None:
    assert get(_url(server, "neighbour"))[1] == b"hello"
    for loop in LOOPS:
        assert get(_url(server, f"exiting-{loop}") + "fine")[1] == b'"fine"'
    assert _value(kernel, "[s.status for s in (neighbour, *served.values())]") == "['live', 'live', 'live']"


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_an_app_raises_all_else_goes_on(
    jupyter_server: JupyterServer, kernel: Kernel, loop: str, kind: str
) -> None:
    url = _url(jupyter_server, f"exiting-{loop}")
    kernel.execute(f"log = served[{loop!r}].log; log.clear(); log.total = 0").check()
    # a task group takes a cancelled task of its own for one that has ended
    whole = [where for where in WHOLE if (where, kind) != ("group", "cancelled")]
    for where in whole:
        head, body = get(f"{url}{where}/{kind}")
        assert (where, head.status) == (where, 500)
        assert b"Traceback" not in body
    for where in CUT:
        wire, answer = begin(f"{url}{where}/{kind}", b"some")
        answer.read_rest()
        assert not answer.complete
        wire.close()
    for where in BEHIND:
        assert get(f"{url}{where}/{kind}")[0].status == 200
    with connect(f"{url.replace('http', 'ws', 1)}websocket/{kind}", proxy=None) as visitor:
        visitor.send("go")
        with pytest.raises(ConnectionClosedError) as ended:
            visitor.recv(10)
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1011
    _all_goes_on(jupyter_server, kernel)
    told = _value(kernel, "[e.doing for e in log]")
    for where in whole:
        assert f"{where}/{kind}" in told


@pytest.mark.parametrize("word", ["exit()", "quit()", "exit(keep_kernel=True)", "get_ipython().ask_exit()"])
def test_the_notebooks_own_exit_is_a_failure_of_the_app_that_calls_it(
    jupyter_server: JupyterServer, kernel: Kernel, word: str
) -> None:
    """IPython's tell the shell to end and raise nothing."""
    kernel.execute(
        f"""
from fastapi import FastAPI
from flask import Flask
leaving, views = FastAPI(), Flask("leaving")
@leaving.get("/async")
async def leave():
    {word}
@leaving.get("/sync")
def leave_too():
    {word}
views.get("/view")(lambda: {word})
left = [portico.serve(leaving, "leaving", access="public"), portico.serve(views, "leaving-wsgi", access="public")]
left.append(await portico.serve(leaving, "leaving-kernel", access="public", loop="kernel"))
"""
    ).check()
    for where in ("leaving/async", "leaving/sync", "leaving-wsgi/view", "leaving-kernel/async", "leaving-kernel/sync"):
        assert get(f"{jupyter_server.url}portico/apps/{where}")[0].status == 500
    assert _value(kernel, "[type(word).__name__ for word in (exit, quit)]") == "['ZMQExitAutocall', 'ZMQExitAutocall']"
    assert _value(kernel, "[one.log[-1].summary for one in left]").count("SystemExit") == 3
    _all_goes_on(jupyter_server, kernel)
    kernel.execute("for one in left: one.stop()").check()


def test_the_notebooks_own_exit_ends_its_kernel(jupyter_server: JupyterServer) -> None:
    kernel = jupyter_server.kernel()
    kernel.execute(
        "import portico\nfrom tests.integration import apps\nportico.serve(apps.raw, 'ended', access='public')"
    ).check()
    kernel.send("exit")
    eventually(lambda: get(_url(jupyter_server, "ended"))[0].status == 503, 20)
    kernel.shutdown()


def test_a_startup_that_exits_fails_and_nothing_else(jupyter_server: JupyterServer, kernel: Kernel) -> None:
    output = kernel.execute("portico.serve(exiting.starting(lambda: SystemExit(2)), 'starting')")
    assert output.error is not None
    assert output.error[0] == "StartupFailed"
    _all_goes_on(jupyter_server, kernel)


def test_a_thread_that_dies_is_told_and_serving_again_works(jupyter_server: JupyterServer) -> None:
    kernel = jupyter_server.kernel()
    try:
        kernel.execute(
            """
%load_ext portico
import portico
from tests.integration import apps
app = apps.raw
also = portico.serve(apps.raw, "dies-too", access="public")
%serve app --name dies --access public
"""
        ).check()
        url = _url(jupyter_server, "dies")
        assert get(url)[1] == b"hello"
        kernel.execute(
            """
loop = service.provider.thread.loop
def fail(timeout=None):
    loop._selector.select = type(loop._selector).select.__get__(loop._selector)
    raise OSError(9, "Bad file descriptor")
loop.call_soon_threadsafe(setattr, loop._selector, "select", fail)
"""
        ).check()
        eventually(lambda: _value(kernel, "service.status") == "failed", 10)
        assert "thread ended" in _value(kernel, "service.error")
        updated = kernel.updates
        eventually(lambda: _value(kernel, "1") and any("failed" in str(update["data"]) for update in updated), 10)
        eventually(lambda: get(url)[0].status >= 500, 15, "the hub has heard of it")
        kernel.execute("%serve app --name dies --access public").check()
        eventually(lambda: get(url)[1] == b"hello", 10)
        assert _value(kernel, "(service.status, also.status)") == "('live', 'failed')"
        eventually(lambda: get(_url(jupyter_server, "dies-too"))[0].status in (401, 404), 10, "its name is given up")
    finally:
        kernel.shutdown()


def test_the_users_own_interrupt_ends_the_cell(jupyter_server: JupyterServer, kernel: Kernel) -> None:
    waits = "import time; display('waits'); time.sleep(60)"
    turns = "display('turns')\nwhile True: await asyncio.sleep(0.05)"
    for waiting in (waits, turns):
        output = kernel.wait(
            kernel.send(waiting),
            on_display=lambda _: jupyter_server.api("POST", f"api/kernels/{kernel.id}/interrupt"),
        )
        assert output.error is not None
        assert output.error[0] in ("KeyboardInterrupt", "CancelledError")
    _all_goes_on(jupyter_server, kernel)
