"""The command line: ``portico serve module:app``, and what goes with it. One module a command.

A command's module has ``configure(parser)`` and ``run(options)``, which returns the exit status. It is imported only
when it is asked for, and imports what is heavy when it runs. What is wrong is one line on standard error: status 2 for
a command line that cannot be meant, 1 for what did not work.

Serving an app:

- `serve`: the command and its flags. `settings`: what they come to. `loading`: finds the app.
- `serving`: serves it until the end. `reload`: does so in a child, which is started anew when a file changes.
- `hub_services`: pipelines as services of a hub, for as long as they are deployed. `hub_flags`: of which.
- `embedded`: a relay in this process, where no other is named.

Pipelines: `run` serves those of a folder, `mcp` as tools alone; `pipeline` deploys and runs them, `status` lists them;
`pipelines_server` is what these share, `upload` the files that they send.

A relay's account: `login`, `logout`, `status`, `services`, `keys`, `stop`; `account` is what they share.

Running a relay: `relay`.

Browsers: `export` makes a static site, `bundle` a folder with Pyodide; `fetching` gets the wheels for them.

Not here: serving itself (`portico.provider`).
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "serve": "give an app a URL: portico serve module:app",
    "run": "serve all pipelines of a folder, as REST, OpenAI's API and tools for agents",
    "pipeline": "deploy, undeploy and run pipelines of that server",
    "mcp": "serve them as tools for agents alone: portico mcp run",
    "login": "log in at a relay, and keep its token",
    "logout": "forget the token",
    "status": "which pipelines are up, and which relays you are logged in at",
    "services": "what your workspace serves",
    "keys": "make, list and revoke visitors' keys",
    "stop": "take a service down, whichever program serves it",
    "export": "make a static site of an app, which the visitor's browser runs",
    "bundle": "make a folder with Pyodide, Portico and other packages, compiled, for a static host",
    "relay": "run a relay, and manage its users and tokens",
}


SERVER_OPTIONS = {"--host": True, "--port": True, "--use-https": False, "--disable-ssl": False}
"""What may stand before a command's name, too, as in Hayhooks: whether a value goes with it."""

OF_A_SERVER = ("run", "status", "pipeline", "mcp")
"""The commands that take these."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status. Raises `SystemExit` as argparse does."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    before = _options_before(given)
    given = given[len(before) :]
    name = given[0] if given else "--help"
    if name in ("--version", "-V"):
        from portico.version import __version__

        print(f"portico {__version__}")
        return 0
    if name in ("--help", "-h", "help"):
        print(_help())
        return 0
    if name not in COMMANDS:
        print(f"portico: there is no command {name!r}; there are: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    if before and name not in OF_A_SERVER:
        print(f"portico: {before[0]} goes after {name}: portico {name} --help tells more", file=sys.stderr)
        return 2
    return _run(name, before + given[1:])


def _options_before(given: list[str]) -> list[str]:
    """The options of `SERVER_OPTIONS` that *given* begins with, and their values."""
    count = 0
    while count < len(given):
        option, has_value, _ = given[count].partition("=")
        if option not in SERVER_OPTIONS:
            break
        count += 2 if SERVER_OPTIONS[option] and not has_value else 1
    return given[:count]


def _run(name: str, arguments: list[str]) -> int:
    import argparse

    from portico.errors import InvalidName, InvalidOption, PorticoError

    command = import_module(f"portico.cli.{name}")
    parser = argparse.ArgumentParser(
        prog=f"portico {name}",
        description=command.__doc__.partition("\n\n")[0] if command.__doc__ else None,
        allow_abbrev=False,
        conflict_handler="resolve",  # a command may mean something else by -h
    )
    command.configure(parser)
    try:
        status: int = command.run(parser.parse_args(arguments))
    except PorticoError as error:
        print(f"portico: {error}", file=sys.stderr)
        return 2 if isinstance(error, (InvalidOption, InvalidName)) else 1
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130  # as a shell says of what SIGINT ended
    except BrokenPipeError:  # whoever read the output has enough of it
        sys.stderr.close()
        return 1
    return status


def _help() -> str:
    lines = [f"  {name:10} {what}" for name, what in COMMANDS.items()]
    return "\n".join(["usage: portico COMMAND ...", "", *lines, "", "portico COMMAND --help tells more."])
