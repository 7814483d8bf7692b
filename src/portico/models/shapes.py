"""Understands whatever a model function gives: one item of any shape becomes a few parts.

Here: which reader understands an item. What readers there are is in `foreign`, what an answer keeps of the parts in
`choice`, and how they look on the wire in each endpoint's module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from portico.errors import UnusableOutput
from portico.models.foreign import Parts, Reader, module_for, module_of_dict, reader_of
from portico.models.foreign.completions import DELTA_KEYS, from_answer, from_choice, from_delta, is_answer, is_choice
from portico.models.foreign.wording import article, as_json, reason_of
from portico.models.parts import Extra, Finish, Item, Meta, PageEvent, Part, Reasoning, Text, ToolCall, Usage


class Reading:
    """Reads what one run of a function gives.

    *structured* says that the client asked for JSON: a dict that is no delta is then the answer itself. With
    *any_json*, such a dict is a piece of text, and so are numbers and lists: as JSON.
    """

    def __init__(self, structured: bool = False, any_json: bool = False) -> None:
        self._structured = structured
        self._any_json = any_json
        self._by_type: dict[type, Callable[[Any], Parts]] = {
            type(None): _nothing,
            str: _text,
            Text: _as_it_is,
            Reasoning: _as_it_is,
            ToolCall: _as_it_is,
            Usage: _as_it_is,
            Extra: _as_it_is,
            Meta: _as_it_is,
            Item: _as_it_is,
            Finish: _finish,
            dict: self._mapping,
        }
        """How items of a type are read. Types are looked into once; an answer may have thousands of items of one."""
        if any_json:
            self._by_type |= dict.fromkeys((bool, int, float, list), _json)
        self._readers: dict[str, Reader] = {}

    def parts(self, item: Any) -> Parts:
        """The parts of *item*, each with the index of the choice it belongs to.

        Raises `UnusableOutput`, saying what to give instead, for anything that no answer can be made of.
        """
        read = self._by_type.get(item.__class__)
        if read is None:
            read = self._by_type[item.__class__] = self._found(item)
        return read(item)

    def rest(self) -> Iterator[tuple[int, Part]]:
        """What readers have held back, as no more items come."""
        for reader in self._readers.values():
            yield from reader.rest()

    def _found(self, item: Any) -> Callable[[Any], Parts]:
        cls = item.__class__
        for known in (str, Text, Reasoning, ToolCall, Usage, Finish):
            if issubclass(cls, known):
                return self._by_type[known]
        if callable(getattr(cls, "to_event_dict", None)):
            return _page_event
        if isinstance(item, Mapping):
            return self._mapping
        if isinstance(item, tuple) and cls is not tuple:  # a tuple with names: a library's, or the author's own record
            return self._reader("objects").read
        if cls is tuple:
            return self._pair
        return self._reader(module_for(cls) or "objects").read

    def _reader(self, module: str) -> Reader:
        reader = self._readers.get(module)
        if reader is None:
            reader = self._readers[module] = reader_of(module)
        return reader

    def _mapping(self, item: Mapping[str, Any]) -> Parts:
        if is_answer(item):
            return from_answer(item)
        if "content" not in item or len(item) > 2:  # what most deltas have need not be looked for further
            module = module_of_dict(item, self._structured)
            if module is not None:
                return self._reader(module).read(item)
            if is_choice(item):
                return from_choice(item, item["index"] if isinstance(item.get("index"), int) else 0)
            if (self._structured or self._any_json) and not (DELTA_KEYS & item.keys()):
                return ((0, Text(as_json(item))),)
        return ((0, part) for part in from_delta(item))

    def _pair(self, item: tuple[Any, ...]) -> Parts:
        """LangGraph's streams give a message with what is known of where it comes from."""
        if len(item) == 2 and isinstance(item[1], Mapping) and module_for(type(item[0])) == "langchain":
            return self._reader("langchain").read(item[0])
        return self._reader("objects").read(item)


def parts_of(item: Any, structured: bool = False) -> Iterator[tuple[int, Part]]:
    """The parts of one *item* by itself. See `Reading`."""
    yield from Reading(structured).parts(item)


def gives_choices(item: Any) -> bool:
    """Whether *item* is a completion or a chunk, as a dict or an object, which can hold several choices."""
    choices = item.get("choices") if isinstance(item, Mapping) else getattr(item, "choices", None)
    return isinstance(choices, list | tuple)


def _nothing(item: None) -> Parts:
    return ()


def _text(item: str) -> Parts:
    return ((0, Text(str(item))),) if item else ()


def _json(item: Any) -> Parts:
    return ((0, Text(as_json(item))),)


def _as_it_is(item: Part) -> Parts:
    return ((0, item),)


def _page_event(item: Any) -> Parts:
    fields = item.to_event_dict()
    if not isinstance(fields, Mapping):
        raise UnusableOutput(f"{article(type(item).__name__).capitalize()} gave no dict as its event.")
    return ((0, PageEvent(dict(fields))),)


def _finish(item: Finish) -> Parts:
    return ((0, Finish(reason_of(item.reason))),)
