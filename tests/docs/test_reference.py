"""What can be called, set or seen is on the pages that list it: names, options, settings, routes, errors, words."""

from __future__ import annotations

import argparse
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

import portico
from portico import errors
from portico.adapters import Taken
from portico.adapters import __all__ as ADAPTER_NAMES
from portico.hub.firewall import field_names
from portico.hub.hub import Hub
from portico.jupyter.api import routes
from portico.jupyter.extension import PorticoApp
from portico.models import __all__ as MODEL_NAMES
from portico.notebook.magics import ServeMagics, _parser
from portico.pipelines.settings import SETTINGS as PIPELINES_SETTINGS
from portico.pipelines.settings import PipelinesSettings, flag_of, variables_of
from portico.provider.service import Service
from portico.relay.config import SETTINGS, RelayConfig
from tests.docs import differences
from tests.docs.pages import DOCS, ROOT

SOURCE = ROOT / "src" / "portico"
API = (DOCS / "api.md").read_text("utf-8")
CONFIGURATION = (DOCS / "configuration.md").read_text("utf-8")
RELAY_CONFIGURATION = CONFIGURATION.partition("\n## Of a relay\n")[2].partition("\n## ")[0]
PIPELINES_CONFIGURATION = CONFIGURATION.partition("\n## Of a server of pipelines\n")[2].partition("\n## ")[0]
COMMAND_LINE = (DOCS / "how-to" / "command-line.md").read_text("utf-8")
CONTROL = (DOCS / "control-api.md").read_text("utf-8")
TROUBLE = (DOCS / "troubleshooting.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
DESIGN = (DOCS / "design.md").read_text("utf-8")
SECURITY = (DOCS / "security.md").read_text("utf-8")
GLOSSARY = (DOCS / "glossary.md").read_text("utf-8")


def test_the_public_surface_is_small_and_documented():
    assert len(portico.__all__) <= 15
    for public in portico.__all__:
        assert f"`portico.{public}" in API or f"`{public}" in API, public
        assert getattr(portico, public) is not None


def test_every_name_for_models_is_documented():
    pages = API + (DOCS / "how-to" / "chat-models.md").read_text("utf-8")
    assert [public for public in MODEL_NAMES if public not in pages] == []


def test_every_name_for_adapters_is_documented():
    assert [public for public in ADAPTER_NAMES if f"`{public}`" not in API] == []
    page = (DOCS / "how-to" / "adapters.md").read_text("utf-8")
    assert [field for field in Taken.__dataclass_fields__ if f"| `{field}` |" not in page] == []


def test_every_parameter_of_serve_is_documented():
    parameters = set(inspect.signature(portico.serve).parameters) - {"provider"}
    assert [name for name in sorted(parameters) if f"`{name}`" not in API] == []


def test_every_member_of_a_service_is_documented():
    fields = set(Service.__dataclass_fields__) - {"options", "provider", "instance", "session", "failure", "how"}
    methods = {name for name in vars(Service) if not name.startswith("_")} - set(Service.__dataclass_fields__)
    assert [name for name in sorted((fields | methods) - {"descriptor"}) if f"`{name}" not in API] == []


def test_every_option_of_the_magic_is_documented():
    options = [flag for action in _parser()._actions for flag in action.option_strings]
    assert [flag for flag in options if f"`{flag}" not in API] == []
    assert [flag for flag in options if flag not in (ServeMagics.serve.__doc__ or "")] == []


def test_every_exception_that_is_raised_to_people_is_documented():
    local = [errors.LocalError, *errors.LocalError.__subclasses__()]
    remote = [errors.RemoteError, *errors.RemoteError.__subclasses__(), errors.NameTaken]
    inside = {errors.LocalProtocolError, errors.RemoteProtocolError, errors.StreamReset}  # never leave the rooms below
    names = {error.__name__ for error in [*local, *remote, errors.APIError] if error not in inside} - {"InvalidKey"}
    assert [name for name in sorted(names) if f"`{name}`" not in API] == []


TRAITS = PorticoApp.class_own_traits(config=True)


@pytest.mark.parametrize("trait", sorted(TRAITS))
def test_every_setting_and_its_default_is_documented(trait: str):
    of_jupyter = CONFIGURATION.partition("\n## Of a relay\n")[0]
    [row] = re.findall(rf"^\| `{trait}` \|(.*)\|$", of_jupyter, re.MULTILINE)
    default = TRAITS[trait].default()
    assert f"`{default!r}`" in row, default


def test_no_setting_is_documented_that_is_not_there():
    assert set(re.findall(r"PorticoApp\.(\w+)", CONFIGURATION)) <= set(TRAITS)


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_every_setting_of_a_relay_and_its_default_is_documented(name: str):
    [row] = re.findall(rf"^\| `{name}` \| (.*?) ?\|.*\|$", RELAY_CONFIGURATION, re.MULTILINE)
    setting, config = SETTINGS[name], RelayConfig(domain="share.example.org")
    default = getattr({"relay": config, "hub": config.hub, "limits": config.hub.limits}[setting.of], name)
    if row:
        assert setting.read(row.strip("`")) == default
    else:
        assert not default or name in ("domain", "base_url", "data_dir"), f"{default!r} is the default"


def test_no_setting_of_a_relay_is_documented_that_is_not_there():
    assert set(re.findall(r"^\| `(\w+)` \|", RELAY_CONFIGURATION, re.MULTILINE)) == set(SETTINGS)


@pytest.mark.parametrize("name", sorted(PIPELINES_SETTINGS))
def test_every_setting_of_pipelines_and_its_default_is_documented(name: str):
    [row] = re.findall(rf"^\| `{name}` \| (.*?) ?\|.*\|$", PIPELINES_CONFIGURATION, re.MULTILINE)
    default = getattr(PipelinesSettings(), name)
    if row:
        assert PIPELINES_SETTINGS[name].read(row.strip("`")) == default
    else:
        assert not default, f"{default!r} is the default"


def test_no_setting_of_pipelines_is_documented_that_is_not_there():
    assert set(re.findall(r"^\| `(\w+)` \|", PIPELINES_CONFIGURATION, re.MULTILINE)) == set(PIPELINES_SETTINGS)


def flags_of(parser: argparse.ArgumentParser) -> set[str]:
    """The options of a command and of those below it."""
    found = set()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                found |= flags_of(below)
        elif action.help != argparse.SUPPRESS:
            found |= set(action.option_strings)
    return found


@pytest.mark.parametrize("name", ["run", "mcp", "pipeline", "status"])
def test_every_option_for_pipelines_is_documented(name: str):
    """On its page, or as a setting: `portico run` has a flag for each that is not a command's alone."""
    parser = argparse.ArgumentParser(conflict_handler="resolve")
    import_module(f"portico.cli.{name}").configure(parser)
    settings = {flag for each in PIPELINES_SETTINGS for flag in (flag_of(each), flag_of(f"no_{each}"))}
    pages = COMMAND_LINE + (DOCS / "how-to" / "pipelines.md").read_text("utf-8")
    shown = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", pages))
    assert sorted(flags_of(parser) - settings - shown - {"-h", "--help"}) == []
    if name == "run":
        only = {flag_of(each) for each in ("use_https", "disable_ssl", "mcp_host", "mcp_port")}
        assert {flag_of(each) for each in PIPELINES_SETTINGS} - flags_of(parser) == only


def test_every_environment_variable_is_documented():
    source = "\n".join(path.read_text("utf-8") for path in SOURCE.rglob("*.py"))
    read = set(re.findall(r"\"((?:PORTICO|JPY|JUPYTERHUB)_[A-Z_]+)\"", source))
    assert {"PORTICO_HUB_URL", "JPY_PARENT_PID"} <= read
    of_pipelines = {variable for name in PIPELINES_SETTINGS for variable in variables_of(name)}  # each has its row
    assert [name for name in sorted(read - of_pipelines) if f"`{name}`" not in CONFIGURATION] == []


def test_every_route_of_the_control_api_is_documented():
    nothing: Hub = None  # type: ignore[assignment]  # routes are listed, not called
    for pattern, handler, _ in routes(nothing, nothing, "/portico/"):  # type: ignore[arg-type]
        route = pattern.removeprefix("/portico/api/")
        if route in (".*", "/portico/login"):
            continue
        shown = route.replace("services/([^/]+)", "services/{name}").replace("keys/([^/]+)", "keys/{id}")
        for method in ("get", "post", "put", "patch", "delete"):
            if method in vars(handler):
                assert f"`{method.upper()} {shown}`" in CONTROL, (method, shown)


def test_every_route_of_a_relays_control_api_is_documented():
    source = (SOURCE / "relay" / "api.py").read_text("utf-8")
    routes = re.findall(r"\(API \+ \"([\w/{}]+)\", self\.\w+, \[(.*?)\]\)", source)
    assert len(routes) == source.count("(API + ") > 5
    for path, methods in routes:
        for method in re.findall("[A-Z]+", methods):
            assert f"`{method} {path}`" in CONTROL, (method, path)


def test_every_event_is_documented():
    source = (SOURCE / "hub" / "control.py").read_text("utf-8") + (SOURCE / "hub" / "registry.py").read_text("utf-8")
    events = set(re.findall(r"_event\(\"(\w+)\"", source)) | set(re.findall(r"_tell\(\"(\w+)\"", source))
    assert {"services", "removed", "status"} <= events
    assert [event for event in sorted(events) if f"`{event}`" not in CONTROL] == []


LAST = re.compile(r"\"([a-z_]+)\",?\s*\)$")


def test_every_code_that_a_visitor_may_see_is_explained():
    """The hub's answers say a machine-readable code: each is in troubleshooting, or with the control API."""
    seen = set()
    for path in [path for room in ("hub", "jupyter", "relay") for path in (SOURCE / room).glob("*.py")]:
        source = path.read_text("utf-8")
        seen |= set(re.findall(r"Answer\(\s*[\w.\[\]]+,\s*\"([a-z_]+)\"", source))
        seen |= set(re.findall(r"OAuthError\(\s*\"([a-z_]+)\"", source))
        seen |= {code for call in re.findall(r"forbidden\(.*?\)$", source, re.M | re.S) for code in LAST.findall(call)}
    assert {"wrong_key", "service_gone", "cross_origin", "invalid_body"} <= seen
    not_errors = {"preflight", "slash", "login", "key_taken", "error", "seen"}
    assert [code for code in sorted(seen - not_errors) if f"`{code}`" not in TROUBLE + CONTROL] == []


def test_every_module_has_its_place_in_the_design():
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    rooms |= {path.name for path in SOURCE.glob("*.py")} - {"__init__.py"}
    rooms |= {path.parent.relative_to(SOURCE).as_posix() for path in SOURCE.glob("*/*/__init__.py")}
    assert [room for room in sorted(rooms) if f"`{room}" not in DESIGN] == []


FILE = re.compile(r"`([\w./-]+)`")


def table_below(heading: str, page: str) -> list[list[str]]:
    """The cells of the table that comes first after *heading*, without its own head."""
    rows = re.findall(r"^\|(.*)\|$", page.partition(heading)[2].partition("\n| ")[2].partition("\n\n")[0], re.MULTILINE)
    return [row.split("|") for row in rows if not set(row) <= set("-|")]


@pytest.mark.parametrize(
    ("page", "heading", "below", "least"),
    [
        (CONTRIBUTING, "\n## Where things are\n", ROOT, 20),
        (CONTRIBUTING, "\n### Where to look first\n", SOURCE, 15),
        (DESIGN, "The rooms, from the top:", SOURCE, 20),
    ],
)
def test_a_table_of_places_names_files_that_are_there(page: str, heading: str, below: Path, least: int):
    """A file in a row stands below its table's folder, or below the room that the row is about."""
    rows = table_below(heading, page)
    assert len(rows) >= least
    for row in rows:
        rooms = [below, *(below / room for room in FILE.findall(row[0]))]
        for name in FILE.findall(" ".join(row)):
            if "/" in name or name.endswith((".py", ".toml")):
                assert any((room / name).exists() for room in [*rooms, ROOT]), f"{name}, in the row {row[0].strip()}"


def test_the_words_that_stand_for_two_things_name_files_that_are_there():
    named = FILE.findall(DESIGN.partition("\nSome words stand for two things")[2].partition("\n\nasyncio")[0])
    files = [name for name in named if name.endswith(".py")]
    assert len(files) > 10
    assert [name for name in files if not (SOURCE / name).is_file()] == []


@pytest.mark.parametrize(
    ("heading", "names", "patterns"),
    [
        (
            "What an app sees of its visitors",
            field_names.NOT_FROM_VISITORS - field_names.HOP_BY_HOP - {b"x-xsrftoken"},
            field_names.PREFIXES_NOT_FROM_VISITORS,
        ),
        (
            "What an app may say",
            field_names.NOT_FROM_APPS - field_names.HOP_BY_HOP,
            field_names.PREFIXES_NOT_FROM_APPS,
        ),
    ],
)
def test_every_header_that_is_dropped_is_listed(heading: str, names: set[bytes], patterns: tuple[bytes, ...]):
    section = SECURITY.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    first = "\n".join(row.split("|")[1] for row in section.splitlines() if row.startswith("| `"))
    listed = {name.lower() for name in re.findall(r"`([\w*-]+)`", first)}
    listed -= {"www-authenticate", "negotiate", "ntlm", "kerberos", "connection"}  # said of in words
    suffix = {"*" + field_names.SUFFIX_NOT_FROM_APPS.decode()} if "say" in heading else set()
    assert listed == {name.decode() for name in names} | {name.decode() + "*" for name in patterns} | suffix


def test_the_differences_from_uvicorn_are_those_of_the_suite():
    page = differences.PAGE.read_text("utf-8")
    assert page == differences.written(page), "run: python -m tests.docs.differences"


def test_the_glossary_gives_each_word_one_meaning():
    words = re.findall(r"^\| \*\*(.+?)\*\* \|", GLOSSARY, re.MULTILINE)
    assert len(words) == len(set(words)) >= 15
    assert {"provider", "hub", "link", "stream", "service", "replica", "visitor", "access", "key", "token"} <= set(
        words
    )
