"""The file of `portico login`: who may read it, and that nothing of it is shown; and how a relay is found by it."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from portico.errors import InvalidOption, NoHub
from portico.provider import credentials
from portico.provider.credentials import Credential
from portico.provider.discovery import find_relay

URL = "https://share.test/"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"PORTICO_CREDENTIALS": str(tmp_path / "new" / "credentials.json")}


def test_kept_and_forgotten(environ: dict[str, str]) -> None:
    assert credentials.load(environ) == {}
    where = credentials.save(Credential(url=URL, token="secret", workspace="ada", saved=1.0), environ)
    assert stat.S_IMODE(where.stat().st_mode) == 0o600
    assert stat.S_IMODE(where.parent.stat().st_mode) == 0o700
    credentials.save(Credential(url="https://other.test/", token="second", saved=2.0), environ)
    assert list(credentials.load(environ)) == [URL, "https://other.test/"]
    assert list(where.parent.iterdir()) == [where]
    gone = credentials.forget(URL, environ)
    assert gone is not None
    assert gone.token == "secret"
    assert "secret" not in repr(gone)
    assert credentials.forget(URL, environ) is None
    assert list(credentials.load(environ)) == ["https://other.test/"]


def test_a_file_that_others_could_read_is_not_left_so(environ: dict[str, str]) -> None:
    where = credentials.save(Credential(url=URL, token="secret"), environ)
    where.chmod(0o644)
    credentials.save(Credential(url=URL, token="secret"), environ)
    assert stat.S_IMODE(where.stat().st_mode) == 0o600


@pytest.mark.parametrize("how", ["a file", "a link"])
def test_what_another_user_laid_out_is_not_written_to(environ: dict[str, str], tmp_path: Path, how: str) -> None:
    """Where the file is in a folder that others write to."""
    where = credentials.path(environ)
    where.parent.mkdir()
    theirs = tmp_path / "theirs"
    theirs.write_text("")
    for laid in (where, where.with_name(f"{where.name}.{os.getpid()}")):
        if how == "a link":
            laid.symlink_to(theirs)
        elif laid != where:
            laid.hardlink_to(theirs)
    if how == "a link":
        where.unlink()
    credentials.save(Credential(url=URL, token="secret"), environ)
    assert theirs.read_text() == ""
    assert not where.is_symlink()
    assert stat.S_IMODE(where.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"relays": []}',
        '{"relays": {"x": {}}}',
        "\x00",
        '{"relays": {"x": {"token": "", "saved": 1' + "0" * 400 + "}}}",
    ],
)
def test_a_broken_file_is_said(environ: dict[str, str], text: str) -> None:
    where = credentials.path(environ)
    where.parent.mkdir()
    where.write_text(text)
    with pytest.raises(InvalidOption, match="log in again"):
        credentials.load(environ)


def test_where_it_is() -> None:
    assert credentials.path({"XDG_CONFIG_HOME": "/conf"}) == Path("/conf/portico/credentials.json")
    assert credentials.path({"XDG_CONFIG_HOME": "relative"}).is_relative_to(Path.home())


def test_which_relay_and_which_token(environ: dict[str, str]) -> None:
    with pytest.raises(NoHub, match="portico login"):
        find_relay(environ=environ)
    credentials.save(Credential(url=URL, token="kept", saved=2.0), environ)
    credentials.save(Credential(url="https://older.test/", token="older", saved=1.0), environ)
    found = find_relay(environ=environ)
    assert (found.url, found.token) == (URL, "kept")
    assert find_relay("https://older.test", environ=environ).token == "older"
    assert find_relay("https://new.test", environ=environ).token == ""
    given = find_relay("https://new.test", "mine", "cats", environ=environ)
    assert (given.token, given.workspace) == ("mine", "cats")
    assert find_relay(environ=environ | {"PORTICO_TOKEN": "theirs"}).token == "theirs"


def test_a_token_goes_to_no_other_relay_than_it_was_set_for(environ: dict[str, str]) -> None:
    environ |= {"PORTICO_RELAY": URL, "PORTICO_TOKEN": "theirs"}
    assert find_relay(environ=environ).token == "theirs"
    assert find_relay("https://share.test", environ=environ).token == "theirs"
    assert find_relay("https://other.test", environ=environ).token == ""


def test_an_expired_login_says_so(environ: dict[str, str]) -> None:
    credentials.save(Credential(url=URL, token="kept", expires=time.time() - 1), environ)
    with pytest.raises(NoHub, match="Log in again"):
        find_relay(URL, environ=environ)
    assert find_relay(URL, "given", environ=environ).token == "given"
