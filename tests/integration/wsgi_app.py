"""A WSGI app of all that PEP 3333 allows, which the same requests get the same from under any server."""

from __future__ import annotations

import io
import json
import threading
import time
from typing import Any

TEXT = [("Content-Type", "text/plain")]
closed: list[str] = []
"""The paths whose iterables were closed."""
running = 0
"""How many calls are on a thread now."""
_lock = threading.Lock()


class Closing:
    """An iterable that notes its close."""

    def __init__(self, path: str, blocks: Any) -> None:
        self._path = path
        self._blocks = iter(blocks)

    def __iter__(self) -> Closing:
        return self

    def __next__(self) -> bytes:
        block: bytes = next(self._blocks)
        return block

    def close(self) -> None:
        global running
        with _lock:
            running -= 1
        closed.append(self._path)


def app(environ: dict[str, Any], start_response: Any) -> Any:
    global running
    path = environ["PATH_INFO"]
    with _lock:
        running += 1
    name = "_" + path.split("/")[1].replace("-", "_")
    try:
        blocks = globals().get(name, _missing)(environ, start_response)
    except BaseException:
        with _lock:
            running -= 1
        raise
    if isinstance(blocks, Wrapped):
        with _lock:
            running -= 1
        return blocks.file
    return Closing(path + "?" + environ["QUERY_STRING"], blocks)


class Wrapped:
    def __init__(self, file: Any) -> None:
        self.file = file


def _missing(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("404 Not Found", TEXT)
    return [b"nothing"]


def _environ(environ: dict[str, Any], start_response: Any) -> Any:
    keys = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH", "SERVER_PROTOCOL")
    told = {key: environ.get(key) for key in keys}
    told |= {key: value for key, value in environ.items() if key.startswith(("HTTP_X_", "HTTP_COOKIE", "HTTP_REFERER"))}
    told["url_scheme"] = environ["wsgi.url_scheme"]
    told["version"] = list(environ["wsgi.version"])
    told["run_once"] = environ["wsgi.run_once"]
    told["terminated"] = environ["wsgi.input_terminated"]
    told["types"] = sorted({type(value).__name__ for key, value in environ.items() if key.isupper()})
    body = json.dumps(told, sort_keys=True).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def _read(environ: dict[str, Any], start_response: Any) -> Any:
    body, how = environ["wsgi.input"], environ["PATH_INFO"].rpartition("/")[2]
    if how == "all":
        pieces = [body.read(), body.read(), body.read(10)]
    elif how == "none":
        pieces = [body.read(None)] if hasattr(body, "seek") else [body.read(-1)]
    elif how == "sized":
        pieces = [body.read(0)]
        while piece := body.read(7):
            pieces.append(piece)
    elif how == "line":
        pieces = [body.readline(), body.readline(3), body.readline(0), body.readline()]
    elif how == "lines":
        pieces = body.readlines()
    elif how == "mixed":
        pieces = [body.readline(), body.read(2), body.readline(1), *list(body), body.readline(), body.read()]
    else:
        pieces = list(body)
    start_response("200 OK", TEXT)
    return [json.dumps([piece.decode("latin-1") for piece in pieces]).encode()]


def _one(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [*TEXT, ("X-Two", "1"), ("X-Two", "2"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    return [b"one"]


def _many(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("201 Made up", TEXT)
    yield b""
    for number in range(100):
        yield b"%d," % number
        yield b""


def _nothing(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", TEXT)
    return []


def _status(environ: dict[str, Any], start_response: Any) -> Any:
    start_response(environ["PATH_INFO"].rpartition("/")[2], [])
    return []


def _lazy(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", TEXT)
    yield b"lazily"


def _writes(environ: dict[str, Any], start_response: Any) -> Any:
    write = start_response("200 OK", TEXT)
    write(b"written,")
    write(b"")
    write(b"twice,")
    return [b"and returned"]


def _length(environ: dict[str, Any], start_response: Any) -> Any:
    """As long as its Content-Length says, longer, or shorter."""
    start_response("200 OK", [*TEXT, ("Content-Length", "10")])
    return {"right": [b"0123", b"456789"], "more": [b"0123456789more", b"more"], "less": [b"0123"]}[
        environ["PATH_INFO"].rpartition("/")[2]
    ]


def _instead(environ: dict[str, Any], start_response: Any) -> Any:
    """An error before the head is out: it is replaced."""
    start_response("200 OK", [("X-First", "1")])
    try:
        raise ValueError("mine")
    except ValueError:
        import sys

        start_response("503 Sorry", [*TEXT, ("X-Second", "2")], sys.exc_info())
    return [b"sorry"]


def _too_late(environ: dict[str, Any], start_response: Any) -> Any:
    """An error after the head is out: it is raised again."""
    import sys

    start_response("200 OK", TEXT)
    yield b"some"
    try:
        raise ValueError("mine")
    except ValueError:
        start_response("503 Sorry", TEXT, sys.exc_info())


def _file(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [*TEXT, ("Content-Length", "200000")])
    return Wrapped(environ["wsgi.file_wrapper"](io.BytesIO(b"x" * 200_000), 1000))


def _raises(environ: dict[str, Any], start_response: Any) -> Any:
    raise {"error": ValueError, "exit": SystemExit, "interrupt": KeyboardInterrupt, "stop": StopIteration}[
        environ["PATH_INFO"].rpartition("/")[2]
    ]("mine")


def _text(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", TEXT)
    return ["text"]


def _unstarted(environ: dict[str, Any], start_response: Any) -> Any:
    return [b"no head"]


def _twice(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", TEXT)
    start_response("200 OK", TEXT)
    return [b""]


def _endless(environ: dict[str, Any], start_response: Any) -> Any:
    """A stream that its visitor is to leave: large blocks, or small ones now and then."""
    start_response("200 OK", TEXT)
    large = environ["PATH_INFO"].endswith("large")
    while True:
        yield b"x" * (64 * 1024 if large else 1)
        if not large:
            time.sleep(0.05)


stuck = threading.Event()


def _stuck(environ: dict[str, Any], start_response: Any) -> Any:
    """Does not end until it is told."""
    stuck.wait(60)
    start_response("200 OK", TEXT)
    return [b"at last"]


def _errors(environ: dict[str, Any], start_response: Any) -> Any:
    environ["wsgi.errors"].write("an error of the view\n")
    environ["wsgi.errors"].writelines(["and ", "more\n"])
    environ["wsgi.errors"].flush()
    start_response("200 OK", TEXT)
    return [b"said"]


reads: list[str] = []


def _reads_on(environ: dict[str, Any], start_response: Any) -> Any:
    """Notes what became of the reading of a body."""
    try:
        body = environ["wsgi.input"].read()
    except OSError as error:
        reads.append(type(error).__name__)
        raise
    reads.append(f"{len(body)} bytes")
    start_response("200 OK", TEXT)
    return [b"read"]
