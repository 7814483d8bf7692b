"""A function's result as an agent gets it: content to be read, and the same as data, as the tool's schema says.

Here: which values are pictures, sound, files, tables or text, and what a tool's output schema is. Not here: how a value
is written (`portico.functions.values`). Source: MCP specification, "Tools", "Structured Content".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from portico.calls.json_text import compact
from portico.errors import UnusableOutput
from portico.functions.values import displays, json_form
from portico.functions.values.families import family_of
from portico.functions.values.uploads import to_base64
from portico.tools.tool import ToolResult

if TYPE_CHECKING:
    from portico.functions.typed import TypedFunction

Block = Mapping[str, Any]

RESULT: Final = "result"
"""The one key of an object that stands for a result which is no object itself: structured content has to be one."""

_PICTURES: Final = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))
_SOUNDS: Final = ((b"ID3", "audio/mpeg"), (b"\xff\xfb", "audio/mpeg"), (b"OggS", "audio/ogg"), (b"fLaC", "audio/flac"))
_SHOWN: Final = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""Pictures that models take, the best first."""
_READ: Final = ("text/markdown", "text/html", "image/svg+xml", "text/latex")
"""What else an object may show itself as that a model can read."""


@dataclass(frozen=True, slots=True)
class ResultForm:
    """In which form an agent gets a function's results as data."""

    schema: Mapping[str, Any] | None = None
    """What agents are told of them: an object. None where nothing is known, and where they are files, not data."""
    wrapped: bool = False
    """Whether that object stands for a result that is none."""
    joined: bool = False
    """Whether the result is pieces of text, which are joined."""


def result_form(typed: TypedFunction) -> ResultForm:
    """The form of *typed*'s results."""
    schema = typed.output_schema
    if schema is None or _is_media(schema):
        return ResultForm()
    joined = typed.streams and _is_text(schema.get("items"))
    whole = _resolved(schema)
    if whole.get("type") == "object":
        return ResultForm(whole)
    inner = {key: value for key, value in schema.items() if key != "$defs"}
    wrapped: dict[str, Any] = {
        "type": "object",
        "properties": {RESULT: {"type": "string"} if joined else inner},
        "required": [RESULT],
    }
    if "$defs" in schema:
        wrapped["$defs"] = schema["$defs"]
    return ResultForm(wrapped, wrapped=True, joined=joined)


def tool_result(value: Any, typed: TypedFunction, form: ResultForm) -> ToolResult:
    """*value*, which *typed* has returned, in its *form*.

    Raises `UnusableOutput` where it is not what the function's annotation says, and for what no agent can be given.
    It may take as long as the result is large, and runs code of the result's own.
    """
    schema = form.schema
    if form.joined:
        json_form.check(value, typed)
        return ToolResult(content=(_text("".join(value)),), structured={RESULT: "".join(value)})
    if schema is None and typed.streams and value and all(isinstance(piece, str) for piece in value):
        return ToolResult(content=(_text("".join(value)),))
    blocks = _media(value)
    if blocks is not None and schema is None:
        json_form.check(value, typed)
        return ToolResult(content=tuple(blocks))
    try:
        raw = json_form.result_bytes(value, typed)
    except UnusableOutput:
        if schema is not None or (blocks := _displayed(value)) is None:
            raise
        return ToolResult(content=tuple(blocks))
    from pydantic_core import from_json

    told: dict[str, Any] = from_json(raw)
    result = told[RESULT]
    structured: dict[str, Any] | None = None
    if schema is not None:
        structured = told if form.wrapped else result
        if b"null" in raw:
            _check(value, structured, schema)
    elif isinstance(result, dict):
        structured = result
    elif _is_table(value):
        structured = told
    if blocks is None:
        blocks = [_text(_table(result) if _is_table(value) else _shown(result, raw))]
    return ToolResult(content=tuple(blocks), structured=structured)


def _shown(result: Any, raw: bytes) -> str:
    """A result as text: JSON, but for text itself. *raw* is the JSON of an object with it."""
    return result if isinstance(result, str) else raw[len('{"result":') : -1].decode()


def _text(text: str) -> Block:
    return {"type": "text", "text": text}


def _is_text(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "string" and not _is_media(schema)


def _is_media(schema: Any) -> bool:
    """Whether a result of that schema is a file, such as a picture; or several; or holds one beside other values."""
    if not isinstance(schema, Mapping):
        return False
    if schema.get("contentEncoding") == "base64":
        return True
    inner = [schema.get("items"), *schema.get("prefixItems", ()), *schema.get("anyOf", ())]
    return any(_is_media(one) for one in inner)


def _resolved(schema: Mapping[str, Any]) -> dict[str, Any]:
    """*schema*, where it is a reference to one of its own definitions with that one in its place."""
    defs: Mapping[str, Any] = schema.get("$defs", {})
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    if name not in defs:
        return dict(schema)
    whole = {**defs[name], **{key: value for key, value in schema.items() if key not in ("$ref", "$defs")}}
    others = {key: value for key, value in defs.items() if key != name}
    if f'"#/$defs/{name}"' in compact([whole, others]):  # it refers to itself
        others = dict(defs)
    return {**whole, "$defs": others} if others else whole


def _check(value: Any, structured: Any, schema: Mapping[str, Any]) -> None:
    """Raise `UnusableOutput` where a null stands for a number that is not finite, and none may stand there."""
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        plain = to_jsonable_python(value, inf_nan_mode="constants", bytes_mode="base64", fallback=json_form.fallback)
    except PydanticSerializationError:  # `json_form` has another way to write it
        plain = None
    if plain is not None and not _has_odd_number(plain):
        return
    try:
        from jsonschema import Draft202012Validator
    except ImportError:  # the SDK brings it; who has none gets the null
        return
    error = next(Draft202012Validator(schema).iter_errors(structured), None)
    if error is not None and error.instance is None:
        where = ".".join(str(part) for part in error.absolute_path)
        raise UnusableOutput(f"The function gave a number that is not finite, which JSON cannot hold, at {where!r}.")


def _has_odd_number(value: Any) -> bool:
    """Whether there is NaN or an infinite number in what is plain otherwise."""
    rows = [value]
    while rows:
        one = rows.pop()
        if one.__class__ is float:
            if one - one != 0:
                return True
        elif one.__class__ is dict:
            rows.extend(one.values())
        elif one.__class__ is list:
            rows.extend(one)
    return False


def _media(value: Any) -> list[Block] | None:
    """The blocks of a picture, of sound or of a file; of a list with any of them in it, those of each item."""
    family = family_of(value.__class__)
    if family == "image":
        from portico.functions.values import images

        return [_picture(images.to_bytes(value), "image/png")]
    if family == "figure":
        from portico.functions.values import figures

        return [_picture(figures.to_bytes(value), "image/png")]
    if family == "bytes":
        return [_file(bytes(value))]
    if family == "stream" and hasattr(value, "getvalue"):
        return [_file(value.getvalue())]
    if value.__class__ in (list, tuple) and len(value) <= _MOST:
        made = [_media(item) for item in value]
        if any(blocks is not None for blocks in made):
            return [block for item, blocks in zip(value, made, strict=True) for block in blocks or _plain(item)]
    return None


_MOST: Final = 100
"""Items of a list that is looked through for pictures: no model takes as many."""


def _plain(value: Any) -> list[Block]:
    if isinstance(value, str):
        return [_text(value)]
    return [_text(json_form.json_bytes(value).decode())]


def _picture(data: bytes, media_type: str) -> Block:
    return {"type": "image", "data": to_base64(data), "mimeType": media_type}


def _file(data: bytes) -> Block:
    """A block for *data*, by what its first bytes say that it is."""
    for begin, media_type in _PICTURES:
        if data.startswith(begin):
            return _picture(data, media_type)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _picture(data, "image/webp")
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return {"type": "audio", "data": to_base64(data), "mimeType": "audio/wav"}
    for begin, media_type in _SOUNDS:
        if data.startswith(begin):
            return {"type": "audio", "data": to_base64(data), "mimeType": media_type}
    media_type = "application/pdf" if data.startswith(b"%PDF-") else "application/octet-stream"
    resource = {"uri": "result:file", "mimeType": media_type, "blob": to_base64(data)}
    return {"type": "resource", "resource": resource}


def _displayed(value: Any) -> list[Block] | None:
    """What an object that no JSON can hold shows itself as; None if it shows itself as nothing."""
    shown = displays.display(value)
    for media_type in _SHOWN:
        if isinstance(data := shown.get(media_type), str):
            return [{"type": "image", "data": "".join(data.split()), "mimeType": media_type}]
    for media_type in _READ:
        if isinstance(data := shown.get(media_type), str):
            return [_text(data)]
    return None


def _is_table(value: Any) -> bool:
    return family_of(value.__class__) in ("frame", "arrow")


def _table(records: Any) -> str:
    """A table as text that models and people can read: a line of names, and one for each row."""
    if not isinstance(records, Sequence) or not all(isinstance(record, Mapping) for record in records):
        return json_form.json_bytes(records).decode()
    names = list(dict.fromkeys(name for record in records for name in record))
    lines = [names, ["---"] * len(names)]
    lines += [[_cell(record.get(name)) for name in names] for record in records]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else json_form.json_bytes(value).decode()
    return " ".join(text.replace("|", "\\|").split())
