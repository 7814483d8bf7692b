"""The card: one for each run, kept true, in HTML and in plain text."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any
from urllib.error import HTTPError

import pytest

from tests.live_jupyter import Kernel, Output

Run = Callable[[str], Output]
Get = Callable[[str], object]


def html(bundle: dict[str, Any]) -> str:
    return str(bundle["data"]["text/html"])


def text(bundle: dict[str, Any]) -> str:
    return str(bundle["data"]["text/plain"])


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_one_card_for_each_run(run: Run) -> None:
    output = run("single = answering(1)\n%serve single")
    assert len(output.displays) == 1
    assert output.result == ""
    assert run("x = %serve single").displays
    assert len(run("x").displays) == 1
    (card,) = run("portico.serve(single, name='by-call')").displays
    assert "portico-card" in html(card)


def test_the_card_says_what_there_is_to_know(run: Run) -> None:
    (card,) = run("known = answering(1)\n%serve known --title 'What <b>is</b> known'").displays
    url = run("print(service.url)").text.strip()
    for shown in (html(card), text(card)):
        assert url in shown
        assert "/portico/apps/known/docs" in shown
        assert "while this kernel runs" in shown
        assert re.search(r"live since \d{4}-\d\d-\d\d \d\d:\d\d", shown)
        assert "private: open to you" in shown
        assert "$PORTICO_KEY" in shown
    assert "What &lt;b&gt;is&lt;/b&gt; known" in html(card)
    assert 'href="/portico/apps/known/"' in html(card), "a path holds under whichever host the reader came by"
    assert run('print(len(portico.service("known").key()) > 20)').text == "True\n"


def test_the_card_is_plain_html_that_needs_no_script(run: Run) -> None:
    (card,) = run("def sound(messages): return 'x'\n%serve sound --chat --access key").displays
    tags = Tags()
    tags.feed(html(card))
    assert tags.open == []
    assert tags.seen <= {"div", "span", "strong", "a", "details", "summary", "pre"}
    assert not {name for name in tags.attributes if name.startswith("on")}


def test_what_survives_in_an_untrusted_notebook_can_be_read(run: Run) -> None:
    # JupyterLab drops every declaration with a var(): what must not be lost has another before it.
    (card,) = run("plain_one = answering(1)\n%serve plain_one").displays
    kept = re.sub(r"[a-z-]+:[^;\"]*var\([^;\"]*", "", html(card))
    assert "var(" not in kept
    assert "border:1px solid" in kept
    assert "background:rgba" in kept
    assert "white-space:pre-wrap" in kept


def test_the_openai_snippet_runs(run: Run) -> None:
    (card,) = run("def copied(messages): return 'You said: ' + messages[-1]['content']\n%serve copied --chat").displays
    run("last = answering(1)\n%serve last")  # `service` means another now
    lines = text(card).splitlines()
    snippet = [line[2:] for line in lines[lines.index("  import portico") :]]
    assert run("\n".join(snippet)).text == "You said: Hello\n"


def test_the_card_of_a_chat_model_leads_to_its_page(run: Run) -> None:
    (card,) = run("def tried(messages): return 'x'\n%serve tried --chat").displays
    for shown in (html(card), text(card)):
        assert "a page to try it on" in shown
    assert 'href="/portico/apps/tried/"' in html(card)
    page = run(
        "import httpx\nshown = httpx.get(service.url, params={'portico_key': service.key()}, "
        "headers={'Accept': 'text/html'}, follow_redirects=True)\nprint(shown.status_code, '<h2' in shown.text)"
    )
    assert page.text == "200 True\n"


@pytest.mark.parametrize(("access", "note"), [("private", False), ("key", True), ("public", True)])
def test_who_opens_an_app_to_others_is_told_what_that_means(run: Run, access: str, note: bool) -> None:
    (card,) = run(f"opened = answering(1)\n%serve opened --access {access} --name opened-{access}").displays
    assert ("Open to others only what you trust" in html(card)) is note
    assert ("Open to others only what you trust" in text(card)) is note
    assert ("PORTICO_KEY" in text(card)) is (access != "public")


def updates(notebook: Kernel, of: str, until: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """The updates of cards that say *of*, up to the first that *until* holds for."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        seen = [card for card in notebook.updates if of in text(card)]
        if seen and until(seen[-1]):
            return seen
        notebook.execute("pass")  # what has come meanwhile is read with its answer
    raise AssertionError(f"the card did not become true: {seen}")


def test_a_failure_is_shown_where_it_is_and_many_do_not_flood(notebook: Kernel, run: Run, get: Get) -> None:
    run("faulty = FastAPI()\n\n@faulty.get('/')\ndef fail():\n    return 1 / 0\n%serve faulty")
    for _ in range(30):
        with pytest.raises(HTTPError, match="500"):
            get("faulty/")
    seen = updates(notebook, "faulty is live", lambda card: "30 errors so far" in text(card))
    assert len(seen) < 10
    for shown in (html(seen[-1]), text(seen[-1])):
        assert "ZeroDivisionError: division by zero" in shown
        assert "GET /, at " in shown
        assert "line 5, in fail" in shown
        assert "Cell In[" in shown
    assert "Whole traceback" in html(seen[-1])
    assert run("print(portico.service('faulty').log.total)").text == "30\n"


def test_a_stop_is_shown(notebook: Kernel, run: Run) -> None:
    run("halted = answering(1)\nto_halt = %serve halted")
    run("to_halt.stop()")
    (*_, card) = updates(notebook, "halted is stopped", lambda card: True)
    assert "href" not in html(card)


def test_cards_of_one_name_are_one_display(run: Run) -> None:
    (first,) = run("twice = answering(1)\n%serve twice").displays
    again = run("%serve twice --title Again")
    (second,) = again.displays
    assert second["transient"] == first["transient"]
    assert "Again" in html(again.updates[-1])


def test_loaded_anew_it_keeps_its_cards_true_once(notebook: Kernel, run: Run) -> None:
    count = "from portico.provider.provider import current; print(len(current().news._listeners))"
    before = run(count).text
    run("anew = answering(1)\n%serve anew")
    run("%reload_ext portico")
    assert run(count).text == before
    run("anew_service = %serve anew")
    assert run("print(len(anew_service.log._listeners))").text == "1\n"
    run("%serve anew")
    assert run("print(len(anew_service.log._listeners))").text == "0\n", "another has its name"
    run("%serve --stop anew")
    updates(notebook, "anew is stopped", lambda card: True)


def test_one_that_listens_and_fails_takes_no_card_away(notebook: Kernel, run: Run) -> None:
    run("def fails(service):\n    raise RuntimeError('not a card')")
    run("from portico.provider.provider import current\nleave = current().subscribe(fails)")
    run("beside = answering(1)\n%serve beside")
    notebook.execute("portico.service('beside').stop()")
    updates(notebook, "beside is stopped", lambda card: True)
    run("leave()")
