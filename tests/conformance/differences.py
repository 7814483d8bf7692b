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


def only_added(oracle: Any, _carrier: Any) -> bool:
    """The carrier adds it where the oracle has nothing."""
    return bool(oracle == MISSING)


def only_grouped(oracle: list[str], carrier: list[str]) -> bool:
    """The order of header fields differs in nothing but that fields of one name stand together."""
    return carrier == [name for first in dict.fromkeys(oracle) for name in oracle if name == first]


def framed_by_length(oracle: Any, carrier: Any) -> bool:
    """The carrier says the length of a body where the oracle marks its end, by a last chunk or by closing."""
    if isinstance(oracle, str) and oracle in ("chunked", "close"):
        return bool(carrier == "length")
    if oracle == ["chunked"]:
        return bool(carrier == MISSING)
    return oracle == MISSING and isinstance(carrier, list) and len(carrier) == 1 and carrier[0].isdigit()


def kept_to_the_app(oracle: list[str], carrier: list[str]) -> bool:
    """The same cookies, with the same attributes but for Path and Domain; each with a path of the app's own."""

    def attributes(cookie: str) -> list[str]:
        return [part.strip() for part in cookie.split(";") if not part.strip().lower().startswith(("path=", "domain="))]

    return [attributes(cookie) for cookie in oracle] == [attributes(cookie) for cookie in carrier] and all(
        any(f"; Path={root}" in cookie for root in ROOTS) for cookie in carrier
    )


ROOTS = ("/portico/apps/conformance/", "/alice/apps/conformance/", "/alice/apps/in-tab/")
"""Of the app, on carriers where it has no host name of its own."""


def kept_to_the_host(oracle: list[str], carrier: list[str]) -> bool:
    """The same cookies; those that named no path have that of the app's root."""

    def parts(cookie: str) -> list[str]:
        return sorted(cookie.split("; ") + ([] if "; Path=" in cookie else ["Path=/"]))

    return [parts(cookie) for cookie in oracle] == [sorted(cookie.split("; ")) for cookie in carrier]


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
        ("expect-continue-in-1.0",),
        ("visitor.*",),
        "uvicorn on httptools says 100 to HTTP/1.0, which knows none",
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

BY_PATH = "portico-*[!t]"
"""Every hub but portico-relay-by-host."""
OWN_SERVER = "portico-*[!i]"
"""Every hub but portico-relay-as-asgi."""

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
    Documented(
        BY_PATH,
        ("response-headers-cookies", "ws-accept-headers", "ws-denial-response-*"),
        ("visitor.0.headers.set-cookie",),
        "a hub keeps an app's cookies to the app's own path",
        kept_to_the_app,
    ),
    Documented(
        "portico-relay-by-host",
        ("response-headers-cookies", "ws-accept-headers", "ws-denial-response-*"),
        ("visitor.0.headers.set-cookie",),
        "where the app has a host name of its own, its cookies are kept to that, and their path is of the app's choice",
        kept_to_the_host,
    ),
    Documented(
        "portico-relay-*",
        ("forwarded-by-client",),
        ("app.0.headers.order",),
        "what a relay says of where a request came from stands behind what the visitor said of other things",
    ),
    Documented(
        "portico-*",
        ("*",),
        ("visitor.*.framing", "visitor.*.headers.transfer-encoding", "visitor.*.headers.content-length"),
        "an answer that is whole when it comes to the hub goes out with its length: no chunks, and HTTP/1.0 stays open",
        framed_by_length,
        sometimes=True,
    ),
    Documented(
        "portico-*",
        ("app-says-connection-close",),
        ("visitor.0.headers.connection", "visitor.2.*"),
        "what an app says of its connection is about its own hop (RFC 9110 §7.6.1), and the visitor's stays open",
    ),
    Documented(
        "portico-*",
        ("response-204-with-body",),
        ("visitor.2.*", "app.0.outcome"),
        "the body of a 204 is dropped, and nothing else happens; uvicorn refuses it, with the head sent, and cuts",
    ),
    Documented(
        OWN_SERVER,
        ("response-headers-own-date-and-server",),
        ("visitor.0.headers.date",),
        "an app's own Date stands alone; uvicorn sends two",
        values(["<date>", "Thu, 01 Jan 1970 00:00:00 GMT"], ["Thu, 01 Jan 1970 00:00:00 GMT"]),
    ),
    Documented(
        "portico-*",
        ("http-1.0-keep-alive", "http-1.0-keep-alive-no-length"),
        ("visitor.0.headers.connection", "visitor.2.*"),
        "HTTP/1.0 visitors that ask for it keep their connection; uvicorn closes it",
        sometimes=True,
    ),
    Documented(
        "portico-*",
        ("expect-continue-refused",),
        ("visitor.0.headers.connection",),
        "who is refused before it sent its body is told that the connection closes (RFC 9110 §10.1.1)",
        values(MISSING, ["close"]),
    ),
)

# Apps that err.
HUB_FAULTS = (
    Documented(
        "portico-*",
        (
            "fault-raise-before-head",
            "fault-raise-after-body-read",
            "fault-return-before-head",
            "fault-body-before-head",
            "fault-raise-before-head-post",
            "fault-raise-before-head-of-head",
            "ws-raise-before-accept",
            "ws-return-before-accept",
            "ws-send-before-accept",
        ),
        (
            "visitor.0.headers.content-*",
            "visitor.0.headers.cache-control",
            "visitor.0.headers.x-content-type-options",
            "visitor.0.headers.x-request-id",  # the relay's, by which its log is searched
            "visitor.0.headers.connection",
            "visitor.0.headers.order",
            "visitor.0.framing",
            "visitor.1.body",
            "visitor.2.*",
        ),
        "the 500 of an app that erred is in the hub's words, JSON or a page, and the connection stays open",
    ),
    Documented(
        "portico-*",
        ("invalid-header-*",),
        ("visitor.*",),
        "an app whose head no server may send gets an exception, the visitor a 500; uvicorn cuts the connection",
    ),
    Documented(
        "portico-*",
        ("fault-too-short",),
        ("visitor.1.body",),
        "of a body that ends before its Content-Length the last piece stays behind; either way it is cut",
        values("short", ""),
    ),
    Documented(
        "portico-*",
        ("visitor-ends-upload-early", "visitor-leaves-mid-upload", "visitor-resets-mid-upload"),
        ("app.0.body",),
        "what of a cut upload the app has read by the time it hears of the cut is a matter of timing",
        sometimes=True,
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
        ("ws-return-after-accept",),
        ("visitor.*",),
        "an app that returns has closed the visitor's WebSocket, with 1000; uvicorn cuts the connection",
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
        ("ws-handshake-odd-case",),
        ("app.0.headers.connection", "app.0.headers.upgrade"),
        "the fields that ask for the upgrade are each hop's own: an app sees its provider's, which say the same",
    ),
    Documented(
        OWN_SERVER,
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
    Documented(
        "portico-jupyter*",
        ("ws-unknown-path", "ws-denied", "ws-denied-with-code"),
        ("visitor.0.headers.content-type",),
        "the 403 of an app that closes before it accepts has no body, and says no type of one",
        only_missing,
    ),
    Documented(
        "portico-*",
        ("ws-handshake-post",),
        ("visitor.0.status", "app.0"),
        "a POST that asks for an upgrade is a POST (RFC 9110 §7.8 lets a server ignore the wish): the app answers it",
        sometimes=True,
    ),
)

# What httptools does, on which a relay's own server reads.
HTTPTOOLS = (
    Documented(
        "portico-relay-*",
        ("method-custom", "method-custom-with-body", "method-lower-case"),
        ("visitor.*", "app.0"),
        "httptools refuses methods that are not on its list",
    ),
    Documented(
        "portico-relay-*",
        ("request-headers-spaces-around",),
        ("app.0.headers.x-behind", "app.0.headers.x-tabs"),
        "httptools leaves the space behind a value",
    ),
    Documented(
        "portico-relay-by-host",
        ("http-1.0-without-host",),
        ("visitor.*", "app.0"),
        "where host names tell services apart, a request without Host is the relay's own",
    ),
)

# What a relay refuses, or closes, so that no proxy in front of it can read a connection otherwise.
FRONT_DOOR = (
    Documented(
        "portico-relay-*",
        ("malformed-no-version",),
        ("visitor.0.*", "app.0"),
        "httptools serves a request of HTTP/0.9, a relay refuses it",
    ),
    Documented(
        "portico-relay-*",
        ("hop-by-hop-upgrade-unknown", "hop-by-hop-upgrade-h2c"),
        ("visitor.0.headers.connection", "visitor.2.*"),
        "after an upgrade that is not to a WebSocket a relay closes the connection, which a proxy may misread",
    ),
)

# What uvicorn does to whatever it runs, where a relay is not run by `portico relay`.
PLAIN_ASGI = (
    Documented(
        "portico-relay-as-asgi",
        ("http-1.0-no-length", "http-1.0-keep-alive-no-length"),
        ("visitor.0.framing", "visitor.0.headers.transfer-encoding"),
        "uvicorn on httptools sends chunks to HTTP/1.0",
        sometimes=True,
    ),
    Documented(
        "portico-relay-as-asgi",
        ("expect-continue-in-1.0",),
        ("visitor.*",),
        "uvicorn on httptools says 100 to HTTP/1.0, which knows none",
    ),
    Documented(
        "portico-relay-as-asgi",
        ("chunked-trailers",),
        ("app.0.headers.x-trailer", "app.0.headers.x-sum"),
        "uvicorn on httptools shows trailers as headers",
    ),
    Documented(
        "portico-relay-as-asgi",
        ("response-304-with-length",),
        ("visitor.0.headers.content-length",),
        "a 304 goes out without a length: uvicorn on httptools would wait for the body that it can't have",
        only_missing,
    ),
)

# What tornado does to what passes through it.
TORNADO = (
    Documented(
        "portico-jupyter*",
        ("*",),
        ("app.*.headers.order",),
        "tornado's HTTPHeaders keeps fields of one name together, in their order (RFC 9110 §5.3 allows it)",
        only_grouped,
    ),
    Documented(
        "portico-jupyter*",
        ("target-query-long",),
        ("visitor.*", "app.0"),
        "tornado refuses a query of more than 1,000 arguments with a 400",
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
)

DOCUMENTED: tuple[Documented, ...] = (
    UVICORN_H11 + UVICORN_HTTPTOOLS + HUB + HUB_FAULTS + HUB_WEBSOCKET + HTTPTOOLS + FRONT_DOOR + PLAIN_ASGI + TORNADO
)


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
