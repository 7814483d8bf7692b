"""Each rung of the ladder to the hub, over an environment and a runtime folder made for the test."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from portico.errors import InvalidOption, NoHub
from portico.provider.discovery import HUB_VARIABLE, TOKEN_VARIABLE, HubAddress, around, climb, find_hub, find_relay

KERNEL = {
    "PORTICO_HUB_URL": "http://localhost:8888/lab/",
    "PORTICO_HUB_TOKEN": "kernel-token",
    "PORTICO_KERNEL_ID": "k1",
}


def _server(folder: Path, number: int, **info: object) -> None:
    given = {"pid": os.getpid(), "url": f"http://localhost:{number}/", "token": f"token-{number}", **info}
    (folder / f"jpserver-{number}.json").write_text(json.dumps(given), "utf-8")


def test_a_url_that_is_given_comes_first(tmp_path: Path) -> None:
    _server(tmp_path, 1)
    found = find_hub("https://other.example/base", "mine", environ=KERNEL, runtime_dir=tmp_path)
    assert (found.url, found.token) == ("https://other.example/base/", "mine")
    assert found.link_url == "wss://other.example/base/portico/link"
    assert found.api_url == "https://other.example/base/portico/api/"


def test_a_kernels_credential_goes_to_its_own_server_alone(tmp_path: Path) -> None:
    own = find_hub("http://localhost:8888/lab", environ=KERNEL, runtime_dir=tmp_path)
    assert own.token == "kernel-token"
    other = find_hub("http://elsewhere.example/", environ=KERNEL, runtime_dir=tmp_path)
    assert other.token == ""


def test_the_kernels_credential(tmp_path: Path) -> None:
    _server(tmp_path, 1)
    found = find_hub(environ=KERNEL, runtime_dir=tmp_path)
    assert (found.url, found.token, found.kernel_id) == ("http://localhost:8888/lab/", "kernel-token", "k1")


def test_the_parent_among_several_servers(tmp_path: Path) -> None:
    _server(tmp_path, 1, pid=1)
    _server(tmp_path, 2)
    found = find_hub(environ={"JPY_PARENT_PID": str(os.getpid())}, runtime_dir=tmp_path)
    assert found.token == "token-2"


@pytest.mark.parametrize("url", ["http://localhost:8001/", "http://127.0.0.1:8001/"])
def test_the_server_whose_terminal_this_is(tmp_path: Path, url: str) -> None:
    _server(tmp_path, 8001)
    _server(tmp_path, 8002)
    found = find_hub(environ={"JUPYTER_SERVER_URL": url}, runtime_dir=tmp_path)
    assert found.token == "token-8001"
    with pytest.raises(NoHub, match="no running server of this user is at http://localhost:9/"):
        find_hub(environ={"JUPYTER_SERVER_URL": "http://localhost:9/"}, runtime_dir=tmp_path)


def test_the_server_around_is_never_one_that_merely_runs(tmp_path: Path) -> None:
    _server(tmp_path, 8001)
    assert around({}, runtime_dir=tmp_path) is None
    assert around({"JUPYTER_SERVER_URL": "nonsense"}, runtime_dir=tmp_path) is None
    in_terminal = around({"JUPYTER_SERVER_URL": "http://localhost:8001/"}, runtime_dir=tmp_path)
    in_cell = around(KERNEL, runtime_dir=tmp_path)
    assert in_terminal is not None
    assert in_cell is not None
    assert (in_terminal.token, in_cell.token) == ("token-8001", "kernel-token")


def test_jupyterhubs_environment(tmp_path: Path) -> None:
    environ = {"JUPYTERHUB_SERVICE_URL": "http://0.0.0.0:8888/user/ada/", "JUPYTERHUB_API_TOKEN": "hub-token"}
    found = find_hub(environ=environ, runtime_dir=tmp_path)
    assert (found.url, found.token) == ("http://127.0.0.1:8888/user/ada/", "hub-token")


def test_the_only_server_that_runs(tmp_path: Path) -> None:
    _server(tmp_path, 1, pid=2**22 + 1)  # a file that a dead server left
    _server(tmp_path, 2)
    (tmp_path / "jpserver-3.json").write_text("{half a fi", "utf-8")
    assert find_hub(environ={}, runtime_dir=tmp_path).token == "token-2"


@pytest.mark.parametrize(
    ("servers", "said"),
    [
        ([], "none runs"),
        ([{}, {}], "several run (http://localhost:0/, http://localhost:1/)"),
        ([{"token": ""}], "uses no token"),
    ],
)
def test_no_hub_tells_of_every_rung(tmp_path: Path, servers: list[dict[str, object]], said: str) -> None:
    for number, info in enumerate(servers):
        _server(tmp_path, number, **info)
    with pytest.raises(NoHub) as caught:
        find_hub(environ={"JPY_PARENT_PID": "1"}, runtime_dir=tmp_path)
    text = str(caught.value)
    assert said in text
    for rung in ("a URL that was given", "the kernel's own credential", "kernel's parent", "JupyterHub", "hub="):
        assert rung in text


@pytest.mark.parametrize("url", ["localhost:8888", "ws://localhost/", "/lab", "http://"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(InvalidOption, match="no hub's URL"):
        find_hub(url, environ={})


def test_no_address_shows_its_token() -> None:
    assert "secret" not in repr(HubAddress("http://localhost/", "secret", "a test"))


@pytest.mark.parametrize("url", ["http+unix://%2Ftmp%2Fa.sock/lab/", "http+unix://%2Ftmp%2Fa.sock"])
def test_a_server_on_a_unix_socket(tmp_path: Path, url: str) -> None:
    environ = {HUB_VARIABLE: url, TOKEN_VARIABLE: "t"}
    address = find_hub(environ=environ, runtime_dir=tmp_path)
    path = "/lab/" if "lab" in url else "/"
    assert address.socket == "/tmp/a.sock"
    assert address.link_url == f"ws://localhost{path}portico/link"
    assert address.api_url == f"http://localhost{path}portico/api/"


@pytest.mark.parametrize(
    "url",
    ["ftp://host/", "http://", "http://[", "http://host:port/", "http://host:99999/", "nonsense", "http+unix:///x"],
)
@pytest.mark.parametrize("variable", ["PORTICO_HUB_URL", "JUPYTERHUB_SERVICE_URL"])
def test_a_way_that_cannot_be_gone_says_so_and_the_next_is_tried(tmp_path: Path, url: str, variable: str) -> None:
    environ = {variable: url, "PORTICO_HUB_TOKEN": "t", "JUPYTERHUB_API_TOKEN": "t", "JPY_PARENT_PID": str(os.getpid())}
    (tmp_path / "jpserver-1.json").write_text(
        json.dumps({"pid": os.getpid(), "url": "http://localhost:8888/", "token": "t"})
    )
    rungs = climb(environ=environ, runtime_dir=tmp_path)
    assert any("cannot be used" in rung.outcome for rung in rungs)
    assert find_hub(environ=environ, runtime_dir=tmp_path).url == "http://localhost:8888/"


def test_a_servers_own_file_may_hold_anything(tmp_path: Path) -> None:
    (tmp_path / "jpserver-1.json").write_text(json.dumps({"pid": os.getpid(), "url": ["x"], "token": "t"}))
    with pytest.raises(NoHub, match="cannot be used"):
        find_hub(environ={}, runtime_dir=tmp_path)


def test_a_certificate_goes_with_the_kernels_own_server_alone(tmp_path: Path) -> None:
    environ = {HUB_VARIABLE: "https://127.0.0.1:1/", TOKEN_VARIABLE: "t", "PORTICO_HUB_CERTIFICATE": "ab"}
    assert find_hub(environ=environ, runtime_dir=tmp_path).certificate == "ab"
    assert find_hub("https://127.0.0.1:1", environ=environ, runtime_dir=tmp_path).certificate == "ab"
    assert find_hub("https://127.0.0.1:2/", environ=environ, runtime_dir=tmp_path).certificate == ""


def test_only_the_server_of_this_kernel_or_of_this_user_here_is_the_authors_own(tmp_path: Path) -> None:
    _server(tmp_path, 8001)

    def own(url: str = "", **environ: str) -> bool:
        return find_hub(url, "t", environ=environ, runtime_dir=tmp_path).own

    assert own(**KERNEL)
    assert own(JPY_PARENT_PID=str(os.getpid()))
    assert own(JUPYTERHUB_SERVICE_URL="http://0.0.0.0:8888/user/ada/", JUPYTERHUB_API_TOKEN="t")
    assert own()
    # named by its URL, it is what it is
    assert own("http://localhost:8001")
    assert own("http://127.0.0.1:8001/")
    assert own("http://localhost:8888/lab", **KERNEL)
    assert own(
        "http://127.0.0.1:8888/user/ada",
        JUPYTERHUB_SERVICE_URL="http://0.0.0.0:8888/user/ada/",
        JUPYTERHUB_API_TOKEN="t",
    )
    for other in (
        "https://other.example/",
        "http://localhost:8002/",
        "http://localhost:8001/other/",
        "https://localhost:8001/",
        "http://localhost.example:8001/",
        "http://192.0.2.1:8001/",
    ):
        assert not own(other, **KERNEL), other


def test_no_relay_is_the_authors_own_wherever_it_is(tmp_path: Path) -> None:
    for environ in ({}, {"PORTICO_RELAY": "http://localhost:8888/lab/"}, KERNEL):
        where = environ | {"PORTICO_CONFIG_DIR": str(tmp_path), "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
        assert not find_relay("http://localhost:8888/lab/", "t", environ=where).own
