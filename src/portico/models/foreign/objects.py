"""Objects of no library that has a file here: of the author's own, or of a library that is not known.

What looks like a completion or a message is read as one, whoever made it. Else the author's own pydantic models and
dataclasses are answers in JSON, as structured output has it; of a library's objects nothing is shown.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from portico.errors import UnusableOutput
from portico.models.foreign import Reader
from portico.models.foreign.completions import DELTA_KEYS, contents, from_answer, from_delta, is_answer, tool_call
from portico.models.foreign.responses import ResponsesReader
from portico.models.foreign.wording import article, as_json, got, reason_of, usage_of
from portico.models.parts import Finish, Part, Reasoning, Text
from portico.packages import loaded

INSTEAD = (
    "give text, a delta as a dict ({'content': ...}), an object of the OpenAI API, or Text, Reasoning, ToolCall, Usage "
    "or Finish."
)


class ObjectReader(Reader):
    """See `Reader`."""

    def __init__(self) -> None:
        self._responses = ResponsesReader()

    def read(self, item: Any) -> Iterator[tuple[int, Part]]:
        """See `Reader.read`."""
        dump = getattr(item, "model_dump", None)
        if dump is not None and not isinstance(item, type):
            dumped = dump(mode="json", exclude_none=True)
            if isinstance(dumped, Mapping):
                yield from self._of_model(item, dumped)
                return
        if isinstance(getattr(item, "choices", None), list | tuple):
            yield from from_answer(_plain(item))
        elif isinstance(got(item, "content"), str) or got(item, "tool_calls"):
            for part in _of_message(item):
                yield 0, part
        elif is_dataclass(item) and not isinstance(item, type) and is_own(type(item)):
            yield 0, Text(as_json(asdict(item)))
        else:
            raise refused(item)

    def _of_model(self, item: Any, dumped: Mapping[str, Any]) -> Iterator[tuple[int, Part]]:
        kind = str(dumped.get("type"))
        inner = dumped.get("data")
        if is_answer(dumped):
            yield from from_answer(dumped)
        elif isinstance(inner, Mapping) and is_answer(inner):  # an event that holds a chunk, as Mistral's
            yield from from_answer(inner)
        elif dumped.get("object") == "response" or kind.startswith("response."):
            yield from self._responses.read(dumped)
        elif isinstance(dumped.get("content"), str | list) or "tool_calls" in dumped:  # a message, or a delta
            for part in from_delta({key: value for key, value in dumped.items() if key in DELTA_KEYS}):
                yield 0, part
        elif is_own(type(item)):
            yield 0, Text(as_json(dumped))
        else:
            raise refused(item)


def is_own(cls: type) -> bool:
    """Whether the author wrote *cls*: it is in the notebook, or in a module outside the folders of installed ones."""
    file = loaded(cls.__module__, "__file__")
    if cls.__module__.partition(".")[0] in sys.stdlib_module_names and cls.__module__ != "__main__":
        return False
    return file is None or not any(Path(file).is_relative_to(folder) for folder in _installed())


def _installed() -> list[str]:
    paths = sysconfig.get_paths()
    return [paths[kind] for kind in ("purelib", "platlib")]


def refused(item: Any) -> UnusableOutput:
    """The error for *item*, saying what to give instead."""
    if isinstance(item, bytes | bytearray | memoryview):
        return UnusableOutput("The model gave bytes; give text, for example data.decode().")
    if isinstance(item, int | float | complex) or type(item).__name__ in ("Decimal", "Fraction"):
        return UnusableOutput(f"The model gave {article(type(item).__name__)}, not text; give str(...) of it.")
    if callable(item):
        return UnusableOutput(
            f"The model gave {article(type(item).__name__)} that can be called, not what it gives; call it first."
        )
    if isinstance(item, list | tuple | set | frozenset):
        return UnusableOutput(
            f"The model gave {article(type(item).__name__)} as one piece of its answer; yield its members one by one."
        )
    name = type(item).__name__
    if is_dataclass(item) or hasattr(item, "model_dump"):
        return UnusableOutput(
            f"The model gave {article(name)} of {type(item).__module__.partition('.')[0]}, whose inside is not shown "
            f"to visitors; {INSTEAD}"
        )
    return UnusableOutput(f"The model gave {article(name)}, which no answer can be made of; {INSTEAD}")


def _of_message(item: Any) -> Iterator[Part]:
    """An object with ``content``, ``reasoning``, ``tool_calls`` or ``finish_reason``, as many libraries have."""
    reasoning = got(item, "reasoning") or got(item, "reasoning_content") or got(item, "thinking")
    reasoning = getattr(reasoning, "reasoning_text", reasoning)
    if isinstance(reasoning, str) and reasoning:
        yield Reasoning(reasoning)
    yield from contents(got(item, "content"))
    for call in got(item, "tool_calls", ()):
        yield tool_call(call)
    usage = got(item, "usage")
    if isinstance(usage, Mapping) or hasattr(usage, "model_dump"):
        yield usage_of(usage)
    reason = got(item, "finish_reason")
    if isinstance(reason, str):
        yield Finish(reason_of(reason))


def _plain(value: Any, depth: int = 8) -> Any:
    """An object of dicts, lists and values, for one whose attributes are those of the API; to *depth* levels."""
    if value is None or isinstance(value, str | int | float | bool) or depth == 0:
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(inner, depth - 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, depth - 1) for inner in value]
    fields = getattr(value, "__dict__", None)
    if fields is None:
        return None
    return {key: _plain(inner, depth - 1) for key, inner in fields.items() if not key.startswith("_")}
