"""What apps print and log: shown by the cell that served the app, and the last of it kept in its service's log."""

from __future__ import annotations

import json
import time
import urllib.error
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.live_jupyter import Kernel, Output
from tests.waiting import eventually

APPS = """
import asyncio, logging, sys, threading
from fastapi import BackgroundTasks, FastAPI
from flask import Flask

def talking(word):
    app = FastAPI()

    @app.get("/async")
    async def in_a_coroutine():
        print(word, "async")
        return word

    @app.get("/sync")
    def in_a_thread():
        print(word, "sync", file=sys.stderr)
        return word

    @app.get("/task")
    async def in_a_task():
        async def work():
            print(word, "task")
        await asyncio.create_task(work())
        await asyncio.to_thread(print, word, "to_thread")

    @app.get("/logs")
    async def logs():
        logging.getLogger("mine").warning("%s logs", word)

    @app.get("/fails")
    async def fails():
        from fastapi import Response
        return Response(status_code=503)

    return app

def flasks(word):
    app = Flask(word)

    @app.get("/")
    def home():
        print(word, "flask")
        return word

    @app.get("/fails")
    def fails():
        raise LookupError(word + " fails")

    return app

def reply(messages):
    print("reply prints")
    yield "hello"
"""


def heard(kernel: Kernel, wanted: int, within: float = 20) -> list[tuple[str, str]]:
    """The cell and the line of each line that is printed, until there are so many."""
    lines: list[tuple[str, str]] = []
    deadline = time.monotonic() + within
    while len(lines) < wanted:
        message: dict[str, Any] = json.loads(kernel._socket.recv(max(0.01, deadline - time.monotonic())))
        if message["msg_type"] == "stream":
            parent = message["parent_header"].get("msg_id", "")
            lines += [(parent, line) for line in message["content"]["text"].splitlines() if line]
    return lines


def test_each_service_speaks_under_its_own_cell(
    notebook: Kernel, run: Callable[[str], Output], get: Callable[[str], object]
) -> None:
    run(APPS + "one, two = talking('one'), talking('two')")
    cells = {}
    for word in ("one", "two"):
        cells[word] = notebook.send(f"%serve {word}")
        notebook.wait(cells[word]).check()
    run("1 + 1")
    for word in ("two", "one"):
        for path in ("async", "sync", "task"):
            get(f"{word}/{path}")
        lines = heard(notebook, 4)
        assert {cell for cell, _ in lines} == {cells[word]}
        assert {line for _, line in lines} == {f"{word} {what}" for what in ("async", "sync", "task", "to_thread")}
    told = run("print(portico.service('one').log)").text
    assert all(f"one {what}" in told for what in ("async", "sync", "task", "to_thread"))
    assert "two" not in told


def test_what_is_logged_is_kept_and_who_got_an_error_is_told(
    notebook: Kernel, run: Callable[[str], Output], get: Callable[[str], object]
) -> None:
    def error_of(name: str) -> str:
        told = run(f"print(portico.service({name!r}).log)").text
        return told if f"GET /portico/apps/{name}/fails" in told else ""

    run(
        APPS
        + "logging_ = talking('it'); flask_ = flasks('it')\n%serve logging_ --name logs\n%serve flask_ --name flask"
    )
    get("logs/logs")
    assert "it logs" in run("print(portico.service('logs').log.output)").text
    for name, status in (("logs", 503), ("flask", 500)):
        with pytest.raises(urllib.error.HTTPError, match=str(status)):
            get(f"{name}/fails")
        # it is told when the app's call has ended, which may be after its answer has come
        told = eventually(partial(error_of, name))
        assert "nothing went wrong" not in told
        assert str(status) in told
    assert "LookupError: it fails" in run("print(portico.service('flask').log.output)").text


def test_a_model_that_prints(notebook: Kernel, run: Callable[[str], Output], get: Callable[[str], object]) -> None:
    run(APPS)
    cell = notebook.send("%serve reply --chat")
    notebook.wait(cell).check()
    notebook.server.api(
        "POST", "portico/apps/reply/v1/chat/completions", {"messages": [{"role": "user", "content": "hello"}]}
    )
    assert heard(notebook, 1) == [(cell, "reply prints")]
    assert "reply prints" in run("print(portico.service('reply').log)").text
