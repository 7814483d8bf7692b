"""Serve the pipelines of a folder: as a REST API, as models of the OpenAI API, and as tools for agents.

Each folder in it with a pipeline_wrapper.py and each YAML file is one pipeline; more can be deployed while it runs
(portico pipeline). Every setting can be given by a flag, by PORTICO_<NAME> or HAYHOOKS_<NAME> in the environment, or in
the file .env of the current folder.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portico.cli import hub_flags
from portico.errors import InvalidOption
from portico.pipelines.settings import SETTINGS, PipelinesSettings, flag_of, take_env_file, without_effect
from portico.setting_values import yes_or_no

if TYPE_CHECKING:
    from portico.pipelines.program.process import MakeApp

NEEDS = "this needs the libraries of pipelines ({name}): pip install 'portico[pipelines]'"

SHORT = {"host": "-h", "port": "-p", "pipelines_dir": "-d", "workers": "-w", "reload": "-r"}
"""As Hayhooks has them; ``-h`` alone still shows the help."""

_OF_THE_COMMANDS = {"use_https", "disable_ssl"}
"""Settings that say how a server is called: they are taken before ``run``, too, and mean nothing here."""

_OF_TOOLS = {"mcp_host", "mcp_port"}
HELP = object()


def configure(parser: argparse.ArgumentParser) -> None:
    add_settings(parser, [name for name in SETTINGS if name not in _OF_TOOLS])
    hub_flags.configure(parser)


def add_settings(parser: argparse.ArgumentParser, names: list[str], default: Any = None) -> None:
    """A flag for each of the settings *names*. Where -h is the host's, --help alone is the help's."""
    for name in names:
        setting = SETTINGS[name]
        flags = [*([SHORT[name]] if name in SHORT else []), flag_of(name)]
        options: dict[str, Any] = {"default": default, "help": setting.help.replace("%", "%%")}
        if name in _OF_THE_COMMANDS:
            options["help"] = argparse.SUPPRESS
        if name == "no_auth":  # argparse would take it for the opposite of --auth
            options |= {"action": "store_const", "const": True}
        elif setting.read is yes_or_no:
            options["action"] = argparse.BooleanOptionalAction
        elif name == "host":
            options |= {"nargs": "?", "const": HELP}
        if name == "api_key":
            options["help"] += ". Others on this machine see it in the list of processes: use PORTICO_API_KEY"
        parser.add_argument(*flags, **options)
    parser.set_defaults(parser=parser)


def run(options: argparse.Namespace) -> int:
    if options.host is HELP:
        options.parser.print_help()
        return 0
    settings = settings_of({name: getattr(options, name, None) for name in SETTINGS})
    return serve(settings, hub_flags.with_hub(_make_app, options))


def settings_of(given: dict[str, Any]) -> PipelinesSettings:
    """The settings of a command line, by name. Raises `InvalidOption`."""
    settings = PipelinesSettings.read(**given)
    folder = Path(settings.pipelines_dir)
    if folder.exists() and not folder.is_dir():
        raise InvalidOption(f"--pipelines-dir: {folder} is no folder")
    return settings


def serve(settings: PipelinesSettings, make_app: MakeApp, *, at: str = "") -> int:
    """Serve what *make_app* makes until a signal ends it; *at* is the path that a person is told of."""
    take_env_file()
    for variable in without_effect():
        print(f"portico: {variable} is set, which means nothing here", file=sys.stderr)
    try:
        from portico.pipelines.program import running
    except ImportError as error:
        raise InvalidOption(NEEDS.format(name=error.name)) from None
    return running.run(settings, make_app, at=at)


def _make_app(settings: PipelinesSettings, tell: Any) -> Any:
    from portico.pipelines.program.app import create_app

    return create_app(settings, tell=tell)
