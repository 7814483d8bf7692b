"""``portico run`` with a real relay: what is deployed on its own port is a service there, and goes with it."""

from __future__ import annotations

import httpx
import pytest

from tests.live_commands import Relay, Shell
from tests.live_pipelines import lay_wrapper, start_pipelines
from tests.waiting import eventually

SHOUT = """\
def run_api(self, text: str) -> str:
    return text.upper()

def run_chat_completion(self, model, messages, body):
    yield "I AM " + model
"""


def answer(url: str, **body: object) -> httpx.Response:
    return httpx.post(url, json=body, trust_env=False, timeout=30)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.real)])
def test_pipelines_are_services_of_a_relay_for_as_long_as_they_are_deployed(
    shell: Shell, relay: Relay, workers: int
) -> None:
    lay_wrapper(shell.folder / "pipelines" / "shout", SHOUT)
    token = relay.token()
    flags = (f"--server-url={relay.url}", "--access=public", f"--workers={workers}")
    server = start_pipelines(shell, *flags, PORTICO_TOKEN=token)
    base = f"{relay.url}/alice/apps"
    eventually(lambda: answer(f"{base}/shout/run", text="hi").status_code == 200)
    for _ in range(4):
        assert answer(f"{base}/shout/run", text="hi").json() == {"result": "HI"}
    chat = {"model": "shout", "messages": [{"role": "user", "content": "hi"}]}
    said = answer(f"{relay.url}/alice/v1/chat/completions", **chat).json()
    assert said["choices"][0]["message"]["content"] == "I AM shout"
    assert answer(f"{base}/shout/deploy_files", name="x", files={}).status_code == 404, "nobody deploys by a hub"
    server.portico("pipeline", "deploy-files", "-n", "loud", str(shell.folder / "pipelines" / "shout"))
    eventually(lambda: answer(f"{base}/loud/run", text="hi").status_code == 200)
    server.portico("pipeline", "undeploy", "loud")
    eventually(lambda: answer(f"{base}/loud/run", text="hi").status_code != 200)
    assert answer(f"{base}/shout/run", text="hi").status_code == 200
    server.end()
