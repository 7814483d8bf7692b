"""What the flags of ``portico serve`` come to: a name, a service's options, and the relay to publish on.

Here: reading and asking for all that is needed before the app is imported. Not here: the flags themselves (`serve`),
and what is done with it all (`serving`).
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portico.cli.loading import name_for

if TYPE_CHECKING:
    from portico.adapters.wiring import Wiring
    from portico.provider.discovery import HubAddress
    from portico.provider.options import Options


class Settings:
    """What a command line comes to. ``address`` is None for this machine's own relay."""

    def __init__(self, name: Any, options: Options, address: HubAddress | None, wiring: Wiring) -> None:
        self.name = name
        self.wiring = wiring
        self.options = options
        self.address = address
        self.embedded = address is None


def prepare(options: argparse.Namespace) -> Settings:
    """Read and ask for all that is needed before the app is imported. Raises `InvalidOption`, `NoHub` or `Refused`."""
    from portico.adapters.wiring import wiring_of
    from portico.errors import InvalidName, InvalidOption
    from portico.provider.options import Options, conditions
    from portico.types import service_name

    if options.env_file:
        _read_environment(options.env_file)
    name = options.id or name_for(options.app)
    if not name:
        raise InvalidName("no name can be made of the app's; give one: --id=...")
    if options.password_prompt and options.password is None:
        from getpass import getpass

        options.password = getpass("Password for visitors: ")
        if not options.password:
            raise InvalidOption("no password was given")
    settings = Options(
        title=options.name,
        access=options.access,
        origins=tuple(options.origin),
        replace=options.replace,
        replica=options.replica,
        mount=options.mount,
        threads=options.threads,
        conditions=conditions(
            expires=options.expires,
            password=options.password,
            cidr=options.cidr,
            rate=options.rate,
            concurrency=options.concurrency,
            max_body=options.max_body,
        ),
    )
    wiring = wiring_of(options.inputs, options.outputs, options.settings)
    return Settings(service_name(name), settings, _address(options), wiring)


def _address(options: argparse.Namespace) -> HubAddress | None:
    from portico.errors import InvalidOption, NoHub
    from portico.provider.discovery import RELAY_VARIABLE, find_relay, relay_url

    url = options.server_url or os.environ.get(RELAY_VARIABLE, "")
    if options.login:
        if options.token:
            raise InvalidOption("--login and --token: choose one")
        url = relay_url(url)
    if not url:
        for flag, value in (("--workspace", options.workspace), ("--token", options.token)):
            if value:
                raise InvalidOption(f"{flag} is of a relay's: name it with --server-url")
        return None
    if options.disable_ssl:
        print("portico: the server's certificate is not checked: whoever is in between can read all", file=sys.stderr)
    token = _login(options, url) if options.login else options.token
    try:
        return find_relay(url, token, options.workspace, insecure=options.disable_ssl)
    except NoHub as error:
        raise NoHub(f"{error}, or use --login") from None


def _login(options: argparse.Namespace, url: str) -> str:
    """The token of a login that is good still and of the same workspace, or else of a new one."""
    from portico.provider import credentials

    kept = credentials.load().get(url)
    if kept is None or kept.expired or options.workspace not in ("", kept.workspace):
        from portico.cli.login import login

        kept = login(url, options.workspace, insecure=options.disable_ssl)
    return kept.token


def _read_environment(path: str) -> None:
    from portico.errors import InvalidOption

    if not Path(path).is_file():
        raise InvalidOption(f"--env-file: there is no file {path}")
    try:
        from dotenv import load_dotenv
    except ImportError:
        raise InvalidOption("--env-file needs python-dotenv: pip install python-dotenv") from None
    load_dotenv(path)
