"""Which types are values that JSON alone does not hold, and what pydantic is told in place of each.

`annotation` looks through a type as it is written in a signature (``NDArray[float32]``, ``list[Image] | None``) and
puts, for each such type in it, an `Annotated` one that reads what callers send and has a JSON Schema.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Union, get_args, get_origin

from portico.errors import UnusableRequest
from portico.functions.values.classes import changed_class
from portico.functions.values.families import FAMILIES, Family, family_of, name_of
from portico.functions.values.uploads import CallFiles

UPLOAD_KEY: Final = "x-portico-upload"
"""In a property's JSON Schema: the media types that a file for it may have, as a form's ``accept`` takes them."""

FILE_SCHEMA: Final[dict[str, Any]] = {"type": "string", "contentEncoding": "base64"}
"""A file in JSON: base64 text, or a ``data:`` URL."""


@dataclass(frozen=True, slots=True, eq=False)
class SpecialType:
    """Metadata of an `Annotated` type: how pydantic reads and writes it in place of the type itself."""

    kind: Any
    family: Family
    read: Callable[[Any, CallFiles | None], Any] | None
    """Makes the value of what a caller gave; None for a result, which has to be of `kind` already."""
    schema: Mapping[str, Any] = field(default_factory=dict)
    media_types: tuple[str, ...] = ()
    """Of files that it is read from; empty where it is sent in JSON alone."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        if self.read is None:
            return core_schema.is_instance_schema(self.kind, serialization=self._writes())
        return core_schema.with_info_plain_validator_function(self._validate, serialization=self._writes())

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        told = dict(self.schema)
        if self.media_types and self.read is not None:
            told[UPLOAD_KEY] = list(self.media_types)
        return told

    def _writes(self) -> Any:
        from pydantic_core import core_schema

        from portico.functions.values.json_form import of_family

        family, takes = self.family, self.read is not None

        def write(value: Any) -> Any:
            if takes and family in ("path", "upload", "stream"):
                raise ValueError("a default that is a file has no JSON: its path would be read as base64")
            return of_family(value, family, 0)

        return core_schema.plain_serializer_function_ser_schema(write, when_used="json")

    def _validate(self, given: Any, info: Any) -> Any:
        from pydantic_core import PydanticCustomError

        assert self.read is not None
        try:
            return self.read(given, info.context if isinstance(info.context, CallFiles) else None)
        except UnusableRequest as error:
            if error.status != 422:  # it is not the value that is wrong
                raise
            raise PydanticCustomError("value", "{reason}", {"reason": str(error)}) from None


NO_FAMILIES: Final[frozenset[Family]] = frozenset()


def annotation(kind: Any, *, result: bool = False, plain: frozenset[Family] = NO_FAMILIES) -> Any | None:
    """What pydantic is to be given in place of the type *kind*; None where nothing in it is special.

    With *result*, of what a function returns: there a value has to be what the annotation says, and is not read.
    Types of the families *plain* are left to pydantic.
    """
    changed = _changed(kind, result, plain)
    return None if changed is kind else changed


def result_schema(kind: Any) -> dict[str, Any]:
    """JSON Schema of the instances of a class as results have them; empty where nothing is known."""
    changed = _changed(kind, True, NO_FAMILIES)
    if changed is kind:
        return {}
    return next((dict(each.schema) for each in changed.__metadata__ if isinstance(each, SpecialType)), {})


def is_upload(kind: Any) -> bool:
    """Whether what `annotation` gave for a parameter can be sent as a file, or as several."""
    metadata = getattr(kind, "__metadata__", ())
    if any(isinstance(each, SpecialType) and bool(each.media_types) for each in metadata):
        return True
    if metadata:
        return is_upload(kind.__origin__)
    return (_is_union(kind) or _is_list(kind)) and any(is_upload(each) for each in get_args(kind))


def takes_several(kind: Any) -> bool:
    """Whether the type takes a list of files: then one file that came is a list of one."""
    if hasattr(kind, "__metadata__"):
        return takes_several(kind.__origin__)
    if _is_union(kind):
        return any(takes_several(each) for each in get_args(kind))
    return _is_list(kind) and is_upload(kind)


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _is_list(kind: Any) -> bool:
    """Whether it is a list of something, or another collection that a list in JSON becomes."""
    origin = get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, Collection) and not issubclass(origin, Mapping)


def _changed(kind: Any, result: bool, plain: frozenset[Family]) -> Any:
    origin = get_origin(kind)
    if origin is Annotated:
        inner, *metadata = get_args(kind)
        if any(isinstance(each, SpecialType) for each in metadata):
            return kind
        if inner is bytes and any(base.__name__ == "EncodedBytes" for each in metadata for base in type(each).__mro__):
            return kind  # pydantic.Base64Bytes and its like, which say themselves how bytes are written
        changed = _changed(inner, result, plain)
        return kind if changed is inner else Annotated[(changed, *metadata)]
    if isinstance(kind, type) and origin is None:
        made = _special(kind, result, plain)
        if made is None and not result:
            made = changed_class(kind, lambda inner: _changed(inner, False, plain))
        return kind if made is None else made
    if kind is typing.BinaryIO or kind == typing.IO[bytes]:
        return kind if result else _made(kind, "stream", False)
    if type(kind).__name__ == "TypeAliasType" and origin is None:
        changed = _changed(kind.__value__, result, plain)
        return kind if changed is kind.__value__ else changed
    if isinstance(kind, typing.NewType):
        changed = _changed(kind.__supertype__, result, plain)
        return kind if changed is kind.__supertype__ else changed
    if origin is None or origin is typing.Literal:
        return kind
    if isinstance(origin, type) and family_of(origin) == "array":
        return _array(kind, origin, result)
    arguments = get_args(kind)
    changed = tuple(
        each if each is Ellipsis or isinstance(each, list) else _changed(each, result, plain) for each in arguments
    )
    if all(new is old for new, old in zip(changed, arguments, strict=True)):
        return kind
    if _is_union(kind):
        return Union[changed]  # noqa: UP007 (there may be any number)
    if hasattr(kind, "copy_with"):  # typing.List[...] and its like
        return kind.copy_with(changed)
    return origin[changed]


def _special(kind: type, result: bool, plain: frozenset[Family]) -> Any | None:
    """The `Annotated` type for a class; None for one that pydantic may take as it is."""
    family = FAMILIES.get(name_of(kind))
    if family is None and (_is_scalar(kind) or _is_upload_class(kind)):
        family = family_of(kind)
    if family is None and result:
        family = family_of(kind)  # a subclass may be returned; which arguments would make one is not known
        if family == "path":
            family = None
    if family is None or family in plain or (family == "path" and result):
        return None
    return _made(kind, family, result)


def _is_scalar(kind: type) -> bool:
    """numpy.float64 is a float as well, and pydantic would take it for a type that it does not know."""
    return kind.__module__ == "numpy" and family_of(kind) == "scalar"


def _is_upload_class(kind: type) -> bool:
    return family_of(kind) == "upload"


def _array(kind: Any, origin: type, result: bool) -> Any:
    """``NDArray[float32]``, which is ``ndarray[tuple[Any, ...], dtype[float32]]``; likewise with as many dimensions."""
    import numpy

    from portico.functions.values import arrays

    shape, *rest = get_args(kind)
    dimensions = None
    sizes = get_args(shape)
    if get_origin(shape) is tuple and Ellipsis not in sizes:
        dimensions = len(sizes)
    dtype = None
    scalar = next(iter(get_args(rest[0])), None) if rest else None
    if isinstance(scalar, type):
        try:
            dtype = numpy.dtype(scalar)
        except TypeError:  # numpy.floating, numpy.number: any of them
            dtype = None
    return Annotated[
        origin,
        SpecialType(
            origin,
            "array",
            None if result else lambda given, _: arrays.read_array(given, dtype, dimensions),
            arrays.schema_of(dtype, dimensions),
            (arrays.NPY, ".npy"),
        ),
    ]


def _made(kind: Any, family: Family, result: bool) -> Any:
    read, schema, media_types = _READERS[family](kind)
    if result and family in _RESULT_SCHEMAS:
        schema = _RESULT_SCHEMAS[family]
    return Annotated[kind, SpecialType(kind, family, None if result else read, schema, media_types)]


Reader = tuple[Callable[[Any, CallFiles | None], Any] | None, Mapping[str, Any], tuple[str, ...]]


def _array_reader(kind: Any) -> Reader:
    from portico.functions.values import arrays

    return (lambda given, _: arrays.read_array(given)), arrays.schema_of(), (arrays.NPY, ".npy")


def _scalar_reader(kind: Any) -> Reader:
    import numpy

    from portico.functions.values import arrays

    names = (
        (numpy.bool_, "boolean"),
        (numpy.integer, "integer"),
        (numpy.complexfloating, "string"),
        (numpy.number, "number"),
    )
    schema = next(({"type": name} for base, name in names if issubclass(kind, base)), {"type": "string"})
    return (lambda given, _: arrays.read_scalar(given, kind)), schema, ()


def _frame_reader(kind: Any) -> Reader:
    from portico.functions.values import tables

    library = tables.library_for(name_of(kind).partition(".")[0])
    if kind.__qualname__ == "LazyFrame":
        read: Any = lambda given, _: tables.read_frame(given, library).lazy()  # noqa: E731
    else:
        read = lambda given, _: tables.read_frame(given, library)  # noqa: E731
    return read, tables.SCHEMA, (tables.CSV, ".csv", ".tsv", tables.ARROW, ".arrow", ".arrows", ".feather", ".json")


def _series_reader(kind: Any) -> Reader:
    from portico.functions.values import tables

    library = tables.library_for(name_of(kind).partition(".")[0])
    return (lambda given, _: tables.read_series(given, library)), {"type": ["array", "object"]}, (tables.CSV, ".csv")


def _image_reader(kind: Any) -> Reader:
    from portico.functions.values import images

    schema = {**FILE_SCHEMA, "contentMediaType": "image/*"}
    return (lambda given, _: images.read_image(given)), schema, images.MEDIA_TYPES


def _bytes_reader(kind: Any) -> Reader:
    from portico.functions.values import uploads

    return (lambda given, _: kind(uploads.read_bytes(given))), FILE_SCHEMA, ("*/*",)


def _path_reader(kind: Any) -> Reader:
    from portico.functions.values import uploads

    return uploads.read_path, FILE_SCHEMA, ("*/*",)


def _upload_reader(kind: Any) -> Reader:
    from portico.functions.values import uploads

    return (lambda given, files: uploads.read_upload(given, kind, files)), FILE_SCHEMA, ("*/*",)


def _stream_reader(kind: Any) -> Reader:
    from portico.functions.values import uploads

    return (lambda given, _: uploads.read_stream(given, kind)), FILE_SCHEMA, ("*/*",)


def _moment_reader(kind: Any) -> Reader:
    from portico.functions.values import pandas_tables

    return (
        (lambda given, _: pandas_tables.read_moment(given, kind)),
        {"type": "string", "format": "date-time" if kind.__name__ == "Timestamp" else "duration"},
        (),
    )


def _figure_reader(kind: Any) -> Reader:
    from portico.functions.values.bounds import unreadable

    def read(given: Any, files: CallFiles | None) -> Any:
        raise unreadable("A figure cannot be given.")

    return read, {**FILE_SCHEMA, "contentMediaType": "image/png"}, ()


_READERS: Final[dict[Family, Callable[[Any], Reader]]] = {
    "array": _array_reader,
    "scalar": _scalar_reader,
    "frame": _frame_reader,
    "series": _series_reader,
    "arrow": _frame_reader,
    "image": _image_reader,
    "bytes": _bytes_reader,
    "path": _path_reader,
    "upload": _upload_reader,
    "stream": _stream_reader,
    "moment": _moment_reader,
    "figure": _figure_reader,
}

_RESULT_SCHEMAS: Final[dict[Family, Mapping[str, Any]]] = {
    "array": {},
    "frame": {"type": "array", "items": {"type": "object"}},
    "arrow": {"type": "array", "items": {"type": "object"}},
    "series": {"type": ["array", "object"]},
}
