"""What the page gives to copy runs as it is, and calls the function with what is in the form."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, expect

from portico.functions.typed import FunctionOptions
from tests.browser.functions_page import Functions
from tests.browser.functions_served import ALL, GATE, House, echo, files, predict, server_of, serving

LANGUAGES = ["curl", "Python", "JavaScript"]

NASTY = 'it\'s "quoted" `id` $HOME $(id) \\ \\n % & ; | < > # é 日本 \U0001f4a5 \u2028 \u202e {x} \t</script>'


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with serving() as house:
        yield house


@pytest.fixture(autouse=True)
def all_functions(house: House) -> None:
    GATE.new()
    house.app = server_of(ALL)
    house.access = "anonymous"


@pytest.fixture
def page(visitor: BrowserContext, house: House) -> Functions:
    visitor.grant_permissions(["clipboard-read", "clipboard-write"])
    return Functions(visitor, house)


def copied(page: Functions, language: str) -> str:
    """What is copied of the program in *language*."""
    summary = page.panel.get_by_text("Use it in a program")
    if page.panel.locator("details[open] .program").count() == 0:
        summary.click()
    page.panel.get_by_role("tab", name=language, exact=True).click()
    page.page.evaluate("navigator.clipboard.writeText('')")
    page.button("Copy the program").click()
    expect(page.said).to_have_text("Copied.")
    text = page.page.evaluate("navigator.clipboard.readText()")
    assert text == page.panel.locator(".program:visible").text_content()
    return str(text)


def ran(language: str, program: str, folder: Path) -> str:
    """What *program* prints, run in *folder* as a person would run it."""
    env = os.environ | {"PORTICO_KEY": "a-key", "PYTHONIOENCODING": "utf-8"}
    if language == "curl":
        command = ["sh", "-c", program.replace("curl ", "curl -sS --fail-with-body ", 1)]
    elif language == "Python":
        (folder / "program.py").write_text(program, "utf-8")
        command = [sys.executable, "-W", "error::SyntaxWarning", "program.py"]
    else:
        (folder / "program.mjs").write_text(program, "utf-8")
        command = [shutil.which("node") or pytest.skip("Node.js is not installed"), "program.mjs"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, encoding="utf-8")
    assert done.returncode == 0, f"{program}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def result(language: str, program: str, folder: Path) -> Any:
    """The result that *program* gets; it is made to print it as JSON."""
    if language == "Python":
        program = "import json\n" + program.replace(
            'print(answer.json()["result"])', 'print(json.dumps(answer.json()["result"]))'
        )
    elif language == "JavaScript":
        program = program.replace(
            "console.log((await answer.json()).result)", "console.log(JSON.stringify((await answer.json()).result))"
        )
    told = json.loads(ran(language, program, folder))
    return told["result"] if language == "curl" else told


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_call_with_json(page: Functions, tmp_path: Path, language: str) -> None:
    page.control("area").fill("80.5")
    page.control("balcony").check()
    page.control("note").fill(NASTY)
    wanted = {"area": 80.5, "rooms": 2, "city": "Bern", "balcony": True, "floor": None, "note": NASTY}
    assert result(language, copied(page, language), tmp_path) == wanted


@pytest.mark.parametrize("language", LANGUAGES)
def test_values_keep_their_digits_their_types_and_their_names(page: Functions, tmp_path: Path, language: str) -> None:
    page.open("echo")
    anything = {NASTY: [None, True, "", 1.5, -3, {"__proto__": 1, "": []}], "a": "\u0000\u001b\r\n"}
    page.control("anything").fill(json.dumps(anything, ensure_ascii=False))
    got = result(language, copied(page, language), tmp_path)
    assert got["anything"] == anything
    if language != "JavaScript":  # whose own numbers round what the server says
        assert got["big"] == 12345678901234567890
    assert "12345678901234567890" in copied(page, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_call_with_files(page: Functions, tmp_path: Path, language: str) -> None:
    names = ["a.txt", 'it\'s "b"; c, d=1.bin']
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(b"\x00\xff" * (number + 1))
    page.open("files")
    page.control("papers").set_input_files([tmp_path / name for name in names])
    page.control("note").fill("@/etc/passwd;type=x <'\"")
    program = copied(page, language)
    assert result(language, program, tmp_path) == {"papers": [2, 4], "photo": None, "note": "@/etc/passwd;type=x <'\""}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_call_by_get(page: Functions, house: House, tmp_path: Path, language: str) -> None:
    get = FunctionOptions(get=True)
    house.app = server_of({"predict": predict, "echo": echo}, predict=get, echo=get)
    page.open("predict")
    page.control("area").fill("80.5")
    page.control("note").fill(NASTY)
    program = copied(page, language)
    assert not re.search("POST|post|-d ", program)
    assert result(language, program, tmp_path)["note"] == NASTY
    page.open("echo")
    for typed in ("3", '"3"', "[1, 2]", "word"):
        page.control("anything").fill(typed)
        page.panel.get_by_text("Use it in a program").focus()
        given = json.loads(typed) if typed != "word" else typed
        assert result(language, copied(page, language), tmp_path)["anything"] == given


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_call_that_streams(page: Functions, tmp_path: Path, language: str) -> None:
    GATE.more.set()
    page.open("tell")
    page.control("prompt").fill("Once é")
    said = ran(language, copied(page, language), tmp_path)
    assert said.startswith("Once é ")
    assert '{"word":1}\n' in said


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_key_is_named_where_it_is_needed(page: Functions, house: House, tmp_path: Path, language: str) -> None:
    assert "PORTICO_KEY" not in copied(page, language)
    house.access = "key"
    page.page.reload()
    page.control("area").fill("1")
    expect(page.panel).to_contain_text("PORTICO_KEY is a key of this service")
    program = copied(page, language)
    assert result(language, program, tmp_path)["area"] == 1
    assert house.authorization == "Bearer a-key"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_service_of_one_function(page: Functions, house: House, tmp_path: Path, language: str) -> None:
    house.app = server_of({"files": files})
    page.page.reload()
    assert f"{house.url}run" in copied(page, language)


def test_programs_follow_what_is_entered(page: Functions) -> None:
    copied(page, "curl")
    code = page.panel.locator(".program:visible")
    page.control("note").fill("one")
    expect(code).to_contain_text('"note": "one"')
    page.control("rooms").fill("5")
    expect(code).to_contain_text('"rooms": 5')
    page.control("rooms").fill("five")
    expect(code).not_to_contain_text("rooms")
