"""Whatever the signature, a function gets what was sent, and its schema says what may be sent."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import decimal
import enum
import itertools
import json
import keyword
import math
import time
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, Union

import pydantic
import pytest
import typing_extensions
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from portico.errors import NotServable
from portico.functions.calling import call, validate
from portico.functions.signature import typed_function

QUIETLY = settings(
    max_examples=25,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # to shrink such functions takes longer than a test may
)

NUMBERS = itertools.count()


def go_on(holds: Callable[[], None], seconds: float) -> None:
    """Try examples of a property for so long."""
    end = time.monotonic() + seconds
    holds()
    while time.monotonic() < end:
        holds()


@dataclasses.dataclass(frozen=True)
class Kind:
    """A type, and its values."""

    annotation: Any
    values: st.SearchStrategy[Any]
    of_json: str = ""
    """What its JSON is: for unions, whose members are told apart by that."""


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
small = st.integers(-(10**9), 10**9)
finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


def an_enum(draw: st.DrawFn) -> Kind:
    members = draw(st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=4, unique=True))
    made = enum.Enum(f"Enum{next(NUMBERS)}", {f"M{number}": value for number, value in enumerate(members)})
    return Kind(made, st.sampled_from(list(made)), "str")


def a_literal(draw: st.DrawFn) -> Kind:
    choices = draw(st.lists(st.text("abc", max_size=3) | small, min_size=1, max_size=4, unique=True))
    return Kind(Literal[tuple(choices)], st.sampled_from(choices), "literal")


def plain(draw: st.DrawFn) -> Kind:
    return draw(
        st.sampled_from(
            [
                Kind(int, small, "int"),
                Kind(Annotated[int, pydantic.Field(ge=0, le=9)], st.integers(0, 9), "int"),
                Kind(float, finite, "float"),
                Kind(bool, st.booleans(), "bool"),
                Kind(str, text, "str"),
                Kind(Annotated[str, pydantic.Field(max_length=3)], st.text("abc", max_size=3), "str"),
                Kind(type(None), st.none(), "null"),
                Kind(datetime.date, st.dates(), "str"),
                Kind(datetime.datetime, st.datetimes(), "str"),
                Kind(datetime.time, st.times(), "str"),
                Kind(datetime.timedelta, st.timedeltas(datetime.timedelta(0), datetime.timedelta(1000)), "str"),
                Kind(uuid.UUID, st.uuids(), "str"),
                Kind(decimal.Decimal, st.decimals(-1000, 1000, places=3), "str"),
                Kind(bytes, st.binary(max_size=8), "str"),
                Kind(Any, st.none() | st.booleans() | small | text, "any"),
            ]
        )
    )


def named_fields(draw: st.DrawFn, depth: int) -> dict[str, Kind]:
    names = draw(st.lists(st.sampled_from(["a", "b", "size", "name_of", "value"]), min_size=1, max_size=3, unique=True))
    return {name: draw(kinds(depth - 1)) for name in names}


def a_model(draw: st.DrawFn, depth: int) -> Kind:
    fields = named_fields(draw, depth)
    values = {name: kind.values for name, kind in fields.items()}
    name = f"Made{next(NUMBERS)}"
    which = draw(st.sampled_from(["model", "dataclass", "typed dict", "named tuple"]))
    if which == "model":
        made: Any = pydantic.create_model(name, **{one: (kind.annotation, ...) for one, kind in fields.items()})
        return Kind(made, st.builds(made, **values), "dict")
    if which == "dataclass":
        made = dataclasses.make_dataclass(name, [(one, kind.annotation) for one, kind in fields.items()])
        return Kind(made, st.builds(made, **values), "dict")
    if which == "typed dict":
        make: Any = typing_extensions.TypedDict
        made = make(name, {one: kind.annotation for one, kind in fields.items()})
        return Kind(made, st.fixed_dictionaries(values), "dict")
    made = NamedTuple(name, [(one, kind.annotation) for one, kind in fields.items()])  # type: ignore[misc]
    return Kind(made, st.builds(made, **values), "list")


def a_container(draw: st.DrawFn, depth: int) -> Kind:
    inner = draw(kinds(depth - 1))
    other = draw(kinds(depth - 1))
    several = st.lists(inner.values, max_size=3)
    options = [
        Kind(list[inner.annotation], several, "list"),  # type: ignore[name-defined]
        Kind(dict[str, inner.annotation], st.dictionaries(text, inner.values, max_size=3), "dict"),  # type: ignore[name-defined]
        Kind(dict[int, inner.annotation], st.dictionaries(small, inner.values, max_size=3), "dict"),  # type: ignore[name-defined]
        Kind(tuple[inner.annotation, ...], several.map(tuple), "list"),  # type: ignore[name-defined]
        Kind(
            tuple[inner.annotation, other.annotation],  # type: ignore[name-defined]
            st.tuples(inner.values, other.values),
            "list",
        ),
        Kind(set[int], st.sets(small, max_size=3), "list"),
        Kind(frozenset[str], st.frozensets(text, max_size=3), "list"),
    ]
    if inner.of_json not in ("null", "any"):
        options.append(Kind(Union[inner.annotation, None], st.none() | inner.values, "any"))  # noqa: UP007 -- not each type has |
    apart = {"int", "str", "bool", "list", "dict", "null"}
    if inner.of_json != other.of_json and {inner.of_json, other.of_json} <= apart and "any" not in inner.of_json:
        options.append(Kind(inner.annotation | other.annotation, inner.values | other.values, "any"))
    return draw(st.sampled_from(options))


@st.composite
def kinds(draw: st.DrawFn, depth: int = 2) -> Kind:
    which = draw(st.integers(0, 5 if depth > 0 else 3))
    if which <= 1:
        return plain(draw)
    if which == 2:
        return an_enum(draw)
    if which == 3:
        return a_literal(draw)
    return a_container(draw, depth) if which == 4 else a_model(draw, depth)


ODD_NAMES = [
    "copy",
    "json",
    "schema",
    "model_config",
    "_private",
    "__dunder",
    "self",
    "cls",
    "größe",
    "数",
    "parameter_1",
]
names = st.sampled_from(ODD_NAMES) | st.from_regex(r"[a-z_][a-z_0-9]{0,6}", fullmatch=True)


@dataclasses.dataclass
class Generated:
    """A function with a signature of its own, which returns what it was given."""

    function: Any
    source: str
    kinds: dict[str, Kind]
    defaults: dict[str, Any]
    rest: str = ""
    more: str = ""


@st.composite
def functions(draw: st.DrawFn) -> Generated:
    wanted = draw(st.lists(names, max_size=6, unique=True))
    wanted = [name for name in wanted if not keyword.iskeyword(name) and name not in ("function", "_rest", "_more")]
    cuts = sorted(draw(st.tuples(st.integers(0, len(wanted)), st.integers(0, len(wanted)))))
    has_rest, has_more = draw(st.booleans()), draw(st.booleans())
    rest, more = draw(kinds(1)), draw(kinds(1))
    namespace: dict[str, Any] = {}
    parts: list[str] = []
    made = Generated(None, "", {}, {})
    needs_default = False
    for number, name in enumerate(wanted):
        if number == cuts[0] and number:
            parts.append("/")
        if number == cuts[1]:
            parts.append("*_rest: R" if has_rest else "*")
            needs_default = False
        kind = made.kinds[name] = draw(kinds())
        namespace[f"T{number}"] = kind.annotation
        part = f"{name}: T{number}" if draw(st.booleans()) else f"{name}: 'T{number}'"
        with_default = draw(st.booleans()) or needs_default
        if with_default:
            namespace[f"D{number}"] = made.defaults[name] = draw(kind.values)
            part += f" = D{number}"
            needs_default = number < cuts[1]
        parts.append(part)
    if cuts[0] == len(wanted) > 0:
        parts.append("/")
    if has_rest:
        made.rest, made.kinds["_rest"] = "_rest", Kind(list[rest.annotation], st.lists(rest.values, max_size=3))  # type: ignore[name-defined]
        made.defaults["_rest"] = []
        namespace["R"] = rest.annotation
        if cuts[1] == len(wanted):
            parts.append("*_rest: R")
    if has_more:
        made.more, made.kinds["_more"] = "_more", more
        namespace["M"] = more.annotation
        parts.append("**_more: M")
    made.source = f"def function({', '.join(parts)}):\n    return dict(locals())\n"
    exec(made.source, namespace)
    made.function = namespace["function"]
    return made


def as_json(kind: Kind, value: Any) -> Any:
    """*value* as a caller sends it."""
    if kind.annotation is bytes or "bytes" in str(kind.annotation):
        from portico.functions.fields import taken

        adapter: Any = pydantic.TypeAdapter(taken(kind.annotation))
    else:
        adapter = pydantic.TypeAdapter(kind.annotation)
    return json.loads(json.dumps(adapter.dump_python(value, mode="json"), allow_nan=False))


def holds_bytes(annotation: Any) -> bool:
    """Whether bytes are somewhere in it where `values` does not look: in a class."""
    try:
        return "format': 'binary" in str(pydantic.TypeAdapter(annotation).json_schema())
    except pydantic.errors.PydanticUserError:
        return False


@pytest.mark.fuzz
def test_a_function_gets_what_was_sent(fuzz_seconds: float) -> None:
    """For any signature and any values of its types: their JSON fits the schema, and arrives as those values."""
    import jsonschema  # not where it has no wheel: these tests run in Pyodide too

    @QUIETLY
    @given(functions(), st.data())
    def holds(made: Generated, data: st.DataObject) -> None:
        assume(not any(holds_bytes(kind.annotation) for kind in made.kinds.values()))
        typed = typed_function(made.function)
        jsonschema.Draft202012Validator.check_schema(typed.input_schema)
        assert [one.name for one in typed.parameters] == [name for name in made.kinds if name != "_more"] or made.rest
        expected: dict[str, Any] = {}
        sent: dict[str, Any] = {}
        for name, kind in made.kinds.items():
            if name == "_more":
                more = data.draw(st.dictionaries(st.text("xyz", min_size=8, max_size=9), kind.values, max_size=2))
                sent.update({one: as_json(kind, value) for one, value in more.items()})
                expected[name] = more
            elif name in made.defaults and data.draw(st.booleans()):
                expected[name] = made.defaults[name]
            else:
                expected[name] = data.draw(kind.values)
                sent[name] = as_json(kind, expected[name])
        if made.rest:
            expected["_rest"] = tuple(expected["_rest"])
        jsonschema.validate(sent, typed.input_schema, jsonschema.Draft202012Validator)
        got = asyncio.run(call(typed, *validate(typed, json.loads(json.dumps(sent)))))
        assert got == expected, made.source
        for name, value in got.items():
            assert type(value) is type(expected[name]), (made.source, name)

    go_on(holds, fuzz_seconds)


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10) | st.floats(-10, 10) | st.text("abc1.", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "size", "value"]), inner),
    max_leaves=6,
)


@pytest.mark.fuzz
def test_what_the_schema_lets_through_is_accepted(fuzz_seconds: float) -> None:
    """Any JSON that fits the schema is accepted, but for formats, which JSON Schema only notes."""
    import jsonschema  # not where it has no wheel: these tests run in Pyodide too

    @QUIETLY
    @given(functions(), st.data())
    def holds(made: Generated, data: st.DataObject) -> None:
        typed = typed_function(made.function)
        assume("'format'" not in str(typed.input_schema) and "contentEncoding" not in str(typed.input_schema))
        assume("'pattern'" not in str(typed.input_schema))
        assume("'decimal'" not in str(typed.arguments.__pydantic_core_schema__))  # told as any text
        checker = jsonschema.Draft202012Validator(typed.input_schema)
        for _ in range(5):
            sent = data.draw(
                st.fixed_dictionaries({}, optional=dict.fromkeys(typed.input_schema["properties"], anything))
            )
            if checker.is_valid(sent):
                asyncio.run(call(typed, *validate(typed, sent)))

    go_on(holds, fuzz_seconds)


@pytest.mark.fuzz
def test_any_json_is_read_or_refused(fuzz_seconds: float) -> None:
    """Whatever a caller sends is passed on or refused with the names of fields: nothing else is ever raised."""
    whole = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
        max_leaves=10,
    )

    @QUIETLY
    @given(functions(), st.data())
    def holds(made: Generated, data: st.DataObject) -> None:
        typed = typed_function(made.function)
        known = st.sampled_from([one.name for one in typed.parameters] or ["x"])
        for _ in range(5):
            sent = data.draw(st.dictionaries(known | st.text(max_size=4), whole, max_size=4))
            try:
                arguments = validate(typed, sent)
            except pydantic.ValidationError as error:
                assert all(one["loc"] for one in error.errors(include_context=False))  # noqa: PT017 -- one of two ends
            else:
                asyncio.run(call(typed, *arguments))

    go_on(holds, fuzz_seconds)


ODD_ANNOTATIONS: tuple[Any, ...] = (
    *(3, "x", "list[", "int |", (), [], {}, ..., NotImplemented, math, len, print, object(), type, object),
    *(asyncio.Queue, Callable, Callable[..., int], Literal["a"], "list['x']", dict[list[int], int]),  # type: ignore[misc]
    *(set[dict[str, int]], Annotated[int, 3, object()], Annotated[str, pydantic.Field(ge=1)], "Union['int']"),
    *(list[...], tuple[()], pydantic.Json, pydantic.SecretStr, pydantic.EmailStr, pydantic.AnyUrl),  # type: ignore[misc]
    *(typing_extensions.Never, lambda: 1, enum.Enum, enum.Enum("Empty", {}), range, slice, complex, bytes),
    *(bytearray, memoryview, type(None), Exception),
)


@pytest.mark.fuzz
def test_any_annotation_is_taken_or_refused(fuzz_seconds: float) -> None:
    """An author's annotation may be anything: it is served, or refused by the parameter's name."""
    odd = st.sampled_from(ODD_ANNOTATIONS)

    @QUIETLY
    @given(st.lists(odd, min_size=1, max_size=3), st.booleans())
    def holds(annotations: list[Any], with_default: bool) -> None:
        namespace: dict[str, Any] = {"D": object()}
        parts = []
        for number, annotation in enumerate(annotations):
            namespace[f"T{number}"] = annotation
            parts.append(f"p{number}: T{number}{' = D' if with_default else ''}")
        exec(f"def function({', '.join(parts)}): ...", namespace)
        namespace["function"].__annotations__["return"] = annotations[0]
        try:
            typed = typed_function(namespace["function"])
        except NotServable as error:
            assert "'p" in str(error)  # noqa: PT017 -- one of two ends
        else:
            json.dumps(typed.input_schema, allow_nan=False)
            json.dumps(typed.output_schema, allow_nan=False)

    go_on(holds, fuzz_seconds)
