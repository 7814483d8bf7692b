"""A relay's settings: one name each, three places, and one line for what is wrong."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from portico.errors import InvalidName, InvalidOption
from portico.hub.config import HubConfig
from portico.protocol import Limits
from portico.relay.config import SETTINGS, RelayConfig, workspace_name
from portico.setting_values import duration, size


def test_flags_come_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(
        'domain = "share.example.org"\nport = 1\nanonymous = true\nanonymous_lifetime = "2h"\nmax_held = "1M"\n'
    )
    environ = {"PORTICO_RELAY_PORT": "2", "PORTICO_RELAY_MAX_LINKS": "7", "PATH": "/bin"}
    config = RelayConfig.load({"port": "3", "host": None, "hold_name": "90s"}, environ, file)
    assert (config.port, config.hub.max_links, config.anonymous) == (3, 7, True)
    assert config.anonymous_lifetime == 7200
    assert config.hub.hold_name == 90
    assert config.hub.limits.max_held == 1024 * 1024
    assert config.hub.drop_silent, "what no setting names keeps a relay's own default"
    assert RelayConfig.load({}, environ | {"PORTICO_RELAY_CONFIG": str(file)}).port == 2


@pytest.mark.parametrize(
    ("flags", "environ", "toml", "said"),
    [
        ({"port": "abc"}, {}, "", "--port: 'abc' is no whole number"),
        ({}, {"PORTICO_RELAY_PORT": "70000"}, "", "PORTICO_RELAY_PORT: '70000' is no whole number from 0 to 65535"),
        ({}, {}, "anonymous_lifetime = 'soon'", "relay.toml: anonymous_lifetime: 'soon' is no duration"),
        (
            {},
            {},
            "anonymus_lifetime = 1",
            "relay.toml: anonymus_lifetime is no setting of a relay; is it anonymous_lifetime?",
        ),
        (
            {},
            {"PORTICO_RELAY_DOMAINE": "x"},
            "",
            "PORTICO_RELAY_DOMAINE is no setting of a relay; is it PORTICO_RELAY_DOMAIN?",
        ),
        ({"prot": 1}, {}, "", "--prot is no setting of a relay; is it --port?"),
        ({}, {}, "port = ", "relay.toml is no TOML"),
        ({}, {}, "port = true", "relay.toml: port: True is no whole number"),
        ({}, {}, "paths = 'maybe'", "relay.toml: paths: 'maybe' is neither"),
        ({"domain": "share.example.org/x"}, {}, "", "--domain: 'share.example.org/x' is no domain"),
        ({"base_url": "https://a.example/portico"}, {}, "", "--base-url:"),
        ({"base_url": "https://me:pass@a.example"}, {}, "", "--base-url:"),
        ({"forwarded_allow_ips": "10.0.0.0/33"}, {}, "", "--forwarded-allow-ips: '10.0.0.0/33' is no address"),
        ({}, {"PORTICO_RELAY_ADMIN_TOKEN": "geheim"}, "", "PORTICO_RELAY_ADMIN_TOKEN: at least 16"),
        ({"allowed_access": "key,open"}, {}, "", "--allowed-access:"),
        ({}, {}, "", "Say where services are: --domain"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_its_place(
    tmp_path: Path, flags: dict[str, object], environ: dict[str, str], toml: str, said: str
) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(toml)
    with pytest.raises(InvalidOption) as raised:
        RelayConfig.load(flags, environ, file)
    text = str(raised.value).replace(str(tmp_path) + "/", "")
    assert text.startswith(said)
    assert "\n" not in text
    assert "geheim" not in text


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match=r"nowhere\.toml cannot be read: No such file"):
        RelayConfig.load({}, {}, tmp_path / "nowhere.toml")


def test_every_setting_is_a_field_of_what_it_sets() -> None:
    homes = {"relay": RelayConfig, "hub": HubConfig, "limits": Limits}
    known = {of: {item.name for item in fields(home)} for of, home in homes.items()}
    for name, setting in SETTINGS.items():
        assert name in known[setting.of]
        assert setting.help
    unset = known["relay"] - {name for name, setting in SETTINGS.items() if setting.of == "relay"}
    assert unset == {"hub"}


def test_no_secret_is_shown() -> None:
    assert "0123456789abcdef" not in repr(RelayConfig(admin_token="0123456789abcdef", metrics_token="0123456789abcdef"))
    assert not SETTINGS["admin_token"].flag
    assert not SETTINGS["metrics_token"].flag


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("1h", 3600), ("30d", 2592000), ("250ms", 0.25), (5, 5), ("7", 7)]
)
def test_durations(text: str | int, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "0", "-1s", "1y", "1e9", "１s", True, None, float("nan"), float("inf"), "9999999w"]
)
def test_no_durations(text: object) -> None:
    with pytest.raises(InvalidOption):
        duration(text)


@pytest.mark.parametrize(("text", "count"), [("64k", 65536), ("1G", 1 << 30), ("2MiB", 2 << 20), (9, 9), ("7", 7)])
def test_sizes(text: str | int, count: int) -> None:
    assert size(text) == count
    with pytest.raises(InvalidOption):
        size(f"{text}x")


def test_urls_by_domain_and_by_path() -> None:
    domain = RelayConfig(domain="share.example.org")
    assert domain.base_url == "https://share.example.org"
    assert domain.secure
    assert not domain.paths
    assert domain.service_url("alice", "cat") == "https://cat--alice.share.example.org/"
    assert domain.models_url("alice") == "https://alice.share.example.org/v1"
    assert domain.session_cookie == "__Host-portico_session"
    tried = RelayConfig(domain="relay.localhost", base_url="http://relay.localhost:8123")
    assert tried.service_url("alice", "cat") == "http://cat--alice.relay.localhost:8123/"
    paths = RelayConfig(paths=True, host="0.0.0.0", port=81)
    assert paths.base_url == "http://localhost:81"
    assert paths.session_cookie == "portico_session"
    assert paths.service_url("alice", "cat") == "http://localhost:81/alice/apps/cat/"
    assert paths.models_url("alice") == "http://localhost:81/alice/v1"


@pytest.mark.parametrize("name", ["portico", "healthz", "v1", "anon-x", "Alice", "a--b", "", "-a"])
def test_names_that_no_workspace_has(name: str) -> None:
    with pytest.raises(InvalidName):
        workspace_name(name)
