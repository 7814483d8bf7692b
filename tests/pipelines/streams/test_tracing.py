"""Traces of pipelines: our spans with Haystack's in them, and no trace of any where nobody wants them."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import haystack.tracing
import pytest
from haystack.tracing import Tracer, disable_tracing, enable_tracing, is_tracing_enabled
from haystack.tracing import tracer as haystack_tracer
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from portico.errors import PipelineError
from portico.pipelines.chats.chat import PipelineModels
from portico.pipelines.deploying.making import prepare_yaml
from portico.pipelines.streams.async_streaming import async_streaming_generator
from portico.pipelines.streams.streaming import streaming_generator
from portico.pipelines.streams.tracing import provider, span, trace_as_the_environment_says
from portico.pipelines.wrapper import BasePipelineWrapper
from tests.models.visitor import MESSAGES
from tests.pipelines.haystack_parts import ASKED, USER, agent, chain, chatting
from tests.pipelines.openai_wrappers import request, table
from tests.pipelines.serving import app, run


@pytest.fixture(autouse=True)
def haystack_is_left_as_it_was() -> Iterator[None]:
    yield
    disable_tracing()


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Those that have ended, of a process that has OpenTelemetry set up."""
    exporter, made = InMemorySpanExporter(), TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", made)
    return exporter


def tree(spans: InMemorySpanExporter) -> list[str]:
    """The spans' names, each after those that it is in: ``a > b > c``."""
    by_id = {each.context.span_id: each for each in spans.get_finished_spans()}

    def path(each: ReadableSpan) -> str:
        above = by_id.get(each.parent.span_id) if each.parent is not None else None
        return f"{path(above)} > {each.name}" if above is not None else each.name

    return sorted(path(each) for each in by_id.values())


def named(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    (found,) = (each for each in spans.get_finished_spans() if each.name == name)
    return found


class Chatting(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = chatting("one two")

    def run_api(self, fail: bool = False) -> str:
        if fail:
            raise ValueError("as it should")
        self.pipeline.run(ASKED)
        return "done"

    def run_chat_completion(self, model: str, messages: list[dict], body: dict) -> Any:
        return streaming_generator(self.pipeline, pipeline_run_args=ASKED)


class OnLoop(Chatting):
    async def run_api(self) -> str:  # type: ignore[override]
        return "".join([piece.content async for piece in self._pieces()])

    async def run_chat_completion(self, model: str, messages: list[dict], body: dict) -> Any:  # type: ignore[override]
        return self._pieces()

    def _pieces(self) -> Any:
        return async_streaming_generator(self.pipeline, pipeline_run_args=ASKED)


HAYSTACKS = ["haystack.pipeline.run", "haystack.pipeline.run > haystack.component.run"]


@pytest.mark.parametrize("wrapper", [Chatting, OnLoop])
def test_a_run_has_haystacks_spans_in_it(wrapper: Any, spans: InMemorySpanExporter) -> None:
    assert run(app(p=wrapper()), "p").status == 200
    assert tree(spans) == ["portico.pipeline.run", *(f"portico.pipeline.run > {each}" for each in HAYSTACKS)]
    ours = named(spans, "portico.pipeline.run")
    assert ours.attributes == {"portico.pipeline.name": "p"}
    assert ours.status.is_ok or ours.status.is_unset
    component = named(spans, "haystack.component.run")
    assert component.attributes is not None
    assert component.attributes["haystack.component.name"] == "llm"


@pytest.mark.parametrize("wrapper", [Chatting, OnLoop])
def test_a_chat_that_streams_has_haystacks_spans_in_it(wrapper: Any, spans: InMemorySpanExporter) -> None:
    body = {"model": "p", "messages": MESSAGES, "stream": True}
    made = wrapper()
    made.setup()
    answer = request(PipelineModels(table(p=made)), "/v1/chat/completions", body)
    assert answer.status == 200
    assert tree(spans) == ["portico.pipeline.chat", *(f"portico.pipeline.chat > {each}" for each in HAYSTACKS)]


@pytest.mark.parametrize("is_enabled", [False, True])
@pytest.mark.parametrize("wrapper", [Chatting, OnLoop])
def test_what_is_asked_is_in_the_spans_only_where_haystack_is_to_trace_contents(
    wrapper: Any, is_enabled: bool, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(haystack_tracer, "is_content_tracing_enabled", is_enabled)
    assert run(app(p=wrapper()), "p").status == 200
    held = "".join(str(dict(each.attributes or {})) for each in spans.get_finished_spans())
    assert (USER.text in held) == is_enabled
    assert ("haystack.pipeline.input_data" in held) == is_enabled
    assert "haystack.pipeline.execution_mode" in held


def test_an_agents_steps_are_spans(spans: InMemorySpanExporter) -> None:
    with span("run", "mine"):
        list(streaming_generator(agent(), pipeline_run_args={"messages": [USER]}))
    assert {each.rpartition(" > ")[2] for each in tree(spans)} >= {"haystack.agent.run", "haystack.agent.step"}
    assert all(each.startswith("portico.pipeline.run") for each in tree(spans))


def test_a_failure_is_in_its_span(spans: InMemorySpanExporter) -> None:
    assert run(app(p=Chatting()), "p", {"fail": True}).status == 500
    ours = named(spans, "portico.pipeline.run")
    assert not ours.status.is_ok
    assert ours.attributes is not None
    assert ours.attributes["error.type"] == "ValueError"
    (event,) = ours.events
    assert event.attributes is not None
    assert event.attributes["exception.message"] == "as it should"


def test_a_visitor_who_leaves_is_no_failure(spans: InMemorySpanExporter) -> None:
    with pytest.raises(asyncio.CancelledError), span("run", "p"):
        raise asyncio.CancelledError
    ours = named(spans, "portico.pipeline.run")
    assert ours.status.is_unset
    assert ours.attributes == {"portico.pipeline.name": "p", "portico.pipeline.left": True}
    assert ours.events == ()


def test_a_deploy_is_a_span(spans: InMemorySpanExporter) -> None:
    prepare_yaml("p", chatting().dumps() + "\ninputs:\n  messages: llm.messages\n")
    assert named(spans, "portico.pipeline.deploy").attributes == {"portico.pipeline.name": "p"}
    spans.clear()
    with pytest.raises(PipelineError):
        prepare_yaml("p", "components: 3")
    assert not named(spans, "portico.pipeline.deploy").status.is_ok


def test_a_tracer_that_its_author_gave_haystack_stays(spans: InMemorySpanExporter) -> None:
    class Mine(Tracer):
        trace = haystack.tracing.tracer.actual_tracer.trace  # type: ignore[assignment]

        def current_span(self) -> None:
            return None

    mine = Mine()
    enable_tracing(mine)
    with span("run", "p"):
        chain(lambda text: None).run({"step_0": {"text": "hello"}})
    assert haystack.tracing.tracer.actual_tracer is mine
    assert tree(spans) == ["portico.pipeline.run"]


def test_content_is_kept_out_unless_haystack_is_told_otherwise(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = chatting("a secret")
    with span("run", "p"):
        pipe.run(ASKED)
    assert "secret" not in str([each.attributes for each in spans.get_finished_spans()])
    monkeypatch.setattr(haystack.tracing.tracer, "is_content_tracing_enabled", True)
    with span("run", "p"):
        pipe.run(ASKED)
    assert "secret" in str([each.attributes for each in spans.get_finished_spans()])


def test_without_a_provider_nothing_is_made() -> None:
    assert provider() is None
    with span("run", "p") as present:
        assert present is None
    assert span("run", "p") is span("deploy", "q"), "one that does nothing, for all"
    assert not is_tracing_enabled()


def test_a_call_of_a_pipeline_sets_up_no_opentelemetry() -> None:
    """Its API is there all the same, since FastAPI and mcp have spans of their own."""
    program = """
import sys
from tests.pipelines.serving import app, run
from portico.pipelines.wrapper import BasePipelineWrapper

class Plain(BasePipelineWrapper):
    def setup(self): pass
    def run_api(self) -> str: return "done"

assert run(app(p=Plain()), "p").json == {"result": "done"}
print(sorted(name for name in ("opentelemetry.sdk", "haystack") if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


# --- a provider as the environment says -------------------------------------------------------------------------

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


def test_without_an_endpoint_nothing_is_set_up() -> None:
    assert not trace_as_the_environment_says({})
    assert not trace_as_the_environment_says({**ENDPOINT, "OTEL_SDK_DISABLED": "true"})
    assert provider() is None


def test_what_is_missing_is_told_with_its_command(caplog: pytest.LogCaptureFixture) -> None:
    for protocol, package in (("", "http"), ("grpc", "grpc")):
        caplog.clear()
        assert not trace_as_the_environment_says({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol})
        assert f"pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-{package}" in caplog.text
    assert provider() is None


def test_a_protocol_that_there_is_not(caplog: pytest.LogCaptureFixture) -> None:
    assert not trace_as_the_environment_says({**ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "pigeon"})
    assert "protocol 'pigeon' is not one of http/protobuf, grpc" in caplog.text


def test_an_endpoint_and_what_it_needs_set_one_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With a stand-in for the exporter's package, whose own parts need a compiler of protobuf."""
    exporter = InMemorySpanExporter()
    for depth in range(2, 6):
        name = ".".join(["opentelemetry", "exporter", "otlp", "proto", "http", "trace_exporter"][: depth + 1])
        module = type(sys)(name)
        module.__path__ = []  # type: ignore[attr-defined]
        module.OTLPSpanExporter = lambda: exporter  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", type(trace._TRACER_PROVIDER_SET_ONCE)())
    with caplog.at_level(logging.INFO):
        assert trace_as_the_environment_says(ENDPOINT)
    assert "Traces of pipelines go to OpenTelemetry, by http/protobuf." in caplog.text
    assert not trace_as_the_environment_says(ENDPOINT), "once a process"
    with span("run", "p"):
        pass
    made = provider()
    made.force_flush()
    assert named(exporter, "portico.pipeline.run").resource.attributes["service.name"] == "portico"
    made.shutdown()
