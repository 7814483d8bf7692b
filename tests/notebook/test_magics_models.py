"""Chat models in a real kernel: lists of marked functions, many models, remarks, stored responses, and event loops."""

from __future__ import annotations

from collections.abc import Callable

from tests.live_jupyter import JupyterServer, Output
from tests.notebook.conftest import Post

Run = Callable[[str], Output]
Get = Callable[[str], object]


def ids(listed: object) -> list[str]:
    assert isinstance(listed, dict)
    return [model["id"] for model in listed["data"]]


def test_a_list_of_marked_functions_needs_no_option(run: Run, get: Get) -> None:
    run("@portico.model\ndef a(messages): return 'a'\n@portico.model('b/1')\ndef b(messages): return 'b'")
    run("%serve [a, b] --name both")
    assert ids(get("both/v1/models")) == ["a", "b/1"]
    run("portico.serve((b, a), 'pair')")
    assert ids(get("pair/v1/models")) == ["b/1", "a"]


def test_hundreds_of_models_are_carried(run: Run, get: Get) -> None:
    run("many = {f'org/model-{n}:{n}b': (lambda messages: 'x') for n in range(500)}")
    run("%serve many --chat")
    assert len(ids(get("many/v1/models"))) == 500
    assert run("print(len(service.models), service.how)").text.startswith("500 500 models, org/model-0:0b, ")


def test_more_models_than_a_link_carries_are_refused_at_once(run: Run) -> None:
    run("far = {f'{n:0199d}': (lambda messages: 'x') for n in range(500)}")
    output = run(
        "from portico.errors import InvalidOption\n"
        "try:\n    portico.serve(far, 'far', chat=True)\nexcept InvalidOption as error:\n    print(error)"
    )
    assert "500 models" in output.text
    assert "several services" in output.text


def test_parameters_that_nothing_is_known_of_are_said_when_it_is_served(run: Run) -> None:
    output = run("def cat(messages, temprature): return 'x'\n%serve cat --chat")
    card = output.displays[0]["data"]["text/plain"]
    assert "'temprature'" in card
    assert "'temperature'" in card
    again = run("def cat(messages, stile): return 'x'")
    assert "'stile'" in again.text


def test_the_cell_run_again_keeps_stored_responses(run: Run, get: Get, post: Post) -> None:
    for cell in (
        "def kept(messages): return 'x'\n%serve kept --chat",
        "server = portico.chat_server({'kept': lambda messages: 'x'})\n%serve server --name kept",
        "def kept(messages): return 'x'\n%serve kept --chat",
    ):
        run(cell)
        _, made = post("kept/v1/responses", {"input": "hi"})
        run(cell)
        again = get(f"kept/v1/responses/{made['id']}")
        assert isinstance(again, dict)
        assert again["id"] == made["id"]
        status, _ = post("kept/v1/responses", {"input": "more", "previous_response_id": made["id"]})
        assert status == 200


def test_a_client_made_in_a_cell_names_the_kernels_loop(run: Run, post: Post, jupyter_server: JupyterServer) -> None:
    # Answers after a second, so that each call waits for it: what is there already needs no loop.
    run(
        "import asyncio, httpx\nfrom fastapi import FastAPI\nslow = FastAPI()\n"
        "@slow.get('/')\nasync def home():\n    await asyncio.sleep(1)\n    return 'x'\n%serve slow --access public"
    )
    url = f"{jupyter_server.url}portico/apps/slow/"
    run(
        # Its connection stays, however long the cell takes: a new one would belong to whichever loop opens it.
        "client = httpx.AsyncClient(limits=httpx.Limits(keepalive_expiry=None))\n"
        f"await client.get('{url}', timeout=20)\n"
        f"async def proxy(messages):\n    return (await client.get('{url}', timeout=20)).text\n"
        "%serve proxy --chat"
    )
    status, _ = post("proxy/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]})
    assert status == 500
    assert "--kernel-loop" in run("print(portico.service('proxy').log[-1].traceback)").text
