"""From a function to a typed function: its signature makes the fields, the checks and the schemas, once, when it is
served.

Here: the function as a whole. Not here: what an annotation means (`hints`), one parameter (`fields`).
"""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Union

from portico.calls.run import runs_on_loop
from portico.errors import NotServable
from portico.functions.choices import most_choices
from portico.functions.conventions import USUAL, Conventions, fields_with
from portico.functions.docstrings import Docstring, docstring_of
from portico.functions.fields import (
    EMPTY,
    NOT_PASSED,
    FieldOfParameter,
    annotation_of,
    can_be_sent,
    field_of,
    is_dependency,
    name_for_callers,
    taken,
)
from portico.functions.given import holds_role, role_of
from portico.functions.hints import bound_by_name, definition_of, named_fields, resolve, signature_of
from portico.functions.line import CallLine
from portico.functions.mark import options_of
from portico.functions.names import function_name, name_of, title_of
from portico.functions.schema import generator, input_schema, is_strict, output_schema
from portico.functions.typed import FunctionOptions, Parameter, Passing, Role, TypedFunction
from portico.functions.values.annotations import is_upload

if TYPE_CHECKING:
    from pydantic import BaseModel

WOULD_DO = (
    "What would do: numbers, texts, lists, dicts, dates, Enum, Literal, dataclasses, TypedDict, pydantic models, "
    "unions of these; bytes, Path and UploadFile as files; numpy arrays, DataFrames, PIL images"
)

_ITERATORS = (
    collections.abc.Iterator,
    collections.abc.Generator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncGenerator,
    collections.abc.AsyncIterable,
)


def typed_function(
    function: Callable[..., Any],
    name: str = "",
    options: FunctionOptions | None = None,
    *,
    conventions: Conventions = USUAL,
) -> TypedFunction:
    """Read *function*'s signature and docstring.

    *name* comes before that of *options*, which come before what ``@portico.tool`` noted, and before the function's
    own. *conventions* are those of the room that serves it.

    Raises `NotServable` if it has no signature, or a parameter of a type that callers cannot send, and `InvalidName`.
    """
    if not callable(function):
        raise NotServable(f"What is no function cannot be served as one: {function!r:.60} cannot be called.")
    options = options or options_of(function) or FunctionOptions()
    name = name or options.name or name_of(function)
    if not conventions.any_name:
        name = function_name(name)
    options = replace(options, name=name)
    reading = _Reading(function, name, conventions)
    told = reading.told
    arguments = reading.arguments()
    answer, output_schema = reading.answer()
    description = options.description or told.description
    return TypedFunction(
        name=name,
        function=function,
        title=options.title or title_of(name),
        summary=(options.description.strip().split("\n")[0] if options.description else told.summary),
        description=description,
        parameters=reading.parameters(arguments),
        injected=reading.injected,
        arguments=arguments,
        answer=answer,
        input_schema=reading.input_schema,
        output_schema=output_schema,
        on_loop=runs_on_loop(function),
        streams=reading.streams,
        options=options,
        passing=reading.passing(arguments),
        line=CallLine(options.concurrency),
    )


class _Reading:
    """One signature as it is read."""

    def __init__(self, function: Callable[..., Any], name: str, conventions: Conventions) -> None:
        self._function = function
        self._name = name
        self._conventions = conventions
        self._definition = definition_of(function)
        self._signature = signature_of(function)
        self.told = _told(function, self._definition)
        self.injected: dict[str, Role] = {}
        self.fields: list[FieldOfParameter] = []
        self.input_schema: dict[str, Any] = {}
        self._rest: str = ""
        self._more: Any = EMPTY
        self._bound = bound_by_name(function)
        for parameter in self._signature.parameters.values():
            self._take(parameter)
        self.result = conventions.result(awaited(self._result_annotation()))
        self.streams = _is_generator(function) or _says_iterator(self.result)

    def _take(self, parameter: inspect.Parameter) -> None:
        annotation = self._resolved(parameter.annotation, f"the parameter {parameter.name!r}")
        if parameter.kind is parameter.VAR_KEYWORD:
            self._take_more(annotation)
            return
        role = self._role(parameter, annotation)
        if role is not None and parameter.kind is not parameter.VAR_POSITIONAL:
            if annotation is not EMPTY or parameter.name not in self._bound:  # else it is what its author has bound
                self.injected[parameter.name] = role
            return
        if is_dependency(annotation, parameter.default):
            raise NotServable(
                f"The parameter {parameter.name!r} of {self._name} is a dependency, which FastAPI fills in for its own "
                "routes alone. Call what it depends on within the function."
            )
        if holds_role(annotation):
            raise NotServable(
                f"The parameter {parameter.name!r} of {self._name} is annotated with {_shown(annotation)}. A part of "
                "that is for Portico to give, and no caller can: let it have a parameter of its own."
            )
        if parameter.kind is parameter.VAR_POSITIONAL:
            self._rest = parameter.name
            annotation = list[Any] if annotation is EMPTY else list[annotation]  # type: ignore[valid-type]
            self._add(parameter.name, annotation, [])
        elif parameter.name not in self._bound or can_be_sent(annotation, parameter.default):
            self._add(parameter.name, annotation_of(parameter, annotation), parameter.default)

    def _role(self, parameter: inspect.Parameter, annotation: Any) -> Role | None:
        """What we give it; of one without an annotation the default says so, as in ``progress=Progress()``."""
        return role_of(type(parameter.default) if annotation is EMPTY else annotation)

    def _take_more(self, annotation: Any) -> None:
        named = named_fields(annotation)
        if named is None:
            self._more = Any if annotation is EMPTY else taken(annotation, plain=self._conventions.plain)
            return
        for name, (kind, required) in named.items():
            self._add(name, kind, EMPTY if required else NOT_PASSED)

    def _add(self, name: str, annotation: Any, default: Any) -> None:
        described = self.told.parameters.get(name) or self._conventions.describe(name)
        try:
            kind = taken(self._conventions.parameter(annotation), plain=self._conventions.plain)
            self.fields.append(field_of(name, kind, default, described, len(self.fields)))
        except Exception as error:  # pydantic's own complaints of a Field
            raise self._refusal(name, annotation, error) from error

    def _resolved(self, annotation: Any, what: str) -> Any:
        if annotation is EMPTY:
            return EMPTY
        try:
            return resolve(annotation, self._definition)
        except Exception as error:  # an annotation is code, and may raise anything
            raise NotServable(
                f"The annotation {annotation!r:.100} of {what} of {self._name} cannot be looked up "
                f"({type(error).__name__}: {error}). Define or import what it names before the function is served."
            ) from error

    def _result_annotation(self) -> Any:
        """What it says that it gives; `EMPTY` where that cannot be looked up: imported for type checkers alone, say."""
        try:
            return self._resolved(self._signature.return_annotation, "the result")
        except NotServable:
            return EMPTY

    def arguments(self) -> type[BaseModel]:
        """The model that reads what callers give."""
        from pydantic import BaseModel, ConfigDict, create_model

        takes_more = self._more is not EMPTY
        base = type(
            f"{self._name}Fields",
            (BaseModel,),
            {
                "__module__": __name__,
                "__annotations__": {"__pydantic_extra__": dict[str, self._more]} if takes_more else {},  # type: ignore[name-defined]
                "model_config": ConfigDict(
                    extra="allow" if takes_more else self._conventions.extra, protected_namespaces=()
                ),
            },
        )
        definitions: dict[str, Any] = {field.name: (field.annotation, field.info) for field in self.fields}
        try:
            model: type[BaseModel] = create_model(
                f"{self._name}RunRequest", __base__=base, __module__=__name__, **definitions
            )
            self.input_schema = input_schema(model)
        except Exception as error:
            raise self._culprit(error) from error
        return model

    def _culprit(self, error: Exception) -> NotServable:
        """Which parameter is to blame for *error*, which is pydantic's."""
        from pydantic import TypeAdapter

        for field in self.fields:
            try:
                TypeAdapter(field.annotation).json_schema(schema_generator=generator())
            except Exception as own:  # noqa: BLE001 - whatever a type's own code raises, it is not to be had
                return self._refusal(field.parameter, field.annotation, own)
        return NotServable(f"{self._name} cannot be served: {_first_line(error)}")

    def _refusal(self, parameter: str, annotation: Any, error: Exception) -> NotServable:
        module = getattr(annotation, "__module__", "") or ""
        if isinstance(annotation, types.ModuleType):
            return NotServable(
                f"The parameter {parameter!r} of {self._name} is annotated with {annotation.__name__}, which is a "
                f"module. Name a class of it{_class_like(annotation)}."
            )
        if module.startswith(("starlette.", "fastapi.")):
            would_do = (
                "Of the request a function can have its headers (headers: Headers, of starlette.datastructures), and "
                "who calls (user: portico.User); what it returns is the answer."
            )
        else:
            would_do = (
                f"{WOULD_DO}. What callers are not to give, keep out of the signature: bind it by functools.partial, "
                "or use a variable of the module."
            )
        return NotServable(
            f"The parameter {parameter!r} of {self._name} is annotated with {_shown(annotation)}, which callers cannot "
            f"send as JSON ({_first_line(error)}). {would_do}"
        )

    def answer(self) -> tuple[type[BaseModel], dict[str, Any] | None]:
        """The model of the answer, and the schema of its result."""
        from pydantic import ConfigDict, Field, create_model

        # Of a class that pydantic does not know, a result has to be an instance: its JSON is made by `values`.
        config = ConfigDict(arbitrary_types_allowed=True)
        model: type[BaseModel]
        try:
            kind: Any = (self._result_type(), Field(description=self.told.returns or None))
            model = create_model(f"{self._name}RunResponse", __config__=config, __module__=__name__, result=kind)
        except Exception:  # noqa: BLE001 - a result of any type can be given as people see it
            return create_model(f"{self._name}RunResponse", __module__=__name__, result=(Any, ...)), None
        try:
            return model, output_schema(model)
        except Exception:  # noqa: BLE001 - it can be given, and only no schema says what it is
            return model, None

    def _result_type(self) -> Any:
        kind = self.result
        if inspect.isclass(self._function):
            return self._function
        if kind is EMPTY or kind in (typing.NoReturn, typing.Never):
            return Any
        if not self.streams:
            return taken(kind, result=True)
        items, *others = typing.get_args(kind) or (Any,)
        result = list[items]  # type: ignore[valid-type]
        returned = others[1] if len(others) == 2 else None
        whole = result if returned in (None, type(None), Any) else Union[result, returned]  # noqa: UP007 -- as in fields
        return taken(whole, result=True)

    def parameters(self, arguments: type[BaseModel]) -> tuple[Parameter, ...]:
        """The parameters as their callers know them."""
        found: dict[str, Parameter] = {}
        for field in self.fields:
            info = arguments.model_fields[field.name]
            name = name_for_callers(field, info)
            if name in found:
                raise NotServable(f"Two parameters of {self._name} are {name!r} to callers. Give one another alias.")
            default = None if info.is_required() else info.get_default(call_default_factory=True)
            found[name] = Parameter(
                name=name,
                annotation=field.annotation,
                required=info.is_required(),
                default=None if default is NOT_PASSED else default,
                description=info.description or "",
                upload=is_upload(field.annotation),
            )
        return tuple(found.values())

    def passing(self, arguments: type[BaseModel]) -> Passing:
        """How what was given is passed on."""
        every = self._signature.parameters
        by_position = [one for one in every.values() if one.kind is one.POSITIONAL_ONLY]
        if self._rest:
            by_position += [one for one in every.values() if one.kind is one.POSITIONAL_OR_KEYWORD]
        positional = tuple((one.name, None if one.default is EMPTY else one.default) for one in by_position)
        as_dicts = tuple(fields_with(self._conventions.as_dict, arguments))
        always = tuple(field.name for field in self.fields if field.always or field.name in as_dicts)
        more = self._more is not EMPTY
        same = all(field.name == field.parameter for field in self.fields)
        return Passing(
            names={field.name: field.parameter for field in self.fields},
            plain=same and not positional and not always and not more and not self._rest,
            positional=positional,
            places={one.name: at for at, one in enumerate(by_position) if one.name in self.injected},
            rest=self._rest,
            more=more,
            always=always,
            as_dicts=as_dicts,
            strict=is_strict(arguments.__pydantic_core_schema__),
            choices=most_choices(arguments.__pydantic_core_schema__),
            taken=frozenset(
                one.name for one in every.values() if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
            ),
        )


def _is_generator(function: Any) -> bool:
    function = definition_of(function)
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _told(function: Any, definition: Any) -> Docstring:
    """What the docstring says: that of the function, or of its class, if it is an object that is called."""
    if inspect.isroutine(function) or inspect.isclass(function):
        return docstring_of(function)
    if getattr(definition, "__doc__", None):
        return docstring_of(definition)
    return docstring_of(type(function))


def awaited(result: Any) -> Any:
    """What comes of waiting for it: ``int`` of ``Awaitable[int]``, and of a coroutine of that."""
    while typing.get_origin(result) in (collections.abc.Awaitable, collections.abc.Coroutine):
        result = typing.get_args(result)[-1]
    return result


def _says_iterator(result: Any) -> bool:
    origin = typing.get_origin(result) or result
    return any(origin is one for one in _ITERATORS)


def _class_like(module: types.ModuleType) -> str:
    """The class of *module* that has the module's own name, as its users would write it: ``PIL.Image.Image``."""
    last = module.__name__.rpartition(".")[2]
    return f", as in {module.__name__}.{last}" if isinstance(getattr(module, last, None), type) else ""


def _shown(annotation: Any) -> str:
    return inspect.formatannotation(annotation)[:100]


def _first_line(error: Exception) -> str:
    """What pydantic says first, without its advice, which is for those who write a model."""
    text = (str(error) or type(error).__name__).split("\n")[0].partition(". Set `")[0]
    return " ".join(text.split())[:200]
