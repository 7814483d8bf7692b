"""The wrapper class: what it has is what its author wrote."""

from __future__ import annotations

import pytest

from portico.pipelines.wrapper import BasePipelineWrapper, has


class Base(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = "made"

    def run_api(self, question: str) -> str:
        return question


class More(Base):
    async def run_chat_completion_async(self, model: str, messages: list[dict], body: dict) -> str:
        return model


def test_what_a_wrapper_has_is_what_it_or_a_class_below_it_defines() -> None:
    assert has(Base(), "run_api")
    assert has(More, "run_api")
    assert has(More, "run_chat_completion_async")
    assert not has(Base, "run_chat_completion_async")
    assert not has(More(), "run_response")


def test_it_needs_setup() -> None:
    class Without(BasePipelineWrapper):
        pass

    with pytest.raises(TypeError, match="setup"):
        Without()  # type: ignore[abstract]


class HayhooksBase:
    """As Hayhooks has it: with each method there, to say that it is not implemented."""

    def setup(self) -> None:
        raise NotImplementedError

    def run_api(self) -> str:
        raise NotImplementedError

    def run_response(self) -> str:
        raise NotImplementedError


HayhooksBase.__name__ = "BasePipelineWrapper"


def test_what_a_base_class_has_to_say_that_it_has_not_is_not_there() -> None:
    class Theirs(HayhooksBase):
        def run_api(self) -> str:
            return "mine"

    one = Theirs()
    assert has(one, "run_api")
    assert has(Theirs, "run_api")
    assert not has(one, "run_response")
    assert not has(Theirs, "run_response")
    one.run_response = lambda: "mine, too"  # type: ignore[method-assign]
    assert has(one, "run_response")
