"""Which relays you are logged in at, and until when."""

from __future__ import annotations

import argparse
import os

from portico.cli.account import table, when


def configure(parser: argparse.ArgumentParser) -> None:
    pass


def run(options: argparse.Namespace) -> int:
    from portico.provider import credentials
    from portico.provider.discovery import RELAY_TOKEN_VARIABLE, RELAY_VARIABLE

    known = credentials.load()
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
    return 0
