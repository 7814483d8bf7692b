"""The settings of pipelines: one name each, Hayhooks' variables among them, and one line for what is wrong."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import pytest

from portico.errors import InvalidOption
from portico.pipelines.settings import (
    SETTINGS,
    PipelinesSettings,
    is_loopback,
    read_one,
    take_env_file,
    variables_of,
    without_effect,
)

DEFAULTS = PipelinesSettings()


def read(environ: dict[str, str] | None = None, **given: object) -> PipelinesSettings:
    return PipelinesSettings.read(environ or {}, None, **given)


def test_each_field_is_read_from_somewhere() -> None:
    assert {field.name for field in fields(PipelinesSettings)} - set(SETTINGS) == {"crew_dir"}, (
        "one is the server's own"
    )
    assert set(SETTINGS) <= {field.name for field in fields(PipelinesSettings)}


def test_the_defaults_are_those_of_hayhooks_where_it_has_them() -> None:
    assert read() == DEFAULTS
    assert (DEFAULTS.host, DEFAULTS.port, DEFAULTS.pipelines_dir) == ("localhost", 1416, "pipelines")
    assert (DEFAULTS.mcp_host, DEFAULTS.mcp_port) == ("localhost", 1417)
    assert DEFAULTS.cors_allow_origins == (), "no page of another origin may call it, other than there"


ANOTHER: dict[str, tuple[str, object]] = {
    "port": ("2000", 2000),
    "mcp_port": ("2001", 2001),
    "root_path": ("api/v2/", "/api/v2"),
    "files_to_ignore_patterns": ('["*.log", "a,b"]', ("*.log", "a,b")),
    "startup_deploy_strategy": ("sequential", "sequential"),
    "startup_deploy_workers": ("3", 3),
    "streaming_components": ("llm_1,llm_2", ("llm_1", "llm_2")),
    "workers": ("2", 2),
    "graceful_shutdown_timeout": ("0", 0),
    "cors_allow_origins": ("https://a.example, https://b.example", ("https://a.example", "https://b.example")),
    "cors_allow_methods": ("[]", ()),
    "cors_allow_headers": ('["X-One"]', ("X-One",)),
    "cors_expose_headers": ("X-Two", ("X-Two",)),
    "cors_max_age": ("60", 60),
    "allowed_hosts": ("A.example,*.b.example", "a.example,*.b.example"),
}
"""By setting: a text that is not the default, and what it is read as. The others are texts, or true and false."""


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_a_variable_of_both_names(name: str) -> None:
    text, value = ANOTHER.get(name) or (("TRUE", True) if getattr(DEFAULTS, name) is False else ("other", "other"))
    assert value != getattr(DEFAULTS, name)
    for variable in (f"PORTICO_{name.upper()}", f"HAYHOOKS_{name.upper()}", f"hayhooks_{name}"):
        assert getattr(read({variable: text}), name) == value
        assert getattr(read({variable: ""}), name) == getattr(DEFAULTS, name), "an empty one counts as not set"
    both = {f"HAYHOOKS_{name.upper()}": "[" if name != "api_key" else " ", f"PORTICO_{name.upper()}": text}
    assert getattr(read(both), name) == value, "the other is not even read"
    assert getattr(read({variable: "["}, **{name: value}), name) == value, "what is given goes before the environment"
    assert getattr(read({variable: text}, **{name: None}), name) == value, "None is not given"


def test_the_name_for_the_python_path_that_hayhooks_pages_give() -> None:
    assert read({"HAYHOOKS_ADDITIONAL_PYTHONPATH": "lib"}).additional_python_path == "lib"


def test_streaming_components_has_three_forms() -> None:
    assert read({"HAYHOOKS_STREAMING_COMPONENTS": "all"}).streaming_components == "all"
    assert read(streaming_components=["a", "b"]).streaming_components == ("a", "b")
    assert read_one("streaming_components", {}) is None
    assert read_one("streaming_components", {"HAYHOOKS_STREAMING_COMPONENTS": "a", "PATH": ""}) == ("a",)
    with pytest.raises(InvalidOption, match=r"^PORTICO_PORT: "):
        read_one("port", {"PORTICO_PORT": "x"})


@pytest.mark.parametrize(
    ("environ", "given", "said"),
    [
        ({"HAYHOOKS_PORT": "abc"}, {}, "HAYHOOKS_PORT: 'abc' is no whole number from 0 to 65535"),
        ({"PORTICO_WORKERS": "0"}, {}, "PORTICO_WORKERS: '0' is no whole number from 1 to"),
        ({"PORTICO_RELOAD": "maybe"}, {}, "PORTICO_RELOAD: 'maybe' is neither true nor false"),
        ({}, {"root_path": "/a?b"}, "--root-path: '/a?b' is no path"),
        ({"PORTICO_API_KEY": "two words"}, {}, "PORTICO_API_KEY: a key is 1 to"),
        ({"HAYHOOKS_CORS_ALLOW_ORIGINS": "[1]"}, {}, "HAYHOOKS_CORS_ALLOW_ORIGINS: '[1]' is no list of texts"),
        ({"HAYHOOKS_CORS_ALLOW_ORIGINS": "[" * 100_000}, {}, "HAYHOOKS_CORS_ALLOW_ORIGINS: "),
        ({"PORTICO_ALLOWED_HOSTS": "http://x"}, {}, "PORTICO_ALLOWED_HOSTS: 'http://x' is no host name"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_place(
    environ: dict[str, str], given: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidOption) as caught:
        read(environ, **given)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_key_is_never_shown() -> None:
    assert "hunter2" not in repr(read({"PORTICO_API_KEY": "hunter2"}))
    with pytest.raises(InvalidOption) as caught:
        read({"PORTICO_API_KEY": "hunter2 "})
    assert "hunter2" not in str(caught.value)


def test_what_is_no_setting_is_a_mistake_of_the_code() -> None:
    with pytest.raises(TypeError, match="'colour' is no setting"):
        read(colour="red")


# --- the file .env ----------------------------------------------------------------------------------------------


def test_the_file_of_the_current_folder_goes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text('# mine\nexport HAYHOOKS_PORT=2000\nPORTICO_HOST="::1"\nPORTICO_ROOT_PATH=/a\n')
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path)
    found = PipelinesSettings.read({"HAYHOOKS_ROOT_PATH": "/b"})
    assert (found.host, found.port, found.root_path) == ("::1", 2000, "/b")
    assert PipelinesSettings.read({"PORTICO_PORT": "1"}, port=7).port == 7
    monkeypatch.chdir(tmp_path / "below")
    assert PipelinesSettings.read({}).port == 1416, "a folder above may be somebody else's"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PORTICO_PORT=x\n", "PORTICO_PORT: 'x' is no whole number"),
        (b"\xff\xfe\n", " is no UTF-8"),
        (b"#" * 2**20 + b"\n", " is over 1048576 bytes"),
    ],
)
def test_what_is_wrong_with_the_file(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(InvalidOption) as caught:
        PipelinesSettings.read({}, tmp_path / ".env")
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / ".env"))


def test_no_file_and_a_folder_of_its_name_are_no_file(tmp_path: Path) -> None:
    assert PipelinesSettings.read({}, tmp_path / ".env") == DEFAULTS
    (tmp_path / ".env").mkdir()
    assert PipelinesSettings.read({}, tmp_path / ".env") == DEFAULTS, "some keep a virtual environment there"


def test_its_variables_are_there_for_pipelines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text(
        "OPENAI_API_KEY=of the file\nSET_ALREADY=of the file\nPORTICO_PORT=1\nPORTICO_HOST=h\n"
    )
    environ = {"SET_ALREADY": "of the process", "HAYHOOKS_PORT": "2"}
    monkeypatch.setattr(os, "environ", {**environ})
    before = PipelinesSettings.read(environ, tmp_path / ".env")
    take_env_file(tmp_path / ".env")
    assert os.environ == environ | {"OPENAI_API_KEY": "of the file", "PORTICO_HOST": "h"}
    assert PipelinesSettings.read(None, tmp_path / ".env") == before, "the environment still goes before the file"
    assert (before.port, before.host) == (2, "h")


# --- the rest ---------------------------------------------------------------------------------------------------


def test_variables_of_hayhooks_that_mean_nothing_here_are_known() -> None:
    environ = {"HAYHOOKS_CHAINLIT_ENABLED": "1", "HAYHOOKS_PORT": "1", "PORTICO_RELAY": "x", "hayhooks_host": "y"}
    assert without_effect(environ) == ["HAYHOOKS_CHAINLIT_ENABLED"]
    assert variables_of("port") == ["PORTICO_PORT", "HAYHOOKS_PORT"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_addresses_of_this_machine_alone(host: str) -> None:
    assert PipelinesSettings(host=host).loopback
    assert is_loopback("::ffff:127.0.0.1")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "example.com", "localhost.example.com", "127.0.0"])
def test_addresses_that_others_reach(host: str) -> None:
    assert not PipelinesSettings(host=host).loopback
