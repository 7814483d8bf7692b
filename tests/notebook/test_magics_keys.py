"""Keys in a notebook: made by what the card says, and not saved with it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable

import httpx
import pytest

from portico.provider.secret import Secret
from tests.live_jupyter import JupyterServer, Kernel, Output

Run = Callable[[str], Output]


def test_a_key_is_not_shown_as_a_result(run: Run, jupyter_server: JupyterServer) -> None:
    run("a = answering('a')\n%serve a --name keyed")
    shown = run("service.key('5m')").result
    assert "eyJ" not in shown
    assert "print(...) shows it" in shown
    assert "eyJ" not in run("[service.key('5m')], {'key': service.key('5m')}").result
    key = run("print(service.key('5m'))").text.strip()
    assert key.startswith("eyJ")
    answer = httpx.get(
        f"{jupyter_server.url}portico/apps/keyed/", headers={"Authorization": f"Bearer {key}"}, trust_env=False
    )
    assert answer.json() == "a"


@pytest.mark.parametrize("use", [str, "{}".format, lambda key: json.loads(json.dumps(key)), lambda key: "" + key])
def test_a_key_is_a_text(use: Callable[[Secret], str]) -> None:
    assert use(Secret("eyJ.a.b")) == "eyJ.a.b"
    assert Secret("eyJ.a.b") == "eyJ.a.b"


def test_the_cards_own_words_work_with_the_magic_alone(jupyter_server: JupyterServer) -> None:
    kernel = jupyter_server.kernel()
    try:
        kernel.execute("%load_ext portico").check()
        app = (
            "async def app(scope, receive, send):\n"
            "    if scope['type'] == 'http':\n"
            "        await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
            "        await send({'type': 'http.response.body', 'body': b'called'})\n"
        )
        card = kernel.execute(f"{app}\n%serve app --name hinted").check().displays[0]["data"]["text/plain"]
        [hint] = re.findall(r"from this notebook: (.*?\.key\(\))\.", card)
        [curl] = re.findall(r"^  (curl .*)$", card, re.MULTILINE)
        kernel.execute(hint).check()
        assert "called" in kernel.execute(f"!{curl} -s").check().text
        [by_hand] = re.findall(r"To see a key: (print\(.*\)), after (import portico);", card)
        kernel.execute("del portico").check()
        assert kernel.execute("\n".join(reversed(by_hand))).check().text.startswith("eyJ")
    finally:
        kernel.shutdown()


def test_without_a_key_the_curl_line_says_how_one_is_made(notebook: Kernel) -> None:
    card = notebook.execute("b = answering('b')\n%serve b --name unkeyed").check().displays[0]["data"]["text/plain"]
    [curl] = re.findall(r"^  (curl .*)$", card, re.MULTILINE)
    environment = {name: value for name, value in os.environ.items() if name != "PORTICO_KEY"}
    asked = subprocess.run(["sh", "-c", f"{curl} -s"], env=environment, capture_output=True, text=True, timeout=20)
    said = json.loads(asked.stdout)["error"]["message"]
    assert "Its author makes one in the notebook: service.key()" in said
