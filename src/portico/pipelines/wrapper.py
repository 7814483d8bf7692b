"""`BasePipelineWrapper`: what a person writes around a pipeline, so that it can be called.

Here: the class, and which of its methods a wrapper has. Not here: what becomes of it (`preparing`).

Source of the names: Hayhooks 2.1, whose wrappers run here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

Method = Literal[
    "run_api",
    "run_api_async",
    "run_chat_completion",
    "run_chat_completion_async",
    "run_response",
    "run_response_async",
    "run_file_upload",
]
"""What a wrapper may have, besides `BasePipelineWrapper.setup`."""


class BasePipelineWrapper(ABC):
    """A pipeline and the ways to call it. A wrapper has `setup`, and at least one of the ``run_...`` methods.

    - ``run_api(...)`` is a typed function: its parameters and its result are read from the signature. It answers
      ``POST {name}/run``, and agents call it as a tool.
    - ``run_chat_completion(model: str, messages: list[dict], body: dict)`` is a chat model: it gives a text, or an
      iterator of pieces. It answers the OpenAI API's chat completions under the model id ``{name}``.
    - ``run_response(model: str, input_items: list[dict], body: dict)`` is the same for the responses API.
    - ``run_file_upload(filename, content_type, content: bytes, purpose)`` takes files for ``POST files``, and gives a
      dict with the fields of OpenAI's file object.

    The first three may be coroutine functions called ``run_api_async``, ``run_chat_completion_async`` and
    ``run_response_async``, which are preferred where both are there. Any of them may ask for the request's headers:
    ``headers: Headers | None = None``, with Starlette's ``Headers``.
    """

    skip_mcp: bool = False
    """Whether agents are not told of it."""

    def __init__(self) -> None:
        self.pipeline: Any = None

    @abstractmethod
    def setup(self) -> None:
        """Make ``self.pipeline``. It is called once for each deployment, before anything is run.

        It may have parameters: they are given the settings of the deployment, by name (``--set key=value``).
        """


def has(wrapper: BasePipelineWrapper | type[BasePipelineWrapper], method: Method) -> bool:
    """Whether the author of *wrapper* wrote *method*. The base class of Hayhooks has all of them, and none is meant."""
    if not callable(getattr(wrapper, method, None)):
        return False
    kind = wrapper if isinstance(wrapper, type) else type(wrapper)
    owner = next((base for base in kind.__mro__ if method in vars(base)), None)
    return owner is None or owner.__name__ != "BasePipelineWrapper" or method in getattr(wrapper, "__dict__", {})
