"""The official SDK for JavaScript, which many agents are built on: both of its lines, in each way that they connect."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from tests import environments
from tests.tools.served import TOOLS, listening, run
from tests.tools.test_endpoint_old_client import Served

HERE = Path(__file__).with_name("js")

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def program(node: str) -> tuple[str, str]:
    """How the client is run, its packages installed."""
    lock, npm = (HERE / "package-lock.json").read_bytes(), shutil.which("npm")
    assert npm is not None
    environments.unless_made(
        HERE / "node_modules" / ".made-from", lock, lambda: environments.run([npm, "ci", "--silent"], HERE)
    )
    return node, str(HERE / "client.mjs")


@pytest.mark.parametrize("line", ["v1", "v2", "auto"])
def test_a_client_lists_calls_cancels_and_hears_of_changes(program: tuple[str, str], line: str) -> None:
    async def test() -> None:
        served = Served()
        async with listening(served.server) as url:
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(*program, f"{url}/mcp", line, stdout=pipe, stderr=pipe)
            printed, errors = await process.communicate()
            assert process.returncode == 0, errors.decode()[-3000:]
            given = json.loads(printed)
            assert given["tools"][: len(TOOLS)] == [tool.name for tool in TOOLS]
            assert given["call"] == {"result": 3}
            assert given["progress"] == [[1, 3, "step 1"], [2, 3, "step 2"], [3, 3, "step 3"]]
            assert (given["failure"], given["unknown"]) == (True, -32602)
            assert (given["cancelled"], given["stopped"]) == ("given up", "stopped")
            assert (given["heard"], given["after"]) == (True, ["sum"])

    run(test())
