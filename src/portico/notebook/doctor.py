"""``%serve --doctor``: how the hub was found, whether it answers, and what to do where something is wrong."""

from __future__ import annotations

import http.client
import json
import urllib.error

from portico import foreign
from portico.provider import api
from portico.provider.discovery import PREVIEW, HubAddress, climb
from portico.provider.provider import Provider
from portico.version import __version__

_TIMEOUT = 5.0  # seconds


def examine(provider: Provider, url: str = "", token: str = "") -> str:
    """Try every way to a hub, ask the first that leads somewhere, and report in plain text."""
    lines = [f"Portico {__version__}", "", "Ways to a hub, in the order in which they are tried:"]
    address: HubAddress | None = None
    for rung in climb(url, token):
        found = rung.address is not None and address is None
        mark = "->" if found else "ok" if rung.address is not None else "--"
        lines.append(f"  {mark} {rung.name}: {rung.outcome}")
        if rung.advice:
            lines.append(f"       {rung.advice}")
        if found:
            address = rung.address
    lines.append("")
    if address is None:
        lines.append("No way leads to a hub. In a notebook: install portico[jupyter] where the Jupyter server runs,")
        lines.append("and restart the server. Elsewhere, name it: portico.serve(app, hub='http://...', token='...')")
        return "\n".join(lines)
    if address.rung == PREVIEW:
        lines.append("No hub, and none is needed: this page shows what is served, in this browser alone.")
        lines += [f"  !! {session.notice}" for session in provider.sessions.values() if session.notice]
    else:
        lines += [f"The hub: {address.url} (found by: {address.rung})", *_ask(address)]
    for session in provider.sessions.values():
        lines.append(f"  link to {session.address.url}: {session.status}")
        if session.last_error is not None:
            lines.append(f"       {session.last_error}")
    for service in provider.services.values():
        answered = f"{service.requests} request{'s' if service.requests != 1 else ''}"
        lines.append(f"  service {service.name}: {service.status} at {service.url}, {answered}")
    return "\n".join(lines)


def _ask(address: HubAddress) -> list[str]:
    """Whether a Jupyter server answers there, and whether it has the extension."""
    try:
        opener = api.opener(address)
        with opener.open(address.request_url + "api", timeout=_TIMEOUT) as response:
            answer = json.load(response)
        version = foreign.text(answer.get("version", "?"), 40) if isinstance(answer, dict) else "?"
        lines = [f"  ok a Jupyter server answers there (version {version})"]
    except urllib.error.HTTPError as error:
        with error:
            lines = [f"  ok a server answers there ({error.code})"]
    except (OSError, ValueError, RecursionError, http.client.HTTPException) as error:
        return [f"  !! it does not answer: {foreign.text(error)}", f"     {_advice(address, error)}"]
    try:
        opener.open(address.request_url + "portico/link", timeout=_TIMEOUT).close()
    except urllib.error.HTTPError as error:
        with error:
            if error.code in (400, 426):
                return [*lines, "  ok it has the Portico extension"]
            if error.code == 403:
                return [*lines, "  !! it does not answer under that host name (ServerApp.allow_remote_access)"]
    except (OSError, ValueError, http.client.HTTPException) as error:
        return [*lines, f"  !! it stopped answering: {foreign.text(error)}"]
    return [
        *lines,
        "  !! it does not have the Portico extension",
        "     Install portico[jupyter] where the server runs (jupyter server extension list), and restart it.",
    ]


def _advice(address: HubAddress, error: Exception) -> str:
    reason = getattr(error, "reason", error)
    if type(reason).__name__ == "SSLCertVerificationError":  # by its name, since a tab has no ssl to import
        if address.certificate:
            return "Was the server's certificate renewed? Restart the server and the kernel."
        return (
            "Nobody whom this machine trusts has signed the certificate for that address. In a kernel that the server "
            "starts this needs no setting; elsewhere, name the certificate's file: SSL_CERT_FILE=/path/to/it.pem"
        )
    return "Is the server running, and is that its address?"
