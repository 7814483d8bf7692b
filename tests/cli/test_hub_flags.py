"""Of which hub pipelines are services, as flags and the environment say it; and that the app of a process joins it."""

from __future__ import annotations

import argparse
import pickle
import subprocess
import sys
from typing import Any

import pytest

from portico.cli.hub_flags import configure, hub_of, with_hub
from portico.errors import InvalidOption
from portico.provider.discovery import HubAddress


def test_the_hub_that_is_meant() -> None:
    parser = argparse.ArgumentParser()
    configure(parser)

    def asked(*flags: str, **environ: str) -> HubAddress | None:
        return hub_of(parser.parse_args(flags), environ)

    in_cell = {"PORTICO_HUB_URL": "http://localhost:1/", "PORTICO_HUB_TOKEN": "k"}
    assert asked() is None
    assert asked("--no-hub", **in_cell) is None
    relay = asked("--server-url", "https://relay.example.org", "--workspace", "w", PORTICO_TOKEN="t")
    kernel = asked(**in_cell)
    assert relay is not None
    assert kernel is not None
    assert (relay.url, relay.token, relay.workspace) == ("https://relay.example.org/", "t", "w")
    assert (kernel.url, kernel.token) == ("http://localhost:1/", "k")
    for wrong in (["--no-hub", "--server-url", "https://x"], ["--workspace", "w"]):
        with pytest.raises(InvalidOption):
            asked(*wrong)


def made(settings: Any, tell: Any) -> str:
    return "the app"


def test_without_a_hub_the_app_is_what_it_was_and_with_one_each_process_can_make_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in ("PORTICO_HUB_URL", "JPY_PARENT_PID", "JUPYTER_SERVER_URL", "JUPYTERHUB_SERVICE_URL"):
        monkeypatch.delenv(variable, raising=False)
    parser = argparse.ArgumentParser()
    configure(parser)
    assert with_hub(made, parser.parse_args([])) is made
    joined = with_hub(made, parser.parse_args(["--server-url", "https://relay.example.org"]))
    assert joined is not made
    assert pickle.loads(pickle.dumps(joined)).func is joined.func  # type: ignore[attr-defined]


def test_the_flags_cost_nothing() -> None:
    program = "import sys, portico.cli.hub_flags; assert not {'asyncio.events', 'pydantic', 'fastapi'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
