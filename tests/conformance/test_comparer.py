"""The suite itself: a carrier that does wrong must be found out, each time in the very field that it spoils.

The carriers here are a TCP proxy in front of the oracle, deliberately broken in one way each, and one not broken.
"""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest

from tests.conformance import differences as table
from tests.conformance import http_cases, websocket_cases, wire
from tests.conformance.carriers import Carrier
from tests.conformance.compare import Difference, differences, normalised
from tests.conformance.visitor import Case, observe

CASES: dict[str, Case] = {case.name: case for case in http_cases.CASES + websocket_cases.CASES}

Change = Callable[[bytes], bytes]


def untouched(data: bytes) -> bytes:
    return data


def replacing(old: bytes, new: bytes, *, count: int = 0) -> Change:
    return lambda data: re.sub(old, new, data, count=count)


@dataclass(frozen=True)
class Fault:
    """What a proxy does to the first request's head, the first answer's head, what follows it, and at its end."""

    request: Change = untouched
    answer: Change = untouched
    rest: Change = untouched
    at_end: bytes = b""
    holds_bodies: bool = False


def _pump(source: socket.socket, sink: socket.socket, head: Change, rest: Change, fault: Fault | None) -> None:
    """One direction of a connection, from end to end. `fault` is given in the direction of the answers."""
    held = b""
    buffered = b""
    in_head = True
    try:
        while data := source.recv(65536):
            if in_head:
                buffered += data
                first, end, data = buffered.partition(b"\r\n\r\n")
                if not end:
                    continue
                in_head = False
                sink.sendall(head(first + end))
            if fault is not None and fault.holds_bodies:
                held += data
            else:
                sink.sendall(rest(data))
        sink.sendall(held + (fault.at_end if fault is not None else b""))
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one side is gone, and the other pump ends by it


def _serve(visitor: socket.socket, target: Carrier, fault: Fault) -> None:
    with visitor, socket.create_connection((target.host, target.port)) as upstream:
        up = threading.Thread(target=_pump, args=(visitor, upstream, fault.request, untouched, None), daemon=True)
        up.start()
        _pump(upstream, visitor, fault.answer, fault.rest, fault)
        try:
            visitor.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # gone already
        up.join()


@contextmanager
def broken(target: Carrier, fault: Fault) -> Iterator[Carrier]:
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[threading.Thread] = []

    def accept() -> None:
        while True:
            try:
                visitor, _ = listener.accept()
            except OSError:
                return  # the listener was shut down
            thread = threading.Thread(target=_serve, args=(visitor, target, fault), daemon=True)
            connections.append(thread)
            thread.start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield replace(target, name="broken", port=listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for thread in connections:
            thread.join(timeout=10)


FAULTS: dict[str, tuple[str, Fault, set[str]]] = {
    # name: the case, what the proxy does, the fields that must be found
    "drops-an-answer's-header": (
        "response-headers-duplicates",
        Fault(answer=replacing(rb"x-two: a\r\n", b"")),
        {"visitor.0.headers.x-two"},
    ),
    "drops-a-double": (
        "response-headers-adjacent-duplicates",
        Fault(answer=replacing(rb"x-one: 2\r\n", b"")),
        {"visitor.0.headers.x-one"},
    ),
    "joins-doubles-with-a-comma": (
        "response-headers-adjacent-duplicates",
        Fault(answer=replacing(rb"x-one: 1\r\nx-one: 2\r\nx-one: 1\r\n", b"x-one: 1, 2, 1\r\n")),
        {"visitor.0.headers.x-one"},
    ),
    "changes-the-order": (
        "response-headers-caching",
        Fault(answer=replacing(rb"(etag[^\r]*\r\n)(cache-control[^\r]*\r\n)", rb"\2\1")),
        {"visitor.0.headers.order"},
    ),
    "adds-a-header": (
        "status-200",
        Fault(answer=replacing(rb"\r\n\r\n", b"\r\nvia: 1.1 broken\r\n\r\n")),
        {"visitor.0.headers.via"},
    ),
    "doubles-the-date": (
        "status-200",
        Fault(answer=replacing(rb"(date: [^\r]*\r\n)", rb"\1\1")),
        {"visitor.0.headers.date"},
    ),
    "changes-the-status": ("status-418", Fault(answer=replacing(rb" 418 ", b" 400 ")), {"visitor.0.status"}),
    "changes-the-reason": (
        "status-404",
        Fault(answer=replacing(rb"Not Found", b"Gone")),
        {"visitor.0.reason"},
    ),
    "changes-a-location": (
        "redirect-relative",
        Fault(answer=replacing(rb"\.\./up/\./here", b"/up/here")),
        {"visitor.0.headers.location"},
    ),
    "changes-the-body": (
        "status-200",
        Fault(rest=replacing(rb"status 200", b"STATUS 200")),
        {"visitor.1.body"},
    ),
    "mends-a-cut": ("fault-raise-in-body-chunked", Fault(at_end=b"0\r\n\r\n"), {"visitor.1.complete"}),
    "drops-a-request's-header": (
        "request-headers-duplicates",
        Fault(request=replacing(rb"X-One: 2\r\n", b"")),
        {"app.0.headers.x-one"},
    ),
    "changes-the-order-of-a-request": (
        "request-headers-duplicates",
        Fault(request=replacing(rb"(X-One: 2\r\n)(X-One: 1\r\n)(X-Two: b\r\n)", rb"\3\1\2")),
        {"app.0.headers.order"},
    ),
    "decodes-the-path": (
        "target-encoded-slash",
        Fault(request=replacing(rb"%2F", b"/")),
        {"app.0.raw_path"},
    ),
    "squeezes-slashes": (
        "target-double-slash",
        Fault(request=replacing(rb"//b///", b"/b/")),
        {"app.0.raw_path", "app.0.path"},
    ),
    "drops-an-empty-argument": (
        "target-query-equals",
        Fault(request=replacing(rb"&&=&", b"&")),
        {"app.0.query_string"},
    ),
    "changes-the-method": ("method-put", Fault(request=replacing(rb"^PUT", b"POST")), {"app.0.method"}),
    "ends-the-connection": (
        "status-200",
        Fault(request=replacing(rb"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")),
        {
            "visitor.0.headers.connection",
            "visitor.2.kind",
            "visitor.2.status",
            "visitor.2.body",
            "visitor.2.after",
            "app.0.headers.connection",
        },
    ),
    "text-becomes-binary": ("ws-text", Fault(rest=replacing(rb"\x81\x05", b"\x82\x05")), {"visitor.1.opcode"}),
    "changes-a-close-code": (
        "ws-app-closes-4999",
        Fault(rest=replacing(rb"\x13\x87", b"\x03\xe8")),
        {"visitor.1.code"},
    ),
    "drops-a-subprotocol": (
        "ws-subprotocol-first",
        Fault(answer=replacing(rb"(?i)sec-websocket-protocol: chat\r\n", b"")),
        {"visitor.0.headers.sec-websocket-protocol"},
    ),
    "lets-a-malformed-request-pass": (
        "malformed-space-before-colon",
        Fault(request=replacing(rb"X-Space :", b"X-Space:")),
        {"visitor.0.kind", "visitor.0.status", "app.0"},
    ),
}


def compared(oracle: Carrier, carrier: Carrier, case: Case) -> list[Difference]:
    expected = normalised(observe(oracle, case), oracle, case)
    return differences(expected, normalised(observe(carrier, case), carrier, case))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_carrier_is_found_out(oracles: dict[str, Carrier], fault: str) -> None:
    name, spoils, fields = FAULTS[fault]
    case = CASES[name]
    with broken(oracles[case.oracle], spoils) as carrier:
        found = compared(oracles[case.oracle], carrier, case)
    assert {difference.field for difference in found} == fields
    assert table.undocumented("portico-jupyter", name, found)


@pytest.mark.parametrize("name", sorted({case for case, _, _ in FAULTS.values()}))
def test_a_sound_proxy_differs_in_nothing(oracles: dict[str, Carrier], name: str) -> None:
    case = CASES[name]
    with broken(oracles[case.oracle], Fault()) as carrier:
        assert compared(oracles[case.oracle], carrier, case) == []


def test_header_case_on_answers_is_no_difference(oracles: dict[str, Carrier]) -> None:
    case = CASES["response-headers-cookies"]
    titled = Fault(answer=lambda head: re.sub(rb"\n[a-z-]+:", lambda found: found.group().title(), head))
    with broken(oracles["uvicorn"], titled) as carrier:
        assert compared(oracles["uvicorn"], carrier, case) == []


def test_a_carrier_that_buffers_is_found_out(oracles: dict[str, Carrier], monkeypatch: pytest.MonkeyPatch) -> None:
    """It never sends the first piece while the app holds the second back: the visitor waits in vain."""
    monkeypatch.setattr(wire, "TIMEOUT_SECONDS", 0.5)
    with (
        broken(oracles["uvicorn"], Fault(holds_bodies=True)) as carrier,
        pytest.raises(TimeoutError),
    ):
        observe(carrier, CASES["paced-sse"])


def test_a_documented_difference_that_has_gone_is_reported() -> None:
    (line,) = table.stale("uvicorn-h11", "target-fragment", [])
    assert "fragment" in line.reason
    assert not table.stale("uvicorn-h11", "status-200", [])


def test_a_documented_difference_is_pinned_to_its_values() -> None:
    documented = Difference("app.0.query_string", "b", "b#c")
    other = Difference("app.0.query_string", "b", "")
    assert table.undocumented("uvicorn-h11", "target-fragment", [documented, other]) == [other]
    assert table.undocumented("uvicorn-mounted", "target-fragment", [documented]) == [documented]


def test_grouping_allows_nothing_but_grouping() -> None:
    assert table.only_grouped(["a", "b", "a", "c"], ["a", "a", "b", "c"])
    assert not table.only_grouped(["a", "b", "a", "c"], ["b", "a", "a", "c"])
    assert not table.only_grouped(["a", "b", "a", "c"], ["a", "a", "c", "b"])


def test_the_table_names_cases_that_exist() -> None:
    named = {name for line in table.DOCUMENTED for name in line.cases if not set(name) & set("*?[")}
    assert named <= set(CASES)


def test_frames_survive_the_codec() -> None:
    """What is packed, unmasked or masked, is read back, at each size of the length field."""
    ours, theirs = socket.socketpair()
    reader = wire.Wire.__new__(wire.Wire)
    reader.socket, reader.buffer, reader.ended = theirs, bytearray(), False
    with ours, theirs:
        for length in (0, 1, 125, 126, 65535, 65536):
            for masked in (False, True):
                payload = bytes(i % 251 for i in range(length))
                sender = threading.Thread(
                    target=ours.sendall, args=(wire.pack_frame(wire.BINARY, payload, masked=masked),)
                )
                sender.start()
                assert wire.read_frame(reader) == wire.Frame(wire.BINARY, payload, masked=masked)
                sender.join()
