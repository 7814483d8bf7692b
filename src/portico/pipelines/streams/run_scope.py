"""What is around each call of a pipeline, whichever way it is called: its span, its settings, the look at its end.

Here: that scope, and how a deployment gets it. Not here: how a function is called (`portico.functions`,
`portico.models`).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from portico.pipelines.deployment import Deployment
from portico.pipelines.streams.stopping import watch_haystack
from portico.pipelines.streams.streaming_components import CHOSEN, Choice
from portico.pipelines.streams.tracing import span


@dataclass(frozen=True, slots=True)
class RunScope:
    """Called for each call of a pipeline: gives what is to be entered around it, in the call's own task."""

    pipeline: str
    operation: str
    """What is done, for its span: ``run``, ``chat``, ``response``."""
    components: Choice = None
    """Which components stream, where the pipeline's author does not say."""

    def __call__(self) -> AbstractContextManager[Any]:
        return _Entered(self)


class _Entered:
    __slots__ = ("_before", "_scope", "_span")

    def __init__(self, scope: RunScope) -> None:
        self._scope = scope

    def __enter__(self) -> Any:
        scope = self._scope
        watch_haystack()
        self._before = CHOSEN.get()
        CHOSEN.set(scope.components)
        self._span = span(scope.operation, scope.pipeline)
        return self._span.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        CHOSEN.set(self._before)
        return self._span.__exit__(kind, error, trace)


def scoped(deployment: Deployment, components: Choice) -> Deployment:
    """*deployment*, whose ``run_api`` is called within its scope. For the OpenAI API's calls `chat` sees to it."""
    if deployment.api is None or deployment.api.around is not None:
        return deployment
    return replace(deployment, api=replace(deployment.api, around=RunScope(deployment.name, "run", components)))
