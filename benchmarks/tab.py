"""A browser tab that serves FastAPI under Pyodide, by the relay of the relay's measures."""

import sys
from functools import cached_property
from pathlib import Path

from benchmarks.paths import NotServed, ServingPath, Stage
from benchmarks.relay import USER, RelayServer, RelayStage
from benchmarks.servers import Program
from tests.browser import chromium
from tests.pyodide import environment

SERVICE = "tab"


class TabStage:
    """What is up for the measures of the browser (`Stage.part`)."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @cached_property
    def path(self) -> ServingPath:
        """Raises NotServed."""
        if not chromium.PATH:
            raise NotServed("no chromium here: apt-get install chromium")
        directory = self._stage.directory
        try:
            bundle = environment.bundle(directory / "bundle")
        except LookupError as error:
            raise NotServed(str(error)) from error
        relay = self._stage.part(RelayStage).server
        self._stage.keep(TabProvider(relay, bundle, directory))
        return ServingPath("tab", relay.port, f"/{USER}/apps/{SERVICE}/")


class TabProvider(Program):
    """Chromium with one tab, whose worker serves `benchmarks.tab_app`."""

    def __init__(self, relay: RelayServer, bundle: Path, directory: Path) -> None:
        app = Path(__file__).with_name("tab_app.py").read_text("utf-8")
        serve = f"await portico.serve(app, {SERVICE!r}, access='public', relay={relay.url!r}, token={relay.token!r})"
        program = directory / "tab_program.py"
        program.write_text(f"{app}\nimport portico\n{serve}\n", "utf-8")
        command = [sys.executable, "-u", "-m", "tests.live_tab", str(bundle), str(program)]
        super().__init__("tab", command, "live", directory, {})
