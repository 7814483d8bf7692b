"""Dialogues in a tab that cannot switch stacks, as Node.js 20 cannot. Those that can are in tests/browser."""

from __future__ import annotations

import asyncio
import sys

import pytest

from portico.calls.asker import Asker
from portico.calls.dialogue_runners import Inline
from portico.calls.dialogues import Dialogues
from portico.errors import CannotWait, TooManyDialogues
from tests.calls.asking import author, heard, run, said

pytestmark = pytest.mark.skipif(sys.platform != "emscripten", reason="is about browser tabs")


def ask(asker: Asker) -> str:
    asker.tell("begun")
    return str(asker.ask("?"))


def test_synchronous_code_that_asks_is_told_what_to_do_and_nothing_was_asked() -> None:
    async def main() -> None:
        with author() as told:
            dialogue = Dialogues().start(ask)
            outcome = await dialogue.wait()
        assert isinstance(outcome.error, CannotWait)
        assert "async def" in str(outcome.error)
        assert "JSPI" in str(outcome.error)
        assert len(told.told) == 1
        assert await said(dialogue) == ["begun"]

    run(main())


def test_synchronous_code_that_does_not_ask_works() -> None:
    async def main() -> None:
        dialogue = Dialogues().start(lambda asker: asker.tell("hello"))
        assert await said(dialogue) == ["hello"]

    run(main())


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
def test_whatever_it_raises_ends_it_alone(error: type[BaseException]) -> None:
    def fail(asker: Asker) -> None:
        raise error

    async def main() -> None:
        running = Dialogues()
        with author() as told:
            assert (await running.start(fail).wait()).how == "failed"
        assert len(told.told) == 1
        assert await said(running.start(lambda asker: asker.tell("hello"))) == ["hello"]

    run(main())


def test_what_a_synchronous_function_returns_is_awaited_and_may_ask() -> None:
    async def on_loop(asker: Asker) -> str:
        return str(await asker.ask("?"))

    async def main() -> None:
        dialogue = Dialogues().start(lambda asker: on_loop(asker))
        dialogue.answer("yes", await heard(dialogue, "?"))
        assert (await dialogue.wait()).value == "yes"

    run(main())


def test_stacks_are_bounded() -> None:
    async def main() -> None:
        running = Dialogues(way=Inline(2))
        started = [running.start(lambda asker: None) for _ in range(2)]
        with pytest.raises(TooManyDialogues, match="2 synchronous functions wait already in this browser tab"):
            running.start(ask)
        for dialogue in started:
            await dialogue.wait()
        await running.start(lambda asker: None).wait()

    run(main())
