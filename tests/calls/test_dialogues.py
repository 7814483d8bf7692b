"""How many dialogues there are, and what is kept of those that have ended."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Any

import pytest

from portico.calls.asker import Asker
from portico.calls.dialogue import Dialogue
from portico.calls.dialogue_limits import DialogueLimits
from portico.calls.dialogue_runners import Threads, usual_way
from portico.calls.dialogues import Dialogues
from portico.calls.waiting import HAS_THREADS
from portico.errors import DialogueFull, DialogueOver, InvalidOption, MessagesLost, TooManyDialogues, UnusableOutput
from tests.calls.asking import WAYS, author, dialogues, function, heard, run, said
from tests.calls.test_dialogue import ask_for_ever

in_each_way = pytest.mark.parametrize("way", WAYS)


async def quick(asker: Asker, content: str = "done") -> None:
    asker.tell(content)


def test_the_usual_way_is_greenlets_where_they_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = "Greenlets" if HAS_THREADS else "Inline"
    assert type(usual_way()).__name__ == expected
    if HAS_THREADS:
        monkeypatch.setattr("portico.calls.dialogue_runners.find_spec", lambda name: None)
        assert type(usual_way()).__name__ == "Threads"


@in_each_way
def test_there_are_so_many_and_no_more(way: str) -> None:
    async def main() -> None:
        running = dialogues(way, most=3)
        going_on = [running.start(function(way, ask_for_ever)) for _ in range(3)]
        with pytest.raises(TooManyDialogues, match="3 dialogues go on"):
            running.start(quick)
        await heard(going_on[1], "and?")
        assert TooManyDialogues.status == 503
        going_on[1].cancel()
        await going_on[1].wait()
        fourth = running.start(quick)
        await fourth.wait()
        assert len(running) == 3
        await running.close()
        assert len(running) == 0

    run(main())


def test_for_a_new_one_what_ended_first_is_forgotten_before_its_time() -> None:
    async def main() -> None:
        running = dialogues("async", most=3)
        ended = [running.start(quick) for _ in range(3)]
        for dialogue in ended:
            await dialogue.wait()
        await running.start(quick).wait()
        with pytest.raises(MessagesLost):
            await said(ended[0], ended[0].doing)
        assert await said(ended[0]) == []
        assert await said(ended[1]) == ["done"]

    run(main())


def test_what_has_ended_is_kept_for_a_time() -> None:
    async def main() -> None:
        running = dialogues("async", kept=0.05)
        dialogue = running.start(quick)
        with pytest.raises(InvalidOption, match="cancel it first"):
            dialogue.forget()
        forgotten = asyncio.Event()
        forget = running.forgotten
        running.forgotten = lambda one: (forget(one), forgotten.set())  # type: ignore[method-assign, assignment]
        assert await said(dialogue) == ["done"]
        await forgotten.wait()
        assert len(running) == 0
        assert running._budget.held == 0
        dialogue.forget()

    run(main())


def test_all_messages_together_are_bounded_and_each_dialogue_pays_for_its_own() -> None:
    async def main() -> None:
        running = dialogues("async", bytes_together=30_000)

        async def holds(asker: Asker) -> None:
            await asker.ask("x" * 10_000)

        async def much(asker: Asker) -> None:
            for letter in "abc":
                asker.tell(letter * 8_000)
            asker.tell("d" * 15_000)
            with pytest.raises(DialogueFull, match="beside the other dialogues"):
                asker.tell("e" * 25_000)

        first, second = running.start(holds), running.start(much)
        with first.read() as one, second.read() as two:
            assert len((await anext(one)).content) == 10_000
            assert (await second.wait()).how == "returned"
            with pytest.raises(MessagesLost):
                await anext(two)
        assert len(first.questions()) == 1
        assert running._budget.held <= 30_000
        await running.close()
        assert running._budget.held == 0

    run(main())


@in_each_way
def test_one_that_has_ended_makes_room_for_those_that_go_on(way: str) -> None:
    async def main() -> None:
        running = dialogues(way, bytes_together=30_000)
        first, second = running.start(quick, "x" * 10_000), running.start(quick, "y" * 10_000)
        await first.wait()
        await second.wait()

        def more(asker: Asker) -> Any:
            asker.tell("z" * 15_000)
            yield asker.ask("?")

        third = running.start(function(way, more))
        await heard(third, "?")
        assert await said(first) == []
        assert await said(second) == ["y" * 10_000]
        assert first.is_forgotten
        third.answer("")
        assert await said(third) == ["z" * 15_000, "?"]
        assert len(running) == 2

    run(main())


@in_each_way
def test_closing_ends_all_and_begins_nothing_new(way: str) -> None:
    async def main() -> None:
        running = dialogues(way)
        going_on = [running.start(function(way, ask_for_ever)) for _ in range(5)]
        await heard(going_on[-1], "and?")
        await running.close()
        assert [dialogue.outcome and dialogue.outcome.reason for dialogue in going_on] == ["the app is closing"] * 5
        assert running._budget.held == 0
        with pytest.raises(DialogueOver, match="closing"):
            running.start(quick)

    run(main())


def yields(asker: Asker) -> Any:
    yield "something"


async def yields_asynchronously(asker: Asker) -> Any:
    yield "something"


@pytest.mark.parametrize("given", [yields, yields_asynchronously])
def test_a_generator_function_is_refused_with_what_to_do(given: Any) -> None:
    async def main() -> None:
        with pytest.raises(InvalidOption, match=f"{given.__name__} yields"):
            dialogues("async").start(given)

    run(main())


@pytest.mark.parametrize("given", [yields, yields_asynchronously])
@in_each_way
def test_a_generator_that_comes_by_another_way_is_a_failure_that_says_so(way: str, given: Any) -> None:
    async def on_loop(asker: Asker) -> Any:
        return given(asker)

    async def main() -> None:
        with author() as told:
            running = dialogues(way)
            outcome = await running.start(on_loop if way == "async" else lambda asker: given(asker)).wait()
        assert isinstance(outcome.error, UnusableOutput)
        assert "nobody iterates" in str(outcome.error)
        assert len(told.told) == 1

    run(main())


def test_its_function_gets_what_the_asker_is_wrapped_in() -> None:
    class Ui:
        def __init__(self, asker: Asker) -> None:
            self.asker = asker

    async def greet(ui: Ui, params: dict[str, str]) -> str:
        ui.asker.tell(params["self"])
        return params["name"]

    async def main() -> None:
        dialogue = dialogues("async").start(greet, {"self": "me", "name": "Ada"}, wrap=Ui)
        assert await said(dialogue) == ["me"]
        assert (await dialogue.wait()).value == "Ada"

    run(main())


# --- synchronous code, a thread each ----------------------------------------------------------------------------------


@pytest.mark.skipif(not HAS_THREADS, reason="is about threads")
def test_without_greenlet_a_thread_each_up_to_a_bound_that_is_said() -> None:
    async def main() -> None:
        running = Dialogues(way=Threads(3))
        going_on = [running.start(function("threads", ask_for_ever)) for _ in range(3)]
        for dialogue in going_on:
            await heard(dialogue, "and?")
        with pytest.raises(TooManyDialogues) as refused:
            running.start(function("threads", ask_for_ever))
        assert "3 synchronous functions" in str(refused.value)
        assert "pip install 'portico[workflows]'" in str(refused.value)
        await running.start(quick).wait()  # an asynchronous one needs no thread
        going_on[0].cancel()
        await going_on[0].wait()
        again = running.start(function("threads", ask_for_ever))
        await heard(again, "and?")
        await running.close()

    run(main())


@in_each_way
def test_a_failure_to_begin_leaves_nothing_behind(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(*given: object) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        running = dialogues(way)
        if way != "async":
            monkeypatch.setattr(running._way, "run", no_thread)
            with pytest.raises(TooManyDialogues, match="can't start new thread"):
                running.start(function(way, ask_for_ever))
        with pytest.raises(ZeroDivisionError):
            running.start(quick, wrap=lambda asker: 1 / 0)
        assert len(running) == 0
        assert not running._synchronous

    run(main())


LEFT = """
import asyncio, sys
from portico.calls.dialogues import Dialogues
from portico.calls.dialogue_runners import {way}

def ask(asker):
    try:
        asker.ask("?")
    finally:
        print("cleaned up")

async def main():
    dialogue = Dialogues(way={way}()).start(ask)
    with dialogue.read() as messages:
        await anext(messages)
    print("asked", flush=True)

asyncio.run(main())
"""


@pytest.mark.skipif(not HAS_THREADS, reason="is about threads")
@pytest.mark.parametrize("way", ["Greenlets", "Threads"])
def test_a_process_may_end_while_one_waits(way: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", LEFT.format(way=way)],
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "asked\n", "")


def test_a_dialogue_ends_for_its_readers_before_its_keeper_forgets_it() -> None:
    async def main() -> None:
        running = Dialogues(DialogueLimits(kept=0.0))
        with author():
            dialogue: Dialogue = running.start(quick)
            with dialogue.read() as messages:
                assert [message.content async for message in messages] == ["done"]
                await asyncio.sleep(0)

    run(main())
