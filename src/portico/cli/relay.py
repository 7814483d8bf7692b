"""Run a relay, and manage its users, workspaces and tokens.

Every setting can be given by a flag, by PORTICO_RELAY_<NAME> in the environment, or in a TOML file (--config).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING, Any

from portico.cli.account import table, when
from portico.errors import InvalidOption

if TYPE_CHECKING:
    from portico.relay.config import RelayConfig
    from portico.relay.people.accounts import Account, Accounts
    from portico.relay.people.tokens import TokenRing

_NEEDS = "this needs the relay's own libraries ({name}): pip install 'portico[relay]'"


def configure(parser: argparse.ArgumentParser) -> None:
    from portico.relay.config import SETTINGS, flag_of

    parser.usage = (
        "portico relay (--domain DOMAIN | --paths) [--port PORT] ...\n       portico relay user | workspace | token ..."
    )
    parser.set_defaults(work=_serve)
    parser.add_argument("--config", metavar="FILE", default=None, help="a TOML file of settings")
    for name, setting in SETTINGS.items():
        if not setting.flag:
            continue
        if setting.switch:
            parser.add_argument(flag_of(name), action=argparse.BooleanOptionalAction, default=None, help=setting.help)
        else:
            parser.add_argument(flag_of(name), default=None, help=setting.help)
    kinds = parser.add_subparsers(metavar="user | workspace | token", title="to manage, beside a relay that may run")
    _configure_user(kinds.add_parser("user", help="add, list, remove users", allow_abbrev=False))
    _configure_workspace(kinds.add_parser("workspace", help="add and list workspaces", allow_abbrev=False))
    _configure_token(kinds.add_parser("token", help="make, list, revoke providers' tokens", allow_abbrev=False))


def _configure_user(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(metavar="add | list | remove | passwd | disable | enable", required=True)
    add = _kind(kinds, "add", _add_user, "add a user, and a workspace of the same name")
    add.add_argument("name")
    add.add_argument("--email", default="")
    add.add_argument("--admin", action="store_true", help="may use the relay's admin page")
    _kind(kinds, "list", _list_users, "list users")
    for name, work, help in (
        ("remove", _remove_user, "remove a user, with their workspaces and tokens"),
        ("passwd", _set_password, "set a password; the user is signed out everywhere"),
        ("disable", _disable_user, "sign a user out, and revoke their tokens"),
        ("enable", _enable_user, "let a disabled user in again"),
    ):
        kind = _kind(kinds, name, work, help)
        kind.add_argument("name")
        if name == "passwd":
            _add_password(kind)
    _add_password(add)


def _add_password(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")


def _configure_workspace(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(metavar="add | list", required=True)
    add = _kind(kinds, "add", _add_workspace, "add a workspace that several share")
    add.add_argument("name")
    add.add_argument("--owner", required=True)
    add.add_argument("--member", action="append", default=[])
    _kind(kinds, "list", _list_workspaces, "list workspaces")


def _configure_token(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(work=_token)
    _add_data(parser)
    parser.add_argument("--user", default="", help="whose token it is")
    parser.add_argument("--workspace", default="", help="for which workspace; the user's own without it")
    parser.add_argument(
        "--publish", metavar="PATTERN", action="append", default=[], help="names it may publish, such as 'cat*'"
    )
    parser.add_argument(
        "--scope", action="append", default=[], help="what else it may: keys (make visitors' keys), manage, admin"
    )
    parser.add_argument("--expires", metavar="TIME", default=None, help="how long it lasts: 1h, 30d")
    parser.add_argument("--label", default="", help="a text for people")
    parser.add_argument("--list", action="store_true", help="list tokens instead")
    parser.add_argument("--revoke", metavar="ID", default="", help="revoke one instead")


def _kind(kinds: Any, name: str, work: Any, help: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = kinds.add_parser(name, help=help, allow_abbrev=False)
    parser.set_defaults(work=work)
    _add_data(parser)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    # SUPPRESS: what was given before the subcommand's name stays
    parser.add_argument("--data-dir", default=argparse.SUPPRESS, help="where the relay keeps its accounts")
    parser.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="its TOML file of settings")


def run(options: argparse.Namespace) -> int:
    try:
        status: int = options.work(options)
    except ImportError as error:
        raise InvalidOption(_NEEDS.format(name=error.name)) from None
    return status


def _config(options: argparse.Namespace, **more: object) -> RelayConfig:
    from portico.relay.config import SETTINGS, RelayConfig

    flags = {name: getattr(options, name, None) for name in SETTINGS}
    return RelayConfig.load(flags | more, toml_path=options.config)


def _serve(options: argparse.Namespace) -> int:
    from portico.relay.server import run as run_relay

    config = _config(options)

    def listening(where: str) -> None:
        print(config.base_url, flush=True)
        print(f"listening on {where}", file=sys.stderr)

    run_relay(config, on_listening=listening)
    return 0


# --- users, workspaces and tokens -------------------------------------------------------------------------------


def _store(options: argparse.Namespace) -> tuple[RelayConfig, Accounts, TokenRing]:
    """The relay's own, in its database. Where services are does not matter here."""
    from pathlib import Path

    from portico.relay.people.accounts import Accounts
    from portico.relay.people.tokens import TokenRing
    from portico.relay.store import RelayStore

    config = _config(options, paths=True)
    if config.data_dir == ":memory:":
        raise InvalidOption("a relay with --data-dir :memory: is managed by nobody else")
    store = RelayStore(Path(config.database))
    return config, Accounts(store), TokenRing(store)


def _password(options: argparse.Namespace) -> str:
    """From standard input, or asked for twice; empty where nobody can be asked."""
    if options.password_stdin:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        return ""
    from getpass import getpass

    password = getpass(f"Password for {options.name} (none: no sign-in, tokens only): ")
    if password and getpass("Again: ") != password:
        raise InvalidOption("the two are not the same")
    return password


def _add_user(options: argparse.Namespace) -> int:
    _, accounts, _ = _store(options)
    password = _password(options)
    asyncio.run(accounts.add(options.name, password, email=options.email, admin=options.admin))
    without = "" if password else " There is no password yet: portico relay user passwd " + options.name
    print(f"{options.name} is a user, with a workspace of that name.{without}")
    return 0


def _set_password(options: argparse.Namespace) -> int:
    _, accounts, _ = _store(options)
    password = _password(options)
    if not password:
        raise InvalidOption("no password was given; --password-stdin reads it from standard input")
    asyncio.run(accounts.set_password(options.name, password))
    print(f"{options.name} has a new password.")
    return 0


def _list_users(options: argparse.Namespace) -> int:
    _, accounts, _ = _store(options)
    rows = [["USER", "E-MAIL", "ADMIN", "STATUS", "WORKSPACES"]]
    for account in accounts.list():
        workspaces = ", ".join(accounts.workspaces_of(account)) or "-"
        admin, status = "yes" if account.admin else "no", "disabled" if account.disabled else "active"
        rows += [[account.id, account.email or "-", admin, status, workspaces]]
    print(table(rows) if len(rows) > 1 else "There are no users.")
    return 0


def _remove_user(options: argparse.Namespace) -> int:
    _, accounts, _ = _store(options)
    asyncio.run(accounts.remove(options.name))
    print(f"{options.name} is removed.")
    return 0


def _disable_user(options: argparse.Namespace) -> int:
    _, accounts, _ = _store(options)
    asyncio.run(accounts.set_disabled(options.name, True))
    print(f"{options.name} is disabled.")
    return 0


def _enable_user(options: argparse.Namespace) -> int:
    _, accounts, _ = _store(options)
    asyncio.run(accounts.set_disabled(options.name, False))
    print(f"{options.name} is enabled.")
    return 0


def _add_workspace(options: argparse.Namespace) -> int:
    _, accounts, _ = _store(options)
    asyncio.run(accounts.add_workspace(options.name, options.owner, options.member))
    print(f"{options.name} is a workspace of {', '.join([options.owner, *options.member])}.")
    return 0


def _list_workspaces(options: argparse.Namespace) -> int:
    _, accounts, _ = _store(options)
    rows = [["WORKSPACE", "WHO MAY ENTER"]]
    users: dict[str, list[str]] = {}
    for account in accounts.list():
        for name in accounts.workspaces_of(account):
            users.setdefault(name, []).append(account.id)
    rows += [[name, ", ".join(users[name])] for name in sorted(users)]
    print(table(rows) if len(rows) > 1 else "There are no workspaces.")
    return 0


def _token(options: argparse.Namespace) -> int:
    config, accounts, tokens = _store(options)
    if options.revoke:
        if asyncio.run(tokens.revoke(options.revoke)) is None:
            raise InvalidOption(f"there is no token {options.revoke!r} (portico relay token --list)")
        print(f"{options.revoke} is revoked.")
        return 0
    if options.list:
        rows = [["ID", "USER", "WORKSPACE", "SCOPES", "LABEL", "UNTIL"]]
        for grant in tokens.list(workspace=options.workspace or None, user_id=options.user or None):
            until = "revoked" if grant.revoked else when(grant.expires)
            scopes = " ".join(grant.scopes)
            rows.append([grant.token_id, grant.user_id, grant.workspace, scopes, grant.label or "-", until])
        print(table(rows) if len(rows) > 1 else "There are no tokens.")
        return 0
    if not options.user:
        raise InvalidOption("whose token? --user NAME, or --list, or --revoke ID")
    print(asyncio.run(_make_token(options, config, _known(accounts, options.user), accounts, tokens)))
    return 0


def _known(accounts: Accounts, name: str) -> Account:
    account = accounts.get(name)
    if account is None:
        raise InvalidOption(f"there is no user named {name!r} (portico relay user add {name})")
    return account


async def _make_token(
    options: argparse.Namespace, config: RelayConfig, account: Account, accounts: Accounts, tokens: TokenRing
) -> str:
    from portico.relay.people.grants import DEFAULT_SCOPES
    from portico.setting_values import duration

    workspace = options.workspace or account.id
    if not accounts.may_enter(account, workspace):
        raise InvalidOption(f"{account.id!r} may not enter the workspace {workspace!r} (portico relay workspace list)")
    lifetime = duration(options.expires) if options.expires is not None else config.token_lifetime
    if lifetime > config.max_token_lifetime:
        raise InvalidOption(f"--expires: at most {config.max_token_lifetime / 86400:g} days are allowed here")
    scopes = [*(f"publish:{pattern}" for pattern in options.publish), *options.scope] or list(DEFAULT_SCOPES)
    if "admin" in scopes and not account.admin:
        raise InvalidOption(f"{account.id!r} is no admin of the relay")
    token, _ = await tokens.mint(
        user_id=account.id, workspace=workspace, scopes=scopes, lifetime=lifetime, label=options.label
    )
    return token
