"""Live pipelines and components: what callers give and get, declared or not."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from portico.errors import NotServable, PipelineError
from portico.functions.calling import call, validate
from portico.functions.values.json_form import result_bytes
from portico.pipelines.components.objects import is_live_pipeline, prepare_object
from portico.pipelines.deployment import Deployment
from portico.pipelines.deployments import Deployments
from tests.pipelines.haystack_made import branches, question_and_reply, replier


def run(deployment: Deployment, given: dict[str, Any]) -> Any:
    api = deployment.api
    assert api is not None
    args, kwargs = validate(api, given)
    result = asyncio.run(call(api, args, kwargs))
    return json.loads(result_bytes(result, api))["result"]


def fields(deployment: Deployment) -> dict[str, bool]:
    """The names of the fields, each with whether it is required."""
    assert deployment.api is not None
    return {one.name: one.required for one in deployment.api.parameters}


def test_declared_inputs_are_the_fields_and_declared_outputs_name_the_results() -> None:
    pipe = question_and_reply()
    served = prepare_object("n", pipe, inputs={"question": "prompt.question"}, outputs={"answer": "llm.replies"})
    assert served.pipeline is pipe
    assert fields(served) == {"question": True}
    result = run(served, {"question": "Why?"})
    assert list(result) == ["answer"]
    assert result["answer"][0]["_content"] == [{"text": "Q: Why?"}]


def test_one_input_for_several_sockets_and_an_output_within_the_pipeline() -> None:
    served = prepare_object(
        "n", branches(), inputs={"number": ["first.value", "add.value"]}, outputs={"double": "first.value"}
    )
    assert run(served, {"number": 5}) == {"double": 10}


def test_lists_of_sockets_name_what_they_declare_after_these() -> None:
    served = prepare_object("n", question_and_reply(), inputs=["prompt.question"], outputs=["llm.replies"])
    assert fields(served) == {"question": True}
    assert list(run(served, {"question": "Why?"})) == ["replies"]
    assert fields(prepare_object("n", question_and_reply(), inputs="prompt.question")) == {"question": True}


def test_an_output_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(PipelineError, match=r"'answer' names 'llm.reply'.* does not have: it has .*llm\.replies"):
        prepare_object("n", question_and_reply(), outputs={"answer": "llm.reply"})


def test_undeclared_the_fields_are_what_it_cannot_run_without() -> None:
    served = prepare_object("n", question_and_reply())
    assert fields(served) == {"question": True}  # neither a template, nor parameters of the model
    assert list(run(served, {"question": "Why?"})) == ["replies"]
    assert fields(prepare_object("n", replier())) == {"messages": True}


def test_undeclared_one_field_is_for_all_sockets_of_one_name_and_type() -> None:
    served = prepare_object("n", branches())
    assert fields(served) == {"value": True}
    assert run(served, {"value": 5}) == {"value": 20, "result": 8}


def test_undeclared_sockets_of_one_name_and_two_types_are_two_fields() -> None:
    from haystack import Pipeline, component

    @component
    class Takes:
        def __init__(self, kind: Any) -> None:
            component.set_input_type(self, "value", kind)
            component.set_output_types(self, value=kind)

        def run(self, **given: Any) -> dict[str, Any]:
            return {"value": given["value"]}

    pipe = Pipeline()
    pipe.add_component("one", Takes(int))
    pipe.add_component("two", Takes(str))
    served = prepare_object("n", pipe)
    assert fields(served) == {"one_value": True, "two_value": True}
    assert run(served, {"one_value": 1, "two_value": "2"}) == {"one_value": 1, "two_value": "2"}


def test_variables_of_a_prompt_that_may_be_left_out_are_fields_that_may() -> None:
    from haystack import Pipeline
    from haystack.components.builders import PromptBuilder

    pipe = Pipeline()
    pipe.add_component("prompt", PromptBuilder("{{greeting}} {{name}}!", required_variables=["name"]))
    served = prepare_object("n", pipe)
    assert fields(served) == {"name": True, "greeting": False} or fields(served) == {"greeting": False, "name": True}
    assert run(served, {"name": "you"}) == {"prompt": " you!"}
    assert run(served, {"name": "you", "greeting": "Hello"}) == {"prompt": "Hello you!"}


def test_an_output_of_a_branch_that_did_not_run_is_left_out() -> None:
    from haystack import Pipeline
    from haystack.testing.sample_components import Parity

    pipe = Pipeline()
    pipe.add_component("parity", Parity())
    served = prepare_object("n", pipe)
    assert run(served, {"value": 3}) == {"odd": 3}
    assert run(served, {"value": 4}) == {"even": 4}


def test_a_component_by_itself() -> None:
    from haystack.testing.sample_components import Double

    served = prepare_object("n", Double())
    assert fields(served) == {"value": True}
    assert run(served, {"value": 4}) == {"value": 8}
    served = prepare_object("n", Double(), inputs={"number": "value"}, outputs={"twice": "value"})
    assert run(served, {"number": 4}) == {"twice": 8}
    with pytest.raises(PipelineError, match="the component has no input 'nope'"):
        prepare_object("n", Double(), inputs={"number": "nope"})


def test_an_agent_answers_messages() -> None:
    from haystack.components.agents import Agent
    from haystack.components.generators.chat import MockChatGenerator

    served = prepare_object("n", Agent(chat_generator=MockChatGenerator("Because.")))
    assert fields(served) == {"messages": True}
    result = run(served, {"messages": [{"role": "user", "content": "Why?"}]})
    assert result["last_message"]["_content"] == [{"text": "Because."}]


def test_an_agent_within_a_pipeline() -> None:
    from haystack import Pipeline
    from haystack.components.agents import Agent
    from haystack.components.generators.chat import MockChatGenerator

    pipe = Pipeline()
    pipe.add_component("agent", Agent(chat_generator=MockChatGenerator("Because.")))
    served = prepare_object("n", pipe, inputs={"messages": "agent.messages"}, outputs={"answer": "agent.last_message"})
    result = run(served, {"messages": [{"role": "user", "content": "Why?"}]})
    assert result["answer"]["_content"] == [{"text": "Because."}]


def test_a_component_that_only_waits_is_run_by_its_own_coroutine() -> None:
    from haystack import Pipeline, component

    @component
    class Waits:
        @component.output_types(answer=str)
        def run(self, question: str) -> dict[str, str]:
            raise NotImplementedError("use run_async")

        @component.output_types(answer=str)
        async def run_async(self, question: str) -> dict[str, str]:
            await asyncio.sleep(0)
            return {"answer": question.upper()}

    pipe = Pipeline()
    pipe.add_component("waits", Waits())
    assert run(prepare_object("n", pipe), {"question": "why"}) == {"answer": "WHY"}


def test_what_is_a_pipeline_is_told_without_importing_anything() -> None:
    from haystack import Pipeline
    from haystack.testing.sample_components import Double

    assert is_live_pipeline(Pipeline())
    assert is_live_pipeline(Double())
    for other in (3, "pipeline", Pipeline, Double, print, {"walk": 1}):
        assert not is_live_pipeline(other)
    with pytest.raises(NotServable, match="int is no pipeline"):
        prepare_object("n", 3)


def test_a_run_that_nobody_waits_for_ends_at_its_next_component() -> None:
    from haystack import Pipeline, component

    began: list[int] = []
    begun, may_go, over = threading.Event(), threading.Event(), threading.Event()

    @component
    class Step:
        @component.output_types(value=int)
        def run(self, value: int) -> dict[str, int]:
            began.append(value)
            begun.set()
            may_go.wait(20)
            return {"value": value + 1}

    class Whole(Pipeline):
        def run(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().run(*args, **kwargs)
            finally:
                over.set()

    pipe = Whole()
    for number in range(3):
        pipe.add_component(f"step{number}", Step())
    for number in range(2):
        pipe.connect(f"step{number}.value", f"step{number + 1}.value")
    api = Deployments().add(prepare_object("n", pipe)).api
    assert api is not None

    async def test() -> None:
        calling = asyncio.create_task(call(api, *validate(api, {"value": 1})))
        assert await asyncio.to_thread(begun.wait, 20)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        may_go.set()
        assert await asyncio.to_thread(over.wait, 1)

    asyncio.run(test())
    assert began == [1]
