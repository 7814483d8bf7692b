"""A call that asks and waits, in each way in which its code can run: its answers, ends, time limits and readers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from contextvars import ContextVar
from typing import Any

import pytest

from portico.calls import dialogue as dialogue_module
from portico.calls.asker import Asker
from portico.calls.dialogue import Outcome
from portico.calls.dialogues import Dialogues
from portico.calls.owner import REPORTED
from portico.calls.waiting import HAS_THREADS
from portico.errors import (
    DialogueFull,
    DialogueOver,
    InvalidOption,
    MessagesLost,
    NoAnswer,
    NoSuchQuestion,
    NotAsked,
)
from tests.calls.asking import WAYS, Author, author, dialogues, function, heard, run, said

in_each_way = pytest.mark.parametrize("way", WAYS)

Steps = Generator[Any, Any, Any]


def greet(asker: Asker) -> Steps:
    asker.tell("welcome")
    name = yield asker.ask("your name?")
    town = yield asker.ask("your town?")
    asker.tell(f"hello {name} of {town}")
    return {"name": name}


def ask_for_ever(asker: Asker) -> Steps:
    while True:
        yield asker.ask("and?")


# --- answers ----------------------------------------------------------------------------------------------------------


@in_each_way
def test_it_asks_and_goes_on_with_the_answer(way: str) -> None:
    async def main() -> None:
        dialogue = dialogues(way).start(function(way, greet))
        dialogue.answer("Ada", await heard(dialogue, "your name?"))
        await heard(dialogue, "your town?")
        dialogue.answer("London")
        assert await said(dialogue) == ["welcome", "your name?", "your town?", "hello Ada of London"]
        assert await dialogue.wait() == Outcome("returned", {"name": "Ada"})

    run(main())


@in_each_way
@pytest.mark.parametrize("answer", ["", "  red,blue \n", '{"a": 1}', "\ud800", "é" * 1000, b"\x00\xff"])
def test_an_answer_is_kept_exactly(way: str, answer: str | bytes) -> None:
    def ask(asker: Asker) -> Steps:
        return (yield asker.ask("?"))

    async def main() -> None:
        dialogue = dialogues(way).start(function(way, ask))
        dialogue.answer(answer, await heard(dialogue, "?"))
        assert (await dialogue.wait()).value == answer

    run(main())


@in_each_way
def test_answers_that_came_early_are_taken_in_turn_by_the_questions_that_come(way: str) -> None:
    async def main() -> None:
        dialogue = dialogues(way).start(function(way, greet))
        dialogue.answer("Ada")
        dialogue.answer("London")
        assert (await said(dialogue))[-1] == "hello Ada of London"

    run(main())


@in_each_way
def test_each_question_is_answered_at_once_a_thousand_times(way: str) -> None:
    """The answer may come before the code has begun to wait."""

    def ask(asker: Asker) -> Steps:
        for number in range(1000):
            assert (yield asker.ask(str(number))) == f"{number}!"
        return "all"

    async def main() -> None:
        dialogue = dialogues(way).start(function(way, ask))
        with dialogue.read() as messages:
            async for message in messages:
                dialogue.answer(f"{message.content!s}!", message.id)
        assert (await dialogue.wait()).value == "all"

    run(main())


@in_each_way
def test_an_answer_to_what_takes_none_is_refused_with_the_reason(way: str) -> None:
    async def main() -> None:
        dialogue = dialogues(way).start(function(way, greet))
        welcome = await heard(dialogue, "welcome")
        name = await heard(dialogue, "your name?")
        with pytest.raises(NoSuchQuestion, match="no question 'another'"):
            dialogue.answer("Ada", "another")
        with pytest.raises(NoSuchQuestion):
            dialogue.answer("Ada", welcome)
        dialogue.answer("Ada", name)
        with pytest.raises(NotAsked, match="answered already"):
            dialogue.answer("Eve", name)
        with pytest.raises(InvalidOption, match="not dict"):
            dialogue.answer({"town": "London"})  # type: ignore[arg-type]
        dialogue.answer("London", await heard(dialogue, "your town?"))
        await dialogue.wait()
        for question in (name, "another", None):
            with pytest.raises(DialogueOver):
                dialogue.answer("Eve", question)
        assert (await said(dialogue))[-1] == "hello Ada of London"

    run(main())


def test_several_questions_wait_at_once_and_the_oldest_is_answered_first() -> None:
    async def ask(asker: Asker) -> list[str]:
        return list(await asyncio.gather(asker.ask("a?", id="a"), asker.ask("b?", id="b"), asker.ask("c?", id="c")))

    async def main() -> None:
        dialogue = dialogues("async").start(ask)
        await heard(dialogue, "c?")
        assert [question.id for question in dialogue.questions()] == ["a", "b", "c"]
        dialogue.answer("2", "b")
        dialogue.answer("1")
        dialogue.answer("3")
        assert dialogue.questions() == []
        assert (await dialogue.wait()).value == ["1", "2", "3"]

    run(main())


@in_each_way
def test_a_question_can_be_asked_again_by_its_id_once_it_has_an_answer(way: str) -> None:
    def ask(asker: Asker) -> Steps:
        while (answer := (yield asker.ask("red or blue?", id="colour"))) not in ("red", "blue"):
            pass
        return answer

    async def main() -> None:
        dialogue = dialogues(way).start(function(way, ask))
        with dialogue.read() as messages:
            for answer in ("green", "black", "blue"):
                assert (await anext(messages)).id == "colour"
                dialogue.answer(answer, "colour")
        assert (await dialogue.wait()).value == "blue"
        with dialogue.read(after="colour") as again:
            assert [message.number async for message in again] == [2, 3]

    run(main())


def test_two_questions_of_one_id_cannot_wait_together() -> None:
    async def ask(asker: Asker) -> None:
        asker.ask("a?", id="a")
        asker.ask("b?", id="a")

    async def main() -> None:
        with author():
            outcome = await dialogues("async").start(ask).wait()
        assert isinstance(outcome.error, InvalidOption)

    run(main())


@in_each_way
def test_context_variables_are_those_of_who_started_it(way: str) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="none")

    def ask(asker: Asker) -> Steps:
        before = variable.get()
        variable.set(f"{before} set")
        yield asker.ask("?")
        return before, variable.get()

    async def main() -> None:
        started = []
        running = dialogues(way if way != "greenlets" else "one thread")
        for name in ("one", "two"):
            token = variable.set(name)
            started.append(running.start(function(way, ask)))
            variable.reset(token)
        for dialogue in started:
            await heard(dialogue, "?")
        for dialogue in reversed(started):
            dialogue.answer("")
        outcomes = [await dialogue.wait() for dialogue in started]
        assert [outcome.value for outcome in outcomes] == [("one", "one set"), ("two", "two set")]
        assert variable.get() == "none"

    run(main())


# --- how it ends ------------------------------------------------------------------------------------------------------

RAISED = [ValueError("wrong"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit()]


@in_each_way
@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("after_an_answer", [False, True])
def test_whatever_it_raises_ends_it_alone(way: str, error: BaseException, after_an_answer: bool) -> None:
    class Again(type(error)):  # type: ignore[misc]
        """Not the very object: a traceback would grow from test to test."""

    def fail(asker: Asker) -> Steps:
        if after_an_answer:
            yield asker.ask("?")
        raise Again(*error.args)

    async def main() -> None:
        running = dialogues(way if way != "greenlets" else "one thread")
        with author() as told:
            other, failing = running.start(function(way, greet)), running.start(function(way, fail))
            if after_an_answer:
                dialogue_id = await heard(failing, "?")
                failing.answer("now", dialogue_id)
            outcome = await failing.wait()
        assert outcome.how == "failed"
        assert outcome.error is not None
        [(doing, reported)] = told.told
        assert isinstance(reported, Again)
        assert "fail" in doing
        assert outcome.error is reported or outcome.error.__cause__ is reported
        assert await said(failing) == (["?"] if after_an_answer else [])
        for answer in ("Ada", "London"):
            other.answer(answer)
        assert (await other.wait()).how == "returned"

    run(main())


@pytest.mark.skipif(not HAS_THREADS, reason="in a tab it ends no more than the code that runs")
def test_ctrl_c_goes_on_to_whoever_runs_the_loop() -> None:
    async def interrupted(asker: Asker) -> None:
        raise KeyboardInterrupt

    started = []

    async def main() -> None:
        started.append(dialogues("async").start(interrupted))
        await started[0].wait()

    loop = asyncio.new_event_loop()
    waiting = loop.create_task(main())
    with author() as told:
        with pytest.raises(KeyboardInterrupt):  # asyncio.run would have a handler of its own for SIGINT
            loop.run_until_complete(waiting)
        loop.run_until_complete(waiting)
    loop.close()
    assert started[0].outcome is not None
    assert told.told == []


def test_a_failure_that_is_nobodys_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(asker: Asker) -> None:
        raise ValueError("wrong")

    async def main() -> None:
        await dialogues("async").start(fail, doing="workflow 'w'").wait()

    run(main())
    assert "workflow 'w'" in caplog.text
    assert "ValueError: wrong" in caplog.text


@in_each_way
def test_a_failure_is_not_one_of_the_request_that_is_under_way(way: str) -> None:
    """Which would be believed to be reported already, were it to fail too."""

    class Reporting(Author):
        def report(self, doing: str, error: BaseException) -> None:
            REPORTED.set(True)
            super().report(doing, error)

    def last_words(outcome: Outcome) -> Any:
        raise LookupError("no words")

    async def main() -> None:
        with author(Reporting()) as told:
            dialogue = dialogues(way).start(function(way, ask_for_ever), last_words=last_words)
            dialogue.cancel()
            await dialogue.wait()
        assert told.told != []
        assert not REPORTED.get()

    run(main())


def test_a_failure_does_not_keep_what_the_code_had_in_its_hands() -> None:
    async def fail(asker: Asker) -> None:
        raise ValueError("wrong")

    async def main() -> None:
        with author():
            outcome = await dialogues("async").start(fail).wait()
        assert outcome.error is not None
        assert outcome.error.__traceback__ is None

    run(main())


@in_each_way
def test_last_words_come_last_whatever_the_end(way: str) -> None:
    def end(asker: Asker, how: str) -> Steps:
        asker.tell("working")
        if how == "failed":
            raise ValueError("wrong")
        if how == "cancelled":
            yield asker.ask("?")
        return "done"

    def last_words(outcome: Outcome) -> list[tuple[str | None, str]]:
        return [("end", f"{outcome.how}: {outcome.value or outcome.error or outcome.reason}"), (None, "goodbye")]

    async def main() -> None:
        running = dialogues(way)
        words = {}
        with author():
            for how in ("returned", "failed", "cancelled"):
                dialogue = running.start(function(way, end), how, last_words=last_words)
                if how == "cancelled":
                    await heard(dialogue, "?")
                    dialogue.cancel("enough")
                words[how] = (await said(dialogue))[-2:]
        assert words == {
            "returned": ["returned: done", "goodbye"],
            "failed": ["failed: wrong", "goodbye"],
            "cancelled": ["cancelled: enough", "goodbye"],
        }

    run(main())


@pytest.mark.parametrize("wrong", [LookupError("no words"), DialogueFull("too long"), "not a pair"])
def test_last_words_that_fail_do_not_keep_it_from_ending(wrong: Any) -> None:
    def last_words(outcome: Outcome) -> Any:
        yield None, "a word"
        if isinstance(wrong, Exception):
            raise wrong
        yield wrong

    async def quick(asker: Asker) -> str:
        return "done"

    async def main() -> None:
        with author() as told:
            dialogue = dialogues("async").start(quick, last_words=last_words)
            assert await said(dialogue) == ["a word"]
        assert (await dialogue.wait()).value == "done"
        assert len(told.told) == 1

    run(main())


@in_each_way
def test_nothing_can_be_told_after_the_end(way: str) -> None:
    kept: list[Asker] = []

    def quick(asker: Asker) -> Steps:
        kept.append(asker)
        yield from ()

    async def main() -> None:
        dialogue = dialogues(way).start(function(way, quick))
        await dialogue.wait()
        for end in (kept[0].tell, kept[0].ask):
            with pytest.raises(DialogueOver, match="has ended"):
                end("late")
        assert await said(dialogue) == []

    run(main())


def test_a_synchronous_function_may_return_what_is_to_be_awaited() -> None:
    """A lambda, or a partial, around an asynchronous one."""

    async def ask(asker: Asker) -> str:
        return str(await asker.ask("?"))

    async def main(way: str) -> None:
        dialogue = dialogues(way).start(lambda asker: ask(asker))
        dialogue.answer("yes", await heard(dialogue, "?"))
        assert (await dialogue.wait()).value == "yes"
        cancelled = dialogues(way).start(lambda asker: ask(asker))
        await heard(cancelled, "?")
        cancelled.cancel()
        assert (await cancelled.wait()).how == "cancelled"

    for way in WAYS:
        run(main(way))


# --- cancelling -------------------------------------------------------------------------------------------------------


@in_each_way
def test_cancelling_ends_a_waiting_question_at_once_and_its_code_cleans_up(way: str) -> None:
    seen: list[Any] = []

    def ask(asker: Asker) -> Steps:
        try:
            yield asker.ask("?")
        except BaseException as error:
            seen.append(error)
            assert asker.is_cancelled
            for end in (asker.tell, asker.ask):
                with pytest.raises(asyncio.CancelledError, match="enough"):
                    end("more")
            raise
        finally:
            seen.append("cleaned up")

    async def main() -> None:
        with author() as told:
            dialogue = dialogues(way).start(function(way, ask))
            question = await heard(dialogue, "?")
            began = time.monotonic()
            dialogue.cancel("enough")
            with pytest.raises(DialogueOver):
                dialogue.answer("too late", question)
            assert await dialogue.wait() == Outcome("cancelled", reason="enough")
        assert time.monotonic() - began < 1
        [error, cleaned] = seen
        assert isinstance(error, asyncio.CancelledError)
        assert cleaned == "cleaned up"
        assert told.told == []
        dialogue.cancel("again")
        assert await said(dialogue) == ["?"]

    run(main())


@in_each_way
def test_cancelled_before_its_code_has_begun_it_never_runs(way: str) -> None:
    ran = []

    def code(asker: Asker) -> Steps:
        ran.append(True)
        yield asker.ask("?")

    async def main() -> None:
        running = dialogues("one thread" if way == "greenlets" else way)
        dialogue = running.start(function(way, code))
        dialogue.cancel()
        assert (await dialogue.wait()).how == "cancelled"
        # what comes next on the same way has run after it
        await (await started_and_answered(way, running)).wait()

    async def started_and_answered(way: str, running: Any) -> Any:
        dialogue = running.start(function(way, greet))
        dialogue.answer("Ada")
        dialogue.answer("London")
        return dialogue

    run(main())
    if way != "threads":  # there each has a thread of its own, which may have been quicker than the cancelling
        assert ran == [] or way == "greenlets"


@in_each_way
def test_code_that_goes_on_after_a_cancelling_is_left_alone(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialogue_module, "_GRACE", 0.05)
    left: list[Any] = []

    def stubborn(asker: Asker) -> Steps:
        while not left:
            try:
                yield asker.ask("?")
            except asyncio.CancelledError:
                if way == "async":
                    yield asyncio.sleep(0.01)
                else:
                    time.sleep(0.01)

    async def main() -> None:
        running = dialogues(way)
        with author() as told:
            dialogue = running.start(function(way, stubborn))
            await heard(dialogue, "?")
            dialogue.cancel("enough")
            assert (await dialogue.wait()).how == "cancelled"
        assert not dialogue.has_returned
        [(_, error)] = told.told
        assert "still runs" in str(error)
        dialogue.forget()
        assert len(running) == 1, "its code counts as long as it runs"
        returned = asyncio.Event()
        monkeypatch.setattr(running, "returned", lambda one: (Dialogues.returned(running, one), returned.set()))
        left.append(True)
        await returned.wait()
        assert len(running) == 0

    run(main())


@in_each_way
def test_a_failure_of_the_cleaning_up_is_reported(way: str) -> None:
    def ask(asker: Asker) -> Steps:
        try:
            yield asker.ask("?")
        finally:
            raise ValueError("while cleaning up")

    async def main() -> None:
        with author() as told:
            dialogue = dialogues(way).start(function(way, ask))
            await heard(dialogue, "?")
            dialogue.cancel()
            outcome = await dialogue.wait()
        assert outcome.how == "cancelled"
        assert str(outcome.error) == "while cleaning up"
        assert [str(error) for _, error in told.told] == ["while cleaning up"]

    run(main())


def test_cancelling_reaches_questions_of_child_tasks() -> None:
    seen = []

    async def ask(asker: Asker, what: str) -> None:
        try:
            await asker.ask(what)
        finally:
            seen.append(what)

    async def both(asker: Asker) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(ask(asker, "a?"))
            group.create_task(ask(asker, "b?"))

    async def main() -> None:
        dialogue = dialogues("async").start(both)
        await heard(dialogue, "b?")
        dialogue.cancel()
        assert (await dialogue.wait()).how == "cancelled"

    run(main())
    assert sorted(seen) == ["a?", "b?"]


# --- time limits ------------------------------------------------------------------------------------------------------


@in_each_way
def test_a_question_that_nobody_answers_raises_a_timeout_and_takes_no_answer_any_more(way: str) -> None:
    def ask(asker: Asker) -> Steps:
        try:
            yield asker.ask("?", timeout=0.05)
        except TimeoutError as error:
            asker.tell(f"{type(error).__name__}: {error}")
        return (yield asker.ask("again?"))

    async def main() -> None:
        dialogue = dialogues(way).start(function(way, ask))
        question = await heard(dialogue, "?")
        again = await heard(dialogue, "again?")
        with pytest.raises(NotAsked, match="time to answer it has passed"):
            dialogue.answer("late", question)
        dialogue.answer("in time", again)
        assert (await dialogue.wait()).value == "in time"
        assert (await said(dialogue))[
            1
        ] == "NoAnswer: Nobody answered within 0.05 s. Ask again, or do without the answer."

    run(main())


@in_each_way
@pytest.mark.parametrize("timeout", [None, 1e9, 0])
def test_each_question_has_a_time_limit(way: str, timeout: float | None) -> None:
    def ask(asker: Asker) -> Steps:
        yield asker.ask("?", timeout=timeout)

    async def main() -> None:
        with author():
            dialogue = dialogues(way, to_answer=0.05).start(function(way, ask))
            outcome = await dialogue.wait()
        assert isinstance(outcome.error, NoAnswer)

    run(main())


@in_each_way
@pytest.mark.parametrize("timeout", [-1, float("nan"), "5"])
def test_a_time_limit_that_is_none_is_refused(way: str, timeout: Any) -> None:
    def ask(asker: Asker) -> Steps:
        yield asker.ask("?", timeout=timeout)

    async def main() -> None:
        with author():
            outcome = await dialogues(way).start(function(way, ask)).wait()
        assert isinstance(outcome.error, InvalidOption)
        assert "number of seconds" in str(outcome.error)

    run(main())


@in_each_way
@pytest.mark.parametrize(("limit", "why"), [("life", "it went on for 0.05 s"), ("unread", "nobody read it for 0.05 s")])
def test_it_goes_on_for_a_bounded_time(way: str, limit: str, why: str) -> None:
    async def main() -> None:
        dialogue = dialogues(way, **{limit: 0.05}).start(function(way, ask_for_ever))
        outcome = await dialogue.wait()
        assert outcome.how == "cancelled"
        assert outcome.reason.startswith(why)

    run(main())


def test_while_it_is_read_it_is_not_ended_for_want_of_readers() -> None:
    async def main() -> None:
        dialogue = dialogues("async", unread=0.05).start(function("async", ask_for_ever))
        with dialogue.read() as one, dialogue.read() as two:
            await anext(one)
            await anext(two)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.15):
                    await dialogue.wait()
        assert (await dialogue.wait()).reason.startswith("nobody read it")

    run(main())


def test_an_awaited_question_that_is_given_up_is_withdrawn() -> None:
    async def ask(asker: Asker) -> str:
        try:
            async with asyncio.timeout(0.02):
                await asker.ask("a?", id="a")
        except TimeoutError:
            asker.tell("given up")
        return str(await asker.ask("b?"))

    async def main() -> None:
        dialogue = dialogues("async").start(ask)
        await heard(dialogue, "b?")
        with pytest.raises(NotAsked, match="does not wait for it any more"):
            dialogue.answer("late", "a")
        dialogue.answer("b")
        assert (await dialogue.wait()).value == "b"

    run(main())


# --- reading ----------------------------------------------------------------------------------------------------------


@in_each_way
def test_it_is_read_again_from_any_message_while_it_goes_on_and_after(way: str) -> None:
    def count(asker: Asker) -> Steps:
        for number in range(5):
            asker.tell(f"{number}", id=f"id{number}")
        yield asker.ask("?", id="question")
        asker.tell("over")

    async def main() -> None:
        dialogue = dialogues(way).start(function(way, count))
        await heard(dialogue, "?")
        with dialogue.read(after="id2") as messages:
            assert [(await anext(messages)).content for _ in range(3)] == ["3", "4", "?"]
            following = asyncio.ensure_future(anext(messages))
            await asyncio.sleep(0)
            assert not following.done()
            dialogue.answer("")
            assert (await following).content == "over"
        assert await said(dialogue, "id3") == ["4", "?", "over"]
        assert await said(dialogue) == ["0", "1", "2", "3", "4", "?", "over"]
        with pytest.raises(MessagesLost, match="No message 'other' is kept"):
            dialogue.read(after="other")

    run(main())


def test_a_reader_who_is_too_slow_is_told_so_and_the_code_goes_on() -> None:
    async def main() -> None:
        async def much(asker: Asker) -> str:
            await asker.ask("go?")
            for number in range(20):
                asker.tell(str(number))
            return "done"

        dialogue = dialogues("async", messages=10).start(much)
        with dialogue.read() as messages:
            await anext(messages)
            dialogue.answer("")
            assert (await dialogue.wait()).value == "done"
            with pytest.raises(MessagesLost, match="Read from the start"):
                await anext(messages)
        assert await said(dialogue) == [str(number) for number in range(10, 20)]

    run(main())


def test_readers_who_give_up_leave_nothing_behind() -> None:
    async def main() -> None:
        dialogue = dialogues("async").start(function("async", greet))
        await heard(dialogue, "your name?")
        with dialogue.read(after=dialogue.questions()[0].id) as messages:
            for _ in range(10):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0):
                        await anext(messages)
            await asyncio.sleep(0)
            assert dialogue._readers._waiting == set()
            dialogue.answer("Ada")
            assert (await anext(messages)).content == "your town?"
        dialogue.cancel()
        await dialogue.wait()

    run(main())


def test_it_is_read_in_a_with_statement() -> None:
    async def main() -> None:
        dialogue = dialogues("async").start(function("async", greet))
        with pytest.raises(InvalidOption, match="with statement"):
            aiter(dialogue.read())
        dialogue.cancel()
        await dialogue.wait()

    run(main())


# --- bounds -----------------------------------------------------------------------------------------------------------


@in_each_way
def test_questions_at_once_are_bounded(way: str) -> None:
    async def ask(asker: Asker) -> None:
        asker.ask("a?")
        asker.ask("b?")
        asker.ask("c?")

    async def main() -> None:
        with author():
            outcome = await dialogues("async", questions=2).start(ask).wait()
        assert isinstance(outcome.error, DialogueFull)
        assert "2 questions" in str(outcome.error)

    run(main())


def test_early_answers_are_bounded_in_number_and_length() -> None:
    async def main() -> None:
        dialogue = dialogues("async", early=2, answer_bytes=10).start(function("async", greet))
        with pytest.raises(DialogueFull, match="too long"):
            dialogue.answer("12345678901")
        dialogue.answer("123456")
        with pytest.raises(DialogueFull, match="before their questions"):
            dialogue.answer("12345")
        dialogue.answer("1234")
        with pytest.raises(DialogueFull):
            dialogue.answer("")
        assert (await said(dialogue))[-1] == "hello 123456 of 1234"

    run(main())


@in_each_way
@pytest.mark.parametrize("content", [None, 5, {"a": 1}, bytearray(b"x")])
def test_a_message_that_is_neither_text_nor_bytes_is_refused(way: str, content: Any) -> None:
    def tell(asker: Asker) -> Steps:
        for end in (asker.tell, asker.ask):
            with pytest.raises(InvalidOption, match="text or bytes"):
                end(content)
        yield from ()

    async def main() -> None:
        assert (await dialogues(way).start(function(way, tell)).wait()).how == "returned"

    run(main())
