"""A relay, its providers, and how visitors reach the app through them: each in a process of its own."""

import asyncio
import sys
from functools import cached_property
from pathlib import Path
from typing import Self

from benchmarks import hypha
from benchmarks.paths import SERVICE, NotServed, ServingPath, Stage
from benchmarks.servers import HOST, Program, Server, ServerFailed, free_port
from portico.relay.config import SETTINGS, RelayConfig, flag_of
from portico.relay.people.accounts import Accounts
from portico.relay.people.tokens import EVERY_SCOPE, TokenRing
from portico.relay.store import RelayStore

USER = "alice"
MOST_LINKS = 4000
LIMITS = ("max_links", "max_links_of_user", "max_links_of_address", "max_services", "max_services_of_user")
"""Which are `MOST_LINKS`, where the relay has them: `benchmarks.against` measures other checkouts too."""


class RelayStage:
    """What is up for the measures of the relay (`Stage.part`). What nobody asks for is not."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @cached_property
    def server(self) -> "RelayServer":
        return self._stage.keep(RelayServer(self._stage.directory))

    @cached_property
    def command(self) -> "CommandProvider":
        return self._stage.keep(CommandProvider(self.server, self._stage.directory))

    @cached_property
    def thread(self) -> "ThreadProvider":
        return self._stage.keep(ThreadProvider(self.server, self._stage.directory, f"{SERVICE}-thread"))

    @cached_property
    def direct(self) -> ServingPath:
        return ServingPath("uvicorn", self._stage.uvicorn.port)

    @cached_property
    def path(self) -> ServingPath:
        return self.command.path

    @cached_property
    def thread_path(self) -> ServingPath:
        return self.thread.path

    @cached_property
    def hypha(self) -> ServingPath:
        """Raises NotServed."""
        keep, directory = self._stage.keep, self._stage.directory
        try:
            executable = hypha.python(self._stage.say)
            server = keep(hypha.HyphaServer(executable, directory))
            return keep(hypha.HyphaProvider(executable, server, directory)).path()
        except ServerFailed as error:
            raise NotServed(f"Hypha does not run: {error}") from error


class RelayServer(Server):
    """`portico relay` in path mode, with one user."""

    def __init__(self, directory: Path, name: str = "relay") -> None:
        port = free_port()
        self.home = directory / f"{name}-data"
        self.home.mkdir()
        self.url = f"http://{HOST}:{port}"
        self.token = asyncio.run(make_user(RelayConfig(paths=True, data_dir=str(self.home))))
        command = [sys.executable, "-m", "portico", "relay", "--paths", f"--port={port}", f"--base-url={self.url}"]
        command += [
            f"--data-dir={self.home}",
            *(f"{flag_of(limit)}={MOST_LINKS}" for limit in LIMITS if limit in SETTINGS),
            "--log-level=warning",
        ]
        super().__init__(name, command, port, directory, {})

    def path(self, service: str, name: str) -> ServingPath:
        """Where visitors find *service*; *name* is what the table calls it."""
        return ServingPath(name, self.port, f"/{USER}/apps/{service}/")


class CommandProvider(Program):
    """`portico serve`: the app on the command's own loop."""

    def __init__(self, relay: RelayServer, directory: Path, service: str = SERVICE) -> None:
        self.path = relay.path(service, "relay")
        command = serve_command("benchmarks.app:app", service, relay)
        super().__init__(f"serve-{service}", command, "http", directory, {"PORTICO_TOKEN": relay.token})


class ThreadProvider(Program):
    """`portico.serve` in a script: the app on a loop in a thread of its own, as in a notebook."""

    def __init__(self, relay: RelayServer, directory: Path, service: str) -> None:
        self.path = relay.path(service, "relay, portico.serve in a thread")
        code = (
            "import threading, portico\n"
            "from benchmarks.app import app\n"
            f"print(portico.serve(app, {service!r}, access='public', hub={relay.url!r}).url, flush=True)\n"
            "threading.Event().wait()\n"
        )
        environment = {"PORTICO_HUB_URL": relay.url, "PORTICO_HUB_TOKEN": relay.token}
        super().__init__(f"thread-{service}", [sys.executable, "-c", code], "http", directory, environment)


class FarProvider(Program):
    """`portico serve`, whose link takes *round_trip* milliseconds there and back."""

    def __init__(self, relay: RelayServer, directory: Path, round_trip: int) -> None:
        self.path = relay.path("far", "relay, its provider far away")
        self._port = free_port()
        proxy = [sys.executable, "-m", "benchmarks.far_away", str(self._port), str(relay.port), str(round_trip)]
        self._proxy = Program("far-away", proxy, "LISTENING", directory, {})
        command = serve_command("benchmarks.app:app", "far", relay, f"http://{HOST}:{self._port}")
        super().__init__("serve-far", command, "http", directory, {"PORTICO_TOKEN": relay.token})

    def __enter__(self) -> Self:
        self._proxy.__enter__()
        return super().__enter__()

    def _stop(self) -> None:
        super()._stop()
        self._proxy._stop()


class IdleLinks(Program):
    """One process with many links, each a provider's own with one service."""

    def __init__(self, relay: RelayServer, directory: Path, first: int, count: int) -> None:
        command = [sys.executable, "-m", "benchmarks.idle_links", relay.url, str(first), str(count)]
        super().__init__(f"idle-{first}", command, "LINKED", directory, {"PORTICO_TOKEN": relay.token})


def serve_command(app: str, service: str, relay: RelayServer, url: str = "") -> list[str]:
    """The command line; its token is to be in the environment as PORTICO_TOKEN. *url* is another way to the relay."""
    return [sys.executable, "-m", "portico", "serve", app, f"--id={service}", f"--server-url={url or relay.url}"]


async def make_user(config: RelayConfig) -> str:
    """Returns a provider's token of hers."""
    store = RelayStore(config.database)
    try:
        await Accounts(store).add(USER, "correct horse battery")
        scopes = tuple(scope for scope in EVERY_SCOPE if scope != "admin")
        token, _ = await TokenRing(store).mint(user_id=USER, workspace=USER, scopes=scopes, lifetime=86400.0)
        return token
    finally:
        store.close()
