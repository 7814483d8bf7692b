"""`coerce_pipeline_inputs`: makes Haystack's objects of the dicts that came as JSON, by the pipeline's own inputs.

Here: which class an input wants, and how it is made. Not here: what a YAML pipeline declares (`yaml_pipelines`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin

from portico.pipelines.streams.streaming_components import by_component


def coerce_pipeline_inputs(pipeline: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    """*data* for ``pipeline.run``, with an object in the place of each dict that stands for one.

    An input whose type is a class with ``from_dict`` (Haystack's dataclasses), a pydantic model or a dataclass, or a
    list or a union of it, gets objects of that class; anything else stays as it is. *data* is by components
    (``{"prompt": {"query": ...}}``) or flat (``{"query": ...}``), as ``Pipeline.run`` takes it, and is not changed.

    Raises `ValueError` for a dict where the input takes more than one such class: it does not say which it is.
    """
    if by_component(pipeline, data):
        sockets = pipeline.inputs(include_components_with_connected_inputs=True)
        return {
            component: {
                name: _coerced(value, [socket["type"]] if (socket := sockets.get(component, {}).get(name)) else [])
                for name, value in given.items()
            }
            for component, given in data.items()
        }
    every = [*pipeline.inputs().values()]
    return {name: _coerced(value, [of[name]["type"] for of in every if name in of]) for name, value in data.items()}


def _coerced(value: Any, types: Iterable[Any]) -> Any:
    if not isinstance(value, dict) and not (isinstance(value, list) and any(isinstance(item, dict) for item in value)):
        return value
    for wanted in types:
        classes = _classes(wanted)
        if len(classes) > 1:
            names = ", ".join(sorted(cls.__name__ for cls in classes))
            raise ValueError(
                f"Cannot make an object for an input of the type '{wanted}': it takes several classes ({names}), and a "
                "dict does not say which is meant. Give it an object of one of them."
            )
        if classes:
            (cls,) = classes
            if isinstance(value, list):
                return [_made(cls, item) if isinstance(item, dict) else item for item in value]
            return _made(cls, value)
    return value


def _classes(wanted: Any) -> set[type]:
    """The classes that *wanted*, an input's type, takes and that can be made of a dict."""
    origin = get_origin(wanted)
    if origin in (Union, UnionType, list):
        return {cls for part in get_args(wanted) for cls in _classes(part)}
    if isinstance(wanted, type) and (
        hasattr(wanted, "from_dict") or hasattr(wanted, "model_validate") or is_dataclass(wanted)
    ):
        return {wanted}
    return set()


def _made(cls: Any, value: dict[str, Any]) -> Any:
    if hasattr(cls, "from_dict"):
        return cls.from_dict(value)
    if hasattr(cls, "model_validate"):
        return cls.model_validate(value)
    from pydantic import TypeAdapter

    return TypeAdapter(cls).validate_python(value)
