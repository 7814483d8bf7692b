"""List what your workspace serves, whichever machine it runs on."""

from __future__ import annotations

import argparse

from portico.cli.account import add_server, ask, listed, table


def configure(parser: argparse.ArgumentParser) -> None:
    add_server(parser)
    parser.add_argument("--json", action="store_true", help="as the control API has it")


def run(options: argparse.Namespace) -> int:
    answer = ask(options, "GET", "services")
    if options.json:
        import json

        print(json.dumps(answer, indent=2))
        return 0
    services = listed(answer, "services")
    if not services:
        print("Nothing is served in this workspace.")
        return 0
    rows = [["NAME", "STATUS", "ACCESS", "REQUESTS", "URL"]]
    rows += [[str(one.get(key, "")) for key in ("name", "status", "access", "requests", "url")] for one in services]
    print(table(rows))
    return 0
