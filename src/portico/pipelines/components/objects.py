"""A live pipeline: an object of this process, served as it is, without any file.

Here: pipelines of Haystack's, and single components such as Agents. Not here: wrappers, which say themselves how they
are called (`preparing`).
"""

from __future__ import annotations

import logging
import time
from typing import Any

from portico.errors import NotServable
from portico.pipelines.components.agents import AgentChat, is_agent
from portico.pipelines.components.declared import (
    declared_inputs,
    declared_outputs,
    missing_inputs,
    usual_inputs,
    usual_outputs,
)
from portico.pipelines.components.pipeline_function import named, pipeline_function, warm_up
from portico.pipelines.components.sockets import is_component, is_pipeline
from portico.pipelines.deployment import Deployment, Source

log = logging.getLogger(__name__)


def is_live_pipeline(thing: Any) -> bool:
    """Whether *thing* is a pipeline of Haystack's, or a component such as an Agent. Imports nothing."""
    return not isinstance(thing, type) and (is_component(thing) or is_pipeline(thing))


def prepare_object(
    name: str,
    pipe: Any,
    *,
    inputs: Any = None,
    outputs: Any = None,
    description: str = "",
) -> Deployment:
    """The deployment of a live pipeline. It answers ``{output: value}``, by the names in *outputs*.

    - *inputs* are fields of what callers give, each with the socket that gets it, or a list of sockets:
      ``{"question": "prompt.question", "query": ["retriever.query", "ranker.query"]}``. All of them must be given. A
      list of sockets names the fields after these. Without it, the fields are what the pipeline cannot run without, and
      the variables of prompts.
    - *outputs* are such names as well: ``{"answer": "llm.replies"}``. Without it they are what no component takes.

    The sockets of a component by itself have no component's name before them: ``{"messages": "messages"}``. An agent is
    a chat model as well.

    Raises `NotServable` if *pipe* is no pipeline, and `PipelineError` for inputs and outputs that cannot be.
    """
    if not is_live_pipeline(pipe):
        raise NotServable(f"{type(pipe).__name__} is no pipeline: it has no components that run.")
    fields = usual_inputs(pipe) if inputs is None else declared_inputs(pipe, inputs)
    results = usual_outputs(pipe) if outputs is None else declared_outputs(pipe, outputs, all_there=True)
    if missing := missing_inputs(pipe, fields):
        log.warning("No call of pipeline %r can succeed: nothing gives %s", name, ", ".join(map(str, missing)))
    api = pipeline_function(name, pipe, fields, results, shape=named(results), description=description)
    warm_up(pipe)
    return Deployment(
        name=name,
        pipeline=pipe,
        wrapper=None,
        source=Source(kind="object"),
        description=description,
        api=api,
        chat=AgentChat(pipe) if is_agent(pipe) else None,
        created=int(time.time()),
    )
