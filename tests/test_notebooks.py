"""Every notebook is executed, cell by cell, in a real kernel of a real Jupyter server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live_jupyter import JupyterServer, Output
from tests.notebook_cells import code_cells

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def run(notebook: Path, server: JupyterServer) -> list[tuple[str, Output]]:
    """Each code cell with what it gave. The first that fails ends it."""
    kernel = server.kernel(notebook.name)
    try:
        return [(cell, kernel.execute(cell).check()) for cell in code_cells(notebook)]
    finally:
        kernel.shutdown()


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_without_an_error(notebook: Path, jupyter_server: JupyterServer):
    if notebook.stem in ("01-serve", "03-share", "04-browser", "05-pipelines"):
        pytest.skip("another test runs it, and looks closer")
    assert run(notebook, jupyter_server)


def test_serve(jupyter_server: JupyterServer):
    [notebook] = [path for path in NOTEBOOKS if path.stem == "01-serve"]
    cells = run(notebook, jupyter_server)

    def of(beginning: str) -> list[Output]:
        return [output for cell, output in cells if cell.startswith(beginning)]

    [served] = of("app_service = %serve app")
    card = served.displays[0]["data"]
    assert "/portico/apps/app/" in card["text/html"]
    assert "app is live" in card["text/plain"]
    assert "eyJ" not in card["text/html"] + card["text/plain"], "a card shows no key"
    [again] = of("httpx.get(")
    assert "no restart" in again.result
    [first] = of("import httpx")
    assert first.result == "{'hello': 'world'}"
    [redefined] = of('app = FastAPI(title="Hello again")')
    assert "answers with the new app" in redefined.text
    [chat] = of("from openai import OpenAI")
    assert chat.text == "You said: What is a portico?"
    [failed] = of('@app.get("/fail")')
    assert failed.text.startswith("500 ")
    assert "ZeroDivisionError" not in failed.text, "the visitor sees no traceback"
    [logged] = of("app_service.log[-1]")
    assert "ZeroDivisionError" in logged.result
    [listed] = of("%serve --list")
    assert [line.split()[:2] for line in listed.text.splitlines()] == [["app", "live"], ["reply", "live"]]
    [doctor] = of("%serve --doctor")
    assert "-> the kernel's own credential" in doctor.text
    assert "ok it has the Portico extension" in doctor.text


def test_share(jupyter_server: JupyterServer):
    [notebook] = [path for path in NOTEBOOKS if path.stem == "03-share"]
    cells = run(notebook, jupyter_server)

    def of(beginning: str) -> Output:
        [output] = [output for cell, output in cells if cell.startswith(beginning)]
        return output

    card = of("%serve app --share").displays[0]["data"]
    assert "/alice/apps/app/" in card["text/plain"]
    assert "open until" in card["text/plain"]
    assert "<svg" in card["text/html"], "the QR code"
    opened = of("import httpx").text
    assert "Hello from a notebook" in opened
    assert opened.strip().endswith("401"), "private on the Jupyter server"
    assert "Hello again" in of("httpx.get(link.url)").result
    for guarded in ("link = service.share(password=", 'link = service.share(access="key")'):
        assert of(guarded).text == "without it: 401\nwith it: Hello again\n"
    assert of('print("the link:"').text == "the link: 401\nthe service: live\n"
    assert "called by nobody known\nHello again" in of("import portico").text
    assert "{'doubled': 42}" in of("async def double").text


def test_pipelines(jupyter_server: JupyterServer):
    [notebook] = [path for path in NOTEBOOKS if path.stem == "05-pipelines"]
    cells = run(notebook, jupyter_server)

    def of(beginning: str) -> list[Output]:
        return [output for cell, output in cells if cell.startswith(beginning)]

    [live] = of("%serve pipe")
    assert "Pipeline: form" in live.displays[0]["data"]["text/plain"]
    [first] = of("import httpx")
    assert first.result == "'Answer in one word: Why?'"
    [anew] = of('answer_of(pipe_service, "Why?")')
    assert anew.result == "'In two words: Why?'"
    [wrapper] = of("%serve Website() --name website")
    assert "Website: form and chat" in wrapper.displays[0]["data"]["text/plain"]
    [ran] = of("website = client_of(service)")
    assert ran.result == "{'result': 'At length: Portico'}"
    [streamed] = of("from openai import OpenAI")
    assert streamed.text.strip() == "At |length: |streams |that |come |in |pieces"
    [brief] = of("%serve Website --name brief")
    assert brief.result == "{'result': 'Briefly: Portico'}"
    [agent] = of("reply = OpenAI(")
    assert agent.result == "'I am an agent.'"
    [folder] = of("import socket")
    assert "['shout', 'greet']" in folder.text or "['greet', 'shout']" in folder.text
    [both] = of("print(httpx.post(")
    assert "{'result': 'HELLO!'}" in both.text
    assert "{'result': {'prompt': {'prompt': 'Hello, Ada!'}}}" in both.text
    [deployed] = of("!{sys.executable} -m portico pipeline undeploy")
    assert "'shout' successfully undeployed" in deployed.text
    assert "'loud' successfully deployed" in deployed.text
    [ended] = of("server.terminate()")
    assert ended.result == "0"
