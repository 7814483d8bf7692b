"""Tools of every type: offered, called, and in the history. Nothing of a call is lost on the way."""

import json

import pytest
from openai import pydantic_function_tool
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from pydantic import BaseModel, TypeAdapter

from portico.models import ToolCall, chat_server
from tests.models.visitor import ask, chat

RESPONSES = "/v1/responses"
PATCH = "*** Begin Patch\n*** Add File: a\n+x\n*** End Patch"
CUSTOM_FLAT = {
    "type": "custom",
    "name": "apply_patch",
    "description": "patches",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"},
}
CUSTOM_NESTED = {"type": "custom", "custom": {"name": "apply_patch"}}


def in_pieces(messages):
    yield ToolCall("apply_patch", id="call_1", index=0)
    for piece in (PATCH[:9], PATCH[9:]):
        yield ToolCall(arguments=piece, index=0)


def in_one(messages):
    return ToolCall("apply_patch", PATCH, id="call_1")


def as_a_functions(messages):
    return ToolCall("apply_patch", {"input": PATCH}, id="call_1")


@pytest.mark.parametrize("model", [in_pieces, in_one, as_a_functions])
def test_a_call_of_a_custom_tool_over_responses(model):
    app = chat_server({"m": model})
    body = {"input": "hi", "tools": [CUSTOM_FLAT]}
    (item,) = ask(app, "POST", RESPONSES, body).json["output"]
    assert item["id"].startswith("ctc_")
    assert {key: item[key] for key in ("type", "call_id", "name", "input")} == {
        "type": "custom_tool_call",
        "call_id": "call_1",
        "name": "apply_patch",
        "input": PATCH,
    }
    events = ask(app, "POST", RESPONSES, {**body, "stream": True}).chunks
    types = [event["type"] for event in events]
    assert not any("function_call" in type for type in types)
    deltas = [event["delta"] for event in events if event["type"] == "response.custom_tool_call_input.delta"]
    assert "".join(deltas) == PATCH
    (done,) = [event for event in events if event["type"] == "response.custom_tool_call_input.done"]
    assert done["input"] == PATCH
    assert Response.model_validate(events[-1]["response"]).output[0].type == "custom_tool_call"


@pytest.mark.parametrize("tool", [CUSTOM_NESTED, CUSTOM_FLAT])
@pytest.mark.parametrize("model", [in_pieces, in_one])
def test_a_call_of_a_custom_tool_over_chat(model, tool):
    app = chat_server({"m": model})
    whole = chat(app, tools=[tool]).json
    (call,) = ChatCompletion.model_validate(whole).choices[0].message.tool_calls
    assert (call.type, call.custom.name, call.custom.input) == ("custom", "apply_patch", PATCH)
    assert whole["choices"][0]["finish_reason"] == "tool_calls"
    calls = [
        call
        for chunk in chat(app, tools=[tool], stream=True).chunks
        for call in chunk["choices"][0]["delta"].get("tool_calls", ())
    ]
    assert calls[0] == {"index": 0, "id": "call_1", "type": "custom", "custom": {"name": "apply_patch", "input": ""}}
    assert "".join(call["custom"]["input"] for call in calls) == PATCH


class Nothing(BaseModel):
    """No arguments."""


def without_arguments(messages):
    yield ToolCall("Nothing")


def begun_without_arguments(messages):
    yield {
        "tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "Nothing", "arguments": ""}}]
    }
    yield {"tool_calls": [{"index": 1, "id": "d", "type": "function", "function": {"name": "Nothing"}}]}


def with_none(messages):
    return {"tool_calls": [{"id": "c", "function": {"name": "Nothing", "arguments": None}}]}


@pytest.mark.parametrize("model", [without_arguments, begun_without_arguments, with_none])
def test_a_call_without_arguments_has_an_empty_object(model, sdk):
    app = chat_server({"m": model})
    calls = chat(app).json["choices"][0]["message"]["tool_calls"]
    assert {call["function"]["arguments"] for call in calls} == {"{}"}
    pieces = {}
    for chunk in chat(app, stream=True).chunks:
        for call in chunk["choices"][0]["delta"].get("tool_calls", ()):
            pieces[call["index"]] = pieces.get(call["index"], "") + call["function"].get("arguments", "")
    assert set(pieces.values()) == {"{}"}
    older = chat(app, functions=[{"name": "Nothing"}]).json["choices"][0]["message"]
    assert older["function_call"] == {"name": "Nothing", "arguments": "{}"}
    prompted = ask(app, "POST", "/v1/completions", {"prompt": "x"}).json["choices"][0]
    assert {call["function"]["arguments"] for call in prompted["tool_calls"]} == {"{}"}
    items = ask(app, "POST", RESPONSES, {"input": "x"}).json["output"]
    assert {item["arguments"] for item in items} == {"{}"}
    events = ask(app, "POST", RESPONSES, {"input": "x", "stream": True}).chunks
    done = [event for event in events if event["type"] == "response.function_call_arguments.done"]
    assert {event["arguments"] for event in done} == {"{}"}

    client = sdk(app)
    asked = {"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": [pydantic_function_tool(Nothing)]}
    parsed = client.chat.completions.parse(**asked)
    assert parsed.choices[0].message.tool_calls[0].function.parsed_arguments == Nothing()
    with client.chat.completions.stream(**asked) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert final.choices[0].message.tool_calls[0].function.parsed_arguments == Nothing()


HOSTED = [
    (
        {"type": "local_shell"},
        ToolCall("local_shell", {"command": ["ls"], "env": {"A": "1"}}),
        {"type": "local_shell_call", "action": {"type": "exec", "command": ["ls"], "env": {"A": "1"}}},
    ),
    (
        {"type": "shell"},
        ToolCall("shell", {"command": "ls"}),
        {"type": "shell_call", "action": {"commands": ["ls"], "max_output_length": None, "timeout_ms": None}},
    ),
    (
        {"type": "apply_patch"},
        ToolCall("apply_patch", {"type": "delete_file", "path": "a"}),
        {"type": "apply_patch_call", "operation": {"type": "delete_file", "path": "a"}},
    ),
    (
        {"type": "computer_use_preview", "display_width": 1, "display_height": 1, "environment": "linux"},
        ToolCall("computer_use_preview", {"type": "screenshot"}),
        {"type": "computer_call", "action": {"type": "screenshot"}, "pending_safety_checks": []},
    ),
    (
        {"type": "tool_search"},
        ToolCall("tool_search", {"query": "crm"}),
        {"type": "tool_search_call", "arguments": {"query": "crm"}, "execution": "client"},
    ),
    (
        {"type": "web_search_preview"},
        ToolCall("web_search", {"query": "cats"}),
        {"type": "web_search_call", "action": {"type": "search", "query": "cats"}},
    ),
    (
        {"type": "file_search", "vector_store_ids": ["v"]},
        ToolCall("file_search", {"query": "cats"}),
        {"type": "file_search_call", "queries": ["cats"]},
    ),
    (
        {"type": "code_interpreter", "container": {"type": "auto"}},
        ToolCall("code_interpreter", {"code": "1+1", "outputs": [{"type": "logs", "logs": "2"}]}),
        {"type": "code_interpreter_call", "code": "1+1", "outputs": [{"type": "logs", "logs": "2"}]},
    ),
    (
        {"type": "image_generation"},
        ToolCall("image_generation", {"result": "AAAA"}),
        {"type": "image_generation_call", "result": "AAAA"},
    ),
]


@pytest.mark.parametrize(
    ("tool", "call", "item"), HOSTED, ids=lambda value: value.get("type", "") if isinstance(value, dict) else ""
)
def test_a_call_of_a_tool_without_a_name_is_an_item_of_its_type(tool, call, item):
    seen = []

    def model(messages, tools):
        seen.append(tools)
        return call

    app = chat_server({"m": model})
    (given,) = ask(app, "POST", RESPONSES, {"input": "x", "tools": [tool]}).json["output"]
    assert {key: given[key] for key in item} == item
    assert given["status"] == "completed"
    assert seen == [[tool]]
    response = ask(app, "POST", RESPONSES, {"input": "x", "tools": [tool], "stream": True}).chunks[-1]["response"]
    assert type(Response.model_validate(response).output[0]).__name__ != "ResponseOutputMessage"
    assert Response.model_validate(response).output[0].type == item["type"]


def test_arguments_that_no_item_can_be_made_of_are_said():
    seen = []
    app = chat_server({"m": lambda messages: ToolCall("apply_patch", "[1]")}, on_error=seen.append)
    answer = ask(app, "POST", RESPONSES, {"input": "x", "tools": [{"type": "apply_patch"}]})
    assert answer.error["code"] == "unusable_output"
    assert "apply_patch_call" in str(seen[0])


def test_a_tool_of_a_namespace_is_called_with_it():
    tools = [{"type": "namespace", "name": "crm", "description": "d", "tools": [{"type": "function", "name": "find"}]}]
    for name in ("find", "crm.find"):
        app = chat_server({"m": lambda messages, name=name: ToolCall(name, {})})
        (item,) = ask(app, "POST", RESPONSES, {"input": "x", "tools": tools}).json["output"]
        assert (item["type"], item["name"], item["namespace"]) == ("function_call", "find", "crm")


def test_a_tool_that_was_searched_for_is_called_with_its_namespace():
    space = {"type": "namespace", "name": "crm", "description": "d", "tools": [{"type": "custom", "name": "find"}]}
    items = [
        {"type": "tool_search_call", "call_id": "s", "arguments": {"query": "crm"}},
        {"type": "tool_search_output", "call_id": "s", "tools": [space]},
    ]
    app = chat_server({"m": lambda messages: ToolCall("find", "x")})
    (item,) = ask(app, "POST", RESPONSES, {"input": items, "tools": [{"type": "tool_search"}]}).json["output"]
    assert (item["type"], item["name"], item["input"], item["namespace"]) == ("custom_tool_call", "find", "x", "crm")


def test_offered_tools_and_choices_arrive_in_the_chat_apis_shape():
    seen = []
    app = chat_server({"m": lambda request: seen.append(request) or "x"})
    mcp = {"type": "mcp", "server_label": "s", "server_url": "https://example.com"}
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "apply_patch"}]}
    ask(app, "POST", RESPONSES, {"input": "x", "tools": [CUSTOM_FLAT, mcp], "tool_choice": choice})
    grammar = {"syntax": "lark", "definition": "start: /.+/"}
    assert seen[0]["tools"] == [
        {
            "type": "custom",
            "custom": {
                "name": "apply_patch",
                "description": "patches",
                "format": {"type": "grammar", "grammar": grammar},
            },
        },
        mcp,
    ]
    allowed = [{"type": "custom", "custom": {"name": "apply_patch"}}]
    assert seen[0]["tool_choice"] == {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": allowed}}


HISTORY = [
    ({"type": "custom_tool_call", "call_id": "c", "name": "apply_patch", "input": PATCH}, "apply_patch", PATCH),
    (
        {"type": "local_shell_call", "id": "l", "call_id": "c", "action": {"type": "exec", "command": ["ls"]}},
        "local_shell",
        {"type": "exec", "command": ["ls"]},
    ),
    ({"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}}, "shell", {"commands": ["ls"]}),
    (
        {"type": "apply_patch_call", "call_id": "c", "operation": {"type": "delete_file", "path": "a"}},
        "apply_patch",
        {"type": "delete_file", "path": "a"},
    ),
    ({"type": "computer_call", "call_id": "c", "action": {"type": "wait"}}, "computer", {"type": "wait"}),
    ({"type": "tool_search_call", "call_id": "c", "arguments": {"q": 1}}, "tool_search", {"q": 1}),
    ({"type": "mcp_approval_request", "id": "c", "name": "ask", "server_label": "s", "arguments": "{}"}, "ask", {}),
    ({"type": "some_new_call", "call_id": "c", "what": 1}, "some_new", {"what": 1}),
]
RESULTS = [
    ({"type": "custom_tool_call_output", "call_id": "c", "output": "ok"}, "ok"),
    ({"type": "local_shell_call_output", "id": "c", "output": '{"stdout": "a"}'}, '{"stdout": "a"}'),
    ({"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "a"}]}, '[{"stdout": "a"}]'),
    ({"type": "apply_patch_call_output", "call_id": "c", "status": "completed"}, "completed"),
    (
        {
            "type": "computer_call_output",
            "call_id": "c",
            "output": {"type": "computer_screenshot", "image_url": "data:image/png;base64,AAAA"},
        },
        [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
    ),
    ({"type": "tool_search_output", "call_id": "c", "tools": [{"name": "f"}]}, '[{"name": "f"}]'),
    ({"type": "mcp_approval_response", "approval_request_id": "c", "approve": True}, '{"approve": true}'),
    ({"type": "some_new_call_output", "call_id": "c", "output": {"a": 1}}, '{"a": 1}'),
]


@pytest.mark.parametrize(
    ("call", "result"), list(zip(HISTORY, RESULTS, strict=True)), ids=[row[0]["type"] for row in HISTORY]
)
def test_items_of_every_type_are_in_the_history(call, result):
    seen = []
    app = chat_server({"m": lambda messages: seen.append(messages) or "x"})
    (item, name, wanted), (output, content) = call, result
    ask(app, "POST", RESPONSES, {"input": [{"role": "user", "content": "x"}, item, output]})
    (_, asked, answered) = seen[0]
    (made,) = asked["tool_calls"]
    inner = made[made["type"]]
    assert (made["id"], inner["name"]) == ("c", name)
    assert (inner["input"] if made["type"] == "custom" else json.loads(inner["arguments"])) == wanted
    assert answered == {"role": "tool", "tool_call_id": "c", "content": content}


@pytest.mark.parametrize(
    ("item", "name", "content"),
    [
        (
            {"type": "mcp_call", "id": "c", "server_label": "s", "name": "ask", "arguments": '{"a": 1}', "output": "b"},
            "ask",
            "b",
        ),
        (
            {"type": "web_search_call", "id": "c", "action": {"query": "a"}, "status": "completed"},
            "web_search",
            "completed",
        ),
        (
            {"type": "file_search_call", "id": "c", "queries": ["a"], "results": [{"text": "t"}]},
            "file_search",
            '[{"text": "t"}]',
        ),
    ],
)
def test_what_a_server_ran_itself_is_a_call_and_its_result(item, name, content):
    seen = []
    app = chat_server({"m": lambda messages: seen.append(messages) or "x"})
    ask(app, "POST", RESPONSES, {"input": [{"role": "user", "content": "x"}, item]})
    (_, asked, answered) = seen[0]
    assert asked["tool_calls"][0]["function"]["name"] == name
    assert answered == {"role": "tool", "tool_call_id": "c", "content": content}


def test_reasoning_of_the_history_is_not_there_twice():
    seen = []
    app = chat_server({"m": lambda messages: seen.append(messages) or "x"})
    thought = {
        "type": "reasoning",
        "id": "r",
        "summary": [{"type": "summary_text", "text": "hm"}],
        "content": [{"type": "reasoning_text", "text": "hm"}],
    }
    ask(app, "POST", RESPONSES, {"input": [thought, {"role": "assistant", "content": "x"}]})
    assert seen[0][0]["reasoning_content"] == "hm"


def calls_of(*given, tools=None):
    """The calls of an answer, whole and put together from a stream, which must say the same."""

    def model(messages):
        yield from given

    app = chat_server({"m": model})
    more = {"tools": tools} if tools else {}
    whole = [
        (call["function"]["name"], call["function"]["arguments"])
        for call in chat(app, **more).json["choices"][0]["message"]["tool_calls"]
    ]
    streamed, ids = {}, []
    for chunk in chat(app, stream=True, **more).chunks:
        for call in chunk["choices"][0]["delta"].get("tool_calls", ()):
            name, arguments = streamed.get(call["index"], ("", ""))
            inner = call["function"]
            streamed[call["index"]] = (inner.get("name", name), arguments + inner.get("arguments", ""))
            ids += [call["id"]] if "id" in call else []
    assert list(streamed.values()) == whole
    assert len(set(ids)) == len(ids) == len(whole)
    items = ask(app, "POST", RESPONSES, {"input": "x", **more}).json["output"]
    assert [(item["name"], item["arguments"]) for item in items if item["type"] == "function_call"] == whole
    return whole


def delta(**call):
    inner = {key: call.pop(key) for key in ("name", "arguments") if key in call}
    return {"tool_calls": [{**call, "function": inner}]}


def test_whole_calls_that_all_say_index_0():
    first, second = '{"a": 1}', '{"a": 2}'
    both = [("f", first), ("f", second)]
    assert calls_of(*(delta(index=0, name="f", arguments=one) for one in (first, second))) == both
    assert calls_of(*(delta(index=0, id=str(n), name="f", arguments=a) for n, a in enumerate((first, second)))) == both
    assert calls_of(*(delta(index=0, id="x", name="f", arguments=one) for one in (first, second))) == both
    assert calls_of(ToolCall("f", {"a": 1}, index=0), ToolCall("f", {"a": 1}, index=0)) == [("f", first), ("f", first)]
    assert calls_of(ToolCall("f", {}, index=0), ToolCall("g", {}, index=0)) == [("f", "{}"), ("g", "{}")]


def test_fragments_that_carry_only_ids():
    pieces = [
        delta(id="a", name="f", arguments=""),
        delta(id="b", name="g", arguments=""),
        delta(id="a", arguments='{"x"'),
        delta(id="b", arguments='{"y"'),
        delta(id="a", arguments=": 1}"),
        delta(id="b", arguments=": 2}"),
    ]
    assert calls_of(*pieces) == [("f", '{"x": 1}'), ("g", '{"y": 2}')]
    assert calls_of(*({**one, "tool_calls": [{**one["tool_calls"][0], "index": 0}]} for one in pieces)) == [
        ("f", '{"x": 1}'),
        ("g", '{"y": 2}'),
    ]


def test_another_name_under_one_index_is_another_call():
    pieces = [
        delta(index=0, name="f", arguments='{"x"'),
        delta(index=0, arguments=": 1}"),
        delta(index=0, name="g", arguments='{"y"'),
        delta(index=0, arguments=": 2}"),
    ]
    assert calls_of(*pieces) == [("f", '{"x": 1}'), ("g", '{"y": 2}')]


def test_a_call_of_which_each_piece_says_all_it_knows_is_one():
    named = [delta(index=0, id="a", name="f", arguments=piece) for piece in ('{"x"', ": 1}")]
    assert calls_of(*named) == [("f", '{"x": 1}')]
    empty = [delta(index=0, id="a", name="f", arguments="{"), delta(index=0, id="", name="", arguments="}")]
    assert calls_of(*empty) == [("f", "{}")]
    new_ids = [delta(index=0, id="a", name="f", arguments="{"), delta(index=0, id="b", arguments="}")]
    assert calls_of(*new_ids) == [("f", "{}")]
    late_id = [delta(index=0, name="f", arguments="{"), delta(index=0, id="b", name="f", arguments="}")]
    assert calls_of(*late_id) == [("f", "{}")]
    repeated = [delta(index=0, id="a", name="f", arguments="{}"), delta(index=0, id="a", name="f", arguments="{}")]
    assert calls_of(*repeated) == [("f", "{}")]


def test_text_between_the_pieces_of_a_call_takes_nothing_from_it():
    pieces = [delta(index=0, id="a", name="f", arguments='{"x"'), "text", delta(index=0, arguments=": 1}")]
    assert calls_of(*pieces) == [("f", '{"x": 1}')]


def test_items_of_the_sdk_are_valid_for_every_event_of_a_custom_call():
    from openai.types.responses import ResponseStreamEvent

    app = chat_server({"m": in_pieces})
    for event in ask(app, "POST", RESPONSES, {"input": "x", "tools": [CUSTOM_FLAT], "stream": True}).chunks:
        TypeAdapter(ResponseStreamEvent).validate_python(event)
