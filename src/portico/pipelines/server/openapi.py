"""The description of a server of pipelines in OpenAPI 3.1: its own routes, those of pipelines, and its author's.

FastAPI makes the document; here is what it is told of each route. Names of schemas and operations are those of Hayhooks
2.1, by which clients are generated. Imported when somebody first asks for the document.

Source: OpenAPI Specification 3.1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from portico.functions.names import title_of
from portico.functions.openapi import ERRORS, SCHEMAS, VERSION, Schemas, form_schema
from portico.functions.run_route import RunRoute
from portico.pipelines.server.endpoints import FixedRoute, model_of

_PATH_PARAMETER = re.compile(r"\{(\w+)\}")
_INVALID = {
    "description": "Validation Error",
    "content": {"application/json": {"schema": {"$ref": f"{SCHEMAS}HTTPValidationError"}}},
}
_DETAIL = {"application/json": {"schema": {"type": "object", "required": ["detail"], "properties": {"detail": {}}}}}
_KEY = "key"


class DescribedRoute(APIRoute):
    """A route that is only described: it stands in no app."""

    def __init__(self, shown: str, method: str, operation: Mapping[str, Any], *, number: int, **told: Any) -> None:
        """*shown* is its path, which FastAPI does not read: pipelines may have braces in their names."""

        async def endpoint() -> None:
            """Never called."""

        super().__init__(
            f"/{number}", endpoint, methods=[method], response_model=None, openapi_extra=dict(operation), **told
        )
        self.shown = shown
        self.method = method.lower()


def document(
    fixed: Iterable[FixedRoute],
    runs: Mapping[str, RunRoute],
    authors: Sequence[BaseRoute] = (),
    parts: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    **told: Any,
) -> dict[str, Any]:
    """Describe all routes, and *told* of the whole, as ``get_openapi`` takes it.

    *runs* are by their paths; *authors* are those of an app that the server is a part of. *parts* are operations that
    are described already, by path and method.
    """
    schemas = Schemas()
    made = [_described(route, schemas, number) for number, route in enumerate(fixed) if route.is_described]
    made += [_run(path, run, schemas, number) for number, (path, run) in enumerate(runs.items(), len(made) + 1000)]
    _number_ids(made)
    found: dict[str, Any] = get_openapi(openapi_version=VERSION, routes=[*made, *authors], **told)
    paths: dict[str, Any] = {}
    given = found.get("paths", {})
    for route in made:
        operation = given.pop(route.path)[route.method]
        operation.update(route.openapi_extra or {})  # it leaves out what is null, and a default may be
        paths.setdefault(route.shown, {})[route.method] = operation
    for path, operations in [*parts.items(), *given.items()]:
        paths[path] = {**operations, **paths.get(path, {})}
    found["paths"] = paths
    components = found.setdefault("components", {})
    components["schemas"] = dict(sorted({**components.get("schemas", {}), **ERRORS, **schemas.all}.items()))
    components.setdefault("securitySchemes", {})[_KEY] = {"type": "http", "scheme": "bearer"}
    return found


def _number_ids(routes: Iterable[DescribedRoute]) -> None:
    """Give each operation an id of its own: names that differ by a dash and an underscore have the same."""
    seen: dict[str, int] = {}
    for route in routes:
        id = route.operation_id or ""
        seen[id] = seen.get(id, 0) + 1
        if seen[id] > 1:
            route.operation_id = route.unique_id = f"{id}_{seen[id]}"


def _described(route: FixedRoute, schemas: Schemas, number: int) -> DescribedRoute:
    answer: dict[str, Any] = {"description": "Successful Response"}
    if route.response:
        answer["content"] = {"application/json": {"schema": _model(route.response, schemas)}}
    else:
        answer["content"] = {route.media_type: {}}
    responses: dict[str, Any] = {"200": answer}
    operation: dict[str, Any] = {"responses": responses}
    if route.request:
        content = {"application/json": {"schema": _model(route.request, schemas)}}
        operation["requestBody"] = {"required": True, "content": content}
    names = _PATH_PARAMETER.findall(route.path)
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
        responses["404"] = {"description": "There is no such pipeline", "content": _DETAIL}
    if route.needs_key:
        operation["security"] = [{_KEY: []}]
        responses["401"] = {"description": "The key is missing, or is another", "content": _DETAIL}
    if route.request or names:
        responses["422"] = _INVALID
    return DescribedRoute(
        f"/{route.path}",
        route.method,
        operation,
        number=number,
        tags=[route.tag],
        operation_id=route.id,
        summary=route.summary,
        description=route.description or route.summary,
    )


def _model(name: str, schemas: Schemas) -> dict[str, Any]:
    return schemas.name(name, schemas.add(model_of(name).model_json_schema(), name))


def _run(path: str, run: RunRoute, schemas: Schemas, number: int) -> DescribedRoute:
    typed = run.typed
    name = path.removesuffix("/run")
    given = schemas.add(typed.input_schema, typed.name)
    asked = {"title": f"{name}RunRequest", **(form_schema(typed, given) if run.intake.form else given)}
    media_type = "multipart/form-data" if run.intake.form else "application/json"
    result = schemas.add(typed.output_schema or {}, typed.name)
    answer = {
        "title": f"{name}RunResponse",
        "type": "object",
        "required": ["result"],
        "properties": {"result": {"title": "Result", **result}},
    }
    answered: dict[str, Any] = {"application/json": {"schema": schemas.name(f"{name}RunResponse", answer)}}
    if typed.streams:
        answered = {"text/plain": {"schema": {"type": "string"}}, **answered}
    operation = {
        "requestBody": {
            "required": True,
            "content": {media_type: {"schema": schemas.name(f"{name}RunRequest", asked)}},
        },
        "responses": {
            "200": {"description": "Successful Response", "content": answered},
            "422": _INVALID,
            "500": {"description": "The pipeline failed", "content": _DETAIL},
        },
    }
    return DescribedRoute(
        f"/{path}",
        "POST",
        operation,
        number=number,
        tags=["pipelines"],
        operation_id=re.sub(r"\W", "_", f"{name}_run/{path}_post"),
        summary=f"{title_of(name)} Run",
        description=typed.summary or title_of(name),
    )
