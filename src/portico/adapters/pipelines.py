"""Pipelines: a wrapper (the class, or an object of it), and Haystack's pipelines and agents as they are.

A wrapper that was written for Hayhooks is one as well, whichever package its base class comes from. Nothing is imported
to look at a thing: it is known by the names and modules of its classes. Haystack is there if a pipeline is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from portico.adapters.callables import answers_to_all
from portico.adapters.functions import call_of, check_packages
from portico.adapters.looking import describe, is_a, mro, name_of
from portico.adapters.taken import Taken, TakeOptions
from portico.adapters.wiring import NO_WIRING
from portico.errors import InvalidOption, NotServable, PipelineError
from portico.packages import loaded

if TYPE_CHECKING:
    from portico.pipelines.deployment import Deployment
    from portico.pipelines.service_app import PipelineApp

WORDS = "a Haystack pipeline or agent, or a wrapper of one"

KIND = "pipeline"

_BASE = "BasePipelineWrapper"
_BASES = ("portico", "hayhooks")
"""The packages whose class of that name wrappers inherit from."""

_HAYSTACK = frozenset(("Pipeline", "AsyncPipeline", "Agent"))
"""What is served of Haystack: by the names of its classes, which have moved between its modules."""


def claims(thing: Any) -> bool:
    """Whether *thing* is a wrapper (a class or an object), a pipeline or agent of Haystack, or an app of one."""
    return is_app(thing) or is_wrapper(thing) or is_haystack(thing)


def is_app(thing: Any) -> bool:
    """Whether *thing* is what ``portico.pipeline`` gives."""
    app = loaded("portico.pipelines.service_app", "PipelineApp")
    return app is not None and is_a(thing, app)


def is_wrapper(thing: Any) -> bool:
    """Whether *thing* is a wrapper, or a class of such: it inherits from one's base, or has what a wrapper has."""
    kind = thing if is_a(thing, type) else type(thing)
    bases = mro(kind)
    if any(_is_base(base) for base in bases[1:]):
        return True
    if answers_to_all(thing):
        return False
    names = {name for base in bases for name in type.__dict__["__dict__"].__get__(base)}
    return "setup" in names and not names.isdisjoint(_methods())


def _is_base(kind: type) -> bool:
    return name_of(kind) == _BASE and _top(kind) in _BASES


def _top(kind: type) -> str:
    module = type.__dict__["__module__"].__get__(kind)
    return module.partition(".")[0] if isinstance(module, str) else ""


def _methods() -> set[str]:
    from portico.pipelines.wrapper import Method  # not needed for most of what is served

    return {*get_args(Method)} - {"run_file_upload"}


def is_haystack(thing: Any) -> bool:
    """Whether *thing* is a pipeline or an agent of Haystack's, also of a subclass."""
    return any(name_of(base) in _HAYSTACK and _top(base) == "haystack" for base in mro(type(thing)))


def is_near(thing: Any) -> bool:
    """Whether *thing* comes from Haystack, or is a class that is half a wrapper."""
    kind = thing if is_a(thing, type) else type(thing)
    return any(_top(base) == "haystack" for base in mro(kind))


def take(thing: Any, options: TakeOptions) -> Taken:
    """Make an app of *thing*: a page, REST, tools, and the OpenAI API where it talks.

    A wrapper's ``setup`` runs here, and may take long. Raises `NotServable` for what cannot be served as it is, with
    what its author should know; `InvalidOption` for inputs and outputs of what has its own.
    """
    check_packages()
    return taken_of(_app_of(thing, options), _what(thing))


def taken_of(app: PipelineApp, what: str = "pipeline") -> Taken:
    """What is said of *app*, which serves a *what*."""
    return Taken(
        app,
        KIND,
        models=tuple(app.model_ids),
        how=f"{what}: {' and '.join(app.pages) or 'API'}",
        remarks=tuple(app.remarks),
        tools=app.tools,
        call=call_of(app.functions) if app.functions else None,
    )


def _app_of(thing: Any, options: TakeOptions) -> PipelineApp:
    from portico.pipelines.service_app import PipelineApp

    if is_app(thing):
        if options.wiring != NO_WIRING:
            raise InvalidOption(
                "The inputs and outputs of this pipeline were said where it was made, and its settings."
            )
        app: PipelineApp = thing
        if app.rename is not None and options.name:
            app.replace(app.rename(options.name))
        return app
    return PipelineApp(
        _deployment(thing, options), title=options.title, on_error=lambda error: options.report("the pipeline", error)
    )


def _deployment(thing: Any, options: TakeOptions) -> Deployment:
    wiring = options.wiring
    name = options.name or "pipeline"
    try:
        if is_haystack(thing):
            if wiring.settings:
                raise InvalidOption("Settings (--set) are for a wrapper's setup; a Haystack pipeline has none.")
            from portico.pipelines.objects import prepare_object

            return prepare_object(name, thing, inputs=wiring.inputs, outputs=wiring.outputs)
        if wiring.inputs is not None or wiring.outputs is not None:
            raise InvalidOption(
                f"A wrapper's methods say what it takes: inputs and outputs are for a Haystack pipeline, and "
                f"{describe(thing)} is a wrapper."
            )
        from portico.pipelines.deployment import Source
        from portico.pipelines.preparing import prepare

        return prepare(name, thing, Source(kind="object", settings=wiring.settings))
    except PipelineError as error:
        raise NotServable(str(error)) from error


def _what(thing: Any) -> str:
    if is_app(thing):
        return "pipeline"
    return name_of(thing if is_a(thing, type) else type(thing))
