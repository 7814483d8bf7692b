"""Pipelines of YAML files: what they declare, what callers give and get, and what is refused when they are deployed."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from portico.errors import FunctionError, PipelineError
from portico.functions.calling import call, validate
from portico.functions.values.json_form import result_bytes
from portico.pipelines.components.yaml_pipelines import prepare_yaml
from portico.pipelines.deployment import Deployment
from tests.pipelines.haystack_made import branches, question_and_reply, replier

NUMBERS = branches().dumps()


def run(deployment: Deployment, given: dict[str, Any]) -> Any:
    """What a caller gets, as JSON."""
    api = deployment.api
    assert api is not None
    args, kwargs = validate(api, given)
    result = asyncio.run(call(api, args, kwargs))
    return json.loads(result_bytes(result, api))["result"]


def refused(text: str) -> str:
    with pytest.raises(PipelineError) as caught:
        prepare_yaml("n", text)
    assert caught.value.status == 422
    return str(caught.value)


def test_the_result_is_by_component_and_socket_with_the_components_of_the_outputs() -> None:
    said = NUMBERS + "inputs:\n  value: [first.value, add.value]\noutputs:\n  a: first.value\n  b: add.result\n"
    assert run(prepare_yaml("n", said), {"value": 5}) == {
        "first": {"value": 10},  # which gives it to another component: it is here since an output names it
        "second": {"value": 20},
        "add": {"result": 8},
    }


def test_an_input_has_the_type_of_its_socket_and_all_are_required() -> None:
    deployment = prepare_yaml("n", NUMBERS + "inputs:\n  value: [first.value, add.value]\n  more: add.add\n")
    assert deployment.api is not None
    schema = deployment.api.input_schema
    assert schema["required"] == ["value", "more"]
    assert schema["properties"]["value"] == {"type": "integer", "title": "Value", "description": "Parameter 'value'"}
    assert schema["properties"]["more"]["anyOf"] == [{"type": "integer"}, {"type": "null"}]
    assert run(deployment, {"value": "5", "more": None, "unknown": 1})["add"] == {"result": 8}
    assert run(deployment, {"value": 5.0, "more": 1})["add"] == {"result": 6}


@pytest.mark.parametrize(
    ("given", "field"), [({"value": 5}, "more"), ({"more": 5}, "value"), ({"value": "x", "more": 1}, "value")]
)
def test_what_is_wrong_of_an_input_is_said_of_its_field(given: dict[str, Any], field: str) -> None:
    from pydantic import ValidationError

    deployment = prepare_yaml("n", NUMBERS + "inputs:\n  value: [first.value, add.value]\n  more: add.add\n")
    assert deployment.api is not None
    with pytest.raises(ValidationError) as caught:
        validate(deployment.api, given)
    assert [error["loc"] for error in caught.value.errors()] == [(field,)]


def test_of_several_sockets_the_type_is_that_which_says_most() -> None:
    deployment = prepare_yaml("n", NUMBERS + "inputs:\n  value: [add.add, add.value, first.value]\n")
    assert deployment.api is not None
    assert deployment.api.input_schema["properties"]["value"]["type"] == "integer"


@pytest.mark.parametrize("name", ["my value", "class", "_hidden", "self", "model_config", "größe", "values"])
def test_an_input_may_have_any_name(name: str) -> None:
    deployment = prepare_yaml("n", NUMBERS + f"inputs:\n  '{name}': [first.value, add.value]\n")
    assert deployment.api is not None
    assert deployment.api.input_schema["required"] == [name]
    assert run(deployment, {name: 5})["add"] == {"result": 8}


def test_it_must_declare_inputs_or_outputs() -> None:
    said = "YAML pipeline must declare at least one of 'inputs' or 'outputs'."
    for text in (NUMBERS, NUMBERS + "inputs:\noutputs:\n", NUMBERS + "inputs: {}\n", "", "# nothing\n"):
        assert refused(text) == said


def test_outputs_alone_will_do(caplog: pytest.LogCaptureFixture) -> None:
    deployment = prepare_yaml("n", NUMBERS + "outputs:\n  b: add.result\n")
    assert "nothing gives first.value, add.value" in caplog.text.replace(
        "add.value, first.value", "first.value, add.value"
    )
    with pytest.raises(FunctionError, match="Missing mandatory input 'value' for component"):
        run(deployment, {})


def test_a_socket_is_the_target_of_one_input_only() -> None:
    text = refused(NUMBERS + "inputs:\n  x: first.value\n  y: first.value\n")
    assert text == (
        "Declared input 'y' targets 'first.value', as declared input 'x' does already. Each pipeline input target may "
        "be declared only once."
    )
    twice = prepare_yaml("n", NUMBERS + "inputs:\n  x: [first.value, first.value, add.value]\n")
    assert run(twice, {"x": 1})["add"] == {"result": 4}


@pytest.mark.parametrize(
    ("declared", "what"),
    [
        ("inputs:\n  x: nope.value\n", "no component 'nope'. It has add, first, second"),
        ("inputs:\n  x: add.nope\n", "component 'add' has no input 'nope'. It has value, add"),
        ("inputs:\n  x: add\n", "must name a socket, such as 'add.value', not 'add'"),
        ("inputs:\n  x: 5\n", "must name a socket, such as 'add.value', not 5"),
        ("inputs:\n  x: {add: value}\n", "must name a socket, such as 'add.value'"),
        ("inputs: 5\n", "not 5"),
        ("inputs:\n  x: [first.value]\noutputs: 3\n", "Declared outputs are names"),
    ],
)
def test_an_input_that_cannot_be_is_refused_when_it_is_deployed(declared: str, what: str) -> None:
    assert what in refused(NUMBERS + declared)


def test_an_input_or_output_that_names_nothing_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    said = "inputs:\n  x: [first.value, add.value]\n  filters:\n  files: []\noutputs:\n  b: add.result\n  c:\n"
    assert run(prepare_yaml("n", NUMBERS + said), {"x": 1})["add"] == {"result": 4}
    assert "'filters' names no socket" in caplog.text


def test_an_output_that_is_not_there_costs_nothing_but_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    said = "inputs:\n  x: [first.value, add.value]\noutputs:\n  b: add.nope\n  c: nope.nope\n"
    assert run(prepare_yaml("n", NUMBERS + said), {"x": 1}) == {"add": {"result": 4}, "second": {"value": 4}}
    assert "'nope.nope'" in caplog.text
    assert "'add.nope'" in caplog.text


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{: [", "is not valid YAML: "),
        ("- a\n- b\n", "which is a mapping with 'components'"),
        ("just text", "which is a mapping with 'components'"),
        (NUMBERS.replace("AddFixedValue", "NoSuch") + "inputs:\n  x: add.value\n", "Failed to load pipeline 'n': "),
        ("components: 5\ninputs:\n  x: add.value\n", "Failed to load pipeline 'n': "),
        ("inputs:\n  x: add.value\n", ""),
        ("a: 2026-13-45\ninputs:\n  x: a.b\n", ""),
    ],
)
def test_a_text_that_makes_no_pipeline_is_refused(text: str, what: str) -> None:
    assert what in refused(text)
    assert "\n" not in refused(text)


def _again_and_again(first: str, again: str) -> str:
    """A YAML in which each of nine anchors stands for nine of the one before it."""
    lines = [f"a0: &a0 {first}", *(f"a{n}: &a{n} {again % ', '.join([f'*a{n - 1}'] * 9)}" for n in range(1, 10))]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ("x: &a [*a]\n", "anchor 'a' holds itself"),
        ("x: &a\n  y:\n  - {z: *a}\n", "anchor 'a' holds itself"),
        ("x: &a\n  <<: *a\n", "anchor 'a' holds itself"),
        (_again_and_again("[x, x, x]", "[%s]"), "stand for more than 1,000,000 values"),
        (_again_and_again("{x: x}", "{<<: [%s]}"), "stand for more than 1,000,000 values"),
    ],
)
def test_anchors_that_stand_for_too_much_are_refused_at_once(more: str, what: str) -> None:
    assert what in refused(NUMBERS + "inputs:\n  value: [first.value, add.value]\n" + more)
    assert what in refused(more)


def test_anchors_may_be_used() -> None:
    said = NUMBERS + "inputs:\n  value: &both [first.value, add.value]\nothers: *both\n"
    assert run(prepare_yaml("n", said), {"value": 5})["add"] == {"result": 8}


def test_messages_come_back_as_haystack_writes_them() -> None:
    deployment = prepare_yaml(
        "n", question_and_reply().dumps() + "inputs:\n  question: prompt.question\noutputs:\n  replies: llm.replies\n"
    )
    (reply,) = run(deployment, {"question": "Why?"})["llm"]["replies"]
    assert list(reply) == ["_role", "_content", "_name", "_meta"]
    assert reply["_role"] == "assistant"
    assert reply["_content"] == [{"text": "Q: Why?"}]
    assert reply["_name"] is None
    assert reply["_meta"]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    "messages",
    [
        "Why?",
        [{"_role": "user", "_content": [{"text": "Why?"}]}],
        [{"_role": "user", "_content": [{"text": "Why?"}], "_name": None, "_meta": {}}],
        [{"role": "user", "content": "Why?"}],
        [{"role": "user", "content": [{"text": "Why?"}]}],
        [{"role": "user", "content": [{"type": "text", "text": "Why?"}]}],
    ],
)
def test_messages_reach_their_component_as_messages(messages: Any) -> None:
    deployment = prepare_yaml("n", replier().dumps() + "inputs:\n  messages: llm.messages\n")
    assert run(deployment, {"messages": messages})["llm"]["replies"][0]["_content"] == [{"text": "Why?"}]


def test_a_message_that_is_none_is_said_to_be_wrong() -> None:
    from pydantic import ValidationError

    deployment = prepare_yaml("n", replier().dumps() + "inputs:\n  messages: llm.messages\n")
    assert deployment.api is not None
    for wrong in ({"role": "nobody", "content": "x"}, {"role": "user"}, {"content": "x"}, 5):
        with pytest.raises(ValidationError):
            validate(deployment.api, {"messages": [wrong]})


def test_documents_reach_their_component_as_documents() -> None:
    from haystack import Pipeline
    from haystack.components.joiners import DocumentJoiner

    pipe = Pipeline()
    pipe.add_component("join", DocumentJoiner())
    deployment = prepare_yaml("n", pipe.dumps() + "inputs:\n  documents: join.documents\n  top: join.top_k\n")
    got = run(deployment, {"documents": [{"content": "a", "meta": {"from": "there"}}], "top": None})
    assert got["join"]["documents"][0]["content"] == "a"
    assert got["join"]["documents"][0]["meta"] == {"from": "there"}


def test_what_no_json_can_be_is_left_to_the_component() -> None:
    deployment = prepare_yaml(
        "n", replier().dumps() + "inputs:\n  messages: llm.messages\n  callback: llm.streaming_callback\n"
    )
    assert run(deployment, {"messages": "x", "callback": None})["llm"]["replies"][0]["_content"] == [{"text": "x"}]


@pytest.mark.parametrize("said", ["all", "ALL", "[llm]", "3", "[nope]"])
def test_which_components_stream_may_be_said(said: str, caplog: pytest.LogCaptureFixture) -> None:
    text = replier().dumps() + f"inputs:\n  messages: llm.messages\nstreaming_components: {said}\n"
    deployment = prepare_yaml("n", text)
    assert deployment.chat is None  # it has one kind of answer, by `run`, which is whole
    assert ("streaming_components" in caplog.text) == (said in ("3", "[nope]"))


def test_its_record_says_where_it_is_from(tmp_path: Any) -> None:
    text = NUMBERS + "inputs:\n  x: [first.value, add.value]\n"
    deployment = prepare_yaml("n.v2", text, path=tmp_path / "n.yml", description="Doubles.", skip_mcp=True)
    assert deployment.source.kind == "yaml"
    assert deployment.source.text == text
    assert deployment.source.path == tmp_path / "n.yml"
    assert deployment.skip_mcp
    assert deployment.description == "Doubles."
    assert deployment.api is not None
    assert deployment.api.description == "Doubles."
    assert deployment.created > 1_700_000_000


def test_a_pipeline_whose_components_wait_runs_on_the_event_loop_and_any_other_on_a_thread() -> None:
    waits = prepare_yaml("n", replier().dumps() + "inputs:\n  messages: llm.messages\n")
    blocks = prepare_yaml("n", NUMBERS + "inputs:\n  x: [first.value, add.value]\n")
    assert waits.api is not None
    assert waits.api.on_loop
    assert blocks.api is not None
    assert not blocks.api.on_loop


def test_concurrent_calls_do_not_mix() -> None:
    deployment = prepare_yaml("n", question_and_reply().dumps() + "inputs:\n  question: prompt.question\n")
    api = deployment.api
    assert api is not None

    async def one(text: str) -> bool:
        args, kwargs = validate(api, {"question": text})
        result = await call(api, args, kwargs)
        return bool(result["llm"]["replies"][0].text == f"Q: {text}")

    async def many() -> list[bool]:
        return await asyncio.gather(*(one(f"number {n}") for n in range(64)))

    assert all(asyncio.run(many()))


def test_haystack_is_not_imported_before_a_pipeline_needs_it() -> None:
    import subprocess
    import sys

    code = (
        "import sys, portico.pipelines.components.yaml_pipelines, portico.pipelines.components.objects as objects\n"
        "objects.is_live_pipeline(3)\n"
        "sys.exit(any(name.partition('.')[0] == 'haystack' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_component_that_cannot_be_made_ready_does_not_keep_the_pipeline_from_being_deployed(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from haystack.testing.sample_components import Double

    def warm_up(self: Any) -> None:
        raise OSError("no model here")

    monkeypatch.setattr(Double, "warm_up", warm_up, raising=False)
    with caplog.at_level(logging.WARNING):
        deployment = prepare_yaml("n", NUMBERS + "inputs:\n  x: [first.value, add.value]\n")
    assert "no model here" in caplog.text
    with pytest.raises(FunctionError, match="no model here"):
        run(deployment, {"x": 1})
