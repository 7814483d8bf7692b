"""Dicts that came as JSON become Haystack's objects, by what the pipeline's inputs take."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import pytest
from haystack import Pipeline, component
from haystack.components.generators.chat import MockChatGenerator
from haystack.dataclasses import ChatMessage, Document
from pydantic import BaseModel

from portico.pipelines.chats.serialized_inputs import coerce_pipeline_inputs


class Model(BaseModel):
    n: int


@dataclass
class Plain:
    n: int


@component
class Takes:
    @component.output_types(out=Any)
    def run(
        self,
        document: Document | None = None,
        documents: list[Document] | None = None,
        model: Model | None = None,
        plain: list[Plain] | None = None,
        either: Document | ChatMessage | None = None,
        free: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        return {"out": documents}


@pytest.fixture
def pipeline() -> Pipeline:
    pipe = Pipeline()
    pipe.add_component("takes", Takes())
    pipe.add_component("llm", MockChatGenerator())
    return pipe


DOCUMENT = Document(content="text", id="1")
MESSAGE = ChatMessage.from_user("Hello")


def test_by_components(pipeline: Pipeline) -> None:
    given = {
        "takes": {
            "document": DOCUMENT.to_dict(),
            "documents": [DOCUMENT.to_dict(), DOCUMENT],
            "model": {"n": 1},
            "plain": [{"n": 2}],
            "free": {"n": 3},
            "unknown": {"n": 4},
        },
        "llm": {"messages": [MESSAGE.to_dict()]},
        "nobody": {"x": {}},
    }
    before = copy.deepcopy(given)
    assert coerce_pipeline_inputs(pipeline, given) == {
        "takes": {
            "document": DOCUMENT,
            "documents": [DOCUMENT, DOCUMENT],
            "model": Model(n=1),
            "plain": [Plain(2)],
            "free": {"n": 3},
            "unknown": {"n": 4},
        },
        "llm": {"messages": [MESSAGE]},
        "nobody": {"x": {}},
    }
    assert given == before


def test_flat(pipeline: Pipeline) -> None:
    given = {"messages": [MESSAGE.to_dict()], "documents": [DOCUMENT.to_dict()], "more": 1}
    assert coerce_pipeline_inputs(pipeline, given) == {"messages": [MESSAGE], "documents": [DOCUMENT], "more": 1}


def test_flat_where_the_one_input_is_a_dict(pipeline: Pipeline) -> None:
    assert coerce_pipeline_inputs(pipeline, {"document": DOCUMENT.to_dict()}) == {"document": DOCUMENT}


def test_what_a_run_takes_after_it(pipeline: Pipeline) -> None:
    given = coerce_pipeline_inputs(pipeline, {"llm": {"messages": [MESSAGE.to_dict()]}})
    assert pipeline.run(given)["llm"]["replies"][0].text == "Hello"


def test_a_dict_that_may_be_two_things(pipeline: Pipeline) -> None:
    with pytest.raises(ValueError, match=r"several classes \(ChatMessage, Document\)"):
        coerce_pipeline_inputs(pipeline, {"takes": {"either": {}}})
    assert coerce_pipeline_inputs(pipeline, {"takes": {"either": DOCUMENT}}) == {"takes": {"either": DOCUMENT}}
