"""Forget the token of a relay. To have it refused everywhere, revoke it at the relay."""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", nargs="?", default="", help="the relay; the newest login without it")
    parser.add_argument("--server-url", metavar="URL", default="", help="the same")
    parser.add_argument("--all", action="store_true", help="forget every token")


def run(options: argparse.Namespace) -> int:
    from portico.provider import credentials
    from portico.provider.discovery import relay_url

    known = credentials.load()
    if options.all:
        for url in known:
            credentials.forget(url)
        print(f"{len(known)} forgotten")
        return 0
    base = relay_url(options.url or options.server_url)
    if credentials.forget(base) is None:
        print(f"you are not logged in at {base}")
        return 1
    print(f"You are logged out at {base}.")
    return 0
