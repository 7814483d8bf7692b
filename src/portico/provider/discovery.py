"""How a provider finds its hub: a ladder of ways, tried from the top; each says what it found or why it did not.

And its relay (`find_relay`), which is never guessed. Reads the environment, the files of running Jupyter servers and
those of ``portico login``; connects to nothing.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from portico.errors import InvalidOption, NoHub
from portico.provider import credentials

HUB_VARIABLE = "PORTICO_HUB_URL"
TOKEN_VARIABLE = "PORTICO_HUB_TOKEN"
KERNEL_VARIABLE = "PORTICO_KERNEL_ID"
"""Set by the server extension for each kernel that it starts; a person may set the first two."""

CERTIFICATE_VARIABLE = "PORTICO_HUB_CERTIFICATE"
"""Set beside them where the server speaks TLS: SHA-256 of its own certificate, in hex."""

PREVIEW = "the page of JupyterLite that this kernel belongs to"
"""The rung that leads to no hub: the page itself shows what is served (`portico.provider.preview`)."""

TERMINAL_VARIABLE = "JUPYTER_SERVER_URL"
"""Set by a Jupyter server in its terminals."""

RELAY_VARIABLE = "PORTICO_RELAY"
RELAY_TOKEN_VARIABLE = "PORTICO_TOKEN"
"""For who serves by a relay: its URL, and a provider's token for it."""


@dataclass(frozen=True, slots=True)
class HubAddress:
    """Where a hub is, and what lets a provider in.

    ``url`` is the Jupyter server's or the relay's, with a slash; of a server on a Unix socket it is
    ``http+unix://%2Fpath%2Fof%2Fit/``, as Jupyter writes it.
    """

    url: str
    token: str
    rung: str
    kernel_id: str = ""
    workspace: str = ""
    """Which of a relay's workspaces; empty for the token's own, and for a Jupyter server, which has one."""
    insecure: bool = False
    """Whether the server's certificate is not checked."""
    certificate: str = ""
    """SHA-256 (hex) of the certificate that the server itself said it has (`portico.provider.tls`)."""
    own: bool = False
    """Whether it is the author's own hub, which may be shown what only its author may see: the Jupyter server that
    started this kernel, one of this user on this machine, or a hub in this process. No relay is, and no server that
    was only named by its URL."""

    def __repr__(self) -> str:
        return f"HubAddress({self.url!r}, found by: {self.rung})"  # never the token

    @property
    def socket(self) -> str:
        """The path of the Unix socket that the server listens on; empty where it has an address."""
        return unix_socket(self.url)

    @property
    def request_url(self) -> str:
        """``url`` for a request, which says a host in any case."""
        if not self.socket:
            return self.url
        return urlunsplit(("http", "localhost", urlsplit(self.url).path, "", ""))

    @property
    def link_url(self) -> str:
        parts = urlsplit(self.request_url)
        scheme = {"http": "ws", "https": "wss"}[parts.scheme]
        return urlunsplit((scheme, parts.netloc, parts.path + "portico/link", "", ""))

    @property
    def api_url(self) -> str:
        return self.request_url + "portico/api/"


def unix_socket(url: str) -> str:
    """The path that a URL as ``http+unix://%2Ftmp%2Fjupyter.sock/`` names; empty for any other."""
    parts = urlsplit(url)
    return unquote(parts.netloc) if parts.scheme == _UNIX else ""


_UNIX = "http+unix"


@dataclass(frozen=True, slots=True)
class Rung:
    """One way that was tried: what it is called, what came of it, and the address if it led to one."""

    name: str
    outcome: str
    advice: str = ""
    address: HubAddress | None = None


def find_hub(
    url: str = "", token: str = "", *, environ: Mapping[str, str] | None = None, runtime_dir: Path | None = None
) -> HubAddress:
    """Return the first hub that the ladder leads to. Raises `NoHub`, telling of every rung, if there is none."""
    rungs = climb(url, token, environ=environ, runtime_dir=runtime_dir)
    for rung in rungs:
        if rung.address is not None:
            return rung.address
    tried = "\n".join(
        f"  - {rung.name}: {rung.outcome}" + (f". {rung.advice}" if rung.advice else "") for rung in rungs
    )
    raise NoHub(
        "No hub was found to publish on. What was tried:\n" + tried + "\nStart this in a notebook of a Jupyter server "
        'that has the Portico extension (jupyter server extension list), or name the server: hub="http://...".'
    )


def around(environ: Mapping[str, str] | None = None, *, runtime_dir: Path | None = None) -> HubAddress | None:
    """The Jupyter server that this process was started from: by a kernel's cell, or in a terminal. None without one."""
    rungs = climb(environ=environ, runtime_dir=runtime_dir)
    return next((rung.address for rung in rungs if rung.address is not None and rung.name != _ONLY), None)


def find_relay(
    url: str = "",
    token: str = "",
    workspace: str = "",
    *,
    insecure: bool = False,
    environ: Mapping[str, str] | None = None,
) -> HubAddress:
    """The relay that is meant: as given, else as ``PORTICO_RELAY`` says, else the one of the newest ``portico login``.

    Its token: as given, else as ``PORTICO_TOKEN`` says (not to another relay than ``PORTICO_RELAY``, if that is set),
    else as ``portico login`` keeps it, else none: whether it lets strangers in is the relay's to say. Raises `NoHub`
    if no relay is named anywhere, `InvalidOption` for what is no URL.
    """
    environ = os.environ if environ is None else environ
    variable = environ.get(RELAY_VARIABLE, "")
    rung = "a URL that was given" if url else RELAY_VARIABLE if variable else "portico login"
    base = relay_url(url, environ=environ)
    if not token and (not variable or _base(variable) == base):
        token = environ.get(RELAY_TOKEN_VARIABLE, "")
    if not token and (kept := credentials.load(environ).get(base)) is not None:
        token = kept.token
        if kept.expired:
            raise NoHub(f"The login at {base} has expired. Log in again: portico login {base}")
    return HubAddress(base, token, rung, workspace=workspace, insecure=insecure)


def relay_url(url: str = "", *, environ: Mapping[str, str] | None = None) -> str:
    """The base URL of the relay that is meant, as in `find_relay`, whether or not there is a token for it."""
    environ = os.environ if environ is None else environ
    url = url or environ.get(RELAY_VARIABLE, "") or next(reversed(credentials.load(environ)), "")
    if not url:
        raise NoHub(
            "No relay is named. Give its URL (relay=..., --relay or --server-url), set PORTICO_RELAY, "
            "or log in once: portico login https://..."
        )
    return _base(url)


def names_relay(environ: Mapping[str, str] | None = None) -> bool:
    """Whether `find_relay` finds one without being given it."""
    environ = os.environ if environ is None else environ
    return bool(environ.get(RELAY_VARIABLE, "") or credentials.load(environ))


def climb(
    url: str = "", token: str = "", *, environ: Mapping[str, str] | None = None, runtime_dir: Path | None = None
) -> list[Rung]:
    """Try every way, the preferred first. For `find_hub`, and for ``%serve --doctor``, which shows them all.

    What is found in the environment, or in files, may be anything: a way that cannot be gone says so, and does not keep
    the next from being tried. Raises `InvalidOption` for a *url* that is given and is none.
    """
    environ = os.environ if environ is None else environ
    rungs = [_explicit(url, token, environ, runtime_dir)]
    if url:
        return rungs
    if sys.platform == "emscripten":
        return [*rungs, _tried(_KERNEL, lambda: _kernel_credential(environ)), _page()]
    servers = _running_servers(runtime_dir)
    return [
        *rungs,
        _tried(_KERNEL, lambda: _kernel_credential(environ)),
        _tried(_PARENT, lambda: _parent_server(environ, servers)),
        _tried(_TERMINAL, lambda: _terminals_server(environ, servers)),
        _tried(_JUPYTERHUB, lambda: _jupyterhub(environ)),
        _tried(_ONLY, lambda: _only_server(servers)),
    ]


_KERNEL = "the kernel's own credential"
_PARENT = "the Jupyter server that is this kernel's parent"
_TERMINAL = "the Jupyter server whose terminal this is"
_JUPYTERHUB = "JupyterHub's environment"
_ONLY = "this user's running Jupyter server"


def _tried(name: str, rung: Callable[[], Rung]) -> Rung:
    try:
        return rung()
    except (ValueError, InvalidOption) as error:  # an address that is none, however that was noticed
        return Rung(name, f"what is there cannot be used: {error}")


def _explicit(url: str, token: str, environ: Mapping[str, str], runtime_dir: Path | None) -> Rung:
    name = "a URL that was given"
    if not url:
        return Rung(name, "none was given")
    base = _base(url)
    theirs = environ.get(HUB_VARIABLE, "")
    same = _same(theirs, base)
    if not token and (not theirs or same):  # a kernel's credential is for the server that made it
        token = environ.get(TOKEN_VARIABLE, "")
    certificate = environ.get(CERTIFICATE_VARIABLE, "") if same else ""
    own = same or _is_of_this_user(base, environ, runtime_dir)
    return Rung(name, f"use {url}", address=HubAddress(base, token, name, certificate=certificate, own=own))


_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _is_of_this_user(base: str, environ: Mapping[str, str], runtime_dir: Path | None) -> bool:
    """Whether a Jupyter server of this user, on this machine, is at *base*: JupyterHub says so, or its own file."""
    here = _on_this_machine(base)
    hub = _tried(_JUPYTERHUB, lambda: _jupyterhub(environ)).address
    if hub is not None and _on_this_machine(hub.url) == here:
        return True
    if not unix_socket(base) and urlsplit(here).hostname != "localhost":  # no file of this machine says of it
        return False
    return any(_same(_on_this_machine(str(info.get("url", ""))), here) for info in _running_servers(runtime_dir))


def _on_this_machine(url: str) -> str:
    """*url*, with one name for this machine, whichever it has."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        return parts._replace(netloc=f"localhost{port}").geturl() if parts.hostname in _LOOPBACK else url
    except ValueError:
        return ""


def _same(url: str, base: str) -> bool:
    """Whether *url*, which may be anything, is that of the hub at *base*."""
    try:
        return bool(url) and _base(url) == base
    except (ValueError, InvalidOption):
        return False


def hub_url(url: str) -> str:
    """*url* as the base URL of a hub: no query, and a slash at its end. Raises `InvalidOption` if it is none."""
    return _base(url)


def _kernel_credential(environ: Mapping[str, str]) -> Rung:
    name = _KERNEL
    url, token = environ.get(HUB_VARIABLE, ""), environ.get(TOKEN_VARIABLE, "")
    if url and token:
        kernel, certificate = environ.get(KERNEL_VARIABLE, ""), environ.get(CERTIFICATE_VARIABLE, "")
        address = HubAddress(_base(url), token, name, kernel, certificate=certificate, own=True)
        return Rung(name, f"the server that started this kernel put one here for {url}", address=address)
    return Rung(
        name,
        f"{HUB_VARIABLE} and {TOKEN_VARIABLE} are not in the environment",
        "Is Portico installed where the Jupyter server runs, and was the server restarted since? "
        "Try: jupyter server extension list",
    )


_JUPYTER_PAGES = re.compile("/(?:lab|notebooks|tree|edit|files|static|view|voila|extensions|lite)/")
"""What follows a Jupyter server's base URL in the addresses of its pages and of their workers."""

_LITE_KERNEL = re.compile("((?:/(?!lab/|files/|static/|tree/|view/)[^/]+)*/)extensions/@jupyterlite/.*")
"""The address of a kernel's worker in a site of JupyterLite, and the site's base; not of one in a Jupyter server."""


def _page() -> Rung:
    """In a browser tab: the Jupyter server whose page this is. The browser vouches for it, with the page's session."""
    import js

    name = "the Jupyter server whose page this is"
    origin, path = str(js.location.origin), str(js.location.pathname)
    if not origin.startswith("http"):
        return Rung(name, f"this page is of {origin}, no server", "Name a relay: relay='https://...'")
    if (lite := _LITE_KERNEL.fullmatch(path)) is not None:
        return Rung(PREVIEW, f"the site {origin}{lite[1]}", address=HubAddress(origin + lite[1], "", PREVIEW))
    found = _JUPYTER_PAGES.search(path)
    base = origin + (path[: found.start()] if found else "") + "/"
    return Rung(name, f"this page is of {base}", address=HubAddress(base, "", name, own=found is not None))


def _running_servers(runtime_dir: Path | None) -> list[dict[str, object]]:
    """The contents of this user's ``jpserver-*.json`` files whose process lives."""
    if runtime_dir is None:
        try:
            from jupyter_core.paths import jupyter_runtime_dir
        except ImportError:
            return []
        runtime_dir = Path(jupyter_runtime_dir())
    servers = []
    for path in sorted(runtime_dir.glob("jpserver-*.json")) if runtime_dir.is_dir() else []:
        try:
            info = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(info, dict) and _alive(info.get("pid")):
            servers.append(info)
    return servers


def _alive(pid: object) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    if os.name == "nt":
        return True  # os.kill(pid, 0) would end the process on Windows
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _from_info(info: dict[str, object], name: str) -> Rung:
    url, token = str(info.get("url", "")), str(info.get("token", ""))
    if not token:
        return Rung(
            name,
            f"the server at {url} uses no token (a password, or JupyterHub)",
            "Give its URL and a token: hub=..., token=...",
        )
    return Rung(name, f"the server at {url}", address=HubAddress(_base(url), token, name, own=True))


def _parent_server(environ: Mapping[str, str], servers: list[dict[str, object]]) -> Rung:
    name = _PARENT
    parent = environ.get("JPY_PARENT_PID", "")
    if not parent:
        return Rung(name, "JPY_PARENT_PID is not set: this is no kernel of a Jupyter server on this machine")
    for info in servers:
        if str(info.get("pid")) == parent:
            return _from_info(info, name)
    return Rung(name, f"no running server has the process id {parent}", "Is it another user's, or in a container?")


def _terminals_server(environ: Mapping[str, str], servers: list[dict[str, object]]) -> Rung:
    if not (url := environ.get(TERMINAL_VARIABLE, "")):
        return Rung(_TERMINAL, f"{TERMINAL_VARIABLE} is not set: this is no terminal of a Jupyter server")
    here = _base(_on_this_machine(url))
    found = next((info for info in servers if _same(_on_this_machine(str(info.get("url", ""))), here)), None)
    return _from_info(found, _TERMINAL) if found else Rung(_TERMINAL, f"no running server of this user is at {url}")


def _jupyterhub(environ: Mapping[str, str]) -> Rung:
    name = _JUPYTERHUB
    url, token = environ.get("JUPYTERHUB_SERVICE_URL", ""), environ.get("JUPYTERHUB_API_TOKEN", "")
    if not (url and token):
        return Rung(name, "JUPYTERHUB_SERVICE_URL and JUPYTERHUB_API_TOKEN are not set")
    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and parts.port and parts.hostname in ("0.0.0.0", "", None, "::"):
        url = urlunsplit((parts.scheme, f"127.0.0.1:{parts.port}", parts.path, "", ""))
    return Rung(name, f"the single-user server at {url}", address=HubAddress(_base(url), token, name, own=True))


def _only_server(servers: list[dict[str, object]]) -> Rung:
    name = _ONLY
    if len(servers) == 1:
        return _from_info(servers[0], name)
    if not servers:
        return Rung(name, "none runs", "Start one: jupyter lab")
    listed = ", ".join(str(info.get("url")) for info in servers)
    return Rung(name, f"several run ({listed})", "Say which: hub=...")


def _base(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = bool(parts.netloc) if parts.scheme == _UNIX else parts.scheme in ("http", "https") and _has_host(parts)
    except ValueError:  # as http://[
        usable = False
    if not usable:
        raise InvalidOption(f"{url!r} is no hub's URL: it should look like http://localhost:8888/")
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + "/", "", ""))


def _has_host(parts: SplitResult) -> bool:
    """Raises `ValueError` for a port that is none."""
    return bool(parts.hostname) and parts.port != 0
