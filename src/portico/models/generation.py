"""One answer being made: runs the function as often as choices are wanted, and gathers them.

Here: what streaming and whole answers of every endpoint have in common. What a frame looks like is the business of
the endpoint's `Writer`; how a function runs is that of `function`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from portico.errors import APIError, PorticoError
from portico.models.choice import Choice, Event
from portico.models.exchange import Leaving
from portico.models.function import TURN, Cancel, Frames, drive
from portico.models.parts import Finish, Usage
from portico.models.registry import AnyTokenizer
from portico.models.shapes import Meta, parts_of
from portico.models.tokens import count, count_messages, usage_object

Write = Callable[[bytes], Awaitable[None]]


class Writer(Protocol):
    """How an endpoint writes a streamed answer. Each frame is one ``send``."""

    def opening(self) -> list[bytes]:
        """The frames before the first item."""

    def renderer(self, index: int) -> Callable[[str], Frames]:
        """A function that writes a text of choice *index*. The hot path: it runs once a token."""

    def event(self, index: int, event: Event) -> list[bytes]:
        """The frames for anything else that is new in choice *index*."""

    def finish(self, index: int, generation: Generation) -> list[bytes]:
        """The frames that end choice *index*."""

    def closing(self, generation: Generation) -> list[bytes]:
        """The frames at the end, all choices being finished."""

    def failure(self, error: PorticoError) -> list[bytes]:
        """The frames that tell of an error after the head has gone out, up to the end."""

    def beat(self) -> bytes:
        """A frame that says nothing, against timeouts."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the client's request says of the answer's form.

    ``calls`` has one entry a choice: call it to run the function. ``limit`` is in tokens. ``check`` is given each
    whole text and raises if it is not what the response format says.
    """

    calls: Sequence[Callable[[], Any]]
    on_loop: bool
    messages: Sequence[Mapping[str, Any]]
    stops: list[str] = field(default_factory=list)
    limit: int | None = None
    tokenizer: AnyTokenizer | None = None
    check: Callable[[str], None] | None = None
    threads: bool = True


class Aborted(APIError):
    """The answer was given up before its end, by `Generation.abort`."""

    status = 409

    def __init__(self) -> None:
        super().__init__("The response was cancelled.", code="response_cancelled")


class Generation:
    """Runs a function for one request and holds what came of it."""

    def __init__(self, wanted: Wanted, cancel: Cancel) -> None:
        self.wanted = wanted
        self.cancel = cancel
        self.choices = [Choice(wanted.stops, wanted.limit, wanted.tokenizer) for _ in wanted.calls]
        self.meta: dict[str, Any] = {}
        self._usages: dict[int, Usage] = {}
        self._finished: set[int] = set()
        self._scope = Leaving(None)
        self._skipped = False

    async def run(self, writer: Writer | None = None, write: Write | None = None) -> None:
        """Make the answer; with a *writer*, frames go to *write* as they come.

        Raises what the function raises, and `Aborted`.
        """
        try:
            async with self._scope:
                for base, call in enumerate(self.wanted.calls):
                    if self.choices[base].touched:
                        break  # the function read ``n`` itself and gave several choices in one run
                    run = _Run(self, base, writer, write or discard())
                    if not self._skipped:
                        await drive(call, self.wanted.on_loop, run, threads=self.wanted.threads)
                    for frame in self._end(base, writer):
                        await run.write(frame)
            if self._scope.left:
                raise Aborted
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise RuntimeError("Something that the model waited for was cancelled.") from None
        finally:
            self.cancel.set()

    def abort(self) -> None:
        """Give the answer up: the function's generator is closed, and `run` raises `Aborted`."""
        self._scope.leave()

    def skip(self) -> None:
        """Have `run` make an empty answer without calling the function."""
        self._skipped = True

    def usage(self) -> dict[str, Any]:
        """The chat API's ``usage`` of the whole answer."""
        usage: Usage | None = None
        for one in self._usages.values():
            usage = one if usage is None else _sum(usage, one)
        if usage is not None:
            return usage_object(usage, 0, 0, False)
        tokenizer = self.wanted.tokenizer
        prompt = count_messages(self.wanted.messages, tokenizer)
        completion = sum(
            count(text, tokenizer)
            for choice in self.choices
            for text in (choice.text, "".join(choice.reasoning), *(tool.text for tool in choice.tools))
            if text
        )
        return usage_object(None, prompt, completion, tokenizer is None)

    def take(self, base: int, item: Any, writer: Writer | None) -> list[bytes]:
        """Gather one item of the run that began with choice *base*; the frames for what is new in it."""
        frames: list[bytes] = []
        for offset, part in parts_of(item, self.wanted.check is not None):
            if isinstance(part, Usage):
                self._usages[base] = part
                continue
            if isinstance(part, Meta):
                self.meta.update(part.fields)
                continue
            index = base + offset
            if not 0 <= index < len(self.choices):
                continue  # a choice more than the client asked for
            for event in self.choices[index].take(part):
                if writer is not None:
                    frames += writer.event(index, event)
        return frames

    def _end(self, base: int, writer: Writer | None) -> list[bytes]:
        frames: list[bytes] = []
        for index, choice in enumerate(self.choices):
            if index in self._finished or (index != base and not choice.touched):
                continue
            self._finished.add(index)
            for event in choice.end():
                if writer is not None:
                    frames += writer.event(index, event)
            wants_check = choice.finish_reason == "stop" and not choice.tools and "refusal" not in choice.extra
            if self.wanted.check is not None and wants_check:
                self.wanted.check(choice.text)
            if writer is not None:
                frames += writer.finish(index, self)
        return frames


class _Run:
    """The sink of one run of the function."""

    def __init__(self, generation: Generation, base: int, writer: Writer | None, write: Write) -> None:
        self.write = write
        self._generation = generation
        self._base = base
        self._writer = writer
        self._choice = choice = generation.choices[base]
        keep = choice.texts.append
        render = writer.renderer(base) if writer is not None else _nothing

        def feed(item: Any) -> Frames:
            if item.__class__ is str and choice.plain and item:
                keep(item)
                return render(item)
            return generation.take(base, item, writer)

        self.feed = feed

    @property
    def done(self) -> bool:
        return self._choice.done

    def final(self, value: Any) -> Frames:
        """A generator's return value: metadata, unless nothing was yielded, when it is the answer."""
        generation, base = self._generation, self._base
        if not self._choice.touched:
            return generation.take(base, value, self._writer)
        if isinstance(value, str):
            return None  # most often the whole text once more
        frames: list[bytes] = []
        for offset, part in parts_of(value):
            if isinstance(part, Usage):
                generation._usages[base] = part
            elif isinstance(part, Meta):
                generation.meta.update(part.fields)
            elif base + offset < len(generation.choices):
                choice = generation.choices[base + offset]
                repeats = not isinstance(part, Finish) and bool(choice.texts or choice.tools)
                for event in [] if repeats else choice.take(part):
                    if self._writer is not None:
                        frames += self._writer.event(base + offset, event)
        return frames


def _nothing(text: str) -> None:
    return None


def discard() -> Write:
    """A `Write` to nowhere, for whole answers. As any, it yields to the loop every `TURN`."""
    turned = time.monotonic()

    async def write(frame: bytes) -> None:
        nonlocal turned
        if time.monotonic() - turned > TURN:
            await asyncio.sleep(0)
            turned = time.monotonic()

    return write


def _sum(one: Usage, other: Usage) -> Usage:
    total = None
    if one.total_tokens is not None and other.total_tokens is not None:
        total = one.total_tokens + other.total_tokens
    details = {**one.details, **other.details}
    return Usage(
        one.prompt_tokens + other.prompt_tokens, one.completion_tokens + other.completion_tokens, total, details
    )
