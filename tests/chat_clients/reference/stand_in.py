"""Stands in for Haystack, which the wrappers' pipelines would come from: the same calls, and a fixed answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

log: Any = logging.getLogger(__name__)
log.trace = log.debug


class BasePipelineWrapper:
    def __init__(self) -> None:
        self.setup()

    def setup(self) -> None:
        raise NotImplementedError


class Pipeline:
    def run(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"llm": {"replies": ["".join(self.tokens(data))]}}

    def tokens(self, data: dict[str, Any]) -> Iterator[str]:
        yield from (f"{len(data['fetcher']['urls'])} sites", " on: ", data["prompt"]["query"])


def streaming_generator(pipeline: Pipeline, pipeline_run_args: dict[str, Any]) -> Iterator[str]:
    yield from pipeline.tokens(pipeline_run_args)
