"""FastAPI in a browser tab, under Pyodide: by a relay, and as an exported site."""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, expect, sync_playwright
from websockets.sync.server import ServerConnection, serve

from benchmarks.http_client import HttpConnection, time_gets
from benchmarks.load import wrk
from benchmarks.measures.sse import percentile
from benchmarks.paths import NotServed, Stage
from benchmarks.row import Bar, Effort, Row, Say
from benchmarks.servers import HOST
from benchmarks.tab import TabStage
from portico.cli import main as portico
from tests.browser import chromium
from tests.browser.static_host import StaticHost, export
from tests.pyodide import environment

AT_ONCE = 8
GETS = Bar("at least", 1500)
OVER_ROUND_TRIP = Bar("at most", 1.5)  # ms
EVERY = 0.05  # seconds between events
LATE = Bar("at most", 30)  # ms
DOWNLOAD = Bar("at least", 40)  # MB/s
MOST = 1 << 28  # bytes: a tab is no place for a gigabyte each time
WARM_UP = 1  # seconds
LOADED = Bar("at most", 4)  # s
LONGEST = 120_000  # ms
PAGE = """from fastapi import FastAPI
from fastapi.responses import HTMLResponse

app = FastAPI()

@app.get("/", response_class=HTMLResponse)
async def home():
    return "<h1>Served</h1>"
"""


def gets(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    path = stage.part(TabStage).path
    wrk(path, WARM_UP, AT_ONCE)
    rates = [wrk(path, effort.seconds, AT_ONCE).requests_per_second for _ in range(effort.rounds)]
    spread = f"{min(rates):,.0f} to {max(rates):,.0f}"
    return [Row("browser.gets", f"tab, {AT_ONCE} at once", median(rates), "requests/s", GETS, note=spread)]


def latency(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    path = stage.part(TabStage).path
    times: list[float] = []
    trips: list[float] = []
    with echoing() as url, HttpConnection(path) as connection:
        for _ in range(effort.rounds):
            times += time_gets(path, effort.seconds / 2)
            trips += json.loads(connection.get(f"round-trips?count=300&url={url}"))
    own, trip = median(times), median(trips)
    return [
        Row("browser.latency", "the tab's WebSocket there and back, p50", trip, "ms"),
        Row("browser.latency", "tab, p50", own, "ms"),
        Row("browser.latency", "tab over its WebSocket, p50", own - trip, "ms", OVER_ROUND_TRIP),
    ]


def pacing(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    path = stage.part(TabStage).path
    count = int(effort.seconds * effort.rounds / EVERY)
    late = []
    with HttpConnection(path) as connection:
        connection.send(f"events?count={count}&every={EVERY}")
        connection.read_head()
        for chunk in connection.read_chunks():
            now = time.time()
            late += [(now - float(line[6:])) * 1000 for line in chunk.splitlines() if line.startswith(b"data: ")]
    return [
        Row("browser.pacing", "an event's way, p50", median(late), "ms"),
        Row("browser.pacing", "an event's way, p99", percentile(late, 99), "ms", LATE, note=f"{len(late)} events"),
    ]


def download(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    path = stage.part(TabStage).path
    size = min(effort.transfer, MOST)
    speeds = []
    for _ in range(effort.rounds):
        with HttpConnection(path) as connection:
            began = time.perf_counter()
            connection.send(f"bytes?size={size}")
            connection.read_head()
            got = sum(len(piece) for piece in connection.read_exactly(size))
            speeds.append(got / 1e6 / (time.perf_counter() - began))
    spread = f"{min(speeds):,.0f} to {max(speeds):,.0f}"
    return [Row("browser.download", "tab", median(speeds), "MB/s", DOWNLOAD, note=spread)]


def page_load(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    """From an exported page's load to its app's answer in the frame, by a browser that has seen nothing of it."""
    if not chromium.PATH:
        raise NotServed("no chromium here: apt-get install chromium")
    times: dict[str, list[float]] = {"compiled": [], "source": []}
    host = StaticHost(stage.directory / "exported")
    try:
        export_both(stage.directory, host.folder)
        with sync_playwright() as playwright:
            browser = chromium.launch(playwright)
            for _ in range(effort.rounds):
                for name, seconds in times.items():
                    seconds.append(seconds_to_load(browser, f"{host.url}{name}/"))
            browser.close()
    except LookupError as error:
        raise NotServed(str(error)) from error
    finally:
        host.stop()
    compiled, source = median(times["compiled"]), median(times["source"])
    spread = f"{min(times['compiled']):.1f} to {max(times['compiled']):.1f}; load average {os.getloadavg()[0]:.1f}"
    return [
        Row("browser.page-load", "a page with packages as wheels have them, load to served", source, "s"),
        Row("browser.page-load", "a page of a bundle, load to served", compiled, "s", LOADED, note=spread),
    ]


def export_both(directory: Path, root: Path) -> None:
    app = directory / "page.py"
    app.write_text(PAGE, "utf-8")
    export(app, root / "source")
    bundle = environment.release(directory / "release", directory / "release-wheels")
    if portico(["export", str(app), str(root / "compiled"), "--bundle", str(bundle)]):
        raise NotServed("the page could not be exported: standard error says why")


def seconds_to_load(browser: Browser, url: str) -> float:
    context = browser.new_context()
    page = context.new_page()
    began = time.perf_counter()
    page.goto(url, wait_until="commit")
    expect(page.frame_locator("#frame").get_by_role("heading")).to_have_text("Served", timeout=LONGEST)
    seconds = time.perf_counter() - began
    context.close()
    return seconds


@contextmanager
def echoing() -> Iterator[str]:
    """A WebSocket server that sends back what comes; its URL."""

    def echo(socket: ServerConnection) -> None:
        for message in socket:
            socket.send(message)

    with serve(echo, HOST, 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://{HOST}:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()
