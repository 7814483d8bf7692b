"""What an agent gets of a pipeline's result: a dict as JSON, a stream as its text, and anything else as its ``str``.

Here: that, and how the pipeline is called for it. Not here: the tools themselves (`as_tools`).

Source of the texts: Hayhooks 2.1, which tells results so.
"""

from __future__ import annotations

import json
from typing import Any, Final

from portico.calls.run import Frames
from portico.errors import UnusableOutput
from portico.functions.calling import stream
from portico.functions.given import Given
from portico.functions.tool_content import RESULT, ResultForm, tool_result
from portico.functions.typed import TypedFunction
from portico.functions.values.off_loop import off_loop
from portico.pipelines.runs import opened, piece_text
from portico.tools.tool import ToolResult

MOST_TEXT: Final = 10_000_000
"""Characters of a stream that are told in one result: many times what any model reads."""

TEXT: Final = ResultForm(
    {"type": "object", "properties": {RESULT: {"type": "string"}}, "required": [RESULT]}, wrapped=True, joined=True
)
"""The form of a stream's result, whatever its pieces are."""


class _Told:
    """A sink that tells a result from the pieces of one."""

    done = False

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.value: Any = None
        self.is_value = False
        self._left = MOST_TEXT

    def feed(self, item: Any) -> Frames:
        text = piece_text(item)
        self._left -= len(text)
        if self._left < 0:
            raise UnusableOutput(f"The pipeline's stream has more than {MOST_TEXT:,} characters.")
        self.pieces.append(text)
        return None

    def final(self, value: Any) -> Frames:
        self.value, self.is_value = value, True
        return None

    async def write(self, frame: bytes) -> None:
        raise AssertionError("there is nothing to write: `feed` gives no frames")


async def give(
    typed: TypedFunction, args: list[Any], kwargs: dict[str, Any], given: Given, form: ResultForm
) -> ToolResult:
    """Call *typed* with arguments that were read. Raises what `portico.functions.as_tools.Give` says."""
    told = _Told()
    await stream(typed, args, kwargs, given, told, opened)
    if told.pieces or not told.is_value:
        return _joined("".join(told.pieces), form)
    if form.joined:  # it was to be a stream, and is a whole
        return _joined(piece_text(told.value), form)
    return await off_loop(_result, told.value, typed, form)


def _joined(text: str, form: ResultForm) -> ToolResult:
    """A stream's text. A schema of the tool's is kept to where it says that the result is text."""
    said = _said(text)
    if form.schema is None:
        return said
    if form.wrapped and form.schema["properties"][RESULT].get("type") == "string":
        return ToolResult(content=said.content, structured={RESULT: text})
    raise UnusableOutput("The pipeline gave a stream, and its annotation names no text.")


def _result(value: Any, typed: TypedFunction, form: ResultForm) -> ToolResult:
    try:
        result = tool_result(value, typed, form)
    except UnusableOutput:
        if form.schema is not None or isinstance(value, dict):
            raise
        return _said(_text_of(value))
    is_text = len(result.content) == 1 and result.content[0]["type"] == "text"
    if isinstance(value, str) or not is_text:
        return result
    if isinstance(value, dict):
        return ToolResult(content=_said(_spaced(result.content[0]["text"])).content, structured=result.structured)
    return ToolResult(content=_said(_text_of(value)).content, structured=result.structured)


def _spaced(raw: str) -> str:
    """JSON as Python's ``json.dumps`` spaces it."""
    return json.dumps(json.loads(raw), ensure_ascii=False)


def _text_of(value: Any) -> str:
    try:
        text = str(value)
    except Exception as error:  # its class is somebody's code
        raise UnusableOutput(f"The result cannot be told: str() of it raises {type(error).__name__}.") from error
    return text if len(text) <= MOST_TEXT else text[:MOST_TEXT]


def _said(text: str) -> ToolResult:
    return ToolResult(content=({"type": "text", "text": text},))
