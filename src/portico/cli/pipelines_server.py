"""What the commands about pipelines share: which server is meant, its key, and its answers.

Here: HTTP to that server by the standard library alone, so that a command starts quickly and needs no extra. Not here:
what is asked (`pipeline`, `status`), and the bodies of uploads (`upload`).
"""

from __future__ import annotations

import argparse
import http.client
import ipaddress
import json
import socket
import ssl
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from portico import foreign
from portico.errors import InvalidOption, LinkClosed, Refused, StoreFailed
from portico.pipelines import key_file
from portico.pipelines.settings import PipelinesSettings, is_loopback

CONNECT_WITHIN = 10.0  # seconds; a machine of the same network takes a thousandth
ANSWER_WITHIN = 15.0  # seconds for what no pipeline has to be run for
_MOST_ANSWER = 256 << 20  # bytes of an answer that is read whole
_MOST_ERROR = 1 << 20  # bytes of an error's answer
_MOST_LINES = 60  # lines of an error that are shown: those of a traceback are among them
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "localhost"}


def add_server_options(parser: argparse.ArgumentParser, default: Any = None) -> None:
    """The options that say which server, and with which key."""
    parser.add_argument("--host", default=default, help="the server's address; else PORTICO_HOST, else localhost")
    parser.add_argument("--port", default=default, help="its port; else PORTICO_PORT, else 1416")
    yes_or_no = argparse.BooleanOptionalAction
    parser.add_argument("--use-https", action=yes_or_no, default=default, help="it speaks TLS")
    parser.add_argument("--disable-ssl", action=yes_or_no, default=default, help="do not check its certificate")
    parser.add_argument(
        "--api-key",
        metavar="KEY",
        default=default,
        help="its key; else PORTICO_API_KEY, else the one that a server of yours on this machine has left. Others on "
        "this machine see it in the list of processes",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelinesAddress:
    """Where a server of pipelines is, and what opens it."""

    host: str
    port: int
    https: bool = False
    insecure: bool = False
    """Whether its certificate is not checked."""
    key: str = ""
    connect_to: str = ""
    """The address to connect to, where the key is for that one alone; else `host` is looked up."""
    trouble: str = ""
    """Why there is no key, if it was looked for in vain."""

    def __repr__(self) -> str:
        return f"PipelinesAddress({self.url!r})"  # never the key

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.https else 'http'}://{host}:{self.port}"


def server_of(options: argparse.Namespace) -> PipelinesAddress:
    """The server that a command line means. Raises `InvalidOption`."""
    names = ("host", "port", "use_https", "disable_ssl", "api_key", "key_dir")
    settings = PipelinesSettings.read(**{name: getattr(options, name, None) for name in names})
    host = settings.host.strip("[]")
    server = PipelinesAddress(
        host=_WILDCARDS.get(host, host),
        port=settings.port,
        https=settings.use_https,
        insecure=settings.disable_ssl,
        key=settings.api_key,
    )
    if server.key or server.https:  # TLS is a proxy's, and the key was left for the server itself
        return server
    try:
        folder = Path(settings.key_dir) if settings.key_dir else key_file.default_folder()
    except StoreFailed as error:
        return replace(server, trouble=str(error))
    return with_key_left(server, folder)


def with_key_left(server: PipelinesAddress, folder: Path) -> PipelinesAddress:
    """*server* with the key that it left on this machine, if it is the one that did."""
    try:
        found = key_file.find(server.port, folder)
    except StoreFailed as error:
        return replace(server, trouble=str(error))
    if found is None:
        return server
    listens = found.addresses
    if is_loopback(server.host) and not _is_address(server.host):
        ours = [there for there in (_WILDCARDS.get(address, address) for address in listens) if is_loopback(there)]
    else:
        asked = [server.host] if _is_address(server.host) else _looked_up(server)
        ours = [address for address in asked if address in listens or _is_held(address, listens)]
    return replace(server, key=found.key, connect_to=ours[0]) if ours else server


def _is_held(address: str, listens: Iterable[str]) -> bool:
    """Whether *address* is one of this machine, and the server listens on all of its family."""
    if ("::" if ":" in address else "0.0.0.0") not in listens:
        return False
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _looked_up(server: PipelinesAddress) -> list[str]:
    try:
        found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []  # which is said when it is called
    return [str(address[0]) for *_, address in found]


# --- asking -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Response:
    """An answer whose status is good; its body is to be read."""

    body: http.client.HTTPResponse

    @property
    def media_type(self) -> str:
        return (self.body.headers.get("content-type") or "").partition(";")[0].strip().lower()

    def whole(self) -> bytes:
        """Raises `LinkClosed`."""
        try:
            content = self.body.read(_MOST_ANSWER + 1)
        except (OSError, http.client.HTTPException) as error:
            raise LinkClosed(f"the answer broke off: {_reason(error)}") from None
        if len(content) > _MOST_ANSWER:
            raise LinkClosed(f"the answer has over {_MOST_ANSWER >> 20} MiB; read it as it comes, with --stream")
        if self.body.length:  # which `read` does not say: some of it is still to come
            raise LinkClosed("the answer broke off")
        return content

    def json(self) -> Any:
        """Raises `LinkClosed`."""
        try:
            return json.loads(self.whole())
        except (ValueError, RecursionError):
            raise LinkClosed("what answers is no server of pipelines: it gave no JSON") from None


class RefusedByServer(Refused):
    """A server of pipelines said no. ``detail`` is what its answer has under that name."""

    def __init__(self, message: str, status: int, detail: Any) -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail


def ask(
    server: PipelinesAddress,
    method: str,
    path: str,
    *,
    body: bytes | Iterable[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
    within: float | None = ANSWER_WITHIN,
) -> Response:
    """Send a request for *path*; wait *within* seconds for each piece of the answer, or for as long as it takes.

    Raises `RefusedByServer` for an answer that says no, and `LinkClosed` if there is none.
    """
    connection = _connection(server)
    given = {"Accept": "*/*", "User-Agent": "portico", **(headers or {})}
    if server.key:
        given["Authorization"] = f"Bearer {server.key}"
    try:
        connection.connect()
        connection.sock.settimeout(within)
        try:
            connection.request(method, path, body=body, headers=given)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may have answered before it had all, and that answer says why
        answer = connection.getresponse()
        if answer.status < 400:
            return Response(answer)
        text = answer.read(_MOST_ERROR)
    except ssl.SSLCertVerificationError as error:
        raise LinkClosed(
            f"the certificate of {server.url} cannot be trusted ({error.verify_message}). "
            "--disable-ssl does without that check"
        ) from None
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise LinkClosed(
            f"the server of pipelines is not responding at {server.url} ({_reason(error)}). "
            "Start one: portico run. Elsewhere: --host, --port, --use-https"
        ) from None
    raise _refusal(server, answer.status, text)


def ask_json(server: PipelinesAddress, path: str, value: Any, *, within: float | None = None) -> Response:
    """Post *value*. Raises as `ask`."""
    return ask(
        server,
        "POST",
        path,
        body=json.dumps(value).encode(),
        headers={"Content-Type": "application/json"},
        within=within,
    )


def path_of(*parts: str) -> str:
    """The path of *parts*, each of which may be any text."""
    return "/" + "/".join(quote(part, safe="", errors="replace") for part in parts)


def _connection(server: PipelinesAddress) -> http.client.HTTPConnection:
    connection: http.client.HTTPConnection
    if server.https:
        context = ssl.create_default_context()
        if server.insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(server.host, server.port, timeout=CONNECT_WITHIN, context=context)
    else:
        connection = _PlainConnection(server.host, server.port, timeout=CONNECT_WITHIN)
        connection.connect_to = server.connect_to or server.host
    return connection


class _PlainConnection(http.client.HTTPConnection):
    """Without TLS, to one address whatever the name that is asked for."""

    connect_to = ""

    def connect(self) -> None:
        self.sock = socket.create_connection((self.connect_to, self.port), self.timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _refusal(server: PipelinesAddress, status: int, text: bytes) -> Refused:
    try:
        detail = json.loads(text)["detail"]
    except (ValueError, KeyError, TypeError, RecursionError):
        detail = None
    said = _said(detail) if detail is not None else f"the server answered {status}"
    if status == 401 and server.trouble:
        said = f"{said}\nThe key was not found: {server.trouble}"
    elif status == 401 and server.key:
        said = f"the server at {server.url} has another key than the one that was sent. {said}"
    return RefusedByServer(said, status, detail)


def _said(detail: Any) -> str:
    """What an error's ``detail`` says: a text, or pydantic's list of what is wrong where."""
    if isinstance(detail, list):
        lines = []
        for one in detail:
            if isinstance(one, dict) and "msg" in one:
                place = one.get("loc")
                parts = place[1:] if isinstance(place, list) and place[:1] == ["body"] else place
                where = ".".join(str(part) for part in parts) if isinstance(parts, list) else ""
                lines.append(f"{where}: {one['msg']}" if where else str(one["msg"]))
            else:
                lines.append(str(one))
    else:
        lines = (detail if isinstance(detail, str) else json.dumps(detail)).splitlines()
    return "\n".join(foreign.text(line) for line in lines[:_MOST_LINES])


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    return foreign.text(getattr(error, "strerror", None) or str(error) or type(error).__name__)


# --- values and output ------------------------------------------------------------------------------------------


def values_of(given: Iterable[str], flag: str) -> dict[str, tuple[str, Any]]:
    """From ``key=value`` each: the text, and what it is as JSON, or the text where it is none.

    Raises `InvalidOption`.
    """
    found = {}
    for one in given:
        key, is_there, text = one.partition("=")
        if not key or not is_there:
            raise InvalidOption(f"Invalid parameter {one!r}: {flag} takes key=value")
        found[key] = (text, _as_json(text))
    return found


def _as_json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return text


def _no_json(word: str) -> Any:
    raise ValueError(word)  # NaN and Infinity, which Python's reader takes beyond JSON


def print_anything() -> None:
    """Let no character that a terminal's encoding lacks end a command."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
