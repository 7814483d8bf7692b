"""From a wrapper to a deployment: an instance is made, set up, and its ``run_api`` read as a typed function.

Here: what a wrapper must be, and what is said where it is not. The texts of these errors are part of the wire. Not
here: where the class comes from (`loading`), and how a deployment is kept (`deploying`).

Source of the rules: Hayhooks 2.1, whose wrappers run here.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

from portico.calls.endings import is_from_the_keyboard
from portico.errors import PipelineError, PorticoError
from portico.functions.conventions import Conventions
from portico.functions.docstrings import docstring_of, parse
from portico.functions.given import role_of
from portico.functions.hints import definition_of, resolve, signature_of
from portico.functions.mark import options_of
from portico.functions.signature import typed_function
from portico.functions.typed import FunctionOptions, TypedFunction
from portico.packages import loaded
from portico.pipelines import requirements
from portico.pipelines.components.socket_types import with_messages
from portico.pipelines.deployment import Deployment, Source
from portico.pipelines.loading import load_wrapper, told
from portico.pipelines.results import checked_result
from portico.pipelines.wrapper import BasePipelineWrapper, Method, has

RUNS: Final[tuple[Method, ...]] = tuple(method for method in get_args(Method) if method != "run_file_upload")

CONVENTIONS: Final = Conventions(
    extra="ignore",
    any_name=True,
    parameter=with_messages,
    as_dict=lambda kind: kind is not loaded("haystack.dataclasses.chat_message", "ChatMessage"),
    plain=frozenset(("bytes", "path")),
    describe=lambda name: f"Parameter '{name}'",
    result=checked_result,
)
"""How ``run_api`` is read. Messages are what they are said to be: there is nothing to be done with one as a dict."""


def prepare_folder(name: str, folder: Path, settings: Mapping[str, Any] | None = None) -> Deployment:
    """Load the wrapper in *folder* and prepare it; *settings* are for its ``setup``.

    Blocks for as long as the imports and ``setup`` take. Raises `PipelineError`, and leaves no module behind then.
    """
    requirements.check(name, folder)
    loaded = load_wrapper(name, folder)
    try:
        source = Source(kind="wrapper", path=folder.absolute(), settings=dict(settings or {}))
        return prepare(name, loaded.wrapper, source, discard=loaded.discard)
    except BaseException:
        loaded.discard()
        raise


def prepare(name: str, wrapper: Any, source: Source, *, discard: Callable[[], object] = lambda: None) -> Deployment:
    """Make a deployment of a wrapper class, or of an instance of one, and call its ``setup`` once.

    Blocks for as long as ``setup`` takes. Raises `PipelineError`.
    """
    made = _instance(wrapper)
    _set_up(made, source.settings)
    if not any(has(made, method) for method in RUNS):
        raise PipelineError(f"At least one of {', '.join(RUNS[:-1])}, or {RUNS[-1]} must be implemented")
    methods = {method: _method(made, method) for method in RUNS}
    run = methods["run_api_async"] or methods["run_api"]
    api = _typed(name, run) if run is not None else None
    chat = methods["run_chat_completion_async"] or methods["run_chat_completion"]
    response = methods["run_response_async"] or methods["run_response"]
    return Deployment(
        name=name,
        pipeline=getattr(made, "pipeline", None),
        wrapper=made,
        source=source,
        description=_description(made, run, chat, response),
        api=api,
        chat=chat,
        response=response,
        upload=made.run_file_upload if has(made, "run_file_upload") else None,
        skip_mcp=bool(getattr(made, "skip_mcp", False)),
        created=int(time.time()),
        discard=discard,
    )


def _instance(wrapper: Any) -> Any:
    if not isinstance(wrapper, type):
        return wrapper
    try:
        return wrapper()
    except BaseException as error:  # its author's code, which ends no server
        if isinstance(error, KeyboardInterrupt) and is_from_the_keyboard():
            raise
        raise PipelineError(f"Failed to create pipeline wrapper instance: {told(error)}") from error


def _set_up(wrapper: Any, settings: Mapping[str, Any]) -> None:
    try:
        done = wrapper.setup(**settings)
    except BaseException as error:  # as above
        if isinstance(error, KeyboardInterrupt) and is_from_the_keyboard():
            raise
        raise PipelineError(f"Failed to call setup() on pipeline wrapper instance: {told(error)}") from error
    if inspect.iscoroutine(done):
        done.close()
        raise PipelineError(
            "Failed to call setup() on pipeline wrapper instance: it is a coroutine function. Write 'def setup(self)'."
        )


def _method(wrapper: Any, method: Method) -> Callable[..., Any] | None:
    if not has(wrapper, method):
        return None
    found: Callable[..., Any] = getattr(wrapper, method)
    _check_headers(found, method)
    return found


def _check_headers(function: Callable[..., Any], name: str) -> None:
    """The request's headers are asked for in one way alone."""
    definition = definition_of(function)
    for parameter in signature_of(function).parameters.values():
        try:
            annotation = resolve(parameter.annotation, definition)
        except Exception:  # noqa: BLE001 - an annotation is code; where it matters, it is read and complained of later
            continue
        if role_of(annotation) == "headers":
            is_right = (
                parameter.name == "headers"
                and parameter.default is None
                and type(None) in get_args(annotation)
                and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            )
        else:
            is_right = not _holds_headers(annotation)
        if not is_right:
            raise PipelineError(
                f"{name}: request headers must be declared as a keyword parameter 'headers: Headers | None = None'"
            )


def _holds_headers(annotation: Any) -> bool:
    return get_origin(annotation) is not Literal and any(
        role_of(one) == "headers" or _holds_headers(one) for one in get_args(annotation)
    )


def _typed(name: str, run: Callable[..., Any]) -> TypedFunction:
    """``run_api``, read. Raises `PipelineError`."""
    method = getattr(run, "__name__", "run_api")
    try:
        if signature_of(run).return_annotation is inspect.Signature.empty:
            raise PipelineError(f"Pipeline wrapper is missing a return type for '{method}' method")
        noted = options_of(run) or FunctionOptions()
        options = replace(noted, description=noted.description or _first_line(docstring_of(run).description))
        return typed_function(run, name, options, conventions=CONVENTIONS)
    except PipelineError:
        raise
    except PorticoError as error:
        raise PipelineError(f"The method '{method}' cannot be served: {error}") from error


def _description(wrapper: Any, *methods: Callable[..., Any] | None) -> str:
    """What is said of a pipeline in one line: by its methods, or by its class."""
    documented = [docstring_of(method).description for method in methods if method is not None]
    own = type(wrapper).__doc__ if type(wrapper) is not BasePipelineWrapper else ""
    return next(filter(None, map(_first_line, [*documented, parse(own or "").description])), "")


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].strip()
