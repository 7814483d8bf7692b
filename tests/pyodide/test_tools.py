"""Tools in a tab: with the SDK of MCP, both eras of clients are answered; without it, that is said."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

from tests.pyodide import environment
from tests.pyodide.test_import import last_line, run_inside

REQUIREMENTS = Path(__file__).with_name("tools.txt")

STAND_INS = {
    # What is imported of them, and never called, where tools are served.
    "cryptography": {
        "cryptography/__init__.py": "",
        "cryptography/exceptions.py": "class InvalidTag(Exception): pass",
        "cryptography/hazmat/__init__.py": "",
        "cryptography/hazmat/primitives/__init__.py": "",
        "cryptography/hazmat/primitives/hashes.py": "class SHA256: pass",
        "cryptography/hazmat/primitives/ciphers/__init__.py": "",
        "cryptography/hazmat/primitives/ciphers/aead.py": "class AESGCM: pass",
        "cryptography/hazmat/primitives/kdf/__init__.py": "",
        "cryptography/hazmat/primitives/kdf/hkdf.py": "class HKDF: pass",
    },
    "rpds_py": {"rpds/__init__.py": ""},
}
"""For the two packages that are compiled for Pyodide's own distribution alone, which is on a CDN."""

PROGRAM = """
import asyncio, json
from portico.tools.server import ToolServer
from portico.tools.tool import Tool, ToolResult

async def add(arguments, caller):
    if caller.progress is not None:
        caller.progress(1, 1, "added")
    total = arguments["a"] + arguments["b"]
    return ToolResult(content=({"type": "text", "text": str(total)},), structured={"result": total})

async def wait(arguments, caller):
    try:
        await asyncio.Event().wait()
    finally:
        stopped.set()

stopped = asyncio.Event()
errors = []
server = ToolServer([Tool(name="add", call=add), Tool(name="wait", call=wait)], name="flats", on_error=errors.append)

async def ask(message, left=None, **headers):
    told = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    told |= {name.replace("_", "-"): value for name, value in headers.items()}
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    sent, texts = [{"type": "http.request", "body": body}], []
    async def receive():
        if sent:
            return sent.pop()
        await (left or asyncio.Event()).wait()
        return {"type": "http.disconnect"}
    async def send(event):
        if event["type"] == "http.response.start":
            receive.head = event
        else:
            texts.append(event.get("body", b"").decode())
    raw = [(name.encode(), value.encode()) for name, value in told.items()]
    await server({"type": "http", "method": "POST", "path": "/mcp", "headers": raw}, receive, send)
    head = getattr(receive, "head", None)
    return head and head["status"], head and dict(head["headers"]), "".join(texts)

META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}

async def call(name, left=None, **meta):
    params = {"name": name, "arguments": {"a": 1, "b": 2}, "_meta": META | meta}
    named = {"mcp_protocol_version": "2026-07-28", "mcp_method": "tools/call", "mcp_name": name}
    return await ask({"id": 1, "method": "tools/call", "params": params}, left, **named)

async def main():
    modern = await call("add", progressToken="t")
    if errors:
        return {"status": modern[0], "text": modern[2], "error": str(errors[0]), "remarks": server.remarks}
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    _, headers, _ = await ask({"id": 1, "method": "initialize", "params": hello})
    session = headers[b"mcp-session-id"].decode()
    old = await ask(
        {"id": 2, "method": "tools/call", "params": {"name": "add", "arguments": {"a": 1, "b": 2}}},
        mcp_session_id=session,
    )
    left = asyncio.Event()
    asyncio.get_running_loop().call_later(0.2, left.set)
    await call("wait", left)
    async with asyncio.timeout(1):
        await stopped.wait()
    await server.close()
    return {"modern": modern[2], "old": old[2], "remarks": server.remarks}

print(json.dumps(await main()))
"""


def stand_in(name: str, files: dict[str, str], folder: Path) -> Path:
    """A wheel in *folder* with *files* in it."""
    info = f"{name}-99.0.dist-info"
    written = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 99.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{path},sha256={_digest(text)},{len(text.encode())}" for path, text in written.items()]
    written[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    wheel = folder / f"{name}-99.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in written.items():
            archive.writestr(path, text)
    return wheel


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def test_both_eras_are_answered_in_a_tab(node: str, tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    wheels = [*environment.wheels("pyodide-tools", REQUIREMENTS).glob("*.whl")]
    wheels += [stand_in(name, files, more) for name, files in STAND_INS.items()]
    bundle = environment.bundle(tmp_path / "bundle", wheels)
    told = ran(node, bundle, tmp_path, "portico", "mcp")
    assert '"progressToken":"t"' in told["modern"]
    assert '"structuredContent":{"result":3}' in told["modern"]
    assert '"structuredContent":{"result":3}' in told["old"]
    assert told["remarks"] == []


def test_without_the_sdk_its_absence_is_said(node: str, bundle: Path, tmp_path: Path) -> None:
    told = ran(node, bundle, tmp_path, "portico")
    assert told["status"] == 501
    assert "the package mcp cannot be imported" in told["text"]
    assert "needs the package mcp. %pip install mcp brings it" in told["remarks"][0]


def ran(node: str, bundle: Path, folder: Path, *packages: str) -> dict[str, str]:
    program = folder / "program.py"
    program.write_text(PROGRAM)
    told = last_line(run_inside(node, bundle, program, folder, *packages))
    assert isinstance(told, dict)
    return told
