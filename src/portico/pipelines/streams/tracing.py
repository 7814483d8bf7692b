"""OpenTelemetry's traces of pipelines, where it is installed and told where to: spans of deploys, runs and chats.

Haystack's own spans (each component, each step of an agent, each tool) are within them. Without OpenTelemetry, or with
no provider of it in this process, nothing is imported and nothing made: a call costs one look.

Here: spans, Haystack's tracer over OpenTelemetry's, and a provider as the environment describes it. Not here: where
spans begin (`run_scope`, `making`). Source: OpenTelemetry's specification, and its environment variables.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from portico.packages import loaded

log = logging.getLogger(__name__)

NAME = "portico"
"""Of our spans' instrumentation, and of the service where the environment names none."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_EXPORTERS = {
    "http/protobuf": ("http", "opentelemetry-exporter-otlp-proto-http"),
    "grpc": ("grpc", "opentelemetry-exporter-otlp-proto-grpc"),
}
"""The module and the package of each protocol's exporter. The first is what the specification prefers."""

_CONTENT = frozenset(("haystack.pipeline.input_data",))
"""Tags that hold what visitors ask, though Haystack does not say so of them: they go by what it says of content."""

_OF_NOTHING = frozenset(("ProxyTracerProvider", "NoOpTracerProvider"))
"""The classes of OpenTelemetry's providers that stand for none."""

_NO_SPAN: AbstractContextManager[None] = nullcontext()


def provider() -> Any:
    """The tracer provider of this process; None where nobody has set one."""
    get = loaded("opentelemetry.trace", "get_tracer_provider")
    if get is None:
        return None
    found = get()
    return None if type(found).__name__ in _OF_NOTHING else found


def span(operation: str, pipeline: str, **attributes: Any) -> AbstractContextManager[Any]:
    """A span ``portico.pipeline.<operation>`` around what is done with *pipeline*; nothing, if nobody wants spans.

    It has the attributes ``portico.pipeline.name`` and ``portico.pipeline.<key>`` for each of *attributes*. What is
    raised in it is recorded; a visitor's leaving is ``portico.pipeline.left``, and no failure.
    """
    found = provider()
    return _NO_SPAN if found is None else _span(found, operation, {"name": pipeline, **attributes})


@contextmanager
def _span(found: Any, operation: str, attributes: Mapping[str, Any]) -> Iterator[Any]:
    from opentelemetry.trace import Status, StatusCode

    trace_haystack(found)
    tracer = found.get_tracer(NAME)
    said = {f"portico.pipeline.{key}": value for key, value in attributes.items() if value is not None}
    with tracer.start_as_current_span(
        f"portico.pipeline.{operation}", attributes=said, record_exception=False, set_status_on_exception=False
    ) as present:
        try:
            yield present
        except asyncio.CancelledError:
            present.set_attribute("portico.pipeline.left", True)
            raise
        except BaseException as error:
            present.set_attribute("error.type", type(error).__qualname__)
            present.record_exception(error)
            present.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


# --- Haystack's spans -------------------------------------------------------------------------------------------


def trace_haystack(found: Any) -> None:
    """Send Haystack's spans to the provider *found*, unless somebody has given Haystack a tracer already."""
    tracing = sys.modules.get("haystack.tracing")
    enabled = loaded("haystack.tracing.tracer", "is_tracing_enabled")
    if tracing is None or enabled is None or enabled():
        return
    tracing.enable_tracing(_haystack_tracer(found))


def _haystack_tracer(found: Any) -> Any:
    from haystack.tracing import Span, Tracer
    from haystack.tracing import tracer as haystack_tracer
    from haystack.tracing.utils import coerce_tag_value
    from opentelemetry import trace

    class OpenTelemetrySpan(Span):  # type: ignore[misc]  # Haystack has no types here
        """One of Haystack's spans, which is OpenTelemetry's."""

        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def set_tag(self, key: str, value: Any) -> None:
            if key not in _CONTENT or haystack_tracer.is_content_tracing_enabled:
                self._inner.set_attribute(key, coerce_tag_value(value))

        def raw_span(self) -> Any:
            return self._inner

        def get_correlation_data_for_logs(self) -> dict[str, Any]:
            context = self._inner.get_span_context()
            return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}

    class OpenTelemetryTracer(Tracer):  # type: ignore[misc]  # as above
        """Makes Haystack's spans OpenTelemetry's."""

        @contextmanager
        def trace(
            self, operation_name: str, tags: dict[str, Any] | None = None, parent_span: Any = None
        ) -> Iterator[Any]:
            parent = trace.set_span_in_context(parent_span.raw_span()) if parent_span is not None else None
            with found.get_tracer(NAME).start_as_current_span(operation_name, context=parent) as inner:
                made = OpenTelemetrySpan(inner)
                made.set_tags(tags or {})
                yield made

        def current_span(self) -> Any:
            inner = trace.get_current_span()
            return OpenTelemetrySpan(inner) if inner.get_span_context().is_valid else None

    return OpenTelemetryTracer()


# --- a provider -------------------------------------------------------------------------------------------------


def trace_as_the_environment_says(environ: Mapping[str, str] = os.environ) -> bool:
    """Set up OpenTelemetry if *environ* names an endpoint for its traces and nobody has set it up. Returns whether.

    For a server of its own: `portico run`. What is missing for it is said in the log, with the command that installs
    it. Spans go out in batches, on a thread of OpenTelemetry's.
    """
    if not any(environ.get(name) for name in _ENDPOINTS) or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if provider() is not None:
        return False
    protocol = next((environ[name] for name in _PROTOCOLS if environ.get(name)), "http/protobuf").strip().lower()
    if protocol not in _EXPORTERS:
        log.warning("Traces go nowhere: OpenTelemetry's protocol %r is not one of %s.", protocol, ", ".join(_EXPORTERS))
        return False
    module, package = _EXPORTERS[protocol]
    try:
        from importlib import import_module

        from opentelemetry import trace
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        exporter = import_module(
            f"opentelemetry.exporter.otlp.proto.{module}.trace_exporter"
        ).OTLPSpanExporter()  # which reads its endpoint and headers by itself
    except ImportError as error:
        log.warning("Traces go nowhere: no %s. Install it: pip install opentelemetry-sdk %s", error.name, package)
        return False
    service = environ.get("OTEL_SERVICE_NAME")
    made = TracerProvider(resource=Resource.create(None if service else {SERVICE_NAME: NAME}))
    made.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(made)
    log.info("Traces of pipelines go to OpenTelemetry, by %s.", protocol)
    return True
