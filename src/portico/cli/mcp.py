"""Serve pipelines as tools for agents alone, by MCP over streamable HTTP.

portico run has the same tools at /mcp, beside all else; this is a server of its own for them.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from portico.cli.run import HELP, add_settings, serve, settings_of
from portico.pipelines.settings import SETTINGS

_SETTINGS = [
    name
    for name in SETTINGS
    if name not in ("use_https", "disable_ssl", "mcp_host", "mcp_port", "workers") and not name.startswith("cors_")
]
"""Those that have a flag. The host and the port are the server's own: PORTICO_MCP_HOST and PORTICO_MCP_PORT."""


def configure(parser: argparse.ArgumentParser) -> None:
    for name in ("host", "port"):
        parser.add_argument(f"--{name}", default=None, help=argparse.SUPPRESS)  # before `run`, too
    kinds = parser.add_subparsers(metavar="run", required=True)
    run = kinds.add_parser("run", help="run the server", allow_abbrev=False, conflict_handler="resolve")
    add_settings(run, _SETTINGS, default=argparse.SUPPRESS)
    run.add_argument(
        "-j", "--json-response", action="store_true", help="as Hayhooks has it; answers are JSON wherever they can be"
    )
    run.add_argument("--debug", action="store_true", help="show tracebacks to those who call")


def run(options: argparse.Namespace) -> int:
    if options.host is HELP:
        options.parser.print_help()
        return 0
    given = {name: getattr(options, name, None) for name in _SETTINGS}
    given |= {"mcp_host": given.pop("host"), "mcp_port": given.pop("port")}
    if options.debug:
        given["show_tracebacks"] = True
    settings = settings_of(given)
    return serve(replace(settings, host=settings.mcp_host, port=settings.mcp_port), _make_app, at="/mcp")


def _make_app(settings: Any, tell: Any) -> Any:
    from portico.pipelines.program.tools_app import create_tools_app

    return create_tools_app(settings, tell=tell)
