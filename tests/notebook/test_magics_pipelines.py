"""Pipelines in a real kernel: what ``%serve`` makes of them, how they follow their names, and what the card says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.live_jupyter import JupyterServer, Kernel, Output
from tests.notebook.conftest import Post, poster
from tests.notebook.test_magics_functions import card_of, now, tools

Run = Callable[[str], Output]

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
    return poster(jupyter_server, "portico/")


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


WRAPPER = """
from portico.pipelines import BasePipelineWrapper

class DocsQA(BasePipelineWrapper):
    def setup(self, word: str = "meow") -> None:
        print("set up with", word)
        self.word = word

    def run_api(self, question: str) -> str:
        return f"{self.word} {question}"

    def run_chat_completion(self, model: str, messages: list[dict], body: dict):
        yield self.word
        yield " " + messages[-1]["content"]

    def run_response(self, model: str, input_items: list[dict], body: dict) -> str:
        return f"{self.word} response"
"""

HELLO = [{"role": "user", "content": "hello"}]


def test_a_wrapper_is_a_form_a_tool_and_a_model_of_the_one_base_url(
    run: Run, post: Post, jupyter_server: JupyterServer
) -> None:
    output = run(WRAPPER + "%serve DocsQA()")
    card = card_of(output)
    assert output.text.count("set up with meow") == 1
    assert "DocsQA: form and chat" in card
    assert "/portico/apps/docs-qa/v1, model docs-qa" in card
    assert post("apps/docs-qa/run", {"question": "me", "more": 1}) == (200, {"result": "meow me"})
    for path in ("v1/chat/completions", "apps/docs-qa/v1/chat/completions", "apps/docs-qa/chat"):
        status, answer = post(path, {"model": "docs-qa", "messages": HELLO})
        assert (status, answer["choices"][0]["message"]["content"]) == (200, "meow hello")
    shown = jupyter_server.api("GET", "portico/api/services/docs-qa")
    assert (shown["kind"], shown["models"], shown["tools"]) == ("pipeline", ["docs-qa"], ["docs-qa"])


def test_running_the_cell_again_swaps_in_place(run: Run, post: Post, jupyter_server: JupyterServer) -> None:
    run(WRAPPER + "%serve DocsQA() --name swapped")
    _, stored = post("v1/responses", {"model": "swapped", "input": "hello"})
    assert stored["output"][0]["content"][0]["text"] == "meow response"
    run(WRAPPER.replace("meow", "woof") + "%serve DocsQA() --name swapped")
    assert post("apps/swapped/run", {"question": "me"}) == (200, {"result": "woof me"})
    kept = jupyter_server.api("GET", f"portico/v1/responses/{stored['id']}")
    assert kept["output"] == stored["output"], "what was stored is there still, by the one base URL too"
    run("%serve DocsQA --name swapped --set word=Arr")
    assert post("apps/swapped/run", {"question": "me"}) == (200, {"result": "Arr me"})


def test_the_class_follows_its_definition_with_its_settings(run: Run, post: Post) -> None:
    run(WRAPPER + '%serve DocsQA --name followed --set word="Ahoy there"')
    app = run("print(id(portico.service('followed').app))").text
    assert post("apps/followed/run", {"question": "me"}) == (200, {"result": "Ahoy there me"})
    assert "answers with the new DocsQA" in run(WRAPPER.replace("{question}", "{question}!")).text
    assert post("apps/followed/run", {"question": "me"}) == (200, {"result": "Ahoy there me!"})
    assert run("print(id(portico.service('followed').app))").text == app
    failed = run(WRAPPER.replace("self.word = word", "raise LookupError('no model')")).text
    assert "LookupError: no model" in failed
    assert "the one before stays live" in failed
    assert post("apps/followed/run", {"question": "me"}) == (200, {"result": "Ahoy there me!"})


def test_what_a_wrapper_raises_is_in_the_card_and_its_log(run: Run, post: Post) -> None:
    run(WRAPPER.replace("return f", "raise LookupError('no page')\n        return f") + "%serve DocsQA() --name raises")
    status, told = post("apps/raises/run", {"question": "me"})
    assert (status, told) == (500, {"detail": "Pipeline execution failed: no page"})
    assert "LookupError: no page" in now(run, "raises")
    assert "in run_api" in now(run, "raises")


def test_a_cell_that_was_written_for_hayhooks(run: Run, post: Post) -> None:
    theirs = WRAPPER.replace("from portico.pipelines import", "from hayhooks import").replace("DocsQA", "Theirs")
    assert "Theirs: form and chat" in card_of(run(theirs + "%serve Theirs()"))
    assert post("apps/theirs/run", {"question": "me"}) == (200, {"result": "meow me"})


def test_an_agent_is_a_chat_model(run: Run, post: Post) -> None:
    run(
        "from haystack.components.agents import Agent\n"
        "from haystack.components.generators.chat import MockChatGenerator\n"
        "helper = Agent(chat_generator=MockChatGenerator('I help.'))\n"
        "%serve helper"
    )
    status, answer = post("v1/chat/completions", {"model": "helper", "messages": HELLO})
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "I help.")
