"""What is around each call of a pipeline: the settings of its server, whichever way it is called."""

from __future__ import annotations

from typing import Any

import haystack.tracing
import pytest

from portico.pipelines.chats.chat import PipelineModels
from portico.pipelines.deployments import Deployments
from portico.pipelines.program.app import PipelinesApp
from portico.pipelines.server.gate import Gate
from portico.pipelines.server.server import PipelinesServer
from portico.pipelines.streams.async_streaming import async_streaming_generator
from portico.pipelines.streams.run_scope import RunScope
from portico.pipelines.streams.streaming import streaming_generator
from portico.pipelines.streams.streaming_components import CHOSEN
from portico.pipelines.wrapper import BasePipelineWrapper
from tests.models.visitor import MESSAGES
from tests.pipelines.haystack_parts import TWO_ASKED, two_models
from tests.pipelines.openai_wrappers import deployed, request
from tests.pipelines.serving import Undeployable, run, wrapped


class TwoModels(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = two_models()

    def run_api(self, components: list[str] | None = None) -> str:
        pieces = streaming_generator(self.pipeline, pipeline_run_args=TWO_ASKED, streaming_components=components)
        return "".join(piece.content for piece in pieces)

    async def run_chat_completion(self, model: str, messages: list[dict], body: dict) -> Any:
        return async_streaming_generator(self.pipeline, pipeline_run_args=TWO_ASKED)


def call(deployments: Deployments, **body: Any) -> Any:
    served: Any = PipelinesApp(PipelinesServer(deployments, Undeployable()), Gate("key"))
    return run(served, "p", body).json["result"]


@pytest.mark.parametrize(
    ("setting", "expected"), [("all", "a bc d"), (("first",), "a b"), (None, "c d")], ids=["all", "first", "not set"]
)
def test_the_servers_settings_say_which_components_stream(setting: Any, expected: str) -> None:
    deployments = Deployments(setting)
    deployments.add(wrapped("p", TwoModels()))
    assert call(deployments) == expected
    assert call(deployments, components=["second"]) == "c d", "what the author says goes before them"
    chats, wrapper = Deployments(setting), TwoModels()
    wrapper.setup()
    chats.add(deployed("p", wrapper))
    answer = request(PipelineModels(chats), "/v1/chat/completions", {"model": "p", "messages": MESSAGES})
    assert sorted(answer.json["choices"][0]["message"]["content"]) == sorted(expected)
    assert CHOSEN.get() is None


def test_haystack_is_watched_from_the_first_call_on() -> None:
    vars(haystack.tracing.tracer).pop("trace", None)
    with RunScope("p", "run")():
        assert "trace" in vars(haystack.tracing.tracer)


def test_a_scope_passes_on_what_is_raised_in_it() -> None:
    def fails() -> None:
        with RunScope("p", "run", "all")():
            assert CHOSEN.get() == "all"
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fails()
    assert CHOSEN.get() is None
