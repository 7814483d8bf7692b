"""Where on the relay a request goes: to its own pages, to a service, or to all models or all tools of a workspace.

By host name (``<name>--<workspace>.<domain>``), or by path (``/<workspace>/apps/<name>/``); see `RelayConfig`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from portico.bounded import BoundedCache
from portico.relay.config import RelayConfig
from portico.relay.edge.own_hosts import OwnHosts
from portico.types import Headers

_MOST_KEPT = 10_000
_MOST_BYTES = 4 << 20
_LONGEST = 600
"""Bytes of a host and of what a path begins with, as often as a route holds them: twice a host name's 253 at least."""
_A_NAME = re.compile(rb"[a-z0-9-]+")
"""What a workspace's name is made of (`portico.types.service_name`): all else is no path of a service's."""


@dataclass(frozen=True, slots=True)
class Location:
    """What a host and the beginning of a path stand for."""

    host: str
    """The Host header."""
    workspace: str
    service: str = ""
    """On a host name of its own; by path, the gate reads it."""
    prefix: bytes = b""
    """What the path of every service starts with, where they are told apart by path."""
    models: bool = False
    """Whether it is the one base URL for all models."""
    tools: bool = False
    """Whether it is the one URL for all tools."""
    base: str = ""
    """The path of one of these two, without a slash at its end."""

    @property
    def own_host(self) -> bool:
        return not self.prefix

    @property
    def all_services(self) -> bool:
        """Whether it is a URL of all services together."""
        return self.models or self.tools


class Routes:
    """Reads host names and paths. Whether there is such a workspace or service is not asked here."""

    def __init__(self, config: RelayConfig) -> None:
        self._config = config
        self._suffix = "." + config.domain if config.domain else ""
        self._own = OwnHosts(config)
        self._hosts: BoundedCache[str, Location | None] = BoundedCache(_MOST_KEPT, _MOST_BYTES, longest=_LONGEST)
        self._paths: BoundedCache[tuple[str, bytes], Location] = BoundedCache(_MOST_KEPT, _MOST_BYTES, longest=_LONGEST)

    def find(self, headers: Headers, raw_path: bytes, server: tuple[str, int | None] | None = None) -> Location | None:
        """Where a request that has come to the address *server* goes. None: to the relay itself.

        `ELSEWHERE`: its host is not the relay's. A request without a Host goes by its path: no browser sends one.
        """
        for name, value in headers:
            if name == b"host" or (len(name) == 4 and name.lower() == b"host"):
                return self.locate(value.decode("latin-1"), raw_path, server)
        return self.locate("", raw_path, server)

    def locate(self, host: str, raw_path: bytes, server: tuple[str, int | None] | None = None) -> Location | None:
        """As `find`, of a request whose Host is *host*; "" if it has none."""
        if self._suffix:
            found = self._hosts.get(host, _UNKNOWN)
            if found is _UNKNOWN:
                found = self._hosts.keep(host, self._by_host(host), 2 * len(host))
            if found is not None and found.models and not _begins(raw_path, b"/v1"):
                if _begins(raw_path, b"/mcp"):
                    return Location(host, found.workspace, tools=True, base="/mcp")
                return Location(host, found.workspace, "", b"")
            if found is not None:
                return found
        if host and not self._own.answers(host, server):
            return ELSEWHERE
        if not self._config.paths:
            return None
        return self._by_path(host, raw_path)

    def _by_host(self, host: str) -> Location | None:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        name = name.lower().removesuffix(".")
        if not name.endswith(self._suffix):
            return None
        label = name.removesuffix(self._suffix)
        service, mark, workspace = label.partition("--")
        if mark:
            return Location(host, workspace, service)
        return Location(host, label, models=True, base="/v1")

    def _by_path(self, host: str, raw_path: bytes) -> Location | None:
        workspace, _, rest = raw_path[1:].partition(b"/")
        models = tools = False
        if not rest.startswith(b"apps/"):
            models, tools = _begins(rest, b"v1"), _begins(rest, b"mcp")
            if not models and not tools:
                return None
        key = (host, workspace + b"/v1" if models else workspace + b"/mcp" if tools else workspace)
        known = self._paths.get(key)
        if known is None:
            if workspace == b"portico" or not _A_NAME.fullmatch(workspace):
                return None
            name = workspace.decode("latin-1")
            prefix = b"/" + workspace + b"/apps/"
            base = f"/{name}/v1" if models else f"/{name}/mcp" if tools else ""
            known = Location(host, name, "", prefix, models, tools, base)
            self._paths.keep(key, known, len(host) + 4 * len(workspace))
        return known


_UNKNOWN = Location("", "")
ELSEWHERE = Location("", "")
"""Of a request whose Host is not the relay's: `portico.relay.edge.own_hosts.not_here`."""


def _begins(path: bytes, with_: bytes) -> bool:
    return path == with_ or path.startswith(with_ + b"/")
