"""The mark of a stream of server-sent events."""

from __future__ import annotations

from portico.pipelines.streams.sse_stream import SSEStream


def test_it_holds_the_stream_as_it_is() -> None:
    stream = iter("ab")
    assert SSEStream(stream).stream is stream
    assert SSEStream(stream=stream) == SSEStream(stream)
