"""Make, list and revoke keys, which open services for visitors.

A new key is printed once, and kept nowhere.
"""

from __future__ import annotations

import argparse

from portico.cli.account import add_server, ask, listed, table, when


def configure(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", metavar="create | list | revoke", required=True)
    create = kinds.add_parser("create", help="make a key", allow_abbrev=False)
    create.add_argument("services", nargs="+", metavar="SERVICE", help="what it opens; * for all of the workspace")
    create.add_argument("--expires", default="1h", help="90s, 15m, 1h (the default), 30d")
    create.add_argument("--label", default="", help="a text for people")
    listed = kinds.add_parser("list", help="every key that has not expired", allow_abbrev=False)
    revoke = kinds.add_parser("revoke", help="have a key refused from now on", allow_abbrev=False)
    revoke.add_argument("id", help="as portico keys list shows it")
    for kind in (create, listed, revoke):
        add_server(kind)


def run(options: argparse.Namespace) -> int:
    if options.kind == "create":
        from portico.provider.api import key_of
        from portico.provider.options import expiry_seconds

        body = {"services": options.services, "label": options.label, "expires_in": expiry_seconds(options.expires)}
        print(key_of(ask(options, "POST", "keys", body)))
    elif options.kind == "revoke":
        from urllib.parse import quote

        ask(options, "DELETE", f"keys/{quote(options.id, safe='')}")
        print(f"{options.id} is revoked.")
    else:
        rows = [["ID", "OPENS", "LABEL", "UNTIL", "LAST USED"]]
        for key in listed(ask(options, "GET", "keys"), "keys"):
            services = key.get("services")
            opens = ", ".join(map(str, services)) if isinstance(services, list) else "-"
            names = [str(key.get("id", "-")), opens, str(key.get("label") or "-")]
            rows.append([*names, when(key.get("expires")), when(key.get("last_used"))])
        print(table(rows) if len(rows) > 1 else "There are no keys.")
    return 0
