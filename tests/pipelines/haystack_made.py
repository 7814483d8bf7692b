"""Pipelines of real Haystack components that the tests of this room serve."""

from __future__ import annotations

from typing import Any


def branches() -> Any:
    """``first`` doubles a number, and ``second`` that; ``add`` adds 3, or the number that it is given."""
    from haystack import Pipeline
    from haystack.testing.sample_components import AddFixedValue, Double

    pipe = Pipeline()
    pipe.add_component("first", Double())
    pipe.add_component("second", Double())
    pipe.add_component("add", AddFixedValue(add=3))
    pipe.connect("first.value", "second.value")
    return pipe


def question_and_reply() -> Any:
    """``prompt`` makes a message of a question, and ``llm`` says it again."""
    from haystack import Pipeline
    from haystack.components.builders import ChatPromptBuilder
    from haystack.components.generators.chat import MockChatGenerator
    from haystack.dataclasses import ChatMessage

    pipe = Pipeline()
    pipe.add_component("prompt", ChatPromptBuilder(template=[ChatMessage.from_user("Q: {{question}}")]))
    pipe.add_component("llm", MockChatGenerator())
    pipe.connect("prompt.prompt", "llm.messages")
    return pipe


def replier() -> Any:
    """``llm`` alone, which says the last message again."""
    from haystack import Pipeline
    from haystack.components.generators.chat import MockChatGenerator

    pipe = Pipeline()
    pipe.add_component("llm", MockChatGenerator())
    return pipe


def looping() -> Any:
    """Adds 3 to a number until it is above 10, and doubles that."""
    from haystack import Pipeline
    from haystack.components.joiners import BranchJoiner
    from haystack.testing.sample_components import AddFixedValue, Double, Threshold

    pipe = Pipeline()
    pipe.add_component("start", BranchJoiner(int))
    pipe.add_component("add", AddFixedValue(add=3))
    pipe.add_component("check", Threshold(threshold=10))
    pipe.add_component("end", Double())
    pipe.connect("start.value", "add.value")
    pipe.connect("add.result", "check.value")
    pipe.connect("check.below", "start.value")
    pipe.connect("check.above", "end.value")
    return pipe
