"""Runs of pipelines as streams: what is in one, and how it is made, watched and ended early.

- `sse_stream`, `events`, `open_webui`: what a stream may hold besides text. `callbacks`: its words for tools.
- `streaming`, `async_streaming`: a run as a generator of its chunks, by `thread_run` and `task_run`. `pipeline_kinds`,
  `streaming_components`, `stream_callbacks`: what runs, what of it streams, who is told. `stopping`: its early end.
- `run_scope`: what is around each call. `tracing`: its spans, and those of deploys, for OpenTelemetry.
"""
