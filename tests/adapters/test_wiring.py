"""How a command line says which sockets of a pipeline callers reach, and what a wrapper is set up with."""

from __future__ import annotations

import pytest

from portico.adapters.wiring import NO_WIRING, settings_of, wires_of, wiring_of
from portico.errors import InvalidOption


def test_a_name_and_its_sockets() -> None:
    wires = wires_of("--inputs", ["question:prompt.query,retriever.text", "question:ranker.query", "k:ranker.top_k"])
    assert wires == {"question": ["prompt.query", "retriever.text", "ranker.query"], "k": ["ranker.top_k"]}
    assert wires_of("--outputs", ["answer:my.llm.replies"]) == {"answer": ["my.llm.replies"]}


@pytest.mark.parametrize("text", ["a.query", "question:", "question:a b", ":a.b", "two words:a.b", "q:a.b,", "q:.b"])
def test_what_is_no_wire_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidOption, match=r"such as --inputs question:prompt\.query"):
        wires_of("--inputs", [text])


def test_settings_are_json_where_they_can_be() -> None:
    given = ["top_k=3", "model=gpt", "deep=true", 'names=["a"]', "url=http://x/?a=b", "empty=", 'quoted="3"']
    assert settings_of(given) == {
        "top_k": 3,
        "model": "gpt",
        "deep": True,
        "names": ["a"],
        "url": "http://x/?a=b",
        "empty": "",
        "quoted": "3",
    }


@pytest.mark.parametrize("text", ["top_k", "=3", "a b=3"])
def test_what_is_no_setting_is_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match="key=value"):
        settings_of([text])


def test_what_is_not_said_is_none() -> None:
    assert wiring_of([], [], []) == NO_WIRING
