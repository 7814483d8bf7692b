"""The gate before a server of pipelines: which requests it answers at all, and which of them may deploy.

- A request comes under a name of the server's own, or it is refused with 421: another name may be one that a page of
  another site has lead here (DNS rebinding).
- A request that a page of another site sends is refused with 403, unless its origin is let in.
- Off loopback a request needs the key, or it is refused with 401. On loopback running and reading are open.
- What deploys needs the key everywhere: `may_deploy` says whether the request has it.

Where the server is a service of a hub (``%serve app``), the hub has decided who is let in, and under which names and
from which pages. Deploying needs the key there, too, whatever the server was told of auth.

Here: the rules, on a connection's scope alone. Not here: where the key comes from, and which routes deploy (`server`).

Source: RFC 9110 §7.2 (Host), §15.5.20 (421); RFC 6454 (Origin); RFC 6750 (Bearer); Fetch Metadata (``Sec-Fetch-Site``).
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from portico.errors import InvalidOption
from portico.pipelines.settings import PipelinesSettings
from portico.types import Headers, Scope

MOST_ORIGIN: Final = 2048
"""Characters of an Origin that a pattern is tried on: no host name has more than 253."""

MOST_HOST: Final = 300
"""Characters of a Host that are looked at: a name has 253 at most, and a port five."""

_IN_PROCESS: Final = "testclient"
"""What Starlette's test client says in the place of its address, whatever URL it calls."""

_SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS"))
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443", "ws": ":80", "wss": ":443"}
_WANTED: Final = frozenset((b"host", b"origin", b"authorization", b"x-api-key", b"sec-fetch-site", b"sec-fetch-mode"))
_FROM: Final = frozenset((b"forwarded", b"x-forwarded-for", b"x-real-ip"))
"""By which proxies say where a visitor comes from."""


@dataclass(frozen=True, slots=True)
class GateRefusal:
    """Why a request is not answered."""

    status: int
    detail: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


NEEDS_KEY: Final = GateRefusal(
    401,
    "This needs the server's key: send 'Authorization: Bearer <key>'. The server says at its start where it keeps the "
    "key; the commands of portico find it there.",
    ((b"www-authenticate", b"Bearer"),),
)
_OTHER_SITE: Final = GateRefusal(
    403,
    "A page of another site may not call this server. Its author can let an origin in: PORTICO_CORS_ALLOW_ORIGINS.",
)


class Gate:
    """One server's rules."""

    def __init__(
        self,
        key: str,
        *,
        no_auth: bool = False,
        hosts: Iterable[str] = (),
        origins: Iterable[str] = (),
        origin_pattern: str = "",
    ) -> None:
        """*key* opens everything; with an empty one nothing needs a key that must not.

        - *no_auth*: nothing needs a key, deploying neither.
        - *hosts*: names that the server has besides its addresses and ``localhost``, without ports:
          ``pipelines.example.org``, ``*.example.org``, or ``*`` for any.
        - *origins*: those whose pages may call, as ``https://host:port``. ``"*"``: any, and then any page may also
          deploy if *no_auth* is set. *origin_pattern* is a regular expression for more of them.

        Raises `InvalidOption` for a pattern that is none.
        """
        self._key = key.encode()
        self._no_auth = no_auth
        names = [host.rstrip(".").lower() for host in hosts if host]
        self._hosts = frozenset(name for name in names if not name.startswith("*."))
        self._domains = tuple(name[1:] for name in names if name.startswith("*."))
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)
        try:
            self._pattern = re.compile(origin_pattern) if origin_pattern else None
        except re.error as error:
            message = f"The pattern of origins {origin_pattern!r:.200} is no regular expression: {error}"
            raise InvalidOption(f"{message}. Example: https://.*\\.example\\.org") from None

    @classmethod
    def of(cls, settings: PipelinesSettings, key: str) -> Gate:
        """The gate that *settings* ask for. *key* is their own, or the one that the server has made."""
        return cls(
            key,
            no_auth=settings.no_auth,
            hosts=(settings.host, *settings.allowed_hosts.split(",")),
            origins=settings.cors_allow_origins,
            origin_pattern=settings.cors_allow_origin_regex,
        )

    def look(self, scope: Scope) -> GateRefusal | None:
        """Refuse the connection (ASGI ``http`` or ``websocket``), or note in *scope* whether it may deploy."""
        headers: dict[bytes, bytes] = {}
        is_proxied = False
        for name, value in scope["headers"]:
            if name in _FROM:
                is_proxied = True
            elif name in _WANTED:
                if name == b"host" and name in headers:
                    return GateRefusal(400, "The request has more than one Host.")
                headers[name] = value
        if "portico" in (scope.get("extensions") or ()):  # no server but a hub's provider says so
            _note(scope, self._is_key(headers))
            return None
        server, client = scope.get("server"), scope.get("client")
        near = _is_near(server[0] if server else None, client[0] if client else None)
        if near and is_proxied:
            near = all(_is_from_here(name, value) for name, value in scope["headers"] if name in _FROM)
        has_key = self._no_auth or self._is_key(headers)
        host = headers.get(b"host", b"").decode("latin-1")[:MOST_HOST]
        if not self._is_own(host, server[0] if server else None) and (near or self._no_auth or not has_key):
            shown = host[:200] or "none"
            return GateRefusal(
                421,
                f"This server is not called {shown!r}. If that is its name, set PORTICO_ALLOWED_HOSTS for the server.",
            )
        if self._is_of_another_site(scope, headers, host):
            return _OTHER_SITE
        if not (near or has_key):
            return NEEDS_KEY
        _note(scope, has_key)
        return None

    def lets_in(self, origin: str) -> bool:
        """Whether pages of *origin*, which is not the server's own, may call."""
        if "*" in self._origins or origin.rstrip("/").lower() in self._origins:
            return True
        return self._pattern is not None and self._pattern.fullmatch(origin[:MOST_ORIGIN]) is not None

    def _is_key(self, headers: dict[bytes, bytes]) -> bool:
        if not self._key:
            return False
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), self._key):
            return True
        return hmac.compare_digest(headers.get(b"x-api-key", b""), self._key)

    def _is_own(self, host: str, server: str | None) -> bool:
        """Whether the server has that name, or is reached by an address: a page cannot have one lead elsewhere."""
        if not host:  # HTTP/1.0, and programs: no browser sends none
            return True
        name = _name_of(host)
        if name == "localhost" or name.endswith(".localhost") or _address(name) is not None:
            return True
        if name in self._hosts or "*" in self._hosts or name.endswith(self._domains):
            return True
        # In process the server has whatever name it is called by: nothing came over a network.
        return server is not None and _address(server) is None and name == server.lower()

    def _is_of_another_site(self, scope: Scope, headers: dict[bytes, bytes], host: str) -> bool:
        origin = headers.get(b"origin")
        if origin is not None:
            said = origin.decode("latin-1")
            return not (_is_same(said, host) or self.lets_in(said))
        if headers.get(b"sec-fetch-site", b"none") in (b"none", b"same-origin"):
            return False
        is_link = headers.get(b"sec-fetch-mode") == b"navigate" and scope.get("method") in _SAFE
        return not is_link  # a picture, a script: a browser sends no Origin with these


def may_deploy(scope: Scope) -> bool:
    """Whether the request, which has passed a gate, may deploy and undeploy."""
    return may_deploy_as((scope.get("extensions") or {}).get("portico"))


def may_deploy_as(identity: Any) -> bool:
    """The same, of what is known of a caller (`portico.calls.exchange.Exchange.identity`)."""
    return isinstance(identity, dict) and identity.get("may_deploy") is True


def _note(scope: Scope, has_key: bool) -> None:
    """Note in *scope* what the gate has found, in the place of whatever was noted before."""
    extensions = scope.get("extensions") or {}
    known = extensions.get("portico")
    if has_key:
        identity = {"access": "key", "key_id": "server", **(known or {}), "may_deploy": True}
    elif isinstance(known, dict) and "may_deploy" in known:
        identity = {key: value for key, value in known.items() if key != "may_deploy"}
    else:
        return
    scope["extensions"] = {**extensions, "portico": identity}


def refusal_headers(refusal: GateRefusal) -> Headers:
    """The headers of its answer, besides those of its body."""
    return [(b"cache-control", b"no-store"), *refusal.headers]


@lru_cache(maxsize=4096)  # visitors' addresses: some 100 bytes each
def _is_near(server: str | None, client: str | None) -> bool:
    """Whether both ends are of this machine, in this process or on loopback.

    A server on a network always says an address for itself; what says another name was called in this process, or on a
    Unix socket. What stands for a client may be what a proxy says.
    """
    own = _address(server) if server is not None else None
    if own is None:
        return client is None or (there := _address(client)) is None or there.is_loopback
    if client == _IN_PROCESS:
        return own.is_loopback
    there = _address(client) if client is not None else None
    return own.is_loopback and there is not None and there.is_loopback


def _is_from_here(name: bytes, value: bytes) -> bool:
    """Whether a header of proxies says that a visitor is at this machine, and every proxy between.

    Not every server reads such a header, and none does on a Unix socket: the connection is then the proxy's.
    """
    said = value.decode("latin-1").split(",")
    if name == b"forwarded":  # RFC 7239 §4
        pairs = [[pair.strip().partition("=") for pair in one.split(";")] for one in said]
        said = [next((of.strip('"') for key, _, of in each if key.lower() == "for"), "unknown") for each in pairs]
    addresses = (_address(_name_of(one.strip())) for one in said)
    return all(address is not None and address.is_loopback for address in addresses)


@lru_cache(maxsize=4096)
def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0] if ":" in host else host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=1024)
def _name_of(host: str) -> str:
    """The name in a Host header: without port and the dot at its end, in lower case."""
    if host.startswith("["):
        address, bracket, rest = host.partition("]")
        return f"{address}{bracket}".lower() if not rest or (rest[0] == ":" and not rest.strip(":0123456789")) else host
    name, _, port = host.rpartition(":")
    return (name if name and ":" not in name and (port.isdigit() or not port) else host).rstrip(".").lower()


def _is_same(origin: str, host: str) -> bool:
    """Whether *origin* is that of the server under the name that it was called by. A proxy may end TLS before it."""
    scheme, _, of = origin.lower().partition("://")
    port = _DEFAULT_PORTS.get(scheme, "")
    return bool(of) and bool(port) and of.removesuffix(port) == host.lower().removesuffix(port)
