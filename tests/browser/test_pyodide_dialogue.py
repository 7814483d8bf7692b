"""Dialogues in a browser tab that switches stacks (JSPI): synchronous code waits on the tab's one loop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests import live_tab
from tests.browser import chromium

pytestmark = pytest.mark.timeout(120)

CODE = """
import asyncio, contextvars, json, time
from portico.calls.dialogues import Dialogues
from portico.calls.dialogue_limits import DialogueLimits
from portico.calls.dialogue_runners import Inline
from portico.errors import NoAnswer, TooManyDialogues

async def heard(dialogue, content):
    with dialogue.read() as messages:
        async for message in messages:
            if message.content == content:
                return message.id
    raise AssertionError(f"not heard: {content}, {dialogue.outcome}")

def greet(asker):
    asker.tell("welcome")
    return f"{asker.ask('name?')} of {(lambda: asker.ask('town?'))()}"
"""


@pytest.fixture(scope="module")
def tab(browser: Browser, bundle: Path) -> Iterator[Page]:
    with live_tab.site(bundle) as site, chromium.visitor(browser) as context:
        page = context.new_page()
        live_tab.open_tab(page, site)
        live_tab.run(page, CODE)
        yield page


def told(tab: Page, code: str) -> Any:
    """What *code* gives as JSON."""
    return json.loads(live_tab.run(tab, code))


def test_synchronous_code_asks_and_the_loop_goes_on_meanwhile(tab: Page) -> None:
    assert told(
        tab,
        """
dialogue = Dialogues().start(greet)
await heard(dialogue, "name?")
turned = asyncio.create_task(asyncio.sleep(0, "the loop turns"))
turns = await turned
dialogue.answer("Ada")
await heard(dialogue, "town?")
dialogue.answer("London")
json.dumps([turns, (await dialogue.wait()).value])
""",
    ) == ["the loop turns", "Ada of London"]


def test_many_wait_at_once_and_are_answered_in_any_order(tab: Page) -> None:
    """Each goes on in its own task and with its own context variables."""
    assert told(
        tab,
        """
whose = contextvars.ContextVar("whose")
def ask(asker, number):
    whose.set(number)
    task = asyncio.current_task()
    answer = asker.ask("?")
    assert asyncio.current_task() is task
    return [number, whose.get(), answer, asker.ask("??")]

running = Dialogues()
going_on = [running.start(ask, number) for number in range(40)]
for dialogue in going_on:
    await heard(dialogue, "?")
for index in [*range(1, 40, 2), *range(0, 40, 2)]:
    going_on[index].answer(f"a{index}")
for index in reversed(range(40)):
    await heard(going_on[index], "??")
    going_on[index].answer(f"b{index}")
json.dumps([(await dialogue.wait()).value for dialogue in going_on])
""",
    ) == [[number, number, f"a{number}", f"b{number}"] for number in range(40)]


def test_one_more_is_refused(tab: Page) -> None:
    assert "40 synchronous functions wait already in this browser tab" in told(
        tab,
        """
running = Dialogues()
going_on = [running.start(greet) for _ in range(40)]
try:
    running.start(greet)
    refused = "nothing"
except TooManyDialogues as error:
    refused = str(error)
await running.close()
json.dumps(refused)
""",
    )


def test_cancelling_ends_the_wait_at_once_and_the_code_cleans_up(tab: Page) -> None:
    assert told(
        tab,
        """
seen = []
def ask(asker):
    try:
        asker.ask("?")
    except BaseException as error:
        seen.append(f"{type(error).__name__}: {error}")
        raise
    finally:
        seen.append("cleaned up")

dialogue = Dialogues().start(ask)
await heard(dialogue, "?")
began = time.monotonic()
dialogue.cancel("enough")
outcome = await dialogue.wait()
json.dumps([seen, outcome.how, time.monotonic() - began < 1])
""",
    ) == [["CancelledError: enough", "cleaned up"], "cancelled", True]


def test_a_question_has_a_time_limit(tab: Page) -> None:
    assert told(
        tab,
        """
def ask(asker):
    try:
        asker.ask("?", timeout=0.05)
    except TimeoutError as error:
        return str(error)

json.dumps((await Dialogues().start(ask).wait()).value)
""",
    ).startswith("Nobody answered within 0.05 s")


def test_each_question_is_answered_at_once(tab: Page) -> None:
    assert told(
        tab,
        """
def ask(asker):
    return [asker.ask(str(number)) for number in range(200)]

dialogue = Dialogues().start(ask)
dialogue.answer("early")
with dialogue.read() as messages:
    await anext(messages)
    async for message in messages:
        dialogue.answer(f"{message.content}!", message.id)
json.dumps((await dialogue.wait()).value)
""",
    ) == ["early", *(f"{number}!" for number in range(1, 200))]


@pytest.mark.parametrize("error", ["ValueError", "SystemExit", "KeyboardInterrupt", "asyncio.CancelledError"])
def test_whatever_it_raises_ends_it_alone(tab: Page, error: str) -> None:
    assert told(
        tab,
        f"""
def fail(asker):
    asker.ask("?")
    raise {error}

running = Dialogues()
other, failing = running.start(greet), running.start(fail)
await heard(failing, "?")
failing.answer("")
failed = await failing.wait()
other.answer("Ada")
other.answer("London")
json.dumps([failed.how, (await other.wait()).value])
""",
    ) == ["failed", "Ada of London"]


def test_tasks_that_synchronous_code_makes_await_their_answers(tab: Page) -> None:
    assert (
        told(
            tab,
            """
def ask(asker):
    async def further():
        return await asker.ask("in a task?")
    task = asyncio.get_running_loop().create_task(further())
    return [asker.ask("here?"), task]

async def both(asker):
    here, task = ask(asker)
    return [await here, await task]

answers = []
for function in (ask, both):
    dialogue = Dialogues().start(function)
    dialogue.answer("in a task", await heard(dialogue, "in a task?"))
    dialogue.answer("here", await heard(dialogue, "here?"))
    here, task = (await dialogue.wait()).value
    answers += [here, task if isinstance(task, str) else await task]
json.dumps(answers)
""",
        )
        == ["here", "in a task"] * 2
    )
