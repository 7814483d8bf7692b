"""A card in HTML and in text: what it says in each state, and what it never does. No service is needed for it."""

from __future__ import annotations

import ast
import shlex
from dataclasses import fields, replace
from pathlib import Path

import pytest

from portico import card
from portico.card import render
from portico.card.state import CardState
from tests.card.cards import FAILURE, SHARE, a_card

BOTH = pytest.mark.parametrize("show", [render.text, render.html])


def test_what_is_shown_is_told_by_the_record_alone() -> None:
    imported = set()
    for path in Path(card.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
            elif isinstance(node, ast.Import):
                imported |= {name.name for name in node.names}
    assert {name for name in imported if name.startswith("portico")} == {"portico.card.state"}


def test_what_a_card_gives_to_paste_is_one_argument_and_one_text() -> None:
    live = a_card(url="http://hub.test/$(id);'x'&y/", kind="chat", access="public", models=('a" + evil() + "', "b"))
    calls = [node for node in ast.walk(ast.parse(render.openai_snippet(live))) if isinstance(node, ast.Call)]
    given = {
        word.arg: word.value.value for call in calls for word in call.keywords if isinstance(word.value, ast.Constant)
    }
    assert given == {"base_url": live.url + "v1", "api_key": "none", "model": live.models[0]}
    assert shlex.split(render.curl(live)) == ["curl", "http://hub.test/$(id);'x'&y/v1/models"]


@BOTH
def test_each_status_in_words(show: object) -> None:
    def said(**changes: str) -> str:
        return show(a_card(**changes))  # type: ignore[operator]

    assert "live since" in said()
    assert "while this kernel runs" in said()
    assert "while this process runs" in said(holder="process")
    assert "the link to the hub was lost" in said(status="reconnecting")
    assert "no room: come later" in said(status="reconnecting", error="a\nno room: come later")
    assert "stopped: it was served again" in said(status="stopped", error="it was served again")
    for status in ("starting", "stopped", "failed"):
        assert "http://hub.test/" not in said(status=status)
        assert status in said(status=status)


@BOTH
def test_a_kind_that_is_no_app_is_said(show: object) -> None:
    assert "a board of 2 columns" not in show(a_card(how="a board of 2 columns"))  # type: ignore[operator]
    shown = show(a_card(kind="board", how="a board of <2> columns"))  # type: ignore[operator]
    assert f"board: a board of {'<2>' if show is render.text else '&lt;2&gt;'} columns" in shown


@BOTH
def test_what_others_chose_is_text(show: object) -> None:
    nasty = "<script>alert(1)</script>"
    shown = show(  # type: ignore[operator]
        a_card(
            title=nasty,
            notes=(nasty,),
            failure=replace(FAILURE, summary=nasty, own=nasty, traceback=nasty, doing=nasty),
            shares=(replace(SHARE, networks=(nasty,), rate=nasty),),
        )
    )
    assert (nasty in shown) is (show is render.text)


@BOTH
def test_a_failure_says_where_and_how_often(show: object) -> None:
    shown = show(a_card(failure=replace(FAILURE, total=30)))  # type: ignore[operator]
    for part in ("ZeroDivisionError", "GET /hello, at ", "30 errors so far", "in hello"):
        assert part in shown
    assert "errors so far" not in show(a_card(failure=FAILURE))  # type: ignore[operator]


@BOTH
def test_a_link_says_who_may_open_it(show: object) -> None:
    held = replace(
        SHARE, access="key", has_password=True, networks=("10.0.0.0/8", "::1"), rate="5/s", concurrency=2, expires=2e9
    )
    shown = show(a_card(shares=(held,)))  # type: ignore[operator]
    assert "and knows the password from 10.0.0.0/8, ::1; at most 5/s, 2 at once" in shown
    assert ", open until 2033-05-1" in shown
    assert "expired at 2033-05-1" in show(a_card(shares=(replace(held, status="expired"),)))  # type: ignore[operator]
    assert SHARE.url not in show(a_card(shares=(replace(held, status="expired"),)))  # type: ignore[operator]


def test_a_preview_is_shown_in_a_frame_and_has_nothing_for_programs() -> None:
    preview = a_card(holder="tab", url="https://site.test/portico/1/app/")
    assert preview.url in render.frame(preview)
    assert "curl" not in render.text(preview) + render.html(preview)
    assert "a preview, in this browser alone" in render.text(preview)
    none = a_card(holder="tab", url="", notice="There is no preview: the page is old.")
    assert render.frame(none) == ""
    assert "the page is old" in render.text(none)
    assert render.frame(a_card()) == "", "a hub shows it"


@pytest.mark.parametrize("field", [each.name for each in fields(CardState)])
def test_all_that_is_in_a_record_is_shown_somewhere_or_is_for_what_shows_more(field: str) -> None:
    """A panel and a widget show more than a card does; what they alone show is named here."""
    source = Path(render.__file__).read_text("utf-8")
    assert (f"service.{field}" in source) is (field not in ("tools", "origins", "requests", "remarks"))
