"""Take a service down, whichever program serves it: visitors get 404 from now on."""

from __future__ import annotations

import argparse

from portico.cli.account import add_server, ask


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="the service's name, as in its URL")
    add_server(parser)


def run(options: argparse.Namespace) -> int:
    from portico.types import service_name

    ask(options, "DELETE", f"services/{service_name(options.name)}")
    print(f"{options.name} is stopped.")
    return 0
