"""A card in HTML and in text: what it says in each state, and what it never does. No service is needed for it."""

from __future__ import annotations

import ast
import html
import json
import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from portico import card
from portico.card import programs, render
from portico.card.state import CallState, CardState
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
    assert {name for name in imported if name.startswith("portico")} == {"portico.card", "portico.card.state"}


def test_what_a_card_gives_to_paste_is_one_argument_and_one_text() -> None:
    live = a_card(url="http://hub.test/$(id);'x'&y/", kind="chat", access="public", models=('a" + evil() + "', "b"))
    calls = [node for node in ast.walk(ast.parse(programs.openai_snippet(live))) if isinstance(node, ast.Call)]
    given = {
        word.arg: word.value.value for call in calls for word in call.keywords if isinstance(word.value, ast.Constant)
    }
    assert given == {"base_url": live.url + "v1", "api_key": "none", "model": live.models[0]}
    assert shlex.split(programs.curl(live)) == ["curl", "http://hub.test/$(id);'x'&y/v1/models"]


FLATS = a_card(
    name="flats",
    kind="functions",
    how="functions predict, explain",
    tools=("predict", "explain"),
    call=CallState(path="predict/run", body='{"area": 1.0, "city": "Bern\'s"}'),
    url="http://hub.test/$(id);'x'&y/",
)


def test_how_functions_are_called_is_one_argument_and_one_text() -> None:
    words = shlex.split(programs.curl(FLATS))
    assert words[:2] == ["curl", FLATS.url + "predict/run"]
    assert words[-1] == FLATS.call.body if FLATS.call else ""
    assert "Content-Type: application/json" in words
    assert "Authorization: Bearer $PORTICO_KEY" in words
    command = ["claude", "mcp", "add", "--transport", "http", "flats", FLATS.url + "mcp"]
    assert shlex.split(programs.claude_code(FLATS)) == [*command, "--header", "Authorization: Bearer $PORTICO_KEY"]
    assert shlex.split(programs.claude_code(replace(FLATS, access="public"))) == command
    code, flag, server = shlex.split(programs.vs_code(FLATS))
    assert (code, flag) == ("code", "--add-mcp")
    assert json.loads(server) == {
        "name": "flats",
        "type": "http",
        "url": FLATS.url + "mcp",
        "headers": {"Authorization": "Bearer ${env:PORTICO_KEY}"},
    }
    assert "headers" not in json.loads(shlex.split(programs.vs_code(replace(FLATS, access="public")))[2])


def test_files_are_sent_as_a_form() -> None:
    call = CallState(path="run", body='{"size": 64, "name": "a b", "on": true}', files=("photo",))
    words = shlex.split(programs.curl(a_card(kind="functions", call=call, access="public")))
    assert words[2:] == ["-F", "photo=@photo", "-F", "size=64", "-F", "name=a b", "-F", "on=true"]


@BOTH
def test_functions_say_what_they_are_and_how_programs_and_agents_call_them(show: Any) -> None:
    shown = html.unescape(show(replace(FLATS, docs_url=FLATS.url + "docs", remarks=("Not served: Flats.fit.",))))
    for part in (
        "functions predict, explain",
        "a page with a form",
        FLATS.url + "docs" if show is render.text else "/docs",
        "Not served: Flats.fit.",
        programs.curl(FLATS),
        programs.mcp_url(FLATS),
        programs.claude_code(FLATS),
        programs.vs_code(FLATS),
        programs.key_hint(FLATS),
    ):
        assert part in shown, part
    assert "OpenAI" not in shown
    assert "functions: " not in shown


@BOTH
def test_functions_that_no_agent_is_told_of_have_nothing_for_agents(show: Any) -> None:
    shown = show(replace(FLATS, tools=()))
    assert "mcp" not in shown
    assert "MCP" not in shown
    assert "predict/run" in shown


@BOTH
def test_pages_of_functions_are_not_their_authors(show: Any) -> None:
    """What a result shows is in a frame without an origin, so a public service of functions needs no warning."""
    assert "Jupyter's own origin" not in show(replace(FLATS, access="public"))
    assert "Jupyter's own origin" in html.unescape(show(a_card(access="public")))


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
    source = Path(render.__file__).read_text("utf-8") + Path(programs.__file__).read_text("utf-8")
    assert (f"service.{field}" in source) is (field not in ("origins", "requests"))


PIPELINE = a_card(
    kind="pipeline",
    how="DocsQA: form and chat",
    models=("docs_qa",),
    tools=("docs_qa",),
    call=CallState(path="run", body='{"question": "text"}'),
)


@BOTH
def test_a_pipeline_says_how_programs_chat_clients_and_agents_call_it(show: Any) -> None:
    shown = html.unescape(show(PIPELINE))
    for said in ("DocsQA: form and chat", "a page to try it on", PIPELINE.url + "run", PIPELINE.url + "mcp"):
        assert said in shown
    assert PIPELINE.url + "v1" in shown
    assert "docs_qa" in shown
    assert "pipeline: " not in shown
    assert "Jupyter's own origin" not in html.unescape(show(a_card(kind="pipeline", how="x", access="public"))), (
        "its pages are Portico's own"
    )


@BOTH
def test_a_pipeline_that_only_talks_or_never_does(show: Any) -> None:
    talks = html.unescape(show(a_card(kind="pipeline", how="x: chat", models=("cat",))))
    assert "v1/models" in talks
    assert "/mcp" not in talks
    silent = show(a_card(kind="pipeline", how="x: form", tools=("x",), call=PIPELINE.call))
    assert "v1" not in silent
