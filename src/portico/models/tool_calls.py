"""The tool calls of one choice as they grow: which call a piece belongs to, and its arguments.

Here: identity and numbering. Servers and libraries number calls in many ways, so a call is known by its id first, then
by its index, then by the order of things. Not here: how a call is written (`tool_deltas`, `tool_items`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from portico.errors import UnusableOutput
from portico.models.foreign.wording import article
from portico.models.parts import ToolCall
from portico.models.surrogates import Halves
from portico.models.tools import CUSTOM, FUNCTION, HOSTED, Offers

NO_ARGUMENTS = "{}"
"""What a function's call without arguments has: an empty text is not JSON, and SDKs fail on it."""


@dataclass(slots=True, eq=False)
class CalledTool:
    """A tool call as it grows. ``arguments`` are the pieces of its JSON text, or of a custom tool's input.

    ``type`` is ``function``, ``custom``, or one of `portico.models.tools.HOSTED`.
    """

    index: int
    id: str
    name: str
    type: str = FUNCTION
    namespace: str | None = None
    arguments: list[str] = field(default_factory=list)
    told: int | None = None
    """How many of these pieces have gone out; None before the call itself has."""

    @property
    def text(self) -> str:
        return "".join(self.arguments)


@dataclass(slots=True)
class ToolBegin:
    """A tool call begins: its name and id are known, its arguments come next."""

    tool: CalledTool


@dataclass(slots=True)
class ToolArguments:
    """A piece of a tool call's arguments."""

    tool: CalledTool
    piece: str


class ToolCalls:
    """Gathers the calls of one choice.

    Clients are told of one call after the other, although models may go from one to another and back: SDKs read the
    arguments of a call as soon as the next one begins.
    """

    def __init__(self, offers: Offers) -> None:
        """*offers* are the tools that the client offers: they say of which type a call is."""
        self.tools: list[CalledTool] = []
        self._offers = offers
        self._given: dict[str, CalledTool] = {}
        """The calls by the ids that the model gave them."""
        self._places: dict[int, CalledTool] = {}
        """The newest call of each index."""
        self._open = 0
        """The call that clients are being told of."""
        self._halves = Halves()

    def take(self, call: ToolCall) -> list[ToolBegin | ToolArguments]:
        """What is new in *call*. Raises `UnusableOutput`."""
        piece = _piece(call)
        tool = self._tool_for(call, piece)
        if tool is None:
            if not call.name:
                raise UnusableOutput(
                    "The model gave arguments of a tool call before its name; the first piece of a call names its tool."
                )
            tool = self._begin(call)
        else:
            if call.index is not None:
                self._places.setdefault(call.index, tool)
            if call.name and is_whole(piece) and piece == tool.text:
                return []  # the whole call once more, as some servers end with
        if tool.type == CUSTOM and isinstance(call.arguments, Mapping):
            piece = _input(call.arguments, piece)
        if not piece.isascii() or self._halves.held:
            piece = self._halves.joined(tool.id, piece)
        if piece:
            tool.arguments.append(piece)
        if tool.index < self._open:
            return _news_of(tool)
        return self._tell(last=False)

    def end(self) -> list[ToolBegin | ToolArguments]:
        """What was held back, and what is missing, as no more comes: the arguments of calls that have none."""
        events: list[ToolBegin | ToolArguments] = []
        for tool in self.tools if self._halves.held else ():
            if rest := self._halves.rest(tool.id):
                tool.arguments.append(rest)
                if tool.index < self._open:
                    events += _news_of(tool)
        return events + self._tell(last=True)

    def _tell(self, last: bool) -> list[ToolBegin | ToolArguments]:
        events: list[ToolBegin | ToolArguments] = []
        while self._open < len(self.tools):
            tool = self.tools[self._open]
            if last:
                _complete(tool)
            events += _news_of(tool)
            if not last and (tool is self.tools[-1] or not _has_all(tool)):
                break
            self._open += 1
        return events

    def _begin(self, call: ToolCall) -> CalledTool:
        if not isinstance(call.name, str):
            raise UnusableOutput(f"The model called a tool by {article(type(call.name).__name__)}, not by its name.")
        offer = self._offers.get(call.name)
        type_ = call.type or (offer.type if offer is not None else FUNCTION)
        if type_ not in HOSTED and type_ != CUSTOM:
            type_ = FUNCTION
        taken = call.id is None or call.id in self._given
        tool = CalledTool(
            len(self.tools),
            f"call_{os.urandom(12).hex()}" if taken or not call.id else str(call.id),
            offer.name if offer is not None else call.name,
            type_,
            call.namespace or (offer.namespace if offer is not None else None),
        )
        self.tools.append(tool)
        if call.id:
            self._given[call.id] = tool
        self._places[tool.index if call.index is None else call.index] = tool
        return tool

    def _tool_for(self, call: ToolCall, piece: str) -> CalledTool | None:
        """The call that *call* goes on with; None if it is a new one."""
        if call.id:
            known = self._given.get(call.id)
            if known is not None:
                return None if self._is_another(call, piece, known) else known
            if call.name:
                return self._unnumbered(call, piece)
            # An id that is new with each piece says nothing; the index, or the order, does.
        if call.index is not None:
            placed = self._places.get(call.index)
            return None if placed is None or self._is_another(call, piece, placed) else placed
        return None if call.name else self.tools[-1] if self.tools else None

    def _unnumbered(self, call: ToolCall, piece: str) -> CalledTool | None:
        """The call at this index that began without an id of the model's, if *call* gives it its id only now."""
        placed = self._places.get(call.index) if call.index is not None else None
        if placed is None or placed in self._given.values() or self._is_another(call, piece, placed):
            return None
        assert call.id is not None
        self._given[call.id] = placed
        return placed

    def _is_another(self, call: ToolCall, piece: str, tool: CalledTool) -> bool:
        """Whether *call*, which names itself, cannot be a piece of *tool*."""
        if not call.name:
            return False
        offer = self._offers.get(call.name)
        if (offer.name if offer is not None else call.name) != tool.name:
            return True
        # Of the same name: another one, if both are whole. A server may say the name with each piece of one call, and
        # may send a call once more that it has an id for.
        if not is_whole(piece) or not is_whole(tool.text):
            return False
        return not call.id or piece != tool.text


def _news_of(tool: CalledTool) -> list[ToolBegin | ToolArguments]:
    """What clients have not been told of a call."""
    events: list[ToolBegin | ToolArguments] = []
    if tool.told is None:
        tool.told = 0
        events.append(ToolBegin(tool))
    events += [ToolArguments(tool, piece) for piece in tool.arguments[tool.told :]]
    tool.told = len(tool.arguments)
    return events


def _has_all(tool: CalledTool) -> bool:
    """Whether nothing more of a call is to be expected, now that another one has begun."""
    if tool.type == CUSTOM:
        return bool(tool.arguments)
    return bool(tool.arguments) and tool.arguments[-1].rstrip().endswith("}") and is_whole(tool.text)


def _complete(tool: CalledTool) -> None:
    if tool.type != CUSTOM and not tool.text.strip():
        tool.arguments.append(NO_ARGUMENTS)


def _piece(call: ToolCall) -> str:
    piece: Any = call.arguments
    if piece is None:
        return ""
    if isinstance(piece, Mapping):
        try:
            return json.dumps(piece, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise UnusableOutput(
                "The model gave a tool call whose arguments cannot be written as JSON; give a dict of texts, numbers, "
                "lists and dicts."
            ) from error
    if not isinstance(piece, str):
        raise UnusableOutput(
            f"The model gave a tool call whose arguments are a {type(piece).__name__}; give a dict, or its JSON text."
        )
    return piece


def is_whole(text: str) -> bool:
    """Whether *text* is a JSON object by itself. Most pieces are told by their ends, without being read."""
    stripped = text.strip()
    if not (stripped.startswith("{") and stripped.endswith("}")):
        return False
    try:
        json.loads(stripped)
    except (ValueError, RecursionError):
        return False
    return True


def _input(arguments: Mapping[str, Any], piece: str) -> str:
    """A custom tool's input, which is a text, where the model gave a dict as for a function."""
    only = next(iter(arguments.values()), "") if len(arguments) <= 1 else None
    return only if isinstance(only, str) else piece
