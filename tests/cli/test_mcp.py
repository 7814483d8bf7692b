"""`portico mcp run`: the server of tools alone, as a process."""

from __future__ import annotations

import json
import re

import httpx

from tests.live_commands import Shell
from tests.live_jupyter import free_port
from tests.live_pipelines import YAML, listening


def test_the_tools_of_a_folder(shell: Shell) -> None:
    (shell.folder / "tools").mkdir()
    (shell.folder / "tools" / "double.yml").write_text(YAML)
    port = str(free_port())
    arguments = ["mcp", "run", "-h", "127.0.0.1", "-p", port, "-d", "tools", "-j", "--debug"]
    live = listening(shell, arguments, int(port))
    assert live.url == f"http://127.0.0.1:{port}/mcp"
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "double", "arguments": {"value": 4}}}
    answer = httpx.post(
        live.url, json=asked, headers={"Accept": "application/json, text/event-stream"}, trust_env=False, timeout=30
    )
    [said] = re.findall(r"\{.*\}", answer.text)
    assert json.loads(json.loads(said)["result"]["content"][0]["text"]) == {"add": {"result": 11}}
    said = live.end()
    assert "1 of 1 pipelines are up" in said


def test_its_own_port_has_a_variable(shell: Shell) -> None:
    done = shell.run("mcp", "run", status=1, HAYHOOKS_MCP_HOST="192.0.2.1", HAYHOOKS_MCP_PORT="1999", PORTICO_PORT="1")
    assert done.stderr.startswith("portico: cannot listen on 192.0.2.1, port 1999")
    done = shell.run("--host", "192.0.2.1", "--port=1998", "mcp", "run", status=1)
    assert done.stderr.startswith("portico: cannot listen on 192.0.2.1, port 1998"), "before the command, too"
    assert "required" in shell.run("mcp", status=2).stderr
    assert "--pipelines-dir" in shell.run("mcp", "run", "-h").stdout
