"""Each client is a program of its own, run as its user would run it. It says what it has seen work, line by line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chat_clients import environments
from tests.chat_clients.conftest import Served
from tests.live_jupyter import JupyterServer

HERE = Path(__file__).parent
OVER = ("streaming", "tools", "structured output")

PROGRAMS = {
    "programs/openai_sync.py": [
        *("models", "chat", "streaming", "tools", "streamed tools", "structured output", "embeddings", "completions"),
        *("responses", "responses with tools", "streamed responses", "responses over a WebSocket", "errors"),
    ],
    "programs/openai_async.py": [
        *("chat", "streaming", "tools", "structured output", "embeddings", "streamed responses"),
        *("responses over a WebSocket", "stopping"),
    ],
    "programs/langchain_client.py": [
        *("chat", "streaming", "tools", "streamed tools", "structured output", "embeddings", "responses"),
    ],
    "programs/pydantic_ai_client.py": [
        *("chat", *(f"chat, {what}" for what in OVER)),
        *("responses", *(f"responses, {what}" for what in OVER)),
    ],
    "programs/instructor_client.py": [
        *(
            f"{what}, {mode}"
            for mode in ("TOOLS", "JSON", "JSON_SCHEMA")
            for what in ("structured output", "streaming")
        ),
    ],
    "programs/litellm_client.py": [
        *("chat", "streaming", "reasoning", "tools", "structured output", "embeddings", "responses", "asynchronous"),
    ],
    "js/openai.mjs": [
        *("models", "chat", "streaming", "tools", "structured output", "embeddings", "responses"),
        *("streamed responses", "responses over a WebSocket", "errors", "stopping"),
    ],
    "js/ai_sdk.mjs": ["chat", "streaming", "reasoning", "tools", "structured output", "embeddings"],
}
OLDER = {"programs/instructor_client.py", "programs/litellm_client.py"}

SMOKE = "programs/openai_sync.py"
"""What is run at the base URL of all models in `make test`: the others send there what they send to a service."""


def interpreter(program: str) -> str:
    if program in OLDER:
        return str(environments.python())
    if not program.endswith(".mjs"):
        return sys.executable
    try:
        return environments.node()
    except LookupError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.mark.timeout(400)  # the first run of each kind installs its packages
@pytest.mark.parametrize(
    ("base", "program"),
    [
        *(("service", program) for program in PROGRAMS),
        ("all models", SMOKE),
        *(pytest.param("all models", program, marks=pytest.mark.real) for program in PROGRAMS if program != SMOKE),
    ],
)
def test_a_client(program: str, base: str, zoo: Served, jupyter_server: JupyterServer):
    """At the service's own URL, and at the one under which all models are."""
    settings = {
        "BASE_URL": zoo.base_url if base == "service" else jupyter_server.url + "portico/v1",
        "API_KEY": zoo.key,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # it would fetch a table of prices otherwise
        "PYTHONWARNINGS": "",
    }
    command = [interpreter(program), str(HERE / program)]
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.splitlines() == PROGRAMS[program]


def test_each_program_is_run():
    found = {path.relative_to(HERE).as_posix() for path in [*HERE.glob("programs/*.py"), *HERE.glob("js/*.mjs")]}
    assert found == set(PROGRAMS)
