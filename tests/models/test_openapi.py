"""schemathesis against the server's own description: what it says is so, and nothing that is sent gives a 5xx."""

import subprocess
import sys
from pathlib import Path

import pytest

from portico.models import ToolCall, chat_server, model


@model("talker")
async def talker(messages):
    for message in messages:
        yield message["content"]


@model("caller")
def caller(messages, tools=None):
    if tools:
        yield ToolCall(tools[0]["function"]["name"], {})
    yield "called"


@model("vectors", kind="embedding")
def vectors(texts):
    return [[0.5, 0.25]] * len(texts)


ONE_OF_EACH = [talker, vectors]
SEVERAL = [talker, caller, vectors]


@pytest.mark.parametrize("models", [ONE_OF_EACH, SEVERAL], ids=["one of each", "several"])
def test_the_description_holds(models, serve, tmp_path: Path):
    url = serve(chat_server(models))
    # All of its checks: no 5xx; status, media type and body as described; what is valid is taken, what is not is not.
    # NUL is valid JSON, and refused all the same.
    run = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", "100"),
        *("--generation-deterministic", "--generation-allow-x00", "false", "--continue-on-failure"),
        *("--warnings", "off", "--no-color"),
    ]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout
    assert "Tested: 11" in done.stdout
