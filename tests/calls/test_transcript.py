"""What is kept of what a dialogue tells, against a plain list."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.calls.question import Question
from portico.calls.transcript import MOST_ID, Budget, DialogueMessage, Transcript
from portico.errors import DialogueFull, InvalidOption, MessagesLost


def transcript(most: int = 100, most_bytes: int = 1 << 20, budget: int = 1 << 30) -> Transcript:
    return Transcript(most, most_bytes, Budget(budget))


def all_of(kept: Transcript, after: int | None = None) -> list[DialogueMessage]:
    """As a reader gets them."""
    found = kept.passed() if after is None else []
    number = kept.lost if after is None else after
    while (message := kept.next_after(number)) is not None:
        found.append(message)
        number = message.number
    return found


def contents(messages: list[DialogueMessage]) -> list[str | bytes]:
    return [message.content for message in messages]


steps = st.one_of(
    st.tuples(st.just("tell"), st.sampled_from("abcd"), st.integers(0, 900)),
    st.tuples(st.just("ask"), st.sampled_from("abcd"), st.integers(0, 900)),
    st.tuples(st.just("settle"), st.integers(0, 5), st.none()),
)


@given(st.lists(steps, max_size=40), st.integers(2, 8), st.integers(2000, 6000))
def test_the_newest_are_kept_and_each_question_that_is_open(taken: list[Any], most: int, most_bytes: int) -> None:
    """What is kept is a suffix of what was told, with the open questions before it, within both bounds."""
    kept = transcript(most, most_bytes)
    told: list[tuple[int, str, Question | None]] = []
    for what, which, size in taken:
        if what == "settle":
            waiting = [question for _, _, question in told if question is not None and question.is_open]
            if waiting:
                waiting[which % len(waiting)].settle("answered", "")
            continue
        question = Question(which, 60) if what == "ask" else None
        try:
            message = kept.add(which, "x" * size, question)
        except DialogueFull:
            continue
        told.append((message.number, which, question))
        read = all_of(kept)
        numbers = [one.number for one in read]
        open_before = [number for number, _, asked in told if number <= kept.lost and asked and asked.is_open]
        assert numbers == open_before + list(range(kept.lost + 1, kept.last + 1))
        assert len(read) <= most
        assert sum(len(one.content) for one in read) <= most_bytes
        for id in "abcd":
            of_id = [one for one in read if one.id == id]
            if of_id:
                assert kept.question(id) is of_id[-1].question
            after = [one for one in of_id if one.number >= kept.lost]
            if after and after == of_id:
                assert all_of(kept, kept.number_of(id)) == [one for one in read if one.number > after[0].number]
    kept.clear()
    assert kept._budget.held == 0
    assert not kept._numbers


def test_an_open_question_stays_until_it_is_settled() -> None:
    kept = transcript(most=3)
    question = Question("q", 60)
    kept.add("q", "?", question)
    for number in range(5):
        kept.add(f"{number}", f"{number}", None)
    assert contents(all_of(kept)) == ["?", "3", "4"]
    assert kept.question("q") is question
    with pytest.raises(MessagesLost):
        kept.number_of("q")
    question.settle("answered", "!")
    kept.add("5", "5", None)
    assert contents(all_of(kept)) == ["3", "4", "5"], "it leaves its place to others"
    assert kept.question("q") is None


def test_where_open_questions_fill_it_nothing_else_is_told() -> None:
    kept = transcript(most_bytes=3000)
    for id in "abcd":
        kept.add(id, "?" * 100, Question(id, 60))
    with pytest.raises(DialogueFull, match="no room beside the open questions"):
        kept.add("e", "x" * 1000, None)
    assert [message.id for message in all_of(kept)] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("text", ["x" * 1001, "é" * 501, b"x" * 1001, "\ud800" * 400])
def test_a_message_that_is_longer_than_all_may_be_is_refused(text: str | bytes) -> None:
    with pytest.raises(DialogueFull, match="too long"):
        transcript(most_bytes=1450).add("a", text, None)


@pytest.mark.parametrize("id", ["", "x" * (MOST_ID + 1), 5, b"x"])
def test_an_id_is_a_short_text(id: Any) -> None:
    with pytest.raises(InvalidOption, match="id is a text"):
        transcript().add(id, "x", None)


def test_to_drop_the_oldest_costs_the_same_however_many_are_kept() -> None:
    """A hundred thousand messages through a transcript of ten thousand take no time that a test would notice."""
    kept = transcript(most=10_000, most_bytes=1 << 30)
    for number in range(100_000):
        kept.add(str(number), "x", None)
    assert kept.lost == 90_000
    assert kept.number_of("95000") == 95_001
