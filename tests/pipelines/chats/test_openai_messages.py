"""What wrappers read of OpenAI's messages and input items; what has another shape is left out, never an error."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from haystack.dataclasses import ChatMessage
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.pipelines.chats.openai_messages import (
    chat_messages_from_openai_response,
    get_content,
    get_input_files,
    get_last_user_input_text,
    get_last_user_message,
    is_user_message,
)

FILE = {"type": "input_file", "file_id": "file-1", "filename": "a.txt"}
PARTS = [{"type": "input_text", "text": "first"}, FILE, {"type": "input_text", "text": "last"}]
JSON = st.recursive(
    st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


def test_a_message_is_a_dict_or_an_object() -> None:
    assert is_user_message({"role": "user", "content": "a"})
    assert not is_user_message({"role": "assistant"})
    assert not is_user_message({})
    assert is_user_message(SimpleNamespace(role="user", content="a"))
    assert is_user_message(ChatMessage.from_user("a"))
    assert not is_user_message(ChatMessage.from_assistant("a"))


def test_the_last_message_by_the_user() -> None:
    messages = [
        {"role": "user", "content": "one"},
        {"role": "user", "content": "two"},
        {"role": "assistant", "content": "three"},
    ]
    assert get_last_user_message(messages) == "two"
    assert get_last_user_message(messages[2:]) is None
    assert get_last_user_message([]) is None
    assert get_last_user_message([ChatMessage.from_user("Haystack's")]) == "Haystack's"
    assert get_last_user_message([SimpleNamespace(role="user", content=None)]) == ""


def test_of_a_message_in_parts_the_texts() -> None:
    parts = [
        {"type": "text", "text": "What is"},
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "text", "text": "this?"},
    ]
    assert get_last_user_message([{"role": "user", "content": parts}]) == "What is\nthis?"


def test_the_last_text_among_input_items() -> None:
    assert get_last_user_input_text([{"role": "user", "content": "short"}]) == "short"
    items = [{"role": "user", "type": "message", "content": PARTS}, {"role": "assistant", "content": "no"}]
    assert get_last_user_input_text(items) == "last"
    with_file = [*items, {"role": "user", "type": "message", "content": [FILE]}]
    assert get_last_user_input_text(with_file) == "last", "a message of files alone says nothing"
    assert get_last_user_input_text([{"type": "other", "role": "user", "content": "x"}]) is None
    assert get_last_user_input_text([]) is None


def test_the_files_of_all_messages_by_the_user() -> None:
    other = {"type": "input_file", "file_id": "file-2"}
    items = [
        {"role": "user", "content": PARTS},
        {"role": "assistant", "content": [FILE]},
        {"role": "user", "content": [{"type": "input_file"}, other]},
    ]
    assert get_input_files(items) == [FILE, other]
    assert get_input_files([{"role": "user", "content": "text"}]) == []


def test_input_items_become_messages() -> None:
    messages = chat_messages_from_openai_response(
        [
            {"role": "developer", "content": "Be brief."},
            {"role": "system", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
            {"type": "message", "role": "user", "content": "Weather?"},
            {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Rome"}'},
            {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Sunny."}]},
        ]
    )
    assert [message.role.value for message in messages] == [
        "system",
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert [message.text for message in messages] == ["Be brief.", "a\nb", "Weather?", None, None, "Sunny."]
    (call,) = messages[3].tool_calls
    assert (call.tool_name, call.arguments, call.id) == ("weather", {"city": "Rome"}, "call_1")
    result = messages[4].tool_call_result
    assert (result.result, result.origin) == ("sunny", call)


@pytest.mark.parametrize("arguments", ["{", "[1]", None, 3, "[" * 100_000])
def test_arguments_that_are_no_object_are_none(arguments: Any) -> None:
    (message,) = chat_messages_from_openai_response([{"type": "function_call", "arguments": arguments}])
    (call,) = message.tool_calls
    assert call.arguments == {}
    assert call.tool_name == "function"
    assert call.id.startswith("call_")


def test_a_result_with_no_call_has_an_origin_all_the_same() -> None:
    (message,) = chat_messages_from_openai_response(
        [{"type": "function_call_output", "call_id": "x", "output": {"a": 1}}]
    )
    result = message.tool_call_result
    assert (result.result, result.origin.tool_name, result.origin.id) == ('{"a": 1}', "function", "x")


def test_items_with_no_text_are_left_out() -> None:
    assert chat_messages_from_openai_response(["x", {}, {"role": "user", "content": []}, {"type": "reasoning"}]) == []


@settings(max_examples=30)
@given(st.lists(JSON | st.fixed_dictionaries({"role": st.just("user"), "content": JSON})))
def test_whatever_comes_from_outside_is_read_or_left_out(items: list[Any]) -> None:
    assert isinstance(get_last_user_input_text(items), str | None)
    assert isinstance(get_input_files(items), list)
    assert isinstance(chat_messages_from_openai_response(items), list)
    assert isinstance(get_last_user_message(items), str | None)
    assert all(isinstance(get_content(item), str) for item in items)
