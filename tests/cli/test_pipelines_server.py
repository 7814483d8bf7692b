"""Which server a command means, whether it gets the key that a server has left, and how it is reached."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from portico.cli.pipelines_server import PipelinesAddress, path_of, server_of, values_of, with_key_left
from portico.errors import InvalidOption
from portico.pipelines.key_file import KeyFile
from tests.integration.tls_proxy import TLSProxy
from tests.live_commands import Shell
from tests.live_pipelines import running_pipelines

PORT = 1416


@contextmanager
def left(folder: Path, *addresses: str) -> Iterator[None]:
    file = KeyFile.leave("its key", PORT, addresses, folder)
    try:
        yield
    finally:
        file.remove()


@pytest.mark.parametrize(
    ("listens", "host", "there"),
    [
        (["127.0.0.1", "::1"], "localhost", "127.0.0.1"),
        (["::1"], "localhost", "::1"),
        (["127.0.0.1"], "127.0.0.1", "127.0.0.1"),
        (["127.0.0.1"], "LOCALHOST.", "127.0.0.1"),
        (["0.0.0.0"], "localhost", "127.0.0.1"),
        (["::"], "localhost", "::1"),
        (["0.0.0.0"], "127.0.0.1", "127.0.0.1"),
        (["0.0.0.0"], "127.0.0.5", "127.0.0.5"),
        (["10.9.8.7"], "10.9.8.7", "10.9.8.7"),
    ],
)
def test_the_key_goes_to_the_addresses_of_its_server(listens: list[str], host: str, there: str, tmp_path: Path) -> None:
    with left(tmp_path / "keys", *listens):
        found = with_key_left(PipelinesAddress(host=host, port=PORT), tmp_path / "keys")
    assert (found.key, found.connect_to) == ("its key", there)
    assert "its key" not in repr(found)


@pytest.mark.parametrize(
    ("listens", "host"),
    [
        (["127.0.0.1"], "::1"),  # where somebody else may listen
        (["127.0.0.1"], "127.0.0.2"),
        (["127.0.0.1"], "10.9.8.7"),
        (["127.0.0.1"], "no.such.host.invalid"),
        (["0.0.0.0"], "192.0.2.7"),  # another machine's: RFC 5737
        (["0.0.0.0"], "::1"),
        (["10.9.8.7"], "localhost"),
        ([], "localhost"),
    ],
)
def test_it_goes_nowhere_else(listens: list[str], host: str, tmp_path: Path) -> None:
    with left(tmp_path / "keys", *listens):
        found = with_key_left(PipelinesAddress(host=host, port=PORT), tmp_path / "keys")
        assert (found.key, found.connect_to, found.trouble) == ("", "", "")
        assert with_key_left(PipelinesAddress(host="localhost", port=PORT + 1), tmp_path / "keys").key == ""


def named(**given: object) -> PipelinesAddress:
    return server_of(argparse.Namespace(**given))


def test_the_server_that_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert named().url == "http://localhost:1416"
    assert named(host="[::1]", port="15", use_https=True).url == "https://[::1]:15"
    monkeypatch.setenv("HAYHOOKS_HOST", "0.0.0.0")
    monkeypatch.setenv("HAYHOOKS_USE_HTTPS", "true")
    monkeypatch.setenv("HAYHOOKS_DISABLE_SSL", "1")
    assert named() == PipelinesAddress(host="127.0.0.1", port=1416, https=True, insecure=True)
    assert not named(use_https=False, disable_ssl=False).https
    assert named(api_key="k").key == "k"
    with left(tmp_path / "portico" / "keys", "127.0.0.1"):
        assert named(use_https=False).key == "its key"
        assert named(use_https=False, api_key="mine").key == "mine"
        assert named().key == "", "TLS is a proxy's"


def test_a_key_is_not_sent_to_who_listens_on_the_other_address(tmp_path: Path) -> None:
    """The server has one of the addresses of localhost, and another program the other one."""
    with socket.socket() as ours, left(tmp_path / "keys", "127.0.0.2"):
        ours.bind(("127.0.0.2", 0))
        found = with_key_left(PipelinesAddress(host="localhost", port=PORT), tmp_path / "keys")
        assert found.connect_to == "127.0.0.2", "and not what the name localhost leads to first"


@pytest.mark.parametrize("text", ["a", "a b", "../x", "a/b", "é", "?", "\udc80"])
def test_any_name_is_one_part_of_a_path(text: str) -> None:
    assert path_of(text, "run").count("/") == 2
    assert path_of(text, "run").isascii()


def test_values() -> None:
    given = ["a=1", "b=x=y", 'c={"d": [null]}', "e=", "f=NaN", "g=" + "9" * 5000, "h=" + "[" * 100_000]
    read = {key: value for key, (_, value) in values_of(given, "-p").items()}
    assert read == {
        "a": 1,
        "b": "x=y",
        "c": {"d": [None]},
        "e": "",
        "f": "NaN",
        "g": "9" * 5000,
        "h": "[" * 100_000,
    }
    for wrong in ("a", "=1", ""):
        with pytest.raises(InvalidOption, match="Invalid parameter"):
            values_of([wrong], "-p")


def test_by_a_proxy_that_speaks_tls(tmp_path: Path, shell: Shell) -> None:
    with running_pipelines(tmp_path) as live, TLSProxy(live.port, tmp_path) as proxy:
        there = ("--host", "127.0.0.1", "--port", str(proxy.port))
        said = shell.run(*there, "--use-https", "status", status=1).stderr
        assert "certificate" in said
        assert "--disable-ssl" in said
        assert "up and running at https://" in shell.run(*there, "--use-https", "--disable-ssl", "status").stdout
        assert (
            "up and running" in shell.run(*there, "status", "--use-https", SSL_CERT_FILE=str(proxy.certificate)).stdout
        )
        assert "not responding" in shell.run(*there, "status", status=1).stderr
