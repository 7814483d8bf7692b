"""The description of all functions of a service, in OpenAPI 3.1, at ``GET openapi.json``.

FastAPI makes the document, of a route for each function; here is what it is told of each, as its schemas know it, and
one place for the schemas that several functions share. A `FunctionRoute` can stand in any FastAPI app. Imported when
somebody first asks for the document: FastAPI takes a tenth of a second.

Source: OpenAPI Specification 3.1.0; FastAPI's names for what it answers to wrong fields.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from portico.functions.run_route import RunRoute
from portico.functions.texts import TextWanted
from portico.functions.typed import TypedFunction

VERSION = "3.1.0"
SCHEMAS = "#/components/schemas/"
_DEFS = "#/$defs/"

ERRORS: dict[str, Any] = {
    "ValidationError": {
        "title": "ValidationError",
        "type": "object",
        "required": ["loc", "msg", "type"],
        "properties": {
            "loc": {"title": "Location", "type": "array", "items": {"type": ["string", "integer"]}},
            "msg": {"title": "Message", "type": "string"},
            "type": {"title": "Error Type", "type": "string"},
        },
    },
    "HTTPValidationError": {
        "title": "HTTPValidationError",
        "type": "object",
        "properties": {
            "detail": {"title": "Detail", "type": "array", "items": {"$ref": f"{SCHEMAS}ValidationError"}},
        },
    },
}

_FILE = {"type": "string", "contentMediaType": "application/octet-stream"}
_DETAIL = {"application/json": {"schema": {"type": "object", "required": ["detail"], "properties": {"detail": {}}}}}


class FunctionRoute(APIRoute):
    """One method of a function's route, for a FastAPI app."""

    def __init__(self, path: str, run: RunRoute, method: str, operation: Mapping[str, Any], operation_id: str) -> None:
        typed = run.typed

        async def endpoint() -> None:
            """Stands for the function: the route calls `RunRoute`, and FastAPI reads nothing of a request."""

        super().__init__(
            path,
            endpoint,
            methods=[method],
            name=typed.name,
            summary=typed.summary or typed.title,
            description=typed.description or typed.title,
            operation_id=operation_id,
            response_model=None,
            openapi_extra=dict(operation),
        )
        self.app = run


def document(routes: Mapping[str, RunRoute], title: str, root_path: str = "") -> dict[str, Any]:
    """Describe *routes*, by their paths below *root_path* and without a slash before them."""
    schemas = Schemas()
    made: list[FunctionRoute] = []
    for path, run in routes.items():
        named = path.rpartition("/")[0] or path
        for method in ("POST", "GET"):
            if method in run.methods:
                operation = _operation(run, schemas, method)
                id = named if method == "POST" else f"{named}.get"
                made.append(FunctionRoute(f"/{path}", run, method, operation, id))
    servers = [{"url": root_path}] if root_path else None
    told: dict[str, Any] = get_openapi(title=title, version="1", openapi_version=VERSION, routes=made, servers=servers)
    for route in made:  # it leaves out what is null, and a default or a constant may be
        (method,) = route.methods or ("POST",)
        told["paths"][route.path][method.lower()].update(route.openapi_extra or {})
    told["components"] = {"schemas": dict(sorted({**ERRORS, **schemas.all}.items()))}
    return told


class Schemas:
    """JSON Schemas by name, of all functions: those that are alike are one, and others never share a name."""

    def __init__(self) -> None:
        self.all: dict[str, Any] = {}
        self._prints: dict[str, str] = {}

    def add(self, schema: Mapping[str, Any], owner: str) -> dict[str, Any]:
        """*schema* without its ``$defs``, which are kept here. *owner* is put before a name that is taken."""
        definitions: Mapping[str, Any] = schema.get("$defs", {})
        names: dict[str, str] = {}
        for name in definitions:
            print_ = _print_of(name, definitions)
            free = name
            number = 1
            while self._prints.get(free, print_) != print_ or free in ERRORS:
                free = f"{owner}-{name}" if number == 1 else f"{owner}-{name}-{number}"
                number += 1
            names[name] = free
            self._prints[free] = print_
        for name, free in names.items():
            if free not in self.all:
                self.all[free] = _renamed(definitions[name], names)
        told: dict[str, Any] = _renamed({key: value for key, value in schema.items() if key != "$defs"}, names)
        return told

    def name(self, name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Keep *schema*, whose own references lead here already, under *name*; returns a reference to it."""
        self.all[name] = dict(schema)
        self._prints[name] = json.dumps(schema, sort_keys=True, default=str)
        return {"$ref": f"{SCHEMAS}{name}"}


def _print_of(name: str, definitions: Mapping[str, Any]) -> str:
    """What tells a definition from others: itself, and all that it refers to."""
    found: dict[str, str] = {}
    names = [name]
    while names:
        one = names.pop()
        if one not in found and one in definitions:
            found[one] = json.dumps(definitions[one], sort_keys=True, default=str)
            names += [other for other in definitions if f'"{_DEFS}{other}"' in found[one]]
    return json.dumps(found, sort_keys=True)


def _renamed(schema: Any, names: Mapping[str, str]) -> Any:
    if isinstance(schema, Mapping):
        return {key: _renamed(value, names) for key, value in schema.items()}
    if isinstance(schema, list | tuple):
        return [_renamed(value, names) for value in schema]
    if isinstance(schema, str) and schema.startswith(_DEFS):  # ``$ref``, and a discriminator's mapping
        name = schema.removeprefix(_DEFS)
        return f"{SCHEMAS}{names.get(name, name)}"
    return schema


# --- one operation ----------------------------------------------------------------------------------------------------


def _operation(run: RunRoute, schemas: Schemas, method: str) -> dict[str, Any]:
    typed = run.typed
    given = schemas.add(typed.input_schema, typed.name)
    told: dict[str, Any] = {"responses": _responses(typed, schemas)}
    if method == "GET":
        required = given.get("required", ())
        parameters = [
            _query_parameter(name, schema, name in required, typed)
            for name, schema in given.get("properties", {}).items()
        ]
        if parameters:
            told["parameters"] = parameters
        return told
    content: dict[str, Any] = {}
    if run.intake.json:
        reference = schemas.name(typed.arguments.__name__, {"title": typed.arguments.__name__, **given})
        content["application/json"] = {"schema": reference}
    if run.intake.form:
        content["multipart/form-data"] = {"schema": form_schema(typed, given)}
    told["requestBody"] = {"required": bool(given.get("required")), "content": content}
    return told


def _query_parameter(name: str, schema: Mapping[str, Any], required: bool, typed: TypedFunction) -> dict[str, Any]:
    told: dict[str, Any] = {"name": name, "in": "query", "required": required}
    if description := schema.get("description"):
        told["description"] = description
    wanted = TextWanted.of(typed.input_schema["properties"][name], typed.input_schema)
    if wanted.nested and not wanted.text:  # an object, say, is written as JSON
        told["content"] = {"application/json": {"schema": schema}}
    else:
        told["schema"] = schema
    return told


def form_schema(typed: TypedFunction, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a form: as in JSON, but for files."""
    from portico.functions.values.annotations import takes_several

    properties = dict(given.get("properties", {}))
    for parameter in typed.parameters:
        if parameter.upload:
            known = properties.get(parameter.name, {})
            kept = {key: known[key] for key in ("title", "description") if key in known}
            several = takes_several(parameter.annotation)
            properties[parameter.name] = {**kept, **({"type": "array", "items": _FILE} if several else _FILE)}
    return {"type": "object", "properties": properties, "required": list(given.get("required", ()))}


def _responses(typed: TypedFunction, schemas: Schemas) -> dict[str, Any]:
    result = schemas.add(typed.output_schema or {}, typed.name)
    answer = {
        "title": typed.answer.__name__,
        "type": "object",
        "required": ["result"],
        "properties": {"result": result},
    }
    content: dict[str, Any] = {}
    if typed.streams:
        content["text/plain"] = {"schema": {"type": "string"}}
    content["application/json"] = {"schema": schemas.name(typed.answer.__name__, answer)}
    content["text/event-stream"] = {"schema": {"type": "string"}}
    return {
        "200": {"description": "The result.", "content": content},
        "422": {
            "description": "Some fields are wrong; each is named.",
            "content": {"application/json": {"schema": {"$ref": f"{SCHEMAS}HTTPValidationError"}}},
        },
        "500": {"description": "The function failed: `detail` is its exception's type and text.", "content": _DETAIL},
        "default": {"description": "The request is refused: `detail` says why.", "content": _DETAIL},
    }
