"""Which pipelines a server of pipelines has, and which relays you are logged in at.

The exit status says whether that server is up: 0 if it is, 1 if not.
"""

from __future__ import annotations

import argparse
import os
import sys

from portico import foreign
from portico.cli.account import table, when
from portico.cli.pipelines_server import add_server_options, ask, print_anything, server_of
from portico.errors import InvalidOption, LinkClosed, PorticoError


def configure(parser: argparse.ArgumentParser) -> None:
    add_server_options(parser)


def run(options: argparse.Namespace) -> int:
    print_anything()
    server = server_of(options)
    try:
        answer = ask(server, "GET", "/status").json()
        pipelines = answer.get("pipelines") if isinstance(answer, dict) else None
        if not isinstance(pipelines, list):
            raise LinkClosed(f"what answers at {server.url} is no server of pipelines: it has no list of them")
    except PorticoError:
        _print_logins()
        sys.stdout.flush()  # before what is said on standard error
        raise
    print(f"The server of pipelines is up and running at {server.url}")
    if pipelines:
        print(_table_of(pipelines, answer.get("deployments")))
    else:
        print("No pipelines are deployed. Try: portico pipeline deploy-files -n NAME FOLDER")
    failed = answer.get("failed")
    if isinstance(failed, list) and failed:
        print(f"Could not be made ready, see the server's log: {foreign.text(', '.join(map(str, failed)))}")
    print()
    _print_logins()
    return 0


def _table_of(pipelines: list[object], summaries: object) -> str:
    of = {one.get("name"): one for one in summaries if isinstance(one, dict)} if isinstance(summaries, list) else {}
    rows = [["PIPELINE", "ANSWERS", "DESCRIPTION"]]
    for name in pipelines:
        summary = of.get(name, {})
        rows.append([str(name), _capabilities(summary), str(summary.get("description") or "-")])
    return table(rows)


_WORDS = {
    "run_api": "run",
    "chat_completion": "chat",
    "response": "responses",
    "file_upload": "files",
    "mcp_eligible": "tool",
}
"""What a pipeline's capabilities are called here."""


def _capabilities(summary: dict[str, object]) -> str:
    capabilities = summary.get("capabilities")
    if not isinstance(capabilities, list):
        return "-"
    return ", ".join(_WORDS.get(str(one), str(one)) for one in capabilities) or "-"


def _print_logins() -> None:
    from portico.provider import credentials
    from portico.provider.discovery import RELAY_TOKEN_VARIABLE, RELAY_VARIABLE

    try:
        known = credentials.load()
    except InvalidOption as error:  # which says nothing of the server of pipelines
        print(f"portico: {error}", file=sys.stderr)
        known = {}
    if known:
        rows = [["RELAY", "WORKSPACE", "USER", "UNTIL"]]
        for one in reversed(known.values()):
            until = "expired" if one.expired else when(one.expires)
            rows.append([one.url, one.workspace or "-", one.user or "-", until])
        print(table(rows))
    else:
        print("You are logged in nowhere. Try: portico login https://...")
    if named := os.environ.get(RELAY_VARIABLE):
        print(f"{RELAY_VARIABLE} is set: {named}")
    if os.environ.get(RELAY_TOKEN_VARIABLE):
        print(f"{RELAY_TOKEN_VARIABLE} is set, and used instead of a login's token.")
