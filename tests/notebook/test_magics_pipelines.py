"""Pipelines in a real kernel: what ``%serve`` makes of them, how they follow their names, and what the card says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.live_jupyter import JupyterServer, Kernel, Output
from tests.notebook.test_magics_functions import card_of, now, tools

Run = Callable[[str], Output]
Post = Callable[[str, Any], tuple[int, Any]]

PIPE = """
import os
os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
from haystack import Pipeline
from haystack.components.builders import PromptBuilder

def prompting(template):
    pipe = Pipeline()
    pipe.add_component("prompt", PromptBuilder(template, required_variables=["query"]))
    return pipe

pipe = prompting("Answer {{ query }}")
"""


@pytest.fixture
def post(jupyter_server: JupyterServer) -> Post:
    """POST JSON to a path under ``portico/``; the status and the answer."""

    def post(path: str, body: Any) -> tuple[int, Any]:
        request = Request(
            f"{jupyter_server.url}portico/{path}",
            json.dumps(body).encode(),
            {"Authorization": f"token {jupyter_server.token}", "Content-Type": "application/json"},
        )
        try:
            with urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            return error.code, json.load(error)

    return post


def test_a_live_pipeline_is_served_with_its_inputs_and_outputs(
    run: Run, post: Post, jupyter_server: JupyterServer
) -> None:
    run(PIPE)
    card = card_of(run("%serve pipe --inputs question:prompt.query --outputs answer:prompt.prompt"))
    assert "Pipeline: form" in card
    assert "/portico/apps/pipe/ (a page to try it on)" in card
    assert "claude mcp add --transport http pipe http" in card
    assert post("apps/pipe/run", {"question": "me"}) == (200, {"result": {"answer": "Answer me"}})
    assert post("apps/pipe/run", {})[0] == 422
    assert tools(jupyter_server, "pipe")[0] == ["pipe"]


def test_it_follows_its_name_with_the_same_inputs(run: Run, post: Post, jupyter_server: JupyterServer) -> None:
    run(PIPE + "%serve pipe --inputs question:prompt.query --outputs answer:prompt.prompt")
    before = tools(jupyter_server, "pipe")[1]
    app = run("print(id(portico.service('pipe').app))").text
    assert "answers with the new pipe" in run("pipe = prompting('Ask {{ query }}')").text
    assert post("apps/pipe/run", {"question": "me"}) == (200, {"result": {"answer": "Ask me"}})
    assert run("print(id(portico.service('pipe').app))").text == app, "sessions of agents go on"
    assert tools(jupyter_server, "pipe")[1] == before
    output = run("pipe = Pipeline()")
    assert "the one before stays live" in output.text
    assert "prompt" in now(run, "pipe")
    assert post("apps/pipe/run", {"question": "me"}) == (200, {"result": {"answer": "Ask me"}})
    run("pipe = prompting('Say {{ query }}')")
    assert post("apps/pipe/run", {"question": "me"}) == (200, {"result": {"answer": "Say me"}})
    run("%serve pipe --inputs q:prompt.query")
    assert post("apps/pipe/run", {"q": "me"}) == (200, {"result": {"prompt": "Say me"}})


def test_by_a_program(run: Run, post: Post) -> None:
    run(PIPE + "answers = portico.pipeline(pipe, inputs={'question': 'prompt.query'})\n%serve answers")
    assert post("apps/answers/run", {"question": "me"}) == (200, {"result": {"prompt": "Answer me"}})
    run("portico.serve(pipe, 'other', inputs={'q': ['prompt.query']}, outputs={'a': 'prompt.prompt'})")
    assert post("apps/other/run", {"q": "me"}) == (200, {"result": {"a": "Answer me"}})


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("%serve pipe --inputs question", "write a name and a socket of a component, such as --inputs"),
        ("%serve pipe --inputs question:prompt.nothing", "nothing"),
        ("%serve pipe --set top_k=3", "Settings (--set) are for a wrapper's setup"),
        ("def f(a: int): ...\n%serve f --inputs a:b.c", "are for pipelines"),
    ],
)
def test_an_error_says_what_to_do_and_has_no_traceback(notebook: Kernel, cell: str, says: str) -> None:
    notebook.execute(PIPE).check()
    output = notebook.execute(cell)
    assert output.error is not None
    assert output.error[0] == "ServeError"
    assert says in output.error[1]
    assert 'File "' not in output.error[2]
