"""Forget the token of a relay, and have the relay refuse it from now on.

What runs with that token is taken down: a program that is to go on needs a token of its own (portico relay token).
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portico.provider.credentials import Credential


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", nargs="?", default="", help="the relay; the newest login without it")
    parser.add_argument("--server-url", metavar="URL", default="", help="the same")
    parser.add_argument("--all", action="store_true", help="of every relay")
    parser.add_argument("--disable-ssl", action="store_true", help="do not check the server's certificate")


def run(options: argparse.Namespace) -> int:
    from portico.provider import credentials
    from portico.provider.discovery import relay_url

    known = credentials.load()
    bases = list(known) if options.all else [relay_url(options.url or options.server_url)]
    for base in bases:
        kept = credentials.forget(base)  # whatever the relay says
        if kept is None:
            print(f"you are not logged in at {base}")
            return 1
        _revoke(kept, insecure=options.disable_ssl)
        print(f"You are logged out at {base}.")
    if not bases:
        print("You are logged in nowhere.")
    return 0


def _revoke(kept: Credential, *, insecure: bool) -> None:
    """Tell the relay, if it can be reached; else say that the token is good still."""
    from portico.cli.account import when
    from portico.errors import LinkClosed, Refused
    from portico.provider.login import revoke

    try:
        revoke(kept, insecure=insecure)
    except (LinkClosed, Refused) as error:
        until = f" until {when(kept.expires)}" if kept.expires else ""
        print(
            f"portico: the token is forgotten here, but the relay takes it still{until}: {error}. "
            f"Revoke it at {kept.url}portico/",
            file=sys.stderr,
        )
