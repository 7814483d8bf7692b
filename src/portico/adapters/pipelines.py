"""Pipelines: a wrapper (the class, or an object of it), and Haystack's pipelines and agents as they are.

A wrapper that was written for Hayhooks is one as well, whichever package its base class comes from. Nothing is imported
to look at a thing: it is known by the names and modules of its classes. Haystack is there if a pipeline is.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, get_args

from portico.adapters.callables import answers_to_all
from portico.adapters.functions import call_of, check_packages
from portico.adapters.looking import is_a, look, mro, name_of
from portico.adapters.taken import Taken, TakeOptions
from portico.adapters.wiring import NO_WIRING
from portico.errors import InvalidOption, NotServable, PipelineError, PorticoError, StartupFailed
from portico.packages import loaded
from portico.pipelines.deployment import Source

if TYPE_CHECKING:
    from portico.pipelines.deployment import Deployment
    from portico.pipelines.service_app import PipelineApp

WORDS = "a Haystack pipeline or agent, or a wrapper of one"

KIND = "pipeline"

_BASE = "BasePipelineWrapper"
_BASES = ("portico", "hayhooks")
"""The packages whose class of that name wrappers inherit from."""


def claims(thing: Any) -> bool:
    """Whether *thing* is a wrapper (a class or an object), a pipeline or agent of Haystack, or an app of one."""
    return is_app(thing) or is_wrapper(thing) or is_haystack(thing)


def is_app(thing: Any) -> bool:
    """Whether *thing* is what ``portico.pipeline`` gives."""
    app = loaded("portico.pipelines.service_app", "PipelineApp")
    return app is not None and is_a(thing, app)


def is_wrapper(thing: Any) -> bool:
    """Whether *thing* is a wrapper, or a class of such: it inherits from a base, or has what a wrapper has."""
    kind = thing if is_a(thing, type) else type(thing)
    bases = mro(kind)
    if any(name_of(base) == _BASE and _top(base) in _BASES for base in bases[1:]):
        return True
    from portico.pipelines.wrapper import Method  # not needed for most of what is served

    named = {name for base in bases for name in type.__dict__["__dict__"].__get__(base)}
    methods = {*get_args(Method)} - {"run_file_upload"}
    return "setup" in named and not named.isdisjoint(methods) and not answers_to_all(thing)


def is_haystack(thing: Any) -> bool:
    """Whether *thing* is a pipeline of Haystack's, or one component, such as an Agent."""
    if "haystack" not in sys.modules or is_a(thing, type) or answers_to_all(thing):
        return False
    from portico.pipelines.components.objects import is_live_pipeline  # not needed for most of what is served

    return look(is_live_pipeline, thing, otherwise=False)


def own_name(thing: Any) -> str:
    """What *thing* is called, for the name of its service: as its class, ``MyWrapper`` -> ``My-Wrapper``."""
    if is_app(thing):
        return str(thing.deployment.name)
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", _what(thing))


def is_near(thing: Any) -> bool:
    """Whether *thing* comes from Haystack."""
    kind = thing if is_a(thing, type) else type(thing)
    return any(_top(base) == "haystack" for base in mro(kind))


def _top(kind: type) -> str:
    module = type.__dict__["__module__"].__get__(kind)
    return module.partition(".")[0] if isinstance(module, str) else ""


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

    def report(error: BaseException) -> None:
        options.report("the pipeline", error)

    try:
        if not is_app(thing):
            return PipelineApp(_deployment(thing, options), title=options.title, on_error=report)
        if options.wiring != NO_WIRING:
            raise InvalidOption("The inputs and outputs of this pipeline were said where it was made.")
        app: PipelineApp = thing
        return app.served_as(options.name, title=options.title, on_error=report)
    except PipelineError as error:
        if error.__cause__ is None or is_a(error.__cause__, PorticoError):
            raise NotServable(str(error)) from error
        raise StartupFailed(str(error)) from error.__cause__  # its author is shown the traceback


def _deployment(thing: Any, options: TakeOptions) -> Deployment:
    wiring = options.wiring
    name = options.name or "pipeline"
    if is_wrapper(thing):
        if wiring.inputs is not None or wiring.outputs is not None:
            raise InvalidOption(
                f"{_what(thing)} is a wrapper, whose methods say what it takes: inputs and outputs (--inputs, "
                "--outputs) are for a Haystack pipeline as it is."
            )
        from portico.pipelines.preparing import prepare

        return prepare(name, thing, Source(kind="object", settings=wiring.settings))
    if wiring.settings:
        raise InvalidOption("Settings (--set) are for a wrapper's setup; a Haystack pipeline has none.")
    from portico.pipelines.components.objects import prepare_object

    return prepare_object(name, thing, inputs=wiring.inputs, outputs=wiring.outputs)


def _what(thing: Any) -> str:
    if is_app(thing):
        return "pipeline"
    return name_of(thing if is_a(thing, type) else type(thing))
