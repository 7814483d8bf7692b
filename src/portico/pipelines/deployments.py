"""`Deployments`: the pipelines that one server has at present, by name.

Here: the table, and who is told of its changes. Not here: how a pipeline gets into it (`deploying`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import MappingProxyType

from portico.errors import NoSuchPipeline, PipelineExists
from portico.pipelines.deployment import Deployment
from portico.pipelines.streams.run_scope import scoped
from portico.pipelines.streams.streaming_components import Choice

Listener = Callable[[], object]


class Deployments:
    """Changed on the event loop of its server alone; `present` is a record that may be read anywhere."""

    def __init__(self, streaming_components: Choice = None) -> None:
        """*streaming_components*: which components of a pipeline stream, where its author does not say."""
        self.streaming_components = streaming_components
        self.present: MappingProxyType[str, Deployment] = MappingProxyType({})
        """The pipelines by name, in the order of their first deployment; those of the folder first, in that of names.

        Replaced whole at each change."""
        self.failed: set[str] = set()
        """Those that lie in the pipelines' folder and could not be made ready, so that none of that name is served."""
        self.listeners: list[Listener] = []
        """Called after each change, on the event loop."""

    def find(self, name: str) -> Deployment:
        """The pipeline of that name. Raises `NoSuchPipeline`."""
        found = self.present.get(name)
        if found is None:
            raise NoSuchPipeline(f"Pipeline '{name}' not found")
        return found

    def add(self, deployment: Deployment, *, replace: bool = False) -> Deployment:
        """Serve *deployment* from the next request on; returns it as it is served. Raises `PipelineExists`."""
        before = self.present.get(deployment.name)
        if before is not None and not replace:
            raise PipelineExists(f"Pipeline '{deployment.name}' already exists")
        served = scoped(deployment, self.streaming_components)
        self.failed.discard(served.name)
        self._set({**self.present, served.name: served})
        if before is not None and before.wrapper is not deployment.wrapper:
            before.discard()
        return served

    def remove(self, name: str) -> Deployment:
        """Serve it no more; calls that run go on. Raises `NoSuchPipeline`."""
        found = self.find(name)
        self._set({key: value for key, value in self.present.items() if key != name})
        found.discard()
        return found

    def arrange(self, names: Iterable[str]) -> None:
        """Have those of *names* that are served come first, in that order."""
        first = {name: self.present[name] for name in names if name in self.present}
        if [*first] != [*self.present][: len(first)]:
            self._set({**first, **self.present})

    def _set(self, present: dict[str, Deployment]) -> None:
        self.present = MappingProxyType(present)
        for listener in [*self.listeners]:
            listener()
