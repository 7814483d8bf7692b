"""The visitor leaves: the app's work on its request ends soon after, whatever it was at."""

from __future__ import annotations

import pytest

from tests.integration.conftest import Measured
from tests.integration.visit import begin, leave, new_id, noted, send
from tests.waiting import eventually

GENEROUS = 5.0  # seconds; the bar of 1 s is the benchmarks'


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("never", b""),
        ("silent-stream", b"first\n"),
        ("stream", b"tick\n"),
        ("announced", b"x" * 1000),
        ("offer", b"\0" * 65536),
    ],
)
def test_a_raw_app_is_ended(raw_url: str, measured: Measured, path: str, read: bytes) -> None:
    request_id = new_id()
    url = f"{raw_url}{path}?id={request_id}"
    wire = begin(url, read)[0] if read else send(url)
    eventually(lambda: noted(raw_url, request_id), 5, "the app's start")
    left = leave(wire)
    ended = eventually(lambda: noted(raw_url, request_id).get("ended"), GENEROUS, "the end of the app's task")
    measured("ended after", ended - left)
    # one that is sending hears of it by send()'s OSError, one that waits is cancelled
    how = noted(raw_url, request_id)["how"]
    assert (
        how == "cancelled" if path in ("never", "silent-stream", "announced") else how in ("cancelled", "StreamReset")
    )


@pytest.mark.parametrize(("path", "hows"), [("async", ("cancelled", "closed")), ("sync", ("closed",))])
def test_a_generator_of_fastapi_is_ended(
    streaming_url: str, measured: Measured, path: str, hows: tuple[str, ...]
) -> None:
    request_id = new_id()
    wire, _ = begin(f"{streaming_url}{path}?id={request_id}", b"tick\ntick\n")
    left = leave(wire)
    ended = eventually(lambda: noted(streaming_url, request_id).get("ended"), GENEROUS, "the generator's end")
    measured("ended after", ended - left)
    assert noted(streaming_url, request_id)["how"] in hows


def test_an_app_that_asks_is_told(streaming_url: str, measured: Measured) -> None:
    request_id = new_id()
    wire = send(f"{streaming_url}asks?id={request_id}")
    eventually(lambda: noted(streaming_url, request_id), 5, "the app's start")
    left = leave(wire)
    ended = eventually(lambda: noted(streaming_url, request_id).get("ended"), GENEROUS, "the app's own end")
    measured("ended after", ended - left)
    assert noted(streaming_url, request_id)["how"] == "finished"


@pytest.mark.parametrize("path", ["upload", "deaf-upload"])
def test_leaving_in_mid_upload(raw_url: str, measured: Measured, path: str) -> None:
    request_id = new_id()
    wire = send(f"{raw_url}{path}?id={request_id}", "POST", {"Content-Length": "100000000"})
    wire.send(b"x" * 100_000)
    eventually(lambda: noted(raw_url, request_id), 5, "the app's start")
    left = leave(wire)
    ended = eventually(lambda: noted(raw_url, request_id).get("ended"), GENEROUS, "the end of the app's task")
    measured("ended after", ended - left)
    assert noted(raw_url, request_id)["how"] == ("ConnectionAbortedError" if path == "upload" else "cancelled")


def test_leaving_in_an_upload_that_fills_the_way(raw_url: str, measured: Measured) -> None:
    """The hub has stopped to read from the visitor, because the app does: it notices the leaving all the same."""
    request_id = new_id()
    wire = send(f"{raw_url}deaf-upload?id={request_id}", "POST", {"Content-Length": "100000000"})
    wire.socket.settimeout(0.5)
    sent = 0
    try:
        while sent < 64 * 1024 * 1024:
            sent += wire.socket.send(b"x" * 65536)
    except TimeoutError:
        pass
    assert sent < 64 * 1024 * 1024, "nothing held the upload back"
    left = leave(wire)
    ended = eventually(lambda: noted(raw_url, request_id).get("ended"), GENEROUS, "the end of the app's task")
    measured("ended after", ended - left)
