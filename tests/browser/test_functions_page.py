"""The page of typed functions: forms are filled in, functions are called, and results and failures are shown."""

from __future__ import annotations

import datetime
import decimal
import enum
import io
import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Required
from urllib.parse import urlencode

import numpy
import pytest
from playwright.sync_api import Browser, BrowserContext, Route, expect
from pydantic import BaseModel, Field, Json, SecretStr, TypeAdapter
from typing_extensions import TypedDict

from tests.browser import chromium
from tests.browser.functions_page import Functions
from tests.browser.functions_served import ALL, GATE, House, predict, server_of, serving
from tests.waiting import eventually


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with serving() as house:
        yield house


@pytest.fixture(autouse=True)
def all_functions(house: House) -> Iterator[None]:
    GATE.new()
    house.app = server_of(ALL)
    house.access = "anonymous"
    yield
    GATE.more.set()


@pytest.fixture
def page(visitor: BrowserContext, house: House) -> Functions:
    return Functions(visitor, house)


# --- a form, and what it sends ----------------------------------------------------------------------------------------


def test_a_function_is_called_with_what_is_entered(visitor: BrowserContext, house: House) -> None:
    house.app = server_of({"predict": predict})
    page = Functions(visitor, house)
    expect(page.page.get_by_role("heading", level=1)).to_have_text("flats")
    expect(page.page.get_by_role("tablist", name="Functions")).to_have_count(0)
    expect(page.panel).to_contain_text("Price of a flat.")
    expect(page.field("area")).to_contain_text("square metres")
    assert page.control("rooms").input_value() == "2"
    page.control("area").fill("80.50")
    page.control("rooms").fill("3")
    page.control("city").select_option("Basel")
    page.control("balcony").check()
    page.control("note").fill("by <b>the</b> lake")
    assert page.called() == {
        "area": 80.5,
        "rooms": 3,
        "city": "Basel",
        "balcony": True,
        "floor": None,
        "note": "by <b>the</b> lake",
    }
    page.control("floor").fill("0")
    assert page.called()["floor"] == 0
    page.button("Reset").click()
    assert page.control("area").input_value() == ""
    assert page.control("rooms").input_value() == "2"
    assert page.complaints == []


def test_dates_and_times_are_chosen_with_their_zone(page: Functions) -> None:
    page.open("moments")
    page.control("day").fill("2024-02-29")
    page.control("at").fill("2024-02-29T23:59:01")
    assert page.called() == ["2024-02-29", "2024-02-29T23:59:01", "12:30:00", "0:05:00"]
    page.control("at: time zone").select_option("UTC")
    page.control("hour").fill("08:15:00")
    page.control("pause").fill("PT2H")
    assert page.called() == ["2024-02-29", "2024-02-29T23:59:01+00:00", "08:15:00", "2:00:00"]


def test_values_of_several_parts_are_put_together(page: Functions) -> None:
    page.open("nested")
    for tag in ("one", "two", "three"):
        page.button("Add text to tags").click()
        page.page.keyboard.type(tag)
    page.button("Move up: tags 3").click()
    page.button("Remove: tags 1").click()
    page.control("pair 1").fill("7")
    page.control("pair 2").fill("x")
    page.button("Add a name to limits").click()
    page.control("limits: name 1").fill("10")
    page.control("limits: value 1").fill("5")
    page.button("Add a name to limits").click()
    page.control("limits: name 2").fill("9")
    page.control("limits: value 2").fill("6")
    page.control("pet: which kind").select_option("dog")
    page.control("name").fill("Rex")
    page.button("Add text to toys").click()
    page.page.keyboard.type("ball")
    page.control("thing: which kind").select_option("list of integer")
    page.button("Add integer to thing: list of integer").click()
    page.page.keyboard.type("4")
    page.control("tree").check()
    page.control("value").fill("1")
    page.button("Add Tree to children").click()
    page.field("tree").get_by_label("value").nth(1).fill("2")
    page.control("green").check()
    page.control("maybe").select_option("no")
    got = page.called()
    assert got == {
        "tags": ["three", "two"],
        "pair": [7, "x"],
        "limits": {"10": 5, "9": 6},
        "pet": {"kind": "dog", "name": "Rex", "toys": ["ball"]},
        "thing": [4],
        "tree": {"value": 1, "children": [{"value": 2, "children": []}]},
        "colours": ["green"],
        "grid": [],
        "maybe": False,
    }
    assert list(got["limits"]) == ["10", "9"], "in the order that they were given"


@pytest.mark.parametrize(
    ("typed", "given"),
    [
        ("hello", "hello"),
        ("3", 3),
        ('"3"', "3"),
        ("true", True),
        ('{"b": [1, null], "a": 1e3}', {"b": [1, None], "a": 1000.0}),
        ("", None),
    ],
)
def test_any_json_is_taken_and_a_text_for_what_is_none(page: Functions, typed: str, given: Any) -> None:
    page.open("echo")
    page.control("anything").fill(typed)
    if given is None:
        page.run()
        expect(page.field("anything")).to_contain_text("This is needed.")
    else:
        assert page.called()["anything"] == given


def test_numbers_keep_their_digits_and_names_their_order(page: Functions) -> None:
    page.open("echo")
    assert page.control("big").input_value() == "12345678901234567890"
    page.control("anything").fill("[98765432109876543210, 0.10]")
    page.control("exact: text").fill("123456789.123456789123456789")
    page.run()
    expect(page.output.locator("pre")).to_contain_text("98765432109876543210")
    shown = page.output.locator("pre").inner_text()
    assert '"big": 12345678901234567890' in shown
    assert "123456789.123456789123456789" in shown
    assert shown.index('"10"') < shown.index('"9"')


def test_several_lines_may_be_pasted_where_there_was_one(page: Functions, visitor: BrowserContext) -> None:
    visitor.grant_permissions(["clipboard-read", "clipboard-write"])
    page.open("text")
    page.page.evaluate("navigator.clipboard.writeText('one\\ntwo\\n')")
    page.control("what").focus()
    page.page.keyboard.press("Control+V")
    page.page.keyboard.type("three")
    page.page.keyboard.press("Control+Enter")
    expect(page.output.locator("pre").first).to_have_text("one\ntwo\nthree")


def test_values_that_are_pasted_become_a_row_each(page: Functions, visitor: BrowserContext) -> None:
    visitor.grant_permissions(["clipboard-read", "clipboard-write"])
    page.open("nested")
    page.control("thing: which kind").select_option("list of integer")
    page.button("Add integer to thing: list of integer").click()
    page.page.evaluate("navigator.clipboard.writeText('1, 2\\n3')")
    page.page.keyboard.press("Control+V")
    rows = page.field("thing").locator("ol input")
    expect(rows).to_have_count(3)
    assert [row.input_value() for row in rows.all()] == ["1", "2", "3"]


# --- files ------------------------------------------------------------------------------------------------------------


def test_files_are_chosen_dropped_and_taken_out(page: Functions, tmp_path: Path) -> None:
    page.open("files")
    for name, size in (("a.txt", 3), ("b <i>.bin", 2000), ("c.txt", 5)):
        (tmp_path / name).write_bytes(b"x" * size)
    page.control("papers").set_input_files([tmp_path / "a.txt", tmp_path / "b <i>.bin"])
    page.page.evaluate(DROP, ["papers", "c.txt", "xxxxx"])
    listed = page.field("papers").locator(".files li")
    expect(listed).to_have_count(3)
    expect(listed.nth(1)).to_contain_text("b <i>.bin")
    expect(listed.nth(1)).to_contain_text("2.0 KiB")
    page.button("Take out a.txt").click()
    page.control("note").fill("not \u00fcber")
    assert page.called() == {"papers": [2000, 5], "photo": None, "note": "not \u00fcber"}
    page.control("photo").set_input_files(tmp_path / "a.txt")
    page.control("photo").set_input_files(tmp_path / "c.txt")
    assert page.called()["photo"] == 5, "one file takes the place of another"


DROP = """([name, file, text]) => {
  const data = new DataTransfer()
  data.items.add(new File([text], file))
  const zone = document.querySelector(`.field[data-name="${name}"] .zone`)
  for (const type of ['dragover', 'drop']) {
    zone.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }))
  }
}"""


def test_a_file_is_needed_where_there_is_no_default(page: Functions) -> None:
    page.open("files")
    page.run()
    expect(page.field("papers")).to_contain_text("This is needed.")
    expect(page.control("papers")).to_be_focused()


CSV = "city,price\nBern,1\nBern,3\nBasel,5\n"


@pytest.mark.parametrize("how", ["CSV", "cells", "JSON", "file"])
def test_a_table_is_pasted_or_chosen(page: Functions, how: str) -> None:
    page.open("table")
    if how == "file":
        file = {"name": "prices.csv", "mimeType": "text/csv", "buffer": CSV.encode()}
        page.control("data: file").set_input_files(files=[file])  # type: ignore[list-item]
        expect(page.control("data")).to_be_hidden()
    elif how == "JSON":
        page.control("data").fill('[{"city": "Bern", "price": 2}, {"city": "Basel", "price": 5}]')
    else:
        page.control("data").fill(CSV if how == "CSV" else CSV.replace(",", "\t"))
        assert page.field("data").locator(".preview td").all_inner_texts()[:2] == ["Bern", "1"]
    page.run()
    shown = page.output.frame_locator("iframe").locator("table")
    expect(shown).to_contain_text("Basel")
    page.output.get_by_role("tab", name="JSON").click()
    assert page.json() == [{"city": "Basel", "price": 5.0}, {"city": "Bern", "price": 2.0}]


@pytest.mark.parametrize("typed", ["[[1, 2], [3, 4]]", "1 2\n3 4", "1,2\r\n3,4\r\n"])
def test_an_array_is_typed_as_json_or_as_numbers(page: Functions, typed: str) -> None:
    page.open("array")
    page.control("values").fill(typed)
    assert page.called() == {"shape": [2, 2], "sum": 10.0}


def test_an_array_is_chosen_as_a_file(page: Functions) -> None:
    stored = io.BytesIO()
    numpy.save(stored, numpy.ones((3, 5)))
    page.open("array")
    file = {"name": "a.npy", "mimeType": "", "buffer": stored.getvalue()}
    page.control("values: file").set_input_files(files=[file])  # type: ignore[list-item]
    assert page.called() == {"shape": [3, 5], "sum": 15.0}


def test_a_picture_is_shown_before_it_is_sent(page: Functions) -> None:
    page.open("files")
    picture = {"name": "dot.svg", "mimeType": "image/svg+xml", "buffer": b"<svg xmlns='http://www.w3.org/2000/svg'/>"}
    page.control("photo").set_input_files(files=[picture])  # type: ignore[list-item]
    expect(page.field("photo").locator(".files img")).to_be_visible()


# --- what is wrong ----------------------------------------------------------------------------------------------------


def test_what_is_wrong_is_said_at_its_field_before_anything_is_sent(page: Functions) -> None:
    sent: list[str] = []
    page.page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.control("rooms").fill("13")
    page.run()
    expect(page.field("area")).to_contain_text("This is needed.")
    expect(page.field("rooms")).to_contain_text("Give 12 or less.")
    expect(page.control("area")).to_be_focused()
    expect(page.control("area")).to_have_attribute("aria-invalid", "true")
    assert page.control("area").evaluate("node => node.ariaDescribedByElements.at(-1).textContent") == "This is needed."
    expect(page.said).to_have_text("2 fields need another value.")
    for wrong, why in (("1,5", "not a number"), ("0", "more than 0"), ("x", "not a number")):
        page.control("area").fill(wrong)
        page.run()
        expect(page.field("area")).to_contain_text(why)
    assert sent == []
    page.control("area").fill("1.5")
    page.control("rooms").fill("12")
    assert page.called()["area"] == 1.5
    expect(page.control("area")).not_to_have_attribute("aria-invalid", "true")


def test_what_the_server_finds_wrong_is_said_at_its_field(page: Functions) -> None:
    page.open("nested")
    page.button("Add text to tags").click()
    page.page.keyboard.type("a")
    page.control("pair 1").fill("1")
    page.control("pair 2").fill("x")
    page.control("pet: which kind").select_option("dog")
    page.control("name").fill("Rex")
    answer = {
        "detail": [
            {"type": "x", "loc": ["body", "tags", 0], "msg": "Wrong tag"},
            {"type": "x", "loc": ["body", "pet", "dog", "name"], "msg": "Wrong name"},
            {"type": "x", "loc": ["body", "thing", "str"], "msg": "No text"},
            {"type": "x", "loc": ["body", "thing", "int"], "msg": "No <i>integer</i>"},
            {"type": "x", "loc": ["body", "elsewhere", 3], "msg": "What is this?"},
        ]
    }
    page.page.route("**/nested/run", lambda route: route.fulfill(status=422, json=answer))
    page.run()
    expect(page.field("tags").locator("ol .error")).to_have_text("Wrong tag")
    expect(page.field("pet").locator(".field[data-name=name] .error")).to_have_text("Wrong name")
    expect(page.field("thing")).to_contain_text("No <i>integer</i>")
    expect(page.field("thing")).not_to_contain_text("No text")
    expect(page.panel).to_contain_text("elsewhere.3: What is this?")
    expect(page.control("tags 1")).to_be_focused()


def test_a_422_of_pydantic_itself_finds_its_field(page: Functions) -> None:
    page.open("moments")
    page.control("day").fill("2024-02-29")
    page.control("at").fill("2024-02-29T10:00:00")
    page.control("pause").fill("soon")
    page.run()
    expect(page.field("pause").locator(".error")).to_be_visible()
    expect(page.control("pause")).to_be_focused()


@pytest.mark.parametrize(
    ("status", "says", "advice"),
    [
        (401, "This is not served any more, or you are not signed in.", "Load this page again"),
        (403, "as was asked for", "Ask whoever serves it for access"),
        (404, "as was asked for", "Load this page again"),
        (413, "as was asked for", "Send less"),
        (429, "as was asked for", "Try again in 7 seconds."),
        (500, "as was asked for", ""),
        (503, "as was asked for", "Try again in 7 seconds."),
    ],
)
def test_a_refusal_says_what_it_means_and_what_to_do(page: Functions, status: int, says: str, advice: str) -> None:
    page.open("checked")
    page.control("text").fill(str(status))
    page.run()
    expect(page.output).to_contain_text(says)
    expect(page.output).to_contain_text(advice)
    expect(page.said).to_contain_text(says)
    expect(page.button("Run")).to_be_enabled()


def test_an_exception_is_told_in_its_words_and_as_text(page: Functions) -> None:
    page.open("fails")
    page.control("why").fill("<img src=x onerror=alert(1)>")
    page.run()
    expect(page.output).to_contain_text("ValueError: <img src=x onerror=alert(1)>")
    assert page.page.locator("img").count() == 0


def test_a_lost_connection_is_told(page: Functions) -> None:
    page.control("area").fill("1")
    page.page.route("**/predict/run", lambda route: route.abort())
    page.run()
    expect(page.output).to_contain_text("The server cannot be reached.")
    page.page.unroute_all()
    assert page.called()["area"] == 1, "and it can be tried again"


def test_a_result_is_not_shown_beside_values_that_were_refused(page: Functions) -> None:
    page.control("area").fill("1")
    assert page.called()["area"] == 1
    page.control("area").fill("much")
    page.run()
    expect(page.control("area")).to_have_attribute("aria-invalid", "true")
    expect(page.output).to_be_hidden()


def test_a_login_that_ended_is_told(page: Functions) -> None:
    """A hub sends browsers that are not signed in any more to a login: that page is no answer."""
    page.control("area").fill("1")
    headers = {"location": "/login"}
    page.page.route("**/predict/run", lambda route: route.fulfill(status=302, headers=headers))
    page.run()
    expect(page.output).to_contain_text("You are not signed in any more.")


# --- calls that take their time ---------------------------------------------------------------------------------------


def test_how_far_a_call_is_shows_while_it_runs(page: Functions) -> None:
    page.open("train")
    page.run()
    bar = page.panel.get_by_role("progressbar")
    expect(bar).to_have_js_property("value", 1)
    expect(bar).to_have_js_property("max", 4)
    expect(page.panel.locator(".message")).to_have_text("1 of 4, loss <b>0.5</b>")
    expect(page.panel).to_have_attribute("aria-busy", "true")
    expect(page.button("Run")).to_be_disabled()
    expect(page.panel.locator(".time")).to_have_text(re.compile(r"^0\.[1-9] s|^[1-9]"))
    GATE.more.set()
    expect(page.output).to_contain_text("learnt")
    expect(bar).to_be_hidden()
    expect(page.said).to_have_text("The result is there.")


def test_pieces_are_shown_as_they_come_and_as_text(page: Functions) -> None:
    page.open("tell")
    page.control("prompt").fill("Once")
    page.run()
    pieces = page.output.locator(".pieces")
    expect(pieces).to_contain_text("Once .")  # the first is shown before the last is made: GATE.more comes after this
    expect(page.output.locator(".stream")).to_have_attribute("aria-busy", "true")
    GATE.more.set()
    expect(pieces).to_contain_text('{"word":1}\n<img src=x onerror=alert(1)>')
    expect(page.output.locator(".stream")).to_have_attribute("aria-busy", "false")
    assert page.page.locator("img").count() == 0


@pytest.mark.parametrize("how", ["button", "Escape"])
def test_cancelling_closes_the_generator_and_keeps_what_came(page: Functions, how: str) -> None:
    page.open("tell")
    page.control("prompt").fill("Once")
    page.run()
    expect(page.output).to_contain_text("Once .")
    if how == "button":
        page.button("Cancel").click()
    else:
        page.page.keyboard.press("Escape")
    expect(page.output).to_contain_text("Cancelled.")
    expect(page.output).to_contain_text("Once")
    expect(page.button("Cancel")).to_be_hidden()
    expect(page.button("Run")).to_be_focused()
    assert GATE.closed.wait(10), "the visitor has left, so the generator is closed"


def test_a_generator_that_fails_is_told_below_what_came(page: Functions) -> None:
    page.open("tell")
    page.control("prompt").fill("fail")
    page.run()
    expect(page.output).to_contain_text("fail .")
    GATE.more.set()
    expect(page.output).to_contain_text("ValueError: no more words")
    expect(page.output.locator(".pieces")).to_contain_text("fail .")


def test_run_is_pressed_once_a_call(page: Functions) -> None:
    page.open("wait")
    page.run()
    assert GATE.begun.wait(10)
    for _ in range(3):
        page.page.keyboard.press("Control+Enter")
    GATE.more.set()
    expect(page.output).to_contain_text("waited")
    assert GATE.calls == 1


def test_a_call_goes_on_while_another_function_is_looked_at(page: Functions) -> None:
    page.open("wait")
    page.run()
    assert GATE.begun.wait(10)
    page.page.get_by_role("tab", name="Rows").click()
    page.run()
    expect(page.output.get_by_role("tab", name="Table")).to_be_visible()
    GATE.more.set()
    page.page.get_by_role("tab", name="Wait").click()
    expect(page.output).to_contain_text("waited")


# --- results ----------------------------------------------------------------------------------------------------------


def test_a_table_can_be_looked_at_as_json_and_downloaded(page: Functions) -> None:
    page.open("rows")
    page.control("count").fill("250")
    page.run()
    table = page.output.get_by_role("table")
    expect(table.locator("tbody tr")).to_have_count(200)
    assert table.locator("thead th").all_inner_texts() == ["city", "price", "sold"]
    assert table.locator("tbody tr").first.locator("td").all_inner_texts() == ["city 0, <b>", "0.0", ""]
    expect(page.output).to_contain_text("the first 200 of 250 rows")
    with page.page.expect_download() as got:
        page.button("Download").click()
    assert got.value.suggested_filename == "rows.csv"
    lines = Path(got.value.path()).read_text("utf-8").split("\n")
    assert lines[:2] == ["city,price,sold", '"city 0, <b>",0.0,']
    assert len(lines) == 251
    page.output.get_by_role("tab", name="JSON").click()
    assert len(page.json()) == 250
    with page.page.expect_download() as got:
        page.button("Download").click()
    assert got.value.suggested_filename == "rows.json"
    assert len(json.loads(Path(got.value.path()).read_text("utf-8"))) == 250


def test_a_result_is_copied(page: Functions, visitor: BrowserContext) -> None:
    visitor.grant_permissions(["clipboard-read", "clipboard-write"])
    page.open("text")
    page.control("what").fill("a <b>text</b>")
    page.run()
    page.output.get_by_role("button", name="Copy").click()
    expect(page.said).to_have_text("Copied.")
    assert page.page.evaluate("navigator.clipboard.readText()") == "a <b>text</b>"
    page.output.get_by_role("tab", name="JSON").click()
    page.output.get_by_role("button", name="Copy").click()
    eventually(lambda: page.page.evaluate("navigator.clipboard.readText()") == '"a <b>text</b>"')


def test_what_is_too_long_to_show_says_so_and_is_downloaded_whole(page: Functions) -> None:
    page.open("text")
    page.control("what").evaluate("node => { node.value = 'x'.repeat(1_000_000) }")
    page.run()
    expect(page.output).to_contain_text("This is how it begins. Download it to see all.")
    assert len(page.output.locator("pre:visible").inner_text()) == 300_000
    with page.page.expect_download() as got:
        page.button("Download").click()
    assert Path(got.value.path()).stat().st_size == 1_000_000


# --- the last calls, and links ----------------------------------------------------------------------------------------


def test_the_last_calls_can_be_run_again_and_come_back_into_the_form(page: Functions) -> None:
    for area in ("1", "2"):
        page.control("area").fill(area)
        page.control("note").fill(f"note {area}")
        page.called()
    page.page.get_by_role("tab", name="Fails").click()
    page.run()
    expect(page.output).to_contain_text("no reason")
    page.page.get_by_text("Last calls").click()
    rows = page.page.locator(".past li")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text("failed")
    rows.nth(2).get_by_role("button", name="Edit").click()
    assert page.control("area").input_value() == "1"
    assert page.control("note").input_value() == "note 1"
    expect(page.control("area")).to_be_focused()
    rows.nth(1).get_by_role("button", name="Run again").click()
    expect(page.output).to_contain_text("note 2")
    expect(rows).to_have_count(4)
    page.page.reload()
    page.page.get_by_text("Last calls").click()
    expect(rows).to_have_count(4)
    page.page.get_by_role("button", name="Forget them").click()
    expect(page.page.get_by_role("heading", name="Last calls")).to_be_hidden()


def test_files_come_back_with_their_call_but_not_over_a_reload(page: Functions) -> None:
    page.open("files")
    page.control("papers").set_input_files(files=[{"name": "a.txt", "mimeType": "text/plain", "buffer": b"abc"}])  # type: ignore[list-item]
    page.called()
    page.button("Reset").click()
    expect(page.field("papers").locator(".files li")).to_have_count(0)
    page.page.get_by_text("Last calls").click()
    row = page.page.locator(".past li").first
    expect(row).to_contain_text("a.txt")
    row.get_by_role("button", name="Run again").click()
    expect(page.page.locator(".past li")).to_have_count(2)
    expect(page.field("papers").locator(".files li")).to_have_count(1)
    page.page.reload()
    page.page.get_by_text("Last calls").click()
    expect(row.get_by_role("button", name="Run again")).to_be_disabled()


def test_a_secret_is_neither_shown_nor_stored(page: Functions) -> None:
    page.open("unlock")
    secret = page.control("password")
    assert secret.get_attribute("type") == "password"
    secret.fill("correct horse")
    page.control("door").fill("front")
    page.run()
    expect(page.output).to_contain_text("front, 13")
    page.page.get_by_text("Last calls").click()
    expect(page.page.locator(".past li")).to_contain_text("password=…")
    assert "correct horse" not in page.page.evaluate("JSON.stringify({ ...sessionStorage })")
    page.button("Reset").click()
    page.page.locator(".past").get_by_role("button", name="Run again").click()
    expect(page.page.locator(".past li")).to_have_count(2)
    expect(page.output).to_contain_text("front, 13")


def test_a_file_that_is_dropped_beside_its_field_leaves_the_page_there(page: Functions) -> None:
    stopped = page.page.evaluate("""() => ['dragover', 'drop'].map(type =>
      !document.body.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true })))""")
    assert stopped == [True, True]


def test_a_link_fills_in_the_form_and_runs_nothing(page: Functions) -> None:
    sent: list[str] = []
    page.page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.open("predict?area=80.5&city=Basel&balcony=true&floor=3&note=5%25%20%3Cb%3E&nobody=1&rooms=x")
    assert page.control("area").input_value() == "80.5"
    assert page.control("city").input_value() == "1"
    assert page.control("balcony").is_checked()
    assert page.control("note").input_value() == "5% <b>"
    assert page.control("rooms").input_value() == "x", "what is wrong is shown as it is, to be put right"
    expect(page.said).to_contain_text("Nothing has run.")
    page.open(
        'nested?tags=a&tags=b&pair=[1,"x"]&pet={"kind":"dog","name":"Rex"}&colours=red&limits={"a":1}&thing=[1,2]'
    )
    got = page.called()
    assert got["tags"] == ["a", "b"]
    assert got["pet"] == {"kind": "dog", "name": "Rex", "toys": []}
    assert (got["pair"], got["colours"], got["limits"], got["thing"]) == ([1, "x"], ["red"], {"a": 1}, [1, 2])
    page.page.evaluate("location.hash = '#text?what=later'")
    expect(page.control("what")).to_have_value("later")
    page.open("nobody?x=1")
    expect(page.page.get_by_role("tab", name="Predict")).to_have_attribute("aria-selected", "true")
    assert len(sent) == 1, "Run was pressed once"
    assert page.complaints == []


def test_the_address_names_the_function_that_is_shown(page: Functions) -> None:
    page.page.get_by_role("tab", name="Rows").click()
    assert page.page.url.endswith("#rows")
    page.page.reload()
    expect(page.page.get_by_role("tab", name="Rows")).to_have_attribute("aria-selected", "true")


def test_the_urls_for_programs_are_copied(page: Functions, visitor: BrowserContext, house: House) -> None:
    visitor.grant_permissions(["clipboard-read", "clipboard-write"])
    page.page.get_by_role("button", name="Copy the URL of the tools").click()
    expect(page.said).to_have_text("Copied.")
    assert page.page.evaluate("navigator.clipboard.readText()") == f"{house.url}mcp"
    page.page.get_by_role("button", name="Copy the URL of the API").click()
    eventually(lambda: page.page.evaluate("navigator.clipboard.readText()") == house.url)
    for name, path in (("API docs", "docs"), ("OpenAPI", "openapi.json")):
        link = page.page.get_by_role("link", name=name, exact=True)
        assert link.evaluate("link => link.href") == house.url + path


def test_the_page_works_without_the_slash_at_its_end(visitor: BrowserContext, house: House) -> None:
    with chromium.visitor(visitor.browser or pytest.fail("no browser")) as other:
        tab = other.new_page()
        tab.goto(house.url.rstrip("/"))
        tab.get_by_label("area", exact=True).fill("3")
        tab.get_by_role("button", name="Run", exact=True).click()
        expect(tab.locator(".output")).to_contain_text('"area": 3')


def test_the_page_needs_no_storage(browser: Browser, house: House) -> None:
    with chromium.visitor(browser) as visitor:
        visitor.add_init_script("Object.defineProperty(window, 'sessionStorage', { get() { throw new Error('no') } })")
        page = Functions(visitor, house)
        page.control("area").fill("1")
        page.called()
        page.page.get_by_text("Last calls").click()
        expect(page.page.locator(".past li")).to_have_count(1)


# --- every type -------------------------------------------------------------------------------------------------------


class Endless(BaseModel):
    """Cannot be given: it needs another of its own kind, without end."""

    inner: Endless


class Left(BaseModel):
    kind: Literal["left"]
    inner: Left | Right


class Right(BaseModel):
    kind: Literal["right"]
    inner: Left | Right | None = None


@dataclass
class Point:
    x: float
    y: float = 0.5
    label: str | None = None


class Size(TypedDict, total=False):
    width: Required[int]
    height: int


class Pair(NamedTuple):
    first: int
    second: str = "x"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


TYPES: list[tuple[Any, Any]] = [
    (Endless, None),
    (Left | Right, {"kind": "left", "inner": {"kind": "right", "inner": {"kind": "right"}}}),
    (Point, {"x": 1.5, "y": 2.0, "label": None}),
    (Point | None, None),
    (list[Point], [{"x": 1.0, "y": 0.5, "label": "a"}]),
    (dict[str, list[Point]], {"a": [{"x": 1.0, "y": 0.5, "label": None}]}),
    (Size, {"width": 3}),
    (Pair, [1, "a"]),
    (Level, 2),
    (Level | None, 1),
    (Literal[1, "1", True, None], "1"),
    (list[Literal["a", "b"]], ["b", "a"]),
    (set[int], [1, 2]),
    (tuple[int, ...], [1, 2, 3]),
    (tuple[int, str, bool | None], [1, "a", None]),
    (dict[int, float | None], {"1": 2.5, "2": None}),
    (list[int | None], [1, None]),
    (list[str | int], ["1", 1]),
    (list[list[list[int]]], [[[1], []], []]),
    (dict[str, Any], {"a": [1, {"b": None}]}),
    (list[Any], [1, "a", None, {}]),
    (int | float | str | bool | None, "a"),
    (bool | int, True),
    (Path | None, None),
    (uuid.UUID, "12345678-1234-5678-1234-567812345678"),
    (datetime.datetime, "2024-02-29T12:00:00.123456"),
    (datetime.datetime | None, "2024-02-29T12:00:00+05:30"),
    (datetime.time, "12:00:00.250000"),
    (datetime.timedelta | None, "PT1M"),
    (decimal.Decimal | None, "1.10"),
    (Json[list[int]], "[1, 2]"),
    (SecretStr | None, "a"),
    (Annotated[str, Field(pattern="^[a-z]+$", min_length=2)], "ab"),
    (Annotated[int, Field(multiple_of=5, gt=0, lt=100)], 25),
    (Annotated[list[int], Field(min_length=2, max_length=3)], [1, 2]),
    (None, None),
    (object, {"a": 1}),
    (complex | str, "a"),
    (re.Pattern, "a+"),
    (bytes, "YQ=="),
    (list[bytes], ["YQ=="]),
]


def test_a_value_of_any_type_goes_into_its_field_and_comes_out_the_same(page: Functions, house: House) -> None:
    """A form says of a value that a link put into it what it was; and it can be looked at without one."""
    functions = []
    for number, (annotation, _) in enumerate(TYPES):
        schema = TypeAdapter(dict[str, annotation]).json_schema()
        properties = {"v": schema["additionalProperties"]}
        functions.append(
            {
                **dict.fromkeys(("title", "description"), ""),
                **dict.fromkeys(("streams", "progress", "get"), False),
                "name": f"f{number}",
                "uploads": [],
                "schema": {"properties": properties, "required": ["v"], "$defs": schema.get("$defs", {})},
            }
        )
    data = json.dumps({"title": "f", "base": "", "keyed": False, "functions": functions}).replace("<", "\\u003c")
    sent: list[Any] = []

    def run(route: Route) -> None:
        sent.append(route.request.post_data_json)
        route.fulfill(json={"result": None})

    def document(route: Route) -> None:
        answer = route.fetch()
        before, _, rest = answer.text().partition('id="functions">')
        route.fulfill(response=answer, body=f'{before}id="functions">{data}{rest[rest.index("</script>") :]}')

    page.page.route("**/run", run)
    page.page.route(house.url, document)
    page.open()
    for number, (annotation, value) in enumerate(TYPES):
        page.page.evaluate("link => { location.hash = link }", f"f{number}")
        expect(page.panel.get_by_role("heading", level=2)).to_have_text(f"f{number}")
        if value is None:
            continue
        text = value if isinstance(value, str) else json.dumps(value)
        page.page.evaluate("link => { location.hash = link }", f"f{number}?" + urlencode({"v": text}))
        expect(page.said).to_contain_text("Nothing has run.")
        with page.page.expect_request("**/run"):
            page.run()
        expect(page.output).to_contain_text("None")
        adapter = TypeAdapter(annotation)
        got = adapter.validate_json(json.dumps(sent.pop()["v"]))
        assert got == adapter.validate_json(json.dumps(value)), annotation
        assert type(got) is type(adapter.validate_json(json.dumps(value))), annotation
    assert page.complaints == []
