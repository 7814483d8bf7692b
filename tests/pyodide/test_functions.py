"""Typed functions in a tab that has not all packages: what is missing is said, and the rest works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.pyodide.test_import import last_line, run_inside

PROGRAM = """
import asyncio, json, pathlib
from portico.adapters.take import take
from portico.errors import NotServable

JSON = "application/json"
FORM = "multipart/form-data; boundary=x"

async def ask(app, method, path, body=b"", content_type=JSON, accept="*/*"):
    sent, told = [{"type": "http.request", "body": body}], []
    async def receive():
        if sent:
            return sent.pop()
        await asyncio.Event().wait()
    async def send(event):
        told.append(event)
    headers = [(b"content-type", content_type.encode()), (b"accept", accept.encode())]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
    await app(scope, receive, send)
    pieces = [event["body"].decode() for event in told[1:] if event.get("body")]
    return told[0]["status"], pieces

def predict(area: float, rooms: int = 2) -> float:
    '''Price of a flat.

    Args:
        area: square metres
    '''
    return area * rooms

async def count(to: int):
    for number in range(to):
        await asyncio.sleep(0)
        yield f"{number} "

def size(file: pathlib.Path) -> int:
    return len(file.read_bytes())

def refusal():
    try:
        take(predict)
    except NotServable as error:
        return str(error)

async def main():
    if refused := refusal():
        return {"refused": refused}
    taken = take([predict, count, size])
    form = b'--x\\r\\nContent-Disposition: form-data; name="file"; filename="a"\\r\\n\\r\\nhello\\r\\n--x--\\r\\n'
    return {
        "remarks": taken.remarks,
        "page": (await ask(taken.app, "GET", "/", accept="text/html"))[0],
        "openapi": (await ask(taken.app, "GET", "/openapi.json"))[0],
        "called": await ask(taken.app, "POST", "/predict/run", b'{"area": 3}'),
        "wrong": (await ask(taken.app, "POST", "/predict/run", b'{"area": "x"}'))[0],
        "streamed": await ask(taken.app, "POST", "/count/run", b'{"to": 3}'),
        "file": await ask(taken.app, "POST", "/size/run", b'{"file": "aGVsbG8="}'),
        "form": await ask(taken.app, "POST", "/size/run", form, FORM),
        "mcp": await ask(taken.app, "POST", "/mcp", b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}'),
    }

print(json.dumps(await main()))
"""


def ran(node: str, bundle: Path, folder: Path, *packages: str) -> Any:
    program = folder / "program.py"
    program.write_text(PROGRAM)
    return last_line(run_inside(node, bundle, program, folder, "portico", *packages))


def test_with_fastapi_alone_functions_are_called_and_what_is_missing_is_said(
    node: str, bundle: Path, tmp_path: Path
) -> None:
    told = ran(node, bundle, tmp_path, "fastapi")
    assert told.pop("mcp")[0] == 501
    status, [said] = told.pop("form")
    assert status == 501
    assert "for want of the package python-multipart: send JSON, with files in base64" in said
    assert told == {
        "remarks": [
            "Agents cannot call it as a tool: that needs the package mcp. %pip install mcp brings it.",
            "Files can be sent as base64 in JSON alone: forms need python-multipart. %pip install python-multipart",
            "What docstrings say of parameters is not read: that needs docstring-parser. %pip install docstring-parser",
            "The page at docs needs fastapi-offline: %pip install fastapi-offline.",
        ],
        "page": 200,
        "openapi": 200,
        "called": [200, ['{"result":6.0}']],
        "wrong": 422,
        "streamed": [200, ["0 ", "1 ", "2 "]],
        "file": [200, ['{"result":5}']],
    }


def test_with_all_that_can_be_had_files_come_by_forms(node: str, bundle: Path, tmp_path: Path) -> None:
    told = ran(node, bundle, tmp_path, "fastapi", "python-multipart", "docstring-parser", "fastapi-offline")
    assert [remark.partition(":")[0] for remark in told["remarks"]] == ["Agents cannot call it as a tool"]
    assert told["form"] == [200, ['{"result":5}']]


def test_without_fastapi_the_packages_are_named(node: str, bundle: Path, tmp_path: Path) -> None:
    assert ran(node, bundle, tmp_path) == {
        "refused": "To serve functions, fastapi and pydantic must be installed: %pip install fastapi pydantic"
    }
