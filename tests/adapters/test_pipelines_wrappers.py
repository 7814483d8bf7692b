"""What `take` makes of wrappers: Portico's and Hayhooks' own, by their classes and by what they have."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from portico.adapters import TakeOptions, Wiring
from portico.adapters.pipelines import claims
from portico.adapters.take import take
from portico.errors import InvalidOption, NotServable, StartupFailed
from portico.pipelines.program.app import create_app
from portico.pipelines.settings import PipelinesSettings
from portico.pipelines.wrapper import BasePipelineWrapper
from portico.provider.serving import guess_name
from tests.adapters.test_pipelines import prompting
from tests.models.visitor import MESSAGES, Answer, visit


class DocsQA(BasePipelineWrapper):
    def setup(self, word: str = "meow") -> None:
        self.word = word
        self.ready = getattr(self, "ready", 0) + 1

    def run_api(self, question: str, top_k: int = 1) -> str:
        """Ask.

        Args:
            question: what to ask
        """
        return f"{self.word} {question}" * top_k

    def run_chat_completion(self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]) -> Iterator[str]:
        yield self.word


def hayhooks_base() -> type:
    """The base class of a package that is installed, as far as it can be told from others."""

    def missing(self: Any, *_: Any) -> Any:
        raise NotImplementedError

    names = ("setup", "run_api", "run_api_async", "run_chat_completion", "run_response", "run_file_upload")
    module = "hayhooks.server.utils.base_pipeline_wrapper"
    return type("BasePipelineWrapper", (), {**dict.fromkeys(names, missing), "__module__": module})


class Theirs(hayhooks_base()):  # type: ignore[misc]
    def setup(self) -> None:
        self.pipeline = None

    def run_api(self, question: str) -> str:
        return question.upper()


class Duck:
    """It inherits from nothing."""

    def setup(self) -> None: ...

    def run_chat_completion(self, model: str, messages: list[Any], body: Any) -> str:
        return "quack"


class OnlySetup:
    def setup(self) -> int:
        return 1


class OnlyRun:
    def run_api(self, question: str) -> str:
        return question


def post(app: Any, path: str, body: dict[str, Any]) -> Answer:
    return asyncio.run(visit(app, "POST", path, body, headers={"content-type": "application/json"}))


@pytest.mark.parametrize("thing", [DocsQA, DocsQA(), Theirs, Theirs(), Duck, Duck()])
def test_wrappers_are_taken_whoever_they_inherit_from(thing: Any) -> None:
    assert claims(thing)
    assert take(thing, TakeOptions(name="x")).kind == "pipeline"


@pytest.mark.parametrize("thing", [BasePipelineWrapper, OnlySetup(), OnlyRun(), MagicMock(), len, 3])
def test_what_is_no_wrapper_is_not(thing: Any) -> None:
    assert not claims(thing)


def test_an_object_with_typed_methods_stays_one_of_functions() -> None:
    assert take(OnlySetup()).kind == "functions"
    assert take(OnlyRun()).kind == "functions"


@pytest.mark.parametrize("thing", [DocsQA, DocsQA()])
def test_it_is_set_up_and_called(thing: Any) -> None:
    taken = take(thing, TakeOptions(name="docs-qa", wiring=Wiring(settings={"word": "woof"})))
    assert (taken.how, taken.models, taken.tools.names) == ("DocsQA: form and chat", ("docs-qa",), ("docs-qa",))
    assert post(taken.app, "/run", {"question": "me", "more": 1}).json == {"result": "woof me"}
    chat = post(taken.app, "/v1/chat/completions", {"messages": MESSAGES})
    assert chat.json["choices"][0]["message"]["content"] == "woof"
    assert "what to ask" in str(taken.tools.definitions["docs-qa"])
    assert taken.app.deployment.wrapper.ready == 1


def test_a_wrapper_of_hayhooks_has_what_its_author_wrote_alone() -> None:
    taken = take(Theirs, TakeOptions(name="theirs"))
    assert post(taken.app, "/run", {"question": "me"}).json == {"result": "ME"}
    assert (taken.models, taken.how) == ((), "Theirs: form")


def test_a_service_is_named_by_the_class() -> None:
    assert [guess_name(one) for one in (DocsQA, DocsQA(), Theirs)] == ["docs-qa", "docs-qa", "theirs"]


def test_inputs_and_outputs_are_for_pipelines_as_they_are() -> None:
    with pytest.raises(InvalidOption, match="DocsQA is a wrapper, whose methods say what it takes"):
        take(DocsQA, TakeOptions(wiring=Wiring(inputs={"question": "prompt.query"})))


def test_a_setup_that_fails_shows_where() -> None:
    class Fails(BasePipelineWrapper):
        def setup(self) -> None:
            raise LookupError("no such model")

        def run_api(self) -> str:
            return ""

    with pytest.raises(StartupFailed, match=r"Failed to call setup\(\).*no such model") as caught:
        take(Fails)
    assert type(caught.value.__cause__) is LookupError


def test_what_its_author_must_know_is_said() -> None:
    class Nothing(BasePipelineWrapper):
        def setup(self) -> None: ...

    class Untyped(BasePipelineWrapper):
        def setup(self) -> None: ...

        def run_api(self, question: str):  # type: ignore[no-untyped-def]
            return question

    with pytest.raises(NotServable, match="At least one of run_api"):
        take(Nothing)
    with pytest.raises(NotServable, match="missing a return type for 'run_api' method"):
        take(Untyped)
    with pytest.raises(StartupFailed, match="unexpected keyword argument 'nothing'"):
        take(DocsQA, TakeOptions(wiring=Wiring(settings={"nothing": 1})))


CHANGING = {
    ("/deploy_files", '{"name": "n", "files": {"pipeline_wrapper.py": "x = 1"}}'),
    ("/deploy-yaml", '{"name": "n", "source_code": ""}'),
    ("/undeploy/docs-qa", "{}"),
}
CORE = {"deploy_pipeline", "undeploy_pipeline", "get_pipeline_status", "get_all_pipeline_statuses"}


def in_hub(app: Any, path: str, body: str) -> Answer:
    """A request as a hub hands it on, of a user who may do all that anybody may there."""
    extensions = {"portico": {"access": "user", "user": "owner", "may_deploy": True}}
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    return asyncio.run(visit(app, "POST", path, body.encode(), headers=headers, extensions=extensions))


@pytest.mark.parametrize("kind", ["wrapper", "pipeline", "server"])
def test_no_service_of_a_hub_has_a_tool_or_a_route_that_deploys(kind: str, tmp_path: Path) -> None:
    settings = PipelinesSettings(pipelines_dir=str(tmp_path), api_key="k" * 20, no_auth=True)
    thing = {"wrapper": lambda: DocsQA, "pipeline": prompting, "server": lambda: create_app(settings)}[kind]()
    taken = take(thing, TakeOptions(name="docs-qa"))
    assert not CORE & {*taken.tools.names}
    for path, body in CHANGING:
        assert in_hub(taken.app, path, body).status == (401 if kind == "server" else 404), path
    named = {"pipeline_name": "n", "name": "n", "files": {"pipeline_wrapper.py": "x = 1"}}
    for tool in CORE:
        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": named}}
        answer = in_hub(taken.app, "/mcp", json.dumps(asked)).json
        if kind != "server":
            assert "error" in answer or answer["result"]["isError"], tool
        elif "deploy_" in tool:  # what stands at the server's own URL, and not among the hub's tools
            assert "needs the server's key" in str(answer["result"])
    assert not [*tmp_path.iterdir()]
