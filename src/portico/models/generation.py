"""One answer being made: runs the function as often as choices are wanted, and gathers them.

Here: what streaming and whole answers of every endpoint have in common. What a frame looks like is the business of
the endpoint's `Writer`; how a function runs is that of `portico.calls.run`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from portico.calls.endings import as_exception
from portico.calls.exchange import Leaving
from portico.calls.iterating import TURN
from portico.calls.run import Around, Cancel, Frames, drive
from portico.calls.sse import Write
from portico.errors import APIError, PorticoError
from portico.models.choice import Choice, Event
from portico.models.foreign.wording import check_json
from portico.models.parts import Extra, Finish, Meta, PageEvent, Part, Text, Usage
from portico.models.registry import AnyTokenizer
from portico.models.shapes import Reading, gives_choices
from portico.models.surrogates import has_half
from portico.models.tokens import count, count_messages, usage_object
from portico.models.tools import Offers


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

    ``calls`` has one entry a choice: call it to run the function. ``n`` of them, one after the other, are choices for
    the same prompt. ``sees_n`` says that the function can know that number, and so may give all of them in one run.
    ``limit`` is in tokens. ``offers`` are the client's tools. ``check`` is given each whole text and raises if it is
    not what the response format says. ``around`` gives what is around each run.
    With ``any_json``, what is no delta is a piece of text, as JSON.
    """

    calls: Sequence[Callable[[], Any]]
    on_loop: bool
    messages: Sequence[Mapping[str, Any]]
    n: int = 1
    sees_n: bool = True
    stops: list[str] = field(default_factory=list)
    limit: int | None = None
    tokenizer: AnyTokenizer | None = None
    check: Callable[[str], None] | None = None
    threads: bool = True
    offers: Offers = field(default_factory=dict)
    any_json: bool = False
    around: Around | None = None


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
        self.choices = [Choice(wanted.stops, wanted.limit, wanted.tokenizer, wanted.offers) for _ in wanted.calls]
        self.meta: dict[str, Any] = {}
        self._usages: dict[int, Usage] = {}
        self._finished: set[int] = set()
        self._scope = Leaving(None)
        self._skipped = False
        self._aborted = False

    async def run(self, writer: Writer | None = None, write: Write | None = None) -> None:
        """Make the answer; with a *writer*, frames go to *write* as they come.

        Raises what the function raises, and `Aborted`.
        """
        try:
            if self._aborted:
                raise Aborted
            async with self._scope:
                if self.wanted.on_loop and len(self.wanted.calls) > 1:
                    await self._run_together(writer, write or discard())
                else:
                    await self._run_in_turn(range(len(self.wanted.calls)), writer, write or discard())
            if self._scope.left:
                raise Aborted
        finally:
            self.cancel.set()

    async def _run_in_turn(self, bases: Iterable[int], writer: Writer | None, write: Write) -> None:
        """One run after the other, but for choices that an earlier run has given."""
        for base in bases:
            if base not in self._finished:
                await self._run_once(_Run(self, base, writer, write, self._room(base)))

    async def _run_together(self, writer: Writer | None, write: Write) -> None:
        """A task for each choice, whose frames go out as they come.

        A function that can know ``n`` is run once until it has given something: where that is the API's own object,
        it may go on to give the other choices, so they wait for its end.
        """
        runs = _Runs()
        free = asyncio.Lock()

        async def in_turn(frame: bytes) -> None:
            async with free:  # which serves who came first, so the choices take turns
                await write(frame)

        async def first_alone(base: int) -> None:
            others = range(base + 1, base + self.wanted.n)

            def begun(item: Any) -> None:
                if not gives_choices(item):
                    run.room = 1
                    for other in others:
                        runs.start(self._run_once(_Run(self, other, writer, in_turn, 1)))

            run = _Run(self, base, writer, in_turn, self.wanted.n, begun)
            await self._run_once(run)
            if run.room > 1:
                await self._run_in_turn(others, writer, in_turn)

        for base in range(0, len(self.wanted.calls), self.wanted.n):
            if self.wanted.sees_n and self.wanted.n > 1:
                runs.start(first_alone(base))
            else:
                for each in range(base, base + self.wanted.n):
                    runs.start(self._run_once(_Run(self, each, writer, in_turn, 1)))
        await runs.wait()

    async def _run_once(self, run: _Run) -> None:
        if not self._skipped:
            call = self.wanted.calls[run.base]
            await drive(call, self.wanted.on_loop, run, threads=self.wanted.threads, around=self.wanted.around)
        for frame in self._end(run):
            await run.write(frame)

    def _room(self, base: int) -> int:
        return self.wanted.n - base % self.wanted.n

    def abort(self) -> None:
        """Give the answer up: the function's generator is closed, and `run` raises `Aborted`."""
        self._aborted = True
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

    def take(self, run: _Run, item: Any) -> list[bytes]:
        """Gather one item of a run; the frames for what is new in it."""
        return self._take_parts(run, run.reading.parts(item))

    def _take_parts(self, run: _Run, parts: Iterable[tuple[int, Part]]) -> list[bytes]:
        base, writer = run.base, run.writer
        frames: list[bytes] = []
        for offset, part in parts:
            if part.__class__ is not Text:
                if isinstance(part, Usage | Meta):
                    self.take_of_all(base, part)
                    continue
                if isinstance(part, PageEvent):
                    check_json(part.fields)
                    frames += writer.event(base, part) if writer is not None else ()
                    continue
                if isinstance(part, Extra):
                    check_json(part.delta)
            if not 0 <= offset < run.room:
                continue  # a choice more than the client asked for
            index = base + offset
            run.given.add(index)
            for event in self.choices[index].take(part):
                if writer is not None:
                    frames += writer.event(index, event)
        return frames

    def take_of_all(self, base: int, part: Usage | Meta) -> None:
        """Gather what is said of the whole answer by the run that gives choice *base*. Raises `UnusableOutput`."""
        if isinstance(part, Usage):
            check_json(part.details)
            self._usages[base] = part
        else:
            check_json(part.fields)
            self.meta.update(part.fields)

    def _end(self, run: _Run) -> list[bytes]:
        writer = run.writer
        frames = self._take_parts(run, run.reading.rest())
        for index in sorted(run.given - self._finished):
            choice = self.choices[index]
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
    """The sink of one run of the function, which gives choice *base*, and others after it if there is *room* for them.

    *begun* is called with the first item, once it is understood.
    """

    def __init__(
        self,
        generation: Generation,
        base: int,
        writer: Writer | None,
        write: Write,
        room: int,
        begun: Callable[[Any], None] | None = None,
    ) -> None:
        self.base = base
        self.writer = writer
        self.write = write
        self.room = room
        self.given = {base}
        """The choices that this run gives."""
        self.reading = Reading(generation.wanted.check is not None, generation.wanted.any_json)
        self._generation = generation
        self._choice = choice = generation.choices[base]
        keep = choice.texts.append
        render = writer.renderer(base) if writer is not None else _nothing

        def feed(item: Any) -> Frames:
            nonlocal begun
            if item.__class__ is str and choice.plain and item and (item.isascii() or not has_half(item)):
                keep(item)
                return render(item)
            frames = generation.take(self, item)
            if begun is not None and item is not None:
                begun(item)
                begun = None
            return frames

        self.feed = feed

    @property
    def done(self) -> bool:
        return self._choice.done

    def final(self, value: Any) -> Frames:
        """A generator's return value: metadata, unless nothing was yielded, when it is the answer."""
        generation, base = self._generation, self.base
        if not self._choice.touched:
            return generation.take(self, value)
        if isinstance(value, str):
            return None  # most often the whole text once more
        frames: list[bytes] = []
        for offset, part in self.reading.parts(value):
            if isinstance(part, Usage | Meta):
                generation.take_of_all(base, part)
            elif 0 <= offset < self.room:
                self.given.add(base + offset)
                choice = generation.choices[base + offset]
                repeats = not isinstance(part, Finish | PageEvent) and bool(choice.texts or choice.tools)
                for event in [] if repeats else choice.take(part):
                    if self.writer is not None:
                        frames += self.writer.event(base + offset, event)
        return frames


class _Runs:
    """Tasks that end together: the first failure cancels the others, and is what `wait` raises."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []
        self._over = False

    def start(self, run: Coroutine[Any, Any, None]) -> None:
        """Run *run* beside the others. Nothing happens once they are being ended."""
        if self._over:
            run.close()
            return
        self._tasks.add(asyncio.get_running_loop().create_task(self._kept(run)))

    async def wait(self) -> None:
        """Wait for all, those too that are started meanwhile."""
        try:
            while self._tasks and not self._failures:
                done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                self._tasks -= done
        finally:
            self._over = True
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)
        if self._failures:
            raise self._failures[0]

    async def _kept(self, run: Coroutine[Any, Any, None]) -> None:
        try:
            await run
        except asyncio.CancelledError as error:
            if self._over:
                raise
            self._failures.append(as_exception(error))  # nobody has cancelled this task but the model in it
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- `wait` raises it; a SystemExit would end the loop
            self._failures.append(error)


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
