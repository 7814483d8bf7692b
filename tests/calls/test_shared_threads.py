"""Synchronous code that waits by greenlets: few threads, and what code does on them that it should not notice."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import Any

import greenlet
import pytest

from portico.calls import shared_threads
from portico.calls.asker import Asker
from portico.calls.dialogue import Dialogue
from portico.calls.dialogue_runners import Greenlets, Threads, Way
from portico.calls.dialogues import Dialogues
from portico.calls.owner_in_threads import carry
from portico.errors import DialogueOver, NoAnswer, NotAsked, TooManyDialogues
from tests.calls.asking import Author, author, dialogues, heard, run
from tests.waiting import until


def shared() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "portico-dialogues"]


async def asked(going_on: list[Dialogue]) -> None:
    """Until each of them has a question that waits."""
    for dialogue in going_on:
        with dialogue.read() as messages:
            async for message in messages:
                if message.question is not None and message.question.is_open:
                    break


def test_a_thousand_wait_on_a_few_threads() -> None:
    before = set(shared())

    def ask(asker: Asker, number: int) -> tuple[int, str]:
        return number, asker.ask("?") + asker.ask("??")

    async def main() -> None:
        running = Dialogues()
        going_on = [running.start(ask, number) for number in range(1000)]
        await asked(going_on)
        assert len(set(shared()) - before) <= 32
        for turn in ("a", "b"):
            for dialogue in going_on:
                dialogue.answer(turn)
        outcomes = [await dialogue.wait() for dialogue in going_on]
        assert [outcome.value for outcome in outcomes] == [(number, "ab") for number in range(1000)]
        await running.close()

    run(main())


def test_a_thousand_that_wait_are_cancelled_at_once() -> None:
    ended = []

    def ask(asker: Asker) -> None:
        try:
            asker.ask("?")
        finally:
            ended.append(True)

    async def main() -> None:
        running = Dialogues()
        going_on = [running.start(ask) for _ in range(1000)]
        await asked(going_on)
        began = time.monotonic()
        await running.close()
        assert time.monotonic() - began < 4
        assert len(ended) == 1000

    run(main())


def test_code_that_computes_holds_neither_the_loop_nor_what_others_wait_for() -> None:
    computing, enough = threading.Event(), threading.Event()

    def compute(asker: Asker) -> None:
        computing.set()
        assert enough.wait(20)

    def ask(asker: Asker) -> str:
        return str(asker.ask("?"))

    async def main() -> None:
        running = dialogues("greenlets")
        busy = [running.start(compute) for _ in range(5)]
        await until(computing.is_set)
        for _ in range(5):
            waiting = running.start(ask)
            waiting.answer("yes", await heard(waiting, "?"))
            assert (await waiting.wait()).value == "yes"
        enough.set()
        for dialogue in busy:
            await dialogue.wait()

    run(main())


def test_threads_are_shared_only_when_there_may_be_no_more() -> None:
    """As long as there are few, code may hold a lock while it waits, as on a thread of its own."""
    lock = threading.Lock()

    def ask(asker: Asker) -> int:
        asker.ask("?")
        return threading.get_ident()

    def hold(asker: Asker) -> None:
        with lock:
            asker.ask("?")

    async def main() -> None:
        running = Dialogues(way=Greenlets(8))
        going_on = [running.start(ask) for _ in range(8)]
        await asked(going_on)
        for dialogue in going_on:
            dialogue.answer("")
        assert len({(await dialogue.wait()).value for dialogue in going_on}) == 8
        one, two = running.start(hold), running.start(hold)
        await asyncio.wait(
            [asyncio.ensure_future(asked([dialogue])) for dialogue in (one, two)], return_when="FIRST_COMPLETED"
        )
        for dialogue in (one, two):
            dialogue.answer("")
        await one.wait()
        await two.wait()

    run(main())


def test_when_all_threads_are_busy_the_others_begin_as_soon_as_one_is_free() -> None:
    enough = threading.Event()

    def compute(asker: Asker) -> None:
        enough.wait(20)

    async def main() -> None:
        running = Dialogues(way=Greenlets(2))
        busy = [running.start(compute) for _ in range(2)]
        later = [running.start(lambda asker: asker.ask("?")) for _ in range(4)]
        for dialogue in later:
            dialogue.answer("yes")
        enough.set()
        for dialogue in (*busy, *later):
            assert (await dialogue.wait()).how == "returned"

    run(main())


def test_those_that_go_on_and_those_that_begin_take_turns() -> None:
    """On one thread; neither keeps the other waiting for ever."""
    order: list[str] = []
    both = threading.Event()

    def busy(asker: Asker) -> None:
        both.wait(20)

    def begun(asker: Asker, name: str) -> None:
        asker.ask("?")
        order.append(name)

    async def main() -> None:
        running = Dialogues(way=Greenlets(1))
        waiting = [running.start(begun, f"on {number}") for number in range(3)]
        await asked(waiting)
        holds = running.start(busy)
        new = [running.start(lambda asker, name=f"new {number}": order.append(name)) for number in range(3)]
        for dialogue in waiting:
            dialogue.answer("")
        both.set()
        for dialogue in (holds, *waiting, *new):
            await dialogue.wait()

    run(main())
    assert sorted(order) == ["new 0", "new 1", "new 2", "on 0", "on 1", "on 2"]
    assert [name.split()[0] for name in order] in (["on", "new"] * 3, ["new", "on"] * 3)


def test_a_thread_ends_once_nothing_runs_or_waits_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_threads, "_IDLE", 0.01)
    way = Greenlets(2)

    async def main() -> None:
        running = Dialogues(way=way)
        waiting, quick = running.start(lambda asker: asker.ask("?")), running.start(lambda asker: None)
        await asked([waiting])
        await quick.wait()
        assert way._threads is not None
        threads = way._threads
        await until(lambda: threads.threads == 1)
        with pytest.raises(TimeoutError):  # several times as long as one without work would stay
            async with asyncio.timeout(0.1):
                await waiting.wait()
        assert threads.threads == 1
        waiting.answer("")
        await waiting.wait()
        await until(lambda: threads.threads == 0)
        again = running.start(lambda asker: "again")
        assert (await again.wait()).value == "again"

    run(main())


def test_where_the_system_gives_no_more_threads_those_that_are_there_do(monkeypatch: pytest.MonkeyPatch) -> None:
    enough = threading.Event()

    def no_more(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        running = Dialogues(way=Greenlets(8))
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", no_more)
            with pytest.raises(TooManyDialogues, match="can't start new thread"):
                running.start(lambda asker: None)
        waiting = running.start(lambda asker: asker.ask("?"))
        await asked([waiting])
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", no_more)
            busy = running.start(lambda asker: enough.wait(20))
            later = [running.start(lambda asker, name=name: name) for name in range(3)]
        waiting.answer("")
        enough.set()
        assert [(await dialogue.wait()).value for dialogue in later] == [0, 1, 2]
        await busy.wait()
        assert (await waiting.wait()).value == ""

    run(main())


@pytest.mark.parametrize("way", [Greenlets(), Threads()], ids=["greenlets", "threads"])
def test_no_code_waits_for_ever_for_a_loop_that_has_gone(way: Way) -> None:
    ended: list[str] = []
    over = threading.Event()

    def ask(asker: Asker) -> None:
        try:
            asker.ask("?", timeout=0.2)
        except NoAnswer as error:
            ended.append(str(error))
        finally:
            over.set()

    async def main() -> None:
        await asked([Dialogues(way=way).start(ask)])

    run(main())  # and its loop is closed
    assert over.wait(20)
    assert ended == ["Nobody answered within 0.2 s. Ask again, or do without the answer."]


# --- wherever the code asks -------------------------------------------------------------------------------------------


def in_a_generator(asker: Asker) -> list[str]:
    return [answer.upper() for answer in (asker.ask(f"{number}?") for number in range(2))]


def nested(asker: Asker) -> list[str]:
    def inner(depth: int) -> str:
        return str(asker.ask("0?")) if not depth else inner(depth - 1)

    first = inner(50)
    try:
        raise ValueError
    except ValueError:
        return [first.upper(), asker.ask("1?").upper()]


def in_a_thread_of_its_own(asker: Asker) -> list[str]:
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.extend(asker.ask(f"{number}?").upper() for number in range(2)))
    thread.start()
    thread.join(20)
    return answers


def in_a_greenlet_of_its_own(asker: Asker) -> list[str]:
    main = greenlet.getcurrent()

    def other() -> None:
        main.switch(asker.ask("0?").upper())
        main.switch(asker.ask("1?").upper())

    asking = greenlet.greenlet(other)
    return [asking.switch(), asking.switch()]


def in_a_loop_of_its_own(asker: Asker) -> list[str]:
    async def ask() -> list[str]:
        task = asyncio.current_task()
        first = asker.ask("0?")
        await asyncio.sleep(0)
        second = asker.ask("1?")
        assert asyncio.current_task() is task
        async for _ in counting():
            pass
        return [first.upper(), second.upper()]

    async def counting() -> Any:
        yield 1

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "code", [in_a_generator, nested, in_a_thread_of_its_own, in_a_greenlet_of_its_own, in_a_loop_of_its_own]
)
@pytest.mark.parametrize("way", ["greenlets", "one thread", "threads"])
def test_wherever_it_asks_it_gets_the_answer(code: Callable[[Asker], list[str]], way: str) -> None:
    """Two of them at a time, in turns: on one thread each finds its own loop, greenlets and exceptions."""

    async def main() -> None:
        running = dialogues(way)
        # one that holds its thread while it waits cannot share it
        at_a_time = 1 if way == "one thread" and code is in_a_thread_of_its_own else 3
        going_on = [running.start(code) for _ in range(at_a_time)]
        for question in ("0?", "1?"):
            for name, dialogue in reversed(list(enumerate(going_on))):
                dialogue.answer(f"{question}{name}a", await heard(dialogue, question))
        values = [(await dialogue.wait()).value for dialogue in going_on]
        assert values == [[f"0?{name}A", f"1?{name}A"] for name in range(at_a_time)]

    run(main())


@pytest.mark.parametrize("way", ["greenlets", "one thread", "threads"])
def test_a_question_asked_on_the_apps_loop_is_awaited_there(way: str) -> None:
    """Synchronous code may hand something to the loop; to wait there would stop all apps."""

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def ask(asker: Asker) -> str:
            async def on_loop() -> str:
                return str(await asker.ask("?"))

            return asyncio.run_coroutine_threadsafe(on_loop(), loop).result(20)

        dialogue = dialogues(way).start(ask)
        dialogue.answer("yes", await heard(dialogue, "?"))
        assert (await dialogue.wait()).value == "yes"

    run(main())


def test_asynchronous_code_asks_from_a_thread_and_gets_the_answer_there() -> None:
    async def ask(asker: Asker) -> str:
        return await asyncio.to_thread(lambda: str(asker.ask("?")))

    async def main() -> None:
        dialogue = dialogues("async").start(ask)
        dialogue.answer("yes", await heard(dialogue, "?"))
        assert (await dialogue.wait()).value == "yes"

    run(main())


def test_threads_that_carry_their_owner_leave_each_call_its_own_context() -> None:
    """As in a provider, where whatever makes a thread has it run in a copy of its service's context."""
    carry()
    variable: ContextVar[str] = ContextVar("variable", default="none")

    def ask(asker: Asker) -> list[str]:
        before = variable.get()
        variable.set(asker.ask("?"))
        in_a_thread: list[str] = []
        thread = threading.Thread(target=lambda: in_a_thread.append(variable.get()))
        thread.start()
        thread.join()
        return [before, variable.get(), *in_a_thread]

    async def main() -> None:
        variable.set("the service's")
        one = Author()
        one.context = copy_context()
        with author(one):
            running = dialogues("one thread")
            going_on = []
            for name in ("one", "two"):
                variable.set(name)
                going_on.append(running.start(ask))
        await asked(going_on)
        for dialogue in going_on:
            dialogue.answer("answered")
        values = [(await dialogue.wait()).value for dialogue in going_on]
        assert values == [[name, "answered", "the service's"] for name in ("one", "two")]

    run(main())


def test_an_exception_that_is_handled_is_not_seen_by_others_on_the_thread() -> None:
    def handle(asker: Asker, name: str) -> str:
        try:
            raise ValueError(name)
        except ValueError:
            asker.ask("?")
            try:
                raise
            except ValueError as error:
                return str(error)

    async def main() -> None:
        running = dialogues("one thread")
        going_on = [running.start(handle, name) for name in ("one", "two")]
        await asked(going_on)
        for dialogue in going_on:
            dialogue.answer("")
        assert [(await dialogue.wait()).value for dialogue in going_on] == ["one", "two"]

    run(main())


def test_code_that_is_interrupted_while_it_asks_withdraws_its_question() -> None:
    """As when something else on its thread throws an exception into its greenlet."""
    asking: list[Any] = []

    def ask(asker: Asker) -> str:
        asking.append(greenlet.getcurrent())
        try:
            asker.ask("a?", id="a")
        except LookupError:
            return str(asker.ask("b?", id="b"))
        raise AssertionError

    def interrupt(asker: Asker) -> None:
        asking.pop().throw(LookupError)

    async def main() -> None:
        running = dialogues("one thread")
        dialogue = running.start(ask)
        await heard(dialogue, "a?")
        interrupting = running.start(interrupt)
        await heard(dialogue, "b?")
        assert [question.id for question in dialogue.questions()] == ["b"]
        with pytest.raises(NotAsked, match="does not wait for it"):
            dialogue.answer("late", "a")
        dialogue.answer("b")
        assert (await dialogue.wait()).value == "b"
        interrupting.cancel()

    run(main())


# --- all of it at once ------------------------------------------------------------------------------------------------


@pytest.mark.fuzz
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "way", [Greenlets(1), Greenlets(4), Threads(60)], ids=["one thread", "four threads", "threads"]
)
def test_each_ask_gets_its_own_answer_or_the_end(way: Way, fuzz_seconds: float) -> None:
    """Whatever is answered, cancelled, late, raised and read again at once: each dialogue ends, and nothing is left."""
    rolls = random.Random(7)
    rounds = 0

    def code(asker: Asker, seed: int) -> int:
        rolls, asked = random.Random(seed), 0
        while (roll := rolls.random()) < 0.9:
            question = f"{seed}/{asked}"
            if roll < 0.1:
                asker.tell(question)
            elif roll < 0.2:
                with contextlib.suppress(NoAnswer):
                    asker.ask(question, id=question, timeout=rolls.random() * 0.002)
            elif roll < 0.3:
                with ThreadPoolExecutor(1) as pool:
                    assert pool.submit(asker.ask, question, id=question).result() == question
            else:
                assert asker.ask(question, id=question) == question
            asked += 1
        if roll > 0.98:
            raise SystemExit
        return asked

    async def answering(dialogue: Dialogue) -> None:
        after = None
        while dialogue.outcome is None:
            with dialogue.read(after) as messages:
                async for message in messages:
                    after = message.id
                    if message.question is not None:
                        with contextlib.suppress(NotAsked, DialogueOver):
                            dialogue.answer(message.content, message.id)
                    if rolls.random() < 0.1:
                        break
            if rolls.random() < 0.02:
                dialogue.cancel()
        assert dialogue.outcome.error is None or isinstance(dialogue.outcome.error, SystemExit), dialogue.outcome

    async def main() -> None:
        nonlocal rounds
        running = Dialogues(way=way)
        until_when = time.monotonic() + fuzz_seconds / 3
        with author():
            while time.monotonic() < until_when:
                going_on = [running.start(code, rolls.getrandbits(32)) for _ in range(50)]
                async with asyncio.timeout(60):
                    await asyncio.gather(*map(answering, going_on))
                    await until(lambda: not running._synchronous)
                rounds += 1
        assert len(running._all) == len(running._ended)
        await running.close()
        assert len(running) == running._budget.held == 0

    asyncio.run(main())
    assert rounds > 0  # how many more depends on the machine
