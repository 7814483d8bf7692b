"""How text stands for a value: in a query and in a form there is nothing else.

Where a parameter takes texts, a text is itself; elsewhere it is JSON, and if it is none, the type says what it wants.
A list is its JSON, or a name that comes several times. The page in js/packages/portico-functions does the reverse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from portico.calls.body import load
from portico.errors import UnusableRequest
from portico.functions.typed import TypedFunction
from portico.functions.values.annotations import UPLOAD_KEY


def any_text(path: str, holder: dict[str, Any]) -> bool:
    """A function may be given any text, with a NUL in it too: see `portico.calls.body.load`."""
    return True


def values_of(texts: Mapping[str, list[Any]], typed: TypedFunction) -> dict[str, Any]:
    """What the texts of a query or a form stand for: by what each parameter takes, texts or JSON; files as they are."""
    schema = typed.input_schema
    properties = schema.get("properties", {})
    values: dict[str, Any] = {}
    for name, given in texts.items():
        wanted = TextWanted.of(properties.get(name, {}), schema)
        if wanted.many and not (wanted.file and not isinstance(given[-1], str)):
            values[name] = _list_of(given, wanted)
        elif not isinstance(given[-1], str):
            values[name] = given[-1]
        elif given[-1] or (wanted.text and not wanted.file):
            values[name] = _value_of(given[-1], wanted)
        # An empty field of a form stands for nothing where no text is taken, or where a file may be chosen.
    return values


def _list_of(given: list[Any], wanted: TextWanted) -> Any:
    if len(given) == 1 and isinstance(given[0], str) and given[0].lstrip()[:1] == "[":
        whole = _from_json(given[0])
        if isinstance(whole, list):
            return whole
    inner = wanted.inner or _ANYTHING
    return [one if not isinstance(one, str) else _value_of(one, inner) for one in given]


def _value_of(text: str, wanted: TextWanted) -> Any:
    return text if wanted.text else _from_json(text)


def _from_json(text: str) -> Any:
    """What *text* is as JSON; the text, if it is none: the type may take it all the same, or says what it wants."""
    try:
        return load(text.encode(), may_hold_nul=any_text)
    except UnusableRequest:
        return text


@dataclass(frozen=True, slots=True)
class TextWanted:
    """What a JSON schema takes, as far as text needs to know."""

    text: bool
    """Whether it takes strings, so that a text is one."""
    many: bool = False
    """Whether it takes a list, so that a name may come several times."""
    inner: TextWanted | None = None
    """What the items of such a list take."""
    nested: bool = False
    """Whether it takes objects, or lists of any depth: only JSON says these."""
    file: bool = False
    """Whether one file may be such a value: a table, say, which is a list in JSON."""

    @classmethod
    def of(cls, schema: Any, root: Mapping[str, Any], depth: int = 0) -> TextWanted:
        if not isinstance(schema, dict) or depth > _DEPTH:
            return _ANYTHING
        if isinstance(reference := schema.get("$ref"), str):
            name = reference.rpartition("/")[2]
            return cls.of(root.get("$defs", {}).get(name, {}), root, depth + 1)
        choices = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
        if choices:
            found = [cls.of(one, root, depth + 1) for one in choices]
            lists = [one for one in found if one.many]
            nested = any(one.nested for one in found)
            file = UPLOAD_KEY in schema or any(one.file for one in found)
            return cls(any(one.text for one in found), bool(lists), lists[0].inner if lists else None, nested, file)
        kinds = schema.get("type", ())
        kinds = {kinds} if isinstance(kinds, str) else set(kinds)
        if "array" in kinds:
            inner = cls.of(schema.get("items", {}), root, depth + 1)
            return cls("string" in kinds, True, inner, inner.many or inner.nested, UPLOAD_KEY in schema)
        values = schema.get("enum") or ([schema["const"]] if "const" in schema else ())
        text = "string" in kinds or any(isinstance(value, str) for value in values)
        return cls(text, nested="object" in kinds or not (kinds or values), file=UPLOAD_KEY in schema)


_DEPTH = 20
"""Levels of references and choices that are looked through: a schema may refer to itself."""

_ANYTHING = TextWanted(False, nested=True)
"""Where any JSON is taken, ``3`` is a number, and ``three`` a text."""
