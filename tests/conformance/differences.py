"""The documented differences: where a carrier does not do as the oracle does, and why that is right or harmless.

What is not in this table is a defect. A line holds for the carriers, cases and fields that its patterns name (shell
patterns; a field as `compare.Difference` says it). `cases` that hold no wildcard must show the difference each time:
a line whose difference has gone fails the suite, so the table cannot rot. `sometimes` lifts that, where timing decides.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tests.conformance.compare import MISSING, Difference

Predicate = Callable[[Any, Any], bool]


def _anything(_oracle: Any, _carrier: Any) -> bool:
    return True


def only_missing(_oracle: Any, carrier: Any) -> bool:
    """The carrier takes it away, and puts nothing else there."""
    return bool(carrier == MISSING)


def only_grouped(oracle: list[str], carrier: list[str]) -> bool:
    """The order of header fields differs in nothing but that fields of one name stand together."""
    return carrier == [name for first in dict.fromkeys(oracle) for name in oracle if name == first]


@dataclass(frozen=True)
class Documented:
    """One line of the table. `when` is given the oracle's value and the carrier's, and pins what may differ."""

    carriers: str
    cases: tuple[str, ...]
    fields: tuple[str, ...]
    reason: str
    when: Predicate = _anything
    sometimes: bool = False

    def covers(self, carrier: str, case: str, difference: Difference) -> bool:
        return (
            fnmatchcase(carrier, self.carriers)
            and any(fnmatchcase(case, name) for name in self.cases)
            and any(fnmatchcase(difference.field, pattern) for pattern in self.fields)
            and self.when(difference.oracle, difference.carrier)
        )

    def is_due(self, carrier: str, case: str) -> bool:
        """Whether the difference must show in this very case."""
        return not self.sometimes and fnmatchcase(carrier, self.carriers) and case in self.cases


def values(oracle: Any, carrier: Any) -> Predicate:
    """These two values and no others."""
    return lambda ours, theirs: bool(ours == oracle and theirs == carrier)


UVICORN_H11 = (
    Documented(
        "uvicorn-h11",
        ("target-absolute-form",),
        ("app.0.path", "app.0.raw_path"),
        "h11 gives the target as it came; uvicorn takes only httptools' apart",
    ),
    Documented(
        "uvicorn-h11",
        ("target-fragment",),
        ("app.0.query_string",),
        "a fragment never belongs in a target; httptools drops it, h11 leaves it in the query",
        values("b", "b#c"),
    ),
    Documented(
        "uvicorn-h11",
        ("obs-fold", "malformed-length-and-chunked", "malformed-bad-version", "malformed-http-2-preface"),
        ("visitor.0.*", "app.0"),
        "h11 is lenient: unfolds a header, lets chunked win over a length, and reads any version number",
    ),
    Documented(
        "uvicorn-h11",
        ("malformed-no-version",),
        ("visitor.0.*", "app.0"),
        "httptools serves a request of HTTP/0.9, h11 refuses it",
    ),
    Documented(
        "uvicorn-h11",
        ("empty-line-before-request",),
        ("visitor.*", "app.0"),
        "h11 refuses the empty line that RFC 9112 §2.2 asks servers to ignore",
    ),
    Documented(
        "uvicorn-h11",
        ("head-of-stream",),
        ("visitor.0.headers.transfer-encoding",),
        "on HEAD h11 says the framing that GET would have; both may (RFC 9110 §9.3.2)",
        values(MISSING, ["chunked"]),
    ),
    Documented(
        "uvicorn-h11",
        ("response-headers-spaces-around",),
        ("visitor.*", "app.0.outcome"),
        "h11 refuses a value with space around it where httptools' writer lets it through",
    ),
    Documented(
        "uvicorn-h11",
        (
            "fault-raise-before-head",
            "fault-raise-after-body-read",
            "fault-return-before-head",
            "fault-body-before-head",
            "fault-raise-before-head-post",
            "fault-raise-before-head-of-head",
        ),
        ("visitor.0.framing", "visitor.0.headers.content-length", "visitor.0.headers.transfer-encoding"),
        "uvicorn's own 500 has a length on httptools and chunks on h11",
    ),
)

UVICORN_HTTPTOOLS = (
    Documented(
        "uvicorn-mounted",
        ("method-custom", "method-custom-with-body", "method-lower-case"),
        ("visitor.*", "app.0"),
        "httptools refuses methods that are not on its list",
    ),
    Documented(
        "uvicorn-mounted",
        ("request-headers-spaces-around",),
        ("app.0.headers.x-behind", "app.0.headers.x-tabs"),
        "httptools leaves the space behind a value",
    ),
    Documented(
        "uvicorn-mounted",
        ("http-1.0-no-length", "http-1.0-keep-alive-no-length"),
        ("visitor.0.framing", "visitor.0.headers.transfer-encoding"),
        "uvicorn on httptools sends chunks to HTTP/1.0",
    ),
    Documented(
        "uvicorn-mounted",
        ("chunked-trailers",),
        ("app.0.headers.x-trailer", "app.0.headers.x-sum"),
        "uvicorn on httptools shows trailers as headers",
    ),
    Documented(
        "uvicorn-mounted",
        ("response-304-with-length",),
        ("visitor.2*", "app.0.outcome"),
        "uvicorn on httptools waits for the body that a 304 can't have",
    ),
)

# What a hub does by design, on every case.
HUB = (
    Documented(
        "portico-*",
        ("*",),
        ("app.*.headers.x-forwarded-*", "app.*.headers.forwarded"),
        "a hub drops the visitor's word on where it came from, and sets its own",
    ),
    Documented(
        "portico-*",
        ("*",),
        tuple(
            f"app.*.headers.{name}"
            for name in (
                "connection",
                "keep-alive",
                "proxy-authorization",
                "proxy-connection",
                "te",
                "trailer",
                "transfer-encoding",
                "upgrade",
            )
        ),
        "a hub is an intermediary, and drops what is meant for one hop (RFC 9110 §7.6.1)",
        only_missing,
    ),
    Documented(
        "portico-*",
        ("hop-by-hop-named-by-connection",),
        ("app.0.headers.x-private",),
        "a hub drops what Connection names",
        only_missing,
    ),
    Documented(
        "portico-*",
        ("hop-by-hop-upgrade-h2c",),
        ("app.0.headers.http2-settings",),
        "a hub drops what Connection names",
        only_missing,
    ),
)

HUB_WEBSOCKET = (
    Documented(
        "portico-*",
        ("ws-raise-after-accept", "ws-raise-after-message", "ws-accept-twice"),
        ("visitor.*",),
        "an app that errs closes the visitor's WebSocket with 1011 (RFC 6455 §7.4.1); uvicorn cuts the connection",
    ),
    Documented(
        "portico-*",
        ("ws-visitor-drops", "ws-visitor-resets", "ws-visitor-drops-in-a-message"),
        ("app.0.events.2.1",),
        "a connection that ends without a close frame is 1006 (RFC 6455 §7.1.5), where uvicorn says 1005",
        values(1005, 1006),
    ),
    Documented(
        "portico-*",
        ("ws-deflate-offered",),
        ("visitor.0.headers.sec-websocket-extensions",),
        "a hub does not compress messages, as it does not compress bodies",
        only_missing,
    ),
    Documented(
        "portico-*",
        ("ws-subprotocol-not-offered",),
        ("visitor.*", "app.0.*"),
        "a subprotocol that was not offered is the app's error (RFC 6455 §4.2.2), so a 500; uvicorn sends it",
    ),
)

# What tornado does to what passes through it.
TORNADO = (
    Documented(
        "portico-jupyter*",
        ("*",),
        ("app.*.headers.order", "visitor.*.headers.order"),
        "tornado's HTTPHeaders keeps fields of one name together, in their order (RFC 9110 §5.3 allows it)",
        only_grouped,
    ),
    Documented(
        "portico-jupyter*",
        ("expect-continue-accepted",),
        ("visitor.0.line",),
        "tornado writes the reason of a 100 in brackets; nobody reads it",
        values("HTTP/1.1 100 Continue", "HTTP/1.1 100 (Continue)"),
    ),
    Documented(
        "portico-jupyter*",
        ("chunked-extensions", "chunked-trailers"),
        ("visitor.*", "app.0", "app.0.*"),
        "tornado refuses chunk extensions and trailers with a 400 (RFC 9112 §7.1 would have them ignored)",
    ),
    Documented(
        "portico-jupyter*",
        ("malformed-no-version",),
        ("visitor.0.*",),
        "httptools serves a request of HTTP/0.9, tornado refuses it",
    ),
    Documented(
        "portico-jupyter*",
        ("ws-handshake-version-12", "ws-handshake-without-version"),
        ("visitor.0.status",),
        "tornado says 426 and the version it knows (RFC 6455 §4.4), uvicorn 400",
        values(400, 426),
    ),
    Documented(
        "portico-jupyter*",
        ("ws-visitor-closes-with-reason", "ws-visitor-closes-with-long-reason", "property-ws-*"),
        ("visitor.*.reason",),
        "tornado answers a close with its code alone; the visitor knows its own reason",
        lambda oracle, carrier: bool(oracle and carrier == ""),
    ),
    Documented(
        "portico-jupyter*",
        (
            "ws-invalid-utf8",
            "ws-unmasked-frame",
            "ws-reserved-bit",
            "ws-unknown-opcode",
            "ws-continuation-of-nothing",
            "ws-text-inside-fragments",
            "ws-fragmented-ping",
            "ws-ping-too-long",
        ),
        ("visitor.2.*", "visitor.3", "app.0.events.2.*"),
        "on a frame that breaks the protocol tornado cuts the connection, without a close frame of 1002 or 1007",
    ),
)

DOCUMENTED: tuple[Documented, ...] = UVICORN_H11 + UVICORN_HTTPTOOLS + HUB + HUB_WEBSOCKET + TORNADO


def undocumented(carrier: str, case: str, found: list[Difference]) -> list[Difference]:
    """The defects among `found`."""
    return [one for one in found if not any(line.covers(carrier, case, one) for line in DOCUMENTED)]


def stale(carrier: str, case: str, found: list[Difference]) -> list[Documented]:
    """The lines that promise a difference for this case which did not show."""
    return [
        line
        for line in DOCUMENTED
        if line.is_due(carrier, case) and not any(line.covers(carrier, case, one) for one in found)
    ]
