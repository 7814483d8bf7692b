"""A live agent of Haystack's as a chat model: it is given the conversation, and its pieces stream as it makes them.

Here: what of an agent's run goes out. Not here: an agent as a function (`objects`), and how a run is streamed
(`streaming`).
"""

from __future__ import annotations

import inspect
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from typing import Any

from portico.pipelines.chats.openai_messages import get_content


def is_agent(thing: Any) -> bool:
    """Whether *thing* is an agent of Haystack's, also of a subclass. Imports nothing."""
    return any(
        kind.__name__ == "Agent" and kind.__module__.partition(".")[0] == "haystack" for kind in type(thing).__mro__
    )


class AgentChat:
    """``run_chat_completion`` of an agent."""

    def __init__(self, agent: Any) -> None:
        self._agent = agent

    def __call__(self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]) -> Generator[Any, None, None]:
        """Give the pieces of the agent's answer; the answer itself, where its model does not stream."""
        from portico.pipelines.streams.streaming import streaming_generator

        ends: list[Mapping[str, Any]] = []
        some = False
        args = {"messages": chat_messages(messages)}
        if not _can_stream(self._agent):
            yield _text_of(self._agent.run(**args))
            return
        with closing(streaming_generator(self._agent, pipeline_run_args=args, on_pipeline_end=ends.append)) as pieces:
            for piece in pieces:
                some = some or bool(getattr(piece, "content", None))
                yield piece
        if not some and ends:
            yield _text_of(ends[-1])


def _can_stream(agent: Any) -> bool:
    """Whether the agent's model takes a callback for its pieces. An agent passes it on in any case."""
    try:
        parameters = inspect.signature(agent.chat_generator.run).parameters
    except (AttributeError, TypeError, ValueError):  # it is otherwise made than those that are known
        return True
    return "streaming_callback" in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())


def _text_of(result: Mapping[str, Any]) -> str:
    last = result.get("last_message")
    return str(getattr(last, "text", "") or "")


def chat_messages(messages: Iterable[Mapping[str, Any]]) -> list[Any]:
    """*messages* of the OpenAI API as Haystack's ``ChatMessage``, of their text."""
    from haystack.dataclasses import ChatMessage

    found = []
    for message in messages:
        plain = {key: value for key, value in message.items() if key in ("role", "name", "tool_calls", "tool_call_id")}
        role = "system" if plain.get("role") == "developer" else plain.get("role")
        found.append(
            ChatMessage.from_openai_dict_format({**plain, "role": role, "content": get_content(message) or None})
        )
    return found
