"""What the commands about a relay's account share: which relay is meant, and its answers."""

from __future__ import annotations

import argparse
import time
from typing import Any

from portico import foreign
from portico.provider.discovery import HubAddress

_MOST_CELL = 300  # characters; a URL is the longest that is usual


def add_server(parser: argparse.ArgumentParser) -> None:
    """The options that say which relay, and who asks."""
    parser.add_argument(
        "--server-url", metavar="URL", default="", help="the relay; else PORTICO_RELAY, else the newest login"
    )
    parser.add_argument(
        "--token",
        default="",
        help="a provider's token. Others on this machine see it in the list of processes: "
        "set PORTICO_TOKEN instead, or log in",
    )
    parser.add_argument("--disable-ssl", action="store_true", help="do not check the server's certificate")


def address_of(options: argparse.Namespace) -> HubAddress:
    """Raises `NoHub` or `InvalidOption`."""
    from portico.provider.discovery import find_relay

    return find_relay(options.server_url, options.token, insecure=options.disable_ssl)


def ask(options: argparse.Namespace, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask the relay's control API. Raises `Refused` or `LinkClosed`."""
    from portico.provider import api

    return api.call(address_of(options), method, path, body)


def listed(answer: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The objects that an answer lists under *key*; others are left out, as the control API has none there."""
    found = answer.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def when(seconds: object) -> str:
    """A time in seconds since 1970, for people."""
    if not isinstance(seconds, (int, float)) or not seconds > 0:
        return "-"
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):  # beyond what the machine counts
        return "never"


def table(rows: list[list[str]]) -> str:
    """*rows* in columns; the first is the head. What others chose is shown without its control characters."""
    rows = [[foreign.text(cell, _MOST_CELL) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
