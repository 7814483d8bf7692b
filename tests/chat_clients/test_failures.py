"""A function that fails, seen by OpenAI's SDK through a Jupyter server: told once, run once, shown to its author."""

from __future__ import annotations

import pytest
from openai import APIError, InternalServerError, OpenAI

from tests.chat_clients.conftest import serve
from tests.live_jupyter import Kernel

CELL = """
runs = []

def early(messages):
    runs.append("early")
    raise ValueError("a secret of the author's")

def late(messages):
    runs.append("late")
    yield "so far so good"
    raise ValueError("a secret of the author's")
"""


@pytest.mark.parametrize("stream", [True, False])
def test_the_sdk_does_not_run_it_again(stream: bool, kernel: Kernel):
    served = serve(kernel, '{"early": early, "late": late} --name failures', CELL)
    messages = [{"role": "user", "content": "Hello"}]
    with OpenAI(base_url=served.base_url, api_key=served.key) as client:
        with pytest.raises(InternalServerError) as early:
            client.chat.completions.create(model="early", messages=messages, stream=stream)
        with pytest.raises(APIError) as late:
            list(client.chat.completions.create(model="late", messages=messages, stream=stream))
    assert served.evaluate("runs") == ["early", "late"]
    for told in (early, late):
        assert "ValueError" in str(told.value)
        assert "secret" not in str(told.value)
    shown = served.evaluate("[served.log[index].summary for index in (-2, -1)]")
    assert all("a secret of the author's" in summary for summary in shown)
