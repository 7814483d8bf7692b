"""Log in at a relay: open the page that is named in any browser, and compare the code.

The token is kept in a file that you alone can read, and used by portico serve, %serve --share and service.share().
"""

from __future__ import annotations

import argparse
import sys

from portico.provider.credentials import Credential


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", nargs="?", default="", help="the relay; else PORTICO_RELAY, else the newest login")
    parser.add_argument("--server-url", metavar="URL", default="", help="the same")
    parser.add_argument("--workspace", default="", help="the workspace; yours without it")
    parser.add_argument("--disable-ssl", action="store_true", help="do not check the server's certificate")


def run(options: argparse.Namespace) -> int:
    from portico.provider.discovery import relay_url

    login(relay_url(options.url or options.server_url), options.workspace, insecure=options.disable_ssl)
    return 0


def login(base: str, workspace: str = "", *, insecure: bool = False) -> Credential:
    """Log in at *base*, telling the person on standard error what to do, and keep the token.

    Raises `Refused` or `LinkClosed`.
    """
    from portico.provider import credentials
    from portico.provider.login import DeviceLogin

    flow = DeviceLogin(base, workspace=workspace, insecure=insecure)
    challenge = flow.begin()
    print(f"Open {challenge.complete_url or challenge.url}", file=sys.stderr)
    print(f"and check that it shows this code: {challenge.code}", file=sys.stderr)
    credential = flow.finish(challenge)
    where = credentials.save(credential)
    place = f", workspace {credential.workspace}" if credential.workspace else ""
    print(f"You are logged in at {base}{place}. The token is in {where}.", file=sys.stderr)
    return credential
