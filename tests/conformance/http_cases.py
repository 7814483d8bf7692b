"""The HTTP cases: what each visitor sends, byte by byte, and what it waits for."""

import threading
from collections.abc import Callable

from tests.conformance.app import pattern
from tests.conformance.visitor import Case, Fields, Visitor

CASES: list[Case] = []


def case(name: str, **judged: object) -> Callable[[Callable[[Visitor], None]], Callable[[Visitor], None]]:
    def enter(visit: Callable[[Visitor], None]) -> Callable[[Visitor], None]:
        CASES.append(Case(name, visit, **judged))  # type: ignore[arg-type]
        return visit

    return enter


def exchange(
    name: str,
    method: bytes,
    path: bytes,
    headers: Fields = (),
    body: bytes | None = None,
    *,
    stays: bool = True,
    **judged: object,
) -> None:
    """A case of one request and its response; then, is the connection good for another, or (`stays=False`) ended?"""

    @case(name, **judged)
    def _(visitor: Visitor) -> None:
        visitor.request(method, path, headers, body)
        visitor.response(method)
        if stays:
            visitor.alive()
        else:
            visitor.end()


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%s\r\n%s\r\n" % (len(data), extension, data)


LAST_CHUNK = b"0\r\n\r\n"
CHUNKED: Fields = ((b"Transfer-Encoding", b"chunked"),)

# Methods.

for _method in (b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"PROPFIND", b"REPORT", b"M-SEARCH"):
    _body = b"some content" if _method in (b"POST", b"PUT", b"PATCH", b"PROPFIND", b"REPORT") else None
    exchange(f"method-{_method.decode().lower()}", _method, b"/method", body=_body)
exchange("method-head", b"HEAD", b"/method")
exchange("method-trace", b"TRACE", b"/method")
# httptools knows a list of methods and answers 400 to the rest; any token is a method (RFC 9110 §9.1).
exchange("method-custom", b"FROBNICATE", b"/method", oracle="uvicorn-h11")
exchange("method-custom-with-body", b"X-Custom_1.0", b"/method", body=b"content", oracle="uvicorn-h11")
exchange("method-lower-case", b"get", b"/method", oracle="uvicorn-h11")

# Targets: the app must see path and query byte for byte.

TARGETS: dict[str, bytes] = {
    "root": b"/",
    "encoded-slash": b"/a%2Fb/c%2fd",
    "double-slash": b"//a//b///",
    "leading-slashes": b"///",
    "dot-segments": b"/a/../b/./c/..",
    "parent-of-root": b"/../../etc/passwd",
    "encoded-dots": b"/%2e%2e/%2E/x",
    "path-parameters": b"/a;x=1/b;y=2,3",
    "query-equals": b"/q?a=b=c&&=&d",
    "query-empty": b"/q?",
    "query-two-marks": b"/q??a=?b",
    "query-long": b"/q?" + b"k=v&" * 2500,
    "path-long": b"/" + b"segment/" * 900,
    "utf8-encoded": b"/%E6%97%A5%E6%9C%AC?q=%E6%97%A5",
    "latin1-encoded": b"/caf%E9?q=%E9",
    "plus": b"/a+b?c+d=e+f",
    "space-encoded": b"/a%20b?c%20d=e%20f",
    "encoded-percent": b"/100%25?x=%25",
    "lone-percent": b"/100%?x=%",
    "bad-escape": b"/%zz%2?x=%GG",
    "encoded-nul": b"/a%00b",
    "encoded-newline": b"/a%0d%0ab?c=%0d%0a",
    "encoded-question-mark": b"/a%3Fb%23c?d",
    "sub-delimiters": b"/!$&'()*+,;=:@-._~?!$&'()*+,;=:@/?",
    "brackets-in-query": b"/q?a[]=1&b[c]=2",
    "quotes-and-braces": b'/q?x={"a":1}|\\^`',
    "xsrf-like": b"/q?_xsrf_not=1&tokens=2",
    "backslash": b"/a\\b",
    "trailing-slash": b"/a/b/",
}
for _name, _target in TARGETS.items():
    exchange(f"target-{_name}", b"GET", _target)


def raw_target(name: str, target: Callable[[Visitor], bytes], **judged: object) -> None:
    """A request line whose target is not just the prefix and a path."""

    @case(name, **judged)
    def _(visitor: Visitor) -> None:
        lines = b"GET %s HTTP/1.1\r\nHost: %s\r\n" % (target(visitor), visitor.host)
        visitor.send(lines + visitor.fixed() + b"\r\n")
        visitor.response()
        visitor.alive()


raw_target("target-absolute-form", lambda visitor: b"http://" + visitor.host + visitor.target(b"/abs?x=1"))
raw_target("target-fragment", lambda visitor: visitor.target(b"/a?b#c"))


@case("target-raw-utf8", refusal=True)
def _(visitor: Visitor) -> None:
    """Bytes outside ASCII in a target are malformed (RFC 9112 §3.2): both refuse them."""
    visitor.request(b"GET", "/日本?q=日".encode())
    visitor.refused()


# Request headers.

REQUEST_HEADERS: dict[str, Fields] = {
    "duplicates": [(b"X-One", b"1"), (b"X-Two", b"a"), (b"X-One", b"2"), (b"X-One", b"1"), (b"X-Two", b"b")],
    "adjacent-duplicates": [(b"X-One", b"1"), (b"X-One", b"2"), (b"X-Two", b"a")],
    "empty-value": [(b"X-Empty", b""), (b"X-Spaces", b"   "), (b"X-After", b"here")],
    "spaces-around": [(b"X-Before", b"    four"), (b"X-Behind", b"four    "), (b"X-Tabs", b"\t\ttabs\t")],
    "spaces-inside": [(b"X-Spaces", b"one  two   three"), (b"X-Tab", b"one\ttwo")],
    "latin-1": [(b"X-Latin", b"caf\xe9 \xa3"), (b"X-Utf8", "日本".encode())],
    "high-bytes": [(b"X-High", bytes(range(0x80, 0x100)))],
    "mixed-case": [(b"X-MiXeD-CaSe", b"Kept-As-Is"), (b"ACCEPT", b"*/*"), (b"accept-language", b"en")],
    "symbols": [(b"X-!#$%&'*+-.^_`|~9", b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")],
    "underscore": [(b"X_Under_Score", b"1"), (b"X-Under-Score", b"2")],
    "cookies": [(b"Cookie", b"; ".join(b"name%d=value%d" % (i, i) for i in range(120)))],
    "cookie-twice": [(b"Cookie", b"a=1; b=2"), (b"Cookie", b"c=3")],
    "cookie-odd": [(b"Cookie", b'a="quoted; x"; b; =c; d=; a=2,e={"j":1}')],
    "many": [(b"X-Many-%03d" % i, b"value %d" % i) for i in range(150)],
    "accept-encoding": [(b"Accept-Encoding", b"gzip, br;q=0.5, *;q=0"), (b"Accept", b"text/html, */*;q=0.1")],
    "conditional": [(b"If-None-Match", b'"a", W/"b"'), (b"If-Modified-Since", b"Wed, 21 Oct 2015 07:28:00 GMT")],
    "origin": [(b"Referer", b"https://example.com/a?b=c"), (b"User-Agent", b"Visitor/1 (raw)")],
}
for _name, _headers in REQUEST_HEADERS.items():
    # httptools leaves the space behind a value; it is no part of it (RFC 9110 §5.5).
    _oracle = "uvicorn-h11" if _name == "spaces-around" else "uvicorn"
    exchange(f"request-headers-{_name}", b"GET", b"/headers-in", _headers, oracle=_oracle)

exchange("request-headers-12-kib", b"GET", b"/headers-in", [(b"X-Big", b"b" * 12_000)])
exchange("request-headers-56-kib", b"GET", b"/headers-in", [(b"X-Huge", b"h" * 57_344)])
exchange(
    "request-headers-authorization",
    b"GET",
    b"/headers-in",
    [(b"Authorization", b"Basic dXNlcjpwYXNzd29yZA==")],
    uses_authorization=True,
)

# Hop-by-hop headers (RFC 9110 §7.6.1): uvicorn is no intermediary and shows them all to the app; a hub drops them.

HOP_BY_HOP: dict[str, Fields] = {
    "te": [(b"TE", b"trailers"), (b"X-After", b"1")],
    "keep-alive": [(b"Connection", b"keep-alive"), (b"Keep-Alive", b"timeout=5, max=100"), (b"X-After", b"1")],
    "named-by-connection": [(b"Connection", b"X-Private"), (b"X-Private", b"1"), (b"X-After", b"1")],
    "proxy": [(b"Proxy-Connection", b"keep-alive"), (b"Proxy-Authorization", b"Basic x"), (b"X-After", b"1")],
    "upgrade-unknown": [(b"Connection", b"Upgrade"), (b"Upgrade", b"something/1"), (b"X-After", b"1")],
    "upgrade-h2c": [
        (b"Connection", b"Upgrade, HTTP2-Settings"),
        (b"Upgrade", b"h2c"),
        (b"HTTP2-Settings", b"AAMAAABkAARAAAAAAAIAAAAA"),
    ],
    "upgrade-without-connection": [(b"Upgrade", b"websocket"), (b"X-After", b"1")],
}
for _name, _headers in HOP_BY_HOP.items():
    exchange(f"hop-by-hop-{_name}", b"GET", b"/hop", _headers)

exchange(
    "forwarded-by-client",
    b"GET",
    b"/forwarded",
    [
        (b"X-Forwarded-For", b"203.0.113.9"),
        (b"X-Forwarded-Host", b"evil.example"),
        (b"X-Forwarded-Prefix", b"/evil"),
        (b"Forwarded", b"for=203.0.113.9"),
        (b"X-After", b"1"),
    ],
)


@case("obs-fold", refusal=True)
def _(visitor: Visitor) -> None:
    """A folded header line: a server may refuse it (RFC 9112 §5.2), and must never show it to the app unfolded."""
    head = visitor.head(b"POST", b"/fold", [(b"X-Folded", b"one\r\n two"), (b"Content-Length", b"0")])
    visitor.send(head)
    visitor.refused()


# Connections.

exchange("connection-close", b"GET", b"/c", [(b"Connection", b"close")], stays=False)
exchange("connection-close-upper-case", b"GET", b"/c", [(b"Connection", b"Close")], stays=False)
exchange("connection-close-in-a-list", b"GET", b"/c", [(b"Connection", b"X-Other, close")], stays=False)
exchange("connection-keep-alive", b"GET", b"/c", [(b"Connection", b"keep-alive")])
exchange("app-says-connection-close", b"GET", b"/unusual/connection-close")


@case("keep-alive-several")
def _(visitor: Visitor) -> None:
    for i in range(5):
        visitor.request(b"POST", b"/n/%d" % i, body=b"body %d" % i)
        visitor.response()
    visitor.alive()


@case("pipelined")
def _(visitor: Visitor) -> None:
    """Three requests in one write; the answers come in order."""
    first = visitor.head(b"GET", b"/pieces/no-length")
    second = visitor.head(b"POST", b"/second", [(b"Content-Length", b"5")]) + b"12345"
    visitor.send(first + second + visitor.head(b"GET", b"/status/404"))
    for _ in range(3):
        visitor.response()
    visitor.alive()


@case("pipelined-after-chunked")
def _(visitor: Visitor) -> None:
    first = visitor.head(b"POST", b"/first", CHUNKED) + chunk(b"abc") + LAST_CHUNK
    visitor.send(first + visitor.head(b"GET", b"/second"))
    visitor.response()
    visitor.response()
    visitor.alive()


@case("empty-line-before-request")
def _(visitor: Visitor) -> None:
    visitor.send(b"\r\n" + visitor.head(b"GET", b"/after-an-empty-line"))
    visitor.response()
    visitor.alive()


@case("request-in-tiny-pieces")
def _(visitor: Visitor) -> None:
    """Head and body a byte at a time."""
    data = visitor.head(b"POST", b"/tiny?q=1", [(b"Content-Length", b"20")]) + b"twenty bytes of body"
    for i in range(len(data)):
        visitor.send(data[i : i + 1])
    visitor.response()
    visitor.alive()


def http_1_0(
    name: str,
    path: bytes,
    headers: Fields = (),
    body: bytes = b"",
    *,
    host: bool = True,
    stays: bool = False,
    **judged: object,
) -> None:
    @case(name, **judged)
    def _(visitor: Visitor) -> None:
        visitor.send(visitor.head(b"POST" if body else b"GET", path, headers, version=b"HTTP/1.0", host=host) + body)
        visitor.response()
        if stays:
            visitor.alive()
        else:
            visitor.end()


http_1_0("http-1.0", b"/old")
http_1_0("http-1.0-without-host", b"/old", host=False)
http_1_0("http-1.0-post", b"/old", [(b"Content-Length", b"7")], b"content")
# With no length and no chunks the end of the connection is the end of the body; uvicorn on httptools sends chunks to a
# client that knows none.
http_1_0("http-1.0-no-length", b"/pieces/no-length", oracle="uvicorn-h11")
_KEPT: Fields = [(b"Connection", b"keep-alive")]
http_1_0("http-1.0-keep-alive-no-length", b"/pieces/no-length", _KEPT, stays=True, oracle="uvicorn-h11")
http_1_0("http-1.0-keep-alive", b"/old", _KEPT, stays=True)


# Request bodies.

exchange("post-length-zero", b"POST", b"/body", body=b"")
exchange("post-no-length", b"POST", b"/body")
exchange("get-with-body", b"GET", b"/body", body=b"a body on a GET")
exchange("delete-with-body", b"DELETE", b"/body", body=b"a body on a DELETE")
exchange("post-form", b"POST", b"/body", [(b"Content-Type", b"application/x-www-form-urlencoded")], b"a=1&b=2")
exchange(
    "post-gzip-content-encoding",
    b"POST",
    b"/body",
    [(b"Content-Encoding", b"gzip")],
    b"\x1f\x8b not even gzip: nobody may decode it",
)
exchange("echo-body", b"POST", b"/echo", body=bytes(range(256)))
exchange("upload-8-mib", b"POST", b"/body", body=pattern(8 << 20))
exchange("early-answer-small-body", b"POST", b"/early/200", body=b"small")


def chunked(name: str, content: bytes, path: bytes = b"/body", headers: Fields = (), **judged: object) -> None:
    @case(name, **judged)
    def _(visitor: Visitor) -> None:
        visitor.send(visitor.head(b"POST", path, [*headers, *CHUNKED]) + content)
        visitor.response()
        visitor.alive()


chunked("chunked-one", chunk(b"hello") + LAST_CHUNK)
chunked("chunked-empty", LAST_CHUNK)
chunked("chunked-many", b"".join(chunk(b"%d" % i) for i in range(500)) + LAST_CHUNK)
chunked("chunked-upper-case-size", b"1A\r\n" + b"x" * 26 + b"\r\n" + LAST_CHUNK)
chunked("chunked-leading-zeros", b"0005\r\nhello\r\n000\r\n\r\n")
chunked("chunked-extensions", chunk(b"hello", b";name=value") + chunk(b"more", b';q="a b"') + b"0;last\r\n\r\n")
# uvicorn on httptools shows trailers to the app as headers, and lets them pass for what they are not (RFC 9110 §6.5.1).
chunked(
    "chunked-trailers",
    chunk(b"hello") + b"0\r\nX-Trailer: one\r\nX-Sum: two\r\n\r\n",
    oracle="uvicorn-h11",
)
chunked("chunked-big", b"".join(chunk(pattern(100_000)) for _ in range(10)) + LAST_CHUNK)
chunked("chunked-upper-case-coding", chunk(b"hello") + LAST_CHUNK, headers=[(b"X-Before", b"1")])


@case("chunked-echo-in-step")
def _(visitor: Visitor) -> None:
    """Each piece comes back before the next is sent: nothing on the way waits for the end."""
    visitor.send(visitor.head(b"POST", b"/echo", CHUNKED))
    visitor.send(chunk(b"first"))
    answer = visitor.answer()
    if answer is None:
        return
    visitor.piece(answer, 5)
    visitor.send(chunk(b"second"))
    visitor.piece(answer, 6)
    visitor.send(LAST_CHUNK)
    visitor.rest(answer)
    visitor.alive()


@case("chunks-cut-across-writes")
def _(visitor: Visitor) -> None:
    content = chunk(b"hello") + chunk(b"world!") + LAST_CHUNK
    visitor.send(visitor.head(b"POST", b"/body", CHUNKED))
    for i in range(len(content)):
        visitor.send(content[i : i + 1])
    visitor.response()
    visitor.alive()


@case("answer-before-body-is-sent")
def _(visitor: Visitor) -> None:
    """The app begins its answer, the visitor sends the body only then."""
    visitor.send(visitor.head(b"POST", b"/answer-first", [(b"Content-Length", b"4")]))
    answer = visitor.answer()
    if answer is None:
        return
    visitor.piece(answer, 6)
    visitor.send(b"body")
    visitor.rest(answer)
    visitor.alive()


@case("slow-reading-app")
def _(visitor: Visitor) -> None:
    """The app reads nothing until released, while 2 MiB are on their way."""
    sender = threading.Thread(target=visitor.request, args=(b"POST", b"/slow-reader", (), pattern(2 << 20)))
    sender.start()
    visitor.release()
    sender.join()
    visitor.response()
    visitor.alive()


@case("early-answer-big-body")
def _(visitor: Visitor) -> None:
    """The app refuses without reading; the answer reaches a visitor that is still sending."""
    visitor.send(visitor.head(b"POST", b"/early/413", [(b"Content-Length", b"%d" % (4 << 20))]) + pattern(100_000))
    visitor.response()


@case("expect-continue-accepted")
def _(visitor: Visitor) -> None:
    visitor.send(visitor.head(b"POST", b"/body", [(b"Expect", b"100-continue"), (b"Content-Length", b"5")]))
    interim = visitor.wire.read_line()
    visitor.note("continue", line=interim.decode(), blank=visitor.wire.read_line().decode())
    visitor.send(b"hello")
    visitor.response()
    visitor.alive()


@case("expect-continue-refused")
def _(visitor: Visitor) -> None:
    """The app answers without reading: no 100 comes first, so that the body need not be sent."""
    headers = [(b"Expect", b"100-continue"), (b"Content-Length", b"1000000")]
    visitor.send(visitor.head(b"POST", b"/early/417", headers))
    visitor.response()


@case("expect-continue-in-1.0", oracle="uvicorn-h11")
def _(visitor: Visitor) -> None:
    """HTTP/1.0 knows no 100 (RFC 9110 §10.1.1)."""
    headers = [(b"Expect", b"100-continue"), (b"Content-Length", b"5")]
    visitor.send(visitor.head(b"POST", b"/body", headers, version=b"HTTP/1.0") + b"hello")
    visitor.response()
    visitor.end()


@case("expect-continue-not-awaited")
def _(visitor: Visitor) -> None:
    """A visitor may send the body at once; the 100 is then optional, and is not compared."""
    visitor.request(b"POST", b"/body", [(b"Expect", b"100-continue")], b"hello")
    visitor.response()
    visitor.transcript = [note for note in visitor.transcript if note["kind"] != "interim"]
    visitor.alive()


# Responses.

for _status in (200, 201, 202, 204, 205, 304, 400, 401, 403, 404, 405, 409, 418, 422, 429, 451, 500, 502, 503, 599):
    exchange(f"status-{_status}", b"GET", b"/status/%d" % _status)
exchange("status-unassigned", b"GET", b"/status/299")
exchange("head-of-404", b"HEAD", b"/status/404")
exchange("head-of-204", b"HEAD", b"/status/204")
exchange("head-of-stream", b"HEAD", b"/pieces/no-length")
exchange("head-with-length", b"HEAD", b"/unusual/head-with-length")
exchange("head-of-download", b"HEAD", b"/download/100000")
for _which in ("204-with-body", "304-with-length", "no-headers", "explicit-chunked", "length-zero"):
    # A 304 may say the length that a 200 would have had (RFC 9110 §8.6); uvicorn on httptools then waits for the body.
    _oracle = "uvicorn-h11" if _which == "304-with-length" else "uvicorn"
    exchange(f"response-{_which}", b"GET", b"/unusual/" + _which.encode(), oracle=_oracle)
for _which in (
    "duplicates",
    "adjacent-duplicates",
    "vary-twice",
    "cookies",
    "empty-value",
    "latin-1",
    "high-bytes",
    "spaces-inside",
    "spaces-around",
    "mixed-case",
    "huge",
    "many",
    "own-date-and-server",
    "caching",
    "cors",
    "symbols",
):
    exchange(f"response-headers-{_which}", b"GET", b"/headers/" + _which.encode())
for _which in ("newline", "nul", "name-with-space", "name-with-newline"):
    exchange(f"invalid-header-{_which}", b"GET", b"/invalid-header/" + _which.encode())
for _which in ("no-length", "with-length", "empty-between", "one-byte-each", "all-empty"):
    exchange(f"pieces-{_which}", b"GET", b"/pieces/" + _which.encode())

exchange("range-none", b"GET", b"/range")
exchange("range-first", b"GET", b"/range", [(b"Range", b"bytes=0-9")])
exchange("range-open", b"GET", b"/range", [(b"Range", b"bytes=30-"), (b"If-Range", b'"v1"')])
exchange("range-unsatisfiable", b"GET", b"/range", [(b"Range", b"bytes=99-")])
exchange("gzip-untouched", b"GET", b"/gzip", [(b"Accept-Encoding", b"gzip")])
exchange("gzip-untouched-unasked", b"GET", b"/gzip/chunked")
for _which in ("absolute-path", "relative", "absolute", "scheme-relative", "query", "encoded"):
    exchange(f"redirect-{_which}", b"GET", b"/redirect/" + _which.encode())
for _status in (301, 303, 307, 308):
    exchange(f"redirect-{_status}", b"POST", b"/redirect/absolute-path/%d" % _status, body=b"x")
exchange("download-8-mib", b"GET", b"/download/%d" % (8 << 20))
exchange("download-8-mib-chunked", b"GET", b"/download/%d/chunked" % (8 << 20))
exchange("options-preflight", b"OPTIONS", b"/x", [(b"X-Stainless-Lang", b"python")])


def paced(name: str, kind: bytes, headers: Fields = ()) -> None:
    @case(name)
    def _(visitor: Visitor) -> None:
        """Each piece arrives while the app still holds the next one back."""
        visitor.request(b"GET", b"/paced/" + kind, headers)
        answer = visitor.answer()
        if answer is None:
            return
        visitor.piece(answer, 13)
        visitor.release()
        visitor.piece(answer, 14)
        visitor.release()
        visitor.rest(answer)
        visitor.alive()


paced("paced-sse", b"sse", [(b"Accept", b"text/event-stream")])
paced("paced-json", b"json", [(b"Accept", b"*/*")])
paced("paced-html", b"html", [(b"Accept-Encoding", b"gzip")])


@case("paced-head")
def _(visitor: Visitor) -> None:
    """The head arrives while the app still holds the body back."""
    visitor.request(b"GET", b"/paced-head")
    answer = visitor.answer()
    if answer is None:
        return
    visitor.release()
    visitor.rest(answer)
    visitor.alive()


# Apps that err: 500 before the head, a cut connection after it, never a clean end.

for _which in ("raise-before-head", "raise-after-body-read", "return-before-head", "body-before-head"):
    exchange(f"fault-{_which}", b"GET", b"/fault/" + _which.encode())
for _which in (
    "raise-after-head",
    "raise-in-body-chunked",
    "raise-in-body-length",
    "return-after-head",
    "return-in-body",
    "too-short",
    "too-long",
    "too-long-later",
    "head-twice",
):
    exchange(f"fault-{_which}", b"GET", b"/fault/" + _which.encode())
for _which in ("raise-after-end", "body-after-end"):
    exchange(f"fault-{_which}", b"GET", b"/fault/" + _which.encode(), [(b"Connection", b"close")], stays=False)
exchange("fault-raise-before-head-post", b"POST", b"/fault/raise-before-head", body=b"unread")
exchange("fault-raise-before-head-of-head", b"HEAD", b"/fault/raise-before-head")

# Visitors that leave.


def leaves(name: str, when: bytes, *, reset: bool) -> None:
    @case(name)
    def _(visitor: Visitor) -> None:
        if when == b"mid-upload":
            visitor.send(visitor.head(b"POST", b"/leave/mid-upload", [(b"Content-Length", b"1000")]) + b"x" * 10)
        else:
            visitor.request(b"GET", b"/leave/" + when)
        visitor.started()
        if when == b"mid-stream":
            answer = visitor.answer()
            if answer is not None:
                visitor.piece(answer, 5)
        visitor.leave(reset=reset)


for _reset in (False, True):
    _how = "resets" if _reset else "leaves"
    leaves(f"visitor-{_how}-before-head", b"before-head", reset=_reset)
    leaves(f"visitor-{_how}-mid-stream", b"mid-stream", reset=_reset)
    leaves(f"visitor-{_how}-mid-upload", b"mid-upload", reset=_reset)


@case("visitor-half-closes")
def _(visitor: Visitor) -> None:
    """The visitor ends its side before the answer: uvicorn takes that as leaving."""
    visitor.request(b"GET", b"/leave/before-head")
    visitor.started()
    visitor.wire.half_close()
    visitor.end()


@case("visitor-ends-upload-early")
def _(visitor: Visitor) -> None:
    """Less body than Content-Length said, then the end: the app must never take it for whole."""
    visitor.send(visitor.head(b"POST", b"/leave/mid-upload", [(b"Content-Length", b"100")]) + b"ten bytes.")
    visitor.started()
    visitor.wire.half_close()
    visitor.wire.read_to_end()


exchange("disconnect-after-response", b"GET", b"/leave/after-end")
exchange("disconnect-after-response-post", b"POST", b"/leave/after-end", body=b"content")
exchange("disconnect-after-unread-response", b"GET", b"/unread-then-end")

# Malformed requests: refused, and never shown to the app as whole.

MALFORMED: dict[str, Callable[[Visitor], bytes]] = {
    "no-version": lambda v: b"GET %s\r\nHost: x\r\n\r\n" % v.target(b"/"),
    "garbage": lambda v: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "bad-version": lambda v: b"GET %s HTTP/9.9\r\nHost: x\r\n\r\n" % v.target(b"/"),
    "http-2-preface": lambda v: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "space-in-target": lambda v: v.head(b"GET", b"/a b"),
    "control-in-target": lambda v: v.head(b"GET", b"/a\x01b"),
    "no-colon": lambda v: v.head(b"GET", b"/", [])[:-2] + b"no colon here\r\n\r\n",
    "space-before-colon": lambda v: v.head(b"GET", b"/", [(b"X-Space ", b"1")]),
    "empty-header-name": lambda v: v.head(b"GET", b"/", [(b"", b"1")]),
    "nul-in-header": lambda v: v.head(b"GET", b"/", [(b"X-Nul", b"a\x00b")]),
    "bare-cr-in-header": lambda v: v.head(b"GET", b"/", [(b"X-Cr", b"a\rb")]),
    "bad-chunk-size": lambda v: v.head(b"POST", b"/", CHUNKED) + b"zz\r\nhello\r\n" + LAST_CHUNK,
    "negative-chunk-size": lambda v: v.head(b"POST", b"/", CHUNKED) + b"-5\r\nhello\r\n" + LAST_CHUNK,
    "chunk-without-crlf": lambda v: v.head(b"POST", b"/", CHUNKED) + b"5\r\nhelloXX" + LAST_CHUNK,
    "length-and-chunked": lambda v: (
        v.head(b"POST", b"/", [*CHUNKED, (b"Content-Length", b"5")]) + chunk(b"abc") + LAST_CHUNK
    ),
    "length-negative": lambda v: v.head(b"POST", b"/", [(b"Content-Length", b"-5")]) + b"hello",
    "length-plus": lambda v: v.head(b"POST", b"/", [(b"Content-Length", b"+5")]) + b"hello",
    "length-not-a-number": lambda v: v.head(b"POST", b"/", [(b"Content-Length", b"five")]) + b"hello",
    "length-twice-differing": lambda v: (
        v.head(b"POST", b"/", [(b"Content-Length", b"5"), (b"Content-Length", b"6")]) + b"hello!"
    ),
    "unknown-transfer-coding": lambda v: v.head(b"POST", b"/", [(b"Transfer-Encoding", b"rot13")]) + b"hello",
    "chunked-not-last": lambda v: v.head(b"POST", b"/", [(b"Transfer-Encoding", b"chunked, gzip")]) + LAST_CHUNK,
}


def malformed(name: str, data: Callable[[Visitor], bytes]) -> None:
    @case(f"malformed-{name}", refusal=True)
    def _(visitor: Visitor) -> None:
        visitor.send(data(visitor))
        visitor.refused()


for _name, _data in MALFORMED.items():
    malformed(_name, _data)


@case("malformed-huge-chunk-size", refusal=True)
def _(visitor: Visitor) -> None:
    """More than 64 bits of size: refused at once, or waited for in vain; the visitor's end settles it."""
    visitor.send(visitor.head(b"POST", b"/", CHUNKED) + b"f" * 20 + b"\r\nhello")
    visitor.wire.half_close()
    visitor.refused()


@case("malformed-chunk-after-the-answer-began", refusal=True)
def _(visitor: Visitor) -> None:
    """With an answer under way there is no room for a 400: it must not come to a clean end, that is all."""
    visitor.send(visitor.head(b"POST", b"/answer-first", CHUNKED) + chunk(b"fine"))
    answer = visitor.answer()
    if answer is None:
        return
    visitor.piece(answer, 6)
    visitor.send(b"zz\r\n")
    visitor.note("clean end", seen=visitor.wire.read_to_end().endswith(LAST_CHUNK))
