"""A relay's settings, as one frozen value, from flags, the environment and a TOML file.

Each setting has one name: ``--anonymous-lifetime``, ``PORTICO_RELAY_ANONYMOUS_LIFETIME``, and ``anonymous_lifetime`` in
the file. Flags come first, then the environment, then the file, then the defaults. What is wrong is said in one line
that names the place. Here too: how a relay's URLs are made, and read.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from portico.errors import InvalidName, InvalidOption
from portico.hub.config import HubConfig
from portico.hub.fair_use import a_quarter
from portico.setting_values import (
    DAY,
    access,
    base_url,
    count,
    domain,
    duration,
    hosts,
    line,
    networks,
    one_of,
    secret,
    size,
    yes_or_no,
)
from portico.types import service_name

VARIABLE = "PORTICO_RELAY_"
"""What the variables of all settings begin with."""

FILE_VARIABLE = VARIABLE + "CONFIG"
"""Names the TOML file, where no flag does."""


def default_data_dir(environ: Mapping[str, str] | None = None) -> str:
    """Where a relay keeps its database: ``portico/relay`` in the user's data directory (XDG base directories)."""
    environ = os.environ if environ is None else environ
    home = environ.get("XDG_DATA_HOME", "")
    folder = Path(home) if home.startswith("/") else Path.home() / ".local" / "share"
    return str(folder / "portico" / "relay")


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayConfig:
    """Sizes in bytes, times in seconds."""

    # where it is
    domain: str | None = None
    """Each service has a host name under it, so that no two share an origin. A wildcard DNS name and certificate."""
    base_url: str = ""
    """The relay as visitors know it, without a slash at its end; made of the others where it is not given."""
    paths: bool = False
    """Services under paths of one host name, instead: they share an origin, so that all tenants trust each other."""
    host: str = "127.0.0.1"
    port: int = 8000
    uds: str | None = None
    """The path of a Unix domain socket to listen on, instead of host and port."""
    allowed_hosts: str = ""
    """Host names that the relay answers under beside its own, with commas between; *.example.org for all below that
    name, * for any."""
    forwarded_allow_ips: str = "127.0.0.1"
    """The proxies whose X-Forwarded headers are believed: addresses and networks with commas between; * for all."""
    data_dir: str = field(default_factory=default_data_dir)
    """``:memory:`` keeps nothing."""

    # who may come in
    anonymous: bool = False
    """Whether a provider without a token gets a workspace of its own."""
    anonymous_lifetime: float = DAY
    max_anonymous: int = 1000
    """Anonymous workspaces at a time."""
    max_anonymous_of_address: int | None = None
    """None for a quarter of `max_anonymous`."""
    token_lifetime: float = 30 * DAY
    """Of a provider's token that says nothing of it."""
    max_token_lifetime: float = 365 * DAY
    session_lifetime: float = 7 * DAY
    """How long a browser stays signed in."""
    admin_token: str = field(default="", repr=False)
    """Opens the admin page to a program."""
    metrics_token: str = field(default="", repr=False)
    """Opens /metrics."""

    # how long is waited for whom
    header_timeout: float = 10.0
    body_timeout: float = 30.0
    """Between two pieces of a request's body."""
    write_timeout: float = 60.0
    """For a visitor to take what waits for it."""
    drain_timeout: float = 30.0
    """For streams to end by themselves when the relay stops."""
    drain_jitter: float = 2.0
    """Over which the providers' return is spread when the relay stops."""

    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    hub: HubConfig = field(
        default_factory=lambda: HubConfig(drop_silent=True, hold_name=DAY, passwords=True, by_address=True)
    )

    def __post_init__(self) -> None:
        if self.domain is None and not self.paths:
            object.__setattr__(self, "paths", True)
        if not self.base_url:
            object.__setattr__(self, "base_url", self._made_base_url())
        if self.token_lifetime > self.max_token_lifetime:
            object.__setattr__(self, "token_lifetime", self.max_token_lifetime)

    def _made_base_url(self) -> str:
        if self.domain is not None:
            return f"https://{self.domain}"
        host = "localhost" if self.host in ("", "0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def anonymous_of_address(self) -> int:
        most = self.max_anonymous_of_address
        return a_quarter(self.max_anonymous) if most is None else most

    # --- where it is --------------------------------------------------------------------------------------------

    @property
    def secure(self) -> bool:
        """Whether visitors speak TLS to it (which ends at a proxy in front)."""
        return self.base_url.startswith("https:")

    @property
    def session_cookie(self) -> str:
        """The name of the cookie of who is signed in. ``__Host-`` (RFC 6265bis §4.1.3.2) asks for https."""
        return "__Host-portico_session" if self.secure else "portico_session"

    @property
    def database(self) -> str:
        """The path of the database, or ``:memory:``."""
        return self.data_dir if self.data_dir == ":memory:" else str(Path(self.data_dir) / "relay.sqlite3")

    def service_url(self, workspace: str, name: str) -> str:
        """Where a service is. Ends with a slash."""
        if self.paths:
            return f"{self.base_url}/{workspace}/apps/{name}/"
        return f"{self._host_of(f'{name}--{workspace}')}/"

    def models_url(self, workspace: str) -> str:
        """The one base URL for all models of a workspace."""
        return f"{self.base_url}/{workspace}/v1" if self.paths else f"{self._host_of(workspace)}/v1"

    def _host_of(self, label: str) -> str:
        parts = urlsplit(self.base_url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{label}.{self.domain}{port}"

    # --- where it comes from ------------------------------------------------------------------------------------

    @classmethod
    def load(
        cls,
        flags: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
        toml_path: str | Path | None = None,
    ) -> RelayConfig:
        """Make the settings of *flags* (by setting's name; None: not given), the environment and the TOML file.

        Raises `InvalidOption`: one line, which names the flag, the variable, or the file and its key.
        """
        environ = os.environ if environ is None else environ
        toml_path = toml_path or environ.get(FILE_VARIABLE) or None
        found: dict[str, tuple[str, Any]] = {}
        if toml_path is not None:
            for key, value in _toml(Path(toml_path)).items():
                _take(found, key, value, f"{toml_path}: {key}", lambda name: name)
        for variable, text in environ.items():
            if variable.startswith(VARIABLE) and variable != FILE_VARIABLE:
                _take(found, variable.removeprefix(VARIABLE).lower(), text, variable, variable_of)
        for key, value in (flags or {}).items():
            if value is not None:
                _take(found, key, value, flag_of(key), flag_of)
        return cls._of(found)

    @classmethod
    def _of(cls, found: dict[str, tuple[str, Any]]) -> RelayConfig:
        values = {name: value for name, (_, value) in found.items()}
        mine = {name: values[name] for name in values if SETTINGS[name].of == "relay"}
        if not mine.get("domain") and not mine.get("paths"):
            raise InvalidOption(
                "Say where services are: --domain share.example.org (each has a host name of its own), "
                "or --paths (one host name for all; for a single tenant)."
            )
        config = cls(**mine)
        limits = {name: values[name] for name in values if SETTINGS[name].of == "limits"}
        hub = {name: values[name] for name in values if SETTINGS[name].of == "hub"}
        return replace(config, hub=replace(config.hub, limits=replace(config.hub.limits, **limits), **hub))


def flag_of(name: str) -> str:
    return "--" + name.replace("_", "-")


def variable_of(name: str) -> str:
    return VARIABLE + name.upper()


# --- the settings ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: how its value is read (raises `InvalidOption`), and what a command's help says of it."""

    read: Callable[[object], Any]
    help: str
    of: Literal["relay", "hub", "limits"] = "relay"
    flag: bool = True
    """Whether there is a flag for it: a command line is seen by every user of the machine."""

    @property
    def switch(self) -> bool:
        """Whether its flag takes no value."""
        return self.read is yes_or_no


SETTINGS: dict[str, Setting] = {
    "domain": Setting(domain, "each service gets a host name under it: <name>--<workspace>.<domain>"),
    "base_url": Setting(base_url, "the relay as visitors know it; https://<domain> by default"),
    "paths": Setting(yes_or_no, "services under paths of one host name; for a single tenant"),
    "host": Setting(line, "address to listen on"),
    "port": Setting(count(0, 65535), "port to listen on"),
    "uds": Setting(line, "Unix domain socket to listen on, instead"),
    "allowed_hosts": Setting(hosts, "host names it answers under beside its own, as proxies and networks know it"),
    "forwarded_allow_ips": Setting(networks, "proxies whose X-Forwarded headers are believed"),
    "data_dir": Setting(line, "where accounts, keys and tokens are kept; :memory: keeps none"),
    "anonymous": Setting(yes_or_no, "give a provider without a token a workspace of its own"),
    "anonymous_lifetime": Setting(duration, "how long an anonymous workspace lasts"),
    "max_anonymous": Setting(count(0, 1_000_000), "anonymous workspaces at a time"),
    "max_anonymous_of_address": Setting(count(1, 1_000_000), "of one address; a quarter of them by default"),
    "token_lifetime": Setting(duration, "how long a token lasts that says nothing of it"),
    "max_token_lifetime": Setting(duration, "the longest that a token may last"),
    "session_lifetime": Setting(duration, "how long a browser stays signed in"),
    "admin_token": Setting(secret, "opens the admin page to programs", flag=False),
    "metrics_token": Setting(secret, "opens /metrics", flag=False),
    "header_timeout": Setting(duration, "for a request's head to come in"),
    "body_timeout": Setting(duration, "between two pieces of a request's body"),
    "write_timeout": Setting(duration, "for a visitor to take what waits for it"),
    "drain_timeout": Setting(duration, "for requests to end when the relay stops"),
    "drain_jitter": Setting(duration, "over which the providers' return is spread when the relay stops"),
    "log_format": Setting(one_of("text", "json"), "text or json"),
    "log_level": Setting(one_of("debug", "info", "warning", "error"), "debug, info, warning or error"),
    "allowed_access": Setting(access, "the kinds of access that services may ask for", "hub"),
    "max_key_lifetime": Setting(duration, "the longest that a visitor's key may last", "hub"),
    "wait_for_provider": Setting(duration, "how long a request waits for a provider that is reconnecting", "hub"),
    "hold_name": Setting(duration, "how long the name of a lost provider is held for it", "hub"),
    "max_links": Setting(count(1, 1_000_000), "providers at a time", "hub"),
    "max_links_of_user": Setting(count(1, 1_000_000), "of one user; a quarter of max_links by default", "hub"),
    "max_links_of_address": Setting(count(1, 1_000_000), "of one address; a quarter of max_links by default", "hub"),
    "max_new_links": Setting(count(1, 1_000_000), "links at a time that have not said who they are", "hub"),
    "max_new_links_of_address": Setting(count(1, 1_000_000), "of one address", "hub"),
    "max_services": Setting(count(1, 1_000_000), "services at a time, of one workspace", "hub"),
    "max_services_of_user": Setting(
        count(1, 1_000_000), "of one user in one workspace; three quarters of max_services by default", "hub"
    ),
    "max_keys": Setting(count(1, 10_000_000), "keys that have not expired, of one user", "hub"),
    "max_websocket_message": Setting(size, "bytes of the longest WebSocket message, either way", "hub"),
    "max_body": Setting(size, "bytes of a request's body; no cap by default", "hub"),
    "max_streams": Setting(count(1, 1_000_000), "requests in flight on one provider's link", "limits"),
    "max_streams_of_address": Setting(
        count(1, 1_000_000), "of one visitor's address; a quarter of max_streams by default", "hub"
    ),
    "max_held": Setting(size, "bytes that one link's requests may hold together", "limits"),
    "hello_timeout": Setting(duration, "for a new link to say who it is", "limits"),
    "ping_interval": Setting(duration, "silence after which a provider is asked whether it lives", "limits"),
    "silence_timeout": Setting(duration, "silence after which a provider's link is given up", "limits"),
}


def _take(
    found: dict[str, tuple[str, Any]], key: str, value: object, place: str, written: Callable[[str], str]
) -> None:
    setting = SETTINGS.get(key)
    if setting is None:
        near = difflib.get_close_matches(key, SETTINGS, 1)
        raise InvalidOption(f"{place} is no setting of a relay" + (f"; is it {written(near[0])}?" if near else "."))
    try:
        found[key] = place, setting.read(value)
    except InvalidOption as error:
        raise InvalidOption(f"{place}: {error}") from None


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidOption(f"{path} cannot be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidOption(f"{path} is no TOML: {error}") from None


RESERVED = frozenset({"portico", "healthz", "readyz", "metrics", "v1", "apps", "api", "admin", "anonymous", "www"})
"""What no user or workspace may be called: the relay's own paths and host names."""

ANONYMOUS = "anon-"
"""What the names of anonymous workspaces begin with."""


def workspace_name(text: str) -> str:
    """Check that *text* may name a user, and with it a workspace. Raises `InvalidName`."""
    name = service_name(text)
    if name in RESERVED or name.startswith(ANONYMOUS):
        raise InvalidName(f"{text!r} is the relay's own name; take another.")
    return name
