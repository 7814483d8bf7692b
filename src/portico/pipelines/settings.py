"""The settings of a server of pipelines and of the commands that talk to it, as one frozen value.

Each setting has one name: ``--root-path``, ``PORTICO_ROOT_PATH``. What begins with ``HAYHOOKS_`` means the same, so
that an environment made for Hayhooks works here. What is given (by a flag) goes first, then the environment, then the
file ``.env`` of the current folder, then the default. Within one place ``PORTICO_`` goes before ``HAYHOOKS_``.

Here: the settings, and how they are read, once for a server. Not here: what is done with them.
"""

from __future__ import annotations

import io
import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from portico.errors import InvalidOption
from portico.setting_values import count, hosts, items, line, one_of, yes_or_no

PREFIXES = ("PORTICO_", "HAYHOOKS_")
"""What the variables of all settings begin with; the first is preferred."""

ENV_FILE = ".env"
"""The file of variables that is read, in the current folder alone: the folders above may be other people's."""

_MAX_ENV_FILE = 1024 * 1024  # bytes; such files have some hundreds

Components = Literal["all"] | tuple[str, ...] | None
"""Which components of a pipeline stream: None for the last one that can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelinesSettings:
    """Times in seconds. What each is for: docs/configuration.md."""

    # where it listens, and where the commands look for it
    host: str = "localhost"
    port: int = 1416
    """0 for a free one."""
    root_path: str = ""
    """The path under which a proxy shows the server: begins with a slash and ends with none, or is empty."""
    use_https: bool = False
    """Of the commands: whether the server speaks TLS (by a proxy in front)."""
    disable_ssl: bool = False
    """Of the commands: whether its certificate is not checked."""
    mcp_host: str = "localhost"
    mcp_port: int = 1417

    # what it serves
    pipelines_dir: str = "pipelines"
    additional_python_path: str = ""
    """Folders to import from, as in PYTHONPATH."""
    files_to_ignore_patterns: tuple[str, ...] = (
        "*.pyc",
        "*.pyo",
        "*.pyd",
        "__pycache__",
        "*.so",
        "*.egg",
        "*.egg-info",
    )
    """Names of files and folders that a deployed folder is sent without, beside those that begin with a dot."""
    startup_deploy_strategy: Literal["parallel", "sequential"] = "parallel"
    startup_deploy_workers: int = 32
    """How many pipelines are prepared at a time when the server starts. Their setup waits (for models, for networks)
    far more than it computes."""
    streaming_components: Components = None

    # how it runs
    workers: int = 1
    reload: bool = False
    crew_dir: str = ""
    """Of one of several processes: the folder by which they agree on what is deployed
    (`portico.pipelines.deploying.crew`). The process that starts them makes it; it is no setting of a person's."""
    graceful_shutdown_timeout: int = 5
    """For requests in flight when the server stops."""
    show_tracebacks: bool = False
    """Whether those who call are shown the traceback of an error. The log has it in any case."""

    # who may do what
    api_key: str = field(default="", repr=False)
    """Empty for one that the server makes."""
    no_auth: bool = False
    """Whether those who reach the port may do all without a key, deploying among it."""
    key_dir: str = ""
    """Where the server leaves the key that it made; empty for the place that `portico.pipelines.key_file` says."""
    allowed_hosts: str = ""
    """Host names that it answers under beside its own, with commas between; ``*.example.org``, ``*``."""
    cors_allow_origins: tuple[str, ...] = ()
    cors_allow_methods: tuple[str, ...] = ("*",)
    cors_allow_headers: tuple[str, ...] = ("*",)
    cors_allow_credentials: bool = False
    cors_allow_origin_regex: str = ""
    cors_expose_headers: tuple[str, ...] = ()
    cors_max_age: int = 600

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)

    @classmethod
    def read(
        cls,
        environ: Mapping[str, str] | None = None,
        env_file: str | Path | None = ENV_FILE,
        **given: Any,
    ) -> PipelinesSettings:
        """The settings as *given* by name (None: not given), else of *environ*, else of *env_file*, else the defaults.

        Raises `InvalidOption`: one line, which names the flag, the variable, or the file and the variable in it.
        """
        environ = os.environ if environ is None else environ
        places = [("", _in_capitals(environ))]
        if env_file is not None:
            places.append((f"{env_file}: ", _in_capitals(variables_in(Path(env_file)))))
        values: dict[str, Any] = {}
        for name, setting in SETTINGS.items():
            if (value := given.pop(name, None)) is not None:
                values[name] = _value(setting, value, flag_of(name))
                continue
            for place, variable in ((place, variable) for place in places for variable in variables_of(name)):
                if text := place[1].get(variable):  # an empty one counts as not set
                    values[name] = _value(setting, text, place[0] + variable)
                    break
        if given:
            raise TypeError(f"{next(iter(given))!r} is no setting of pipelines")  # a mistake of the calling code
        return cls(**values)


def read_one(name: str, environ: Mapping[str, str] | None = None) -> Any:
    """The value of one setting, of the environment alone: for code that has no server's settings at hand."""
    environ = os.environ if environ is None else environ
    for variable in variables_of(name):
        if text := environ.get(variable):
            return _value(SETTINGS[name], text, variable)
    return PipelinesSettings.__dataclass_fields__[name].default


def take_env_file(path: str | Path = ENV_FILE) -> None:
    """Put what the file *path* sets into this process's environment, for pipelines that look there for their keys.

    What is set already stays, and a setting that has a variable already, under any of its names, gets no other. Raises
    `InvalidOption` for a file that cannot be read.
    """
    there = _in_capitals(os.environ)
    names = [variables_of(name) for name in SETTINGS]
    settled = {variable for each in names if any(there.get(variable) for variable in each) for variable in each}
    for name, value in variables_in(Path(path)).items():
        if name.upper() not in settled:
            os.environ.setdefault(name, value)


def without_effect(environ: Mapping[str, str] | None = None) -> list[str]:
    """The variables of Hayhooks in *environ* that mean nothing here, for a server to tell of."""
    known = {variable for name in SETTINGS for variable in variables_of(name)} | _READ_ELSEWHERE
    environ = os.environ if environ is None else environ
    return sorted(name for name in environ if name.upper().startswith("HAYHOOKS_") and name.upper() not in known)


_READ_ELSEWHERE = {"HAYHOOKS_LOG_LEVEL", "HAYHOOKS_LOG_FORMAT"}
"""By the log of pipelines."""


def is_loopback(host: str) -> bool:
    """Whether *host* is this machine as only itself can reach it."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 §6.3
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def flag_of(name: str) -> str:
    return "--" + name.replace("_", "-")


def variables_of(name: str) -> list[str]:
    """The variables that may hold the setting *name*, the preferred first."""
    return [prefix + each.upper() for prefix in PREFIXES for each in (name, *_ALSO.get(name, ()))]


_ALSO = {"additional_python_path": ("additional_pythonpath",)}
"""Other names of a setting, which Hayhooks' pages give."""


# --- the settings ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PipelinesSetting:
    """One setting: how its value is read (raises `InvalidOption`), and what a command's help says of it."""

    read: Callable[[object], Any]
    help: str


def _folder(value: object) -> str:
    return line(os.fspath(value) if isinstance(value, os.PathLike) else value)


def _root_path(value: object) -> str:
    text = line(value).strip("/")
    if any(letter in text for letter in "?#") or " " in text:
        raise InvalidOption(f"{value!r} is no path: write it as /pipelines")
    return f"/{text}" if text else ""


def _key(value: object) -> str:
    text = line(value)
    if not 1 <= len(text) <= _MAX_KEY or not text.isascii() or " " in text:
        raise InvalidOption(f"a key is 1 to {_MAX_KEY} visible characters of ASCII")  # which was given is not said
    return text


_MAX_KEY = 500  # characters; it travels in a header


def _components(value: object) -> Components:
    names = items(value)
    return "all" if names == ("all",) else names or None


_positive = count(1, 1024)
_port = count(0, 65535)

SETTINGS: dict[str, PipelinesSetting] = {
    "host": PipelinesSetting(line, "the address to listen on, or the server's"),
    "port": PipelinesSetting(_port, "the port to listen on, or the server's"),
    "root_path": PipelinesSetting(_root_path, "the path under which a proxy shows the server"),
    "use_https": PipelinesSetting(yes_or_no, "the server speaks TLS"),
    "disable_ssl": PipelinesSetting(yes_or_no, "do not check the server's certificate"),
    "mcp_host": PipelinesSetting(line, "the address that `portico mcp run` listens on"),
    "mcp_port": PipelinesSetting(_port, "the port that `portico mcp run` listens on"),
    "pipelines_dir": PipelinesSetting(_folder, "the folder with the pipelines"),
    "additional_python_path": PipelinesSetting(_folder, "folders to import from, as in PYTHONPATH"),
    "files_to_ignore_patterns": PipelinesSetting(items, "what a deployed folder is sent without"),
    "startup_deploy_strategy": PipelinesSetting(one_of("parallel", "sequential"), "parallel or sequential"),
    "startup_deploy_workers": PipelinesSetting(_positive, "pipelines prepared at a time at the start"),
    "streaming_components": PipelinesSetting(_components, "which components stream: all, or their names"),
    "workers": PipelinesSetting(_positive, "processes that serve"),
    "reload": PipelinesSetting(yes_or_no, "deploy a pipeline anew when its files change"),
    "graceful_shutdown_timeout": PipelinesSetting(count(0, 300), "seconds for requests in flight at the end"),
    "show_tracebacks": PipelinesSetting(yes_or_no, "show tracebacks to those who call"),
    "api_key": PipelinesSetting(_key, "the key that deploying asks for; made by the server without it"),
    "no_auth": PipelinesSetting(yes_or_no, "ask for no key: those who reach the port may deploy, and so run any code"),
    "key_dir": PipelinesSetting(_folder, "where the server leaves the key that it made"),
    "allowed_hosts": PipelinesSetting(hosts, "host names that it answers under beside its own"),
    "cors_allow_origins": PipelinesSetting(items, "origins whose pages may call it"),
    "cors_allow_methods": PipelinesSetting(items, "the methods that they may use"),
    "cors_allow_headers": PipelinesSetting(items, "the headers that they may send"),
    "cors_allow_credentials": PipelinesSetting(yes_or_no, "whether they may send cookies"),
    "cors_allow_origin_regex": PipelinesSetting(line, "a pattern of such origins"),
    "cors_expose_headers": PipelinesSetting(items, "the headers of answers that they may read"),
    "cors_max_age": PipelinesSetting(count(0, 86400), "seconds that a browser remembers what it may do"),
}


def _value(setting: PipelinesSetting, value: object, place: str) -> Any:
    try:
        return setting.read(value)
    except InvalidOption as error:
        raise InvalidOption(f"{place}: {error}") from None


# --- where they come from -------------------------------------------------------------------------------------


def _in_capitals(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that may be settings. ``hayhooks_port`` counts, too: Hayhooks takes them in any case."""
    found = {name.upper(): text for name, text in environ.items() if name.upper().startswith(PREFIXES)}
    return found | {name: text for name, text in environ.items() if name in found}


def variables_in(path: Path) -> dict[str, str]:
    """What the file of variables *path* sets; nothing where there is none. Raises `InvalidOption`.

    ``${NAME}`` in a value stands for that variable of this process, as python-dotenv has it.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_ENV_FILE + 1).decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):  # a folder may be a virtual environment
        return {}
    except OSError as error:
        raise InvalidOption(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InvalidOption(f"{path} is no UTF-8, so that it cannot be read") from None
    if len(text) > _MAX_ENV_FILE:
        raise InvalidOption(f"{path} is over {_MAX_ENV_FILE} bytes: it is no file of variables")
    try:
        from dotenv import dotenv_values
    except ImportError:
        if any(prefix in text for prefix in PREFIXES):
            raise InvalidOption(f"reading {path} needs python-dotenv: pip install 'portico[pipelines]'") from None
        return {}
    return {name: value for name, value in dotenv_values(stream=io.StringIO(text)).items() if value is not None}
