"""What `take` makes of pipelines: which things are taken as such, as what, and what is said where that cannot be."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any
from unittest.mock import MagicMock

import pytest
from haystack import Document, Pipeline, component
from haystack.components.builders import PromptBuilder
from haystack.components.joiners import DocumentJoiner

import portico
from portico.adapters import TakeOptions, Wiring
from portico.adapters.pipelines import claims
from portico.adapters.take import take
from portico.errors import InvalidOption, NotServable, PipelineError
from portico.pipelines.service_app import PipelineApp
from tests.models.visitor import Answer, visit

WIRING = Wiring(inputs={"question": "prompt.query"}, outputs={"answer": "prompt.prompt"})


def prompting(template: str = "Answer {{ query }}") -> Pipeline:
    pipe = Pipeline()
    pipe.add_component("prompt", PromptBuilder(template, required_variables=["query"]))
    return pipe


@component
class Doubles:
    @component.output_types(value=int)
    def run(self, value: int) -> dict[str, int]:
        return {"value": value * 2}


def run(app: Any, arguments: dict[str, Any]) -> Answer:
    return asyncio.run(visit(app, "POST", "/run", arguments, headers={"content-type": "application/json"}))


class Special(Pipeline):  # type: ignore[misc]
    """A person's own."""


@pytest.mark.parametrize("thing", [prompting(), Special(), Doubles(), DocumentJoiner()])
def test_pipelines_and_components_are_taken_as_they_are(thing: Any) -> None:
    assert claims(thing)


@pytest.mark.parametrize("thing", [Pipeline, Doubles, MagicMock(), Document(content="x"), 3, None, {}, lambda x: x])
def test_what_is_no_pipeline_is_not(thing: Any) -> None:
    assert not claims(thing)


def test_its_inputs_and_outputs_have_the_names_that_were_said() -> None:
    taken = take(prompting(), TakeOptions(name="docs-qa", wiring=WIRING))
    assert (taken.kind, taken.how, taken.models) == ("pipeline", "Pipeline: form", ())
    assert taken.tools.names == ("docs-qa",)
    assert list(taken.tools.definitions["docs-qa"]["inputSchema"]["properties"]) == ["question"]
    assert taken.call is not None
    assert (taken.call.path, taken.call.body) == ("run", '{"question": "text"}')
    assert run(taken.app, {"question": "me"}).json == {"result": {"answer": "Answer me"}}


def test_without_them_it_is_what_the_pipeline_asks_for_and_gives() -> None:
    assert run(take(prompting()).app, {"query": "me"}).json == {"result": {"prompt": "Answer me"}}
    assert run(take(Doubles()).app, {"value": 4}).json == {"result": {"value": 8}}


@pytest.mark.parametrize(
    ("inputs", "says"),
    [({"question": "prompt.nothing"}, "nothing"), ({"question": "nowhere.query"}, "nowhere")],
)
def test_sockets_that_are_not_there_are_named(inputs: dict[str, str], says: str) -> None:
    with pytest.raises(NotServable, match=says):
        take(prompting(), TakeOptions(wiring=Wiring(inputs=inputs)))
    with pytest.raises(PipelineError, match=says):
        portico.pipeline(prompting(), inputs=inputs)


def test_no_model_is_made_of_a_pipeline_that_was_called_one() -> None:
    with pytest.raises(NotServable, match="Serve a pipeline without --chat"):
        take(prompting(), TakeOptions(by="chat"))


def test_settings_are_for_wrappers() -> None:
    with pytest.raises(InvalidOption, match="a Haystack pipeline has none"):
        take(prompting(), TakeOptions(wiring=Wiring(settings={"top_k": 3})))


@pytest.mark.parametrize("thing", [lambda area: area, object(), {"a": 1}])
def test_what_is_said_of_pipelines_is_refused_for_all_else(thing: Any) -> None:
    with pytest.raises(InvalidOption, match="are for pipelines"):
        take(thing, TakeOptions(wiring=WIRING))


def test_an_app_of_a_pipeline_is_named_by_who_serves_it_unless_it_has_a_name() -> None:
    app = portico.pipeline(prompting(), inputs=WIRING.inputs, outputs=WIRING.outputs, description="Ask.")
    assert isinstance(app, PipelineApp)
    assert run(app, {"question": "me"}).json == {"result": {"answer": "Answer me"}}
    assert app.tools.names == ("pipeline",)
    for name in ("one", "two"):
        taken = take(app, TakeOptions(name=name))
        assert taken.tools.names == (name,)
        assert taken.tools.definitions[name]["description"].startswith("Ask.")
        assert run(taken.app, {"question": "me"}).status == 200
    named = portico.pipeline(prompting(), name="mine")
    assert take(named, TakeOptions(name="one")).tools.names == ("mine",)
    with pytest.raises(InvalidOption, match="where it was made"):
        take(named, TakeOptions(wiring=WIRING))


def test_what_goes_wrong_in_an_app_is_told_to_its_author_or_in_the_services_log() -> None:
    seen: dict[str, list[BaseException]] = {"own": [], "log": []}

    @component
    class Fails:
        @component.output_types(value=int)
        def run(self, value: int) -> dict[str, int]:
            raise LookupError("no such page")

    def report(_: str, error: BaseException) -> None:
        seen["log"].append(error)

    run(take(portico.pipeline(Fails()), TakeOptions(report=report)).app, {"value": 1})
    run(take(portico.pipeline(Fails(), on_error=seen["own"].append), TakeOptions(report=report)).app, {"value": 1})
    assert {name: len(errors) for name, errors in seen.items()} == {"own": 1, "log": 1}


def test_nothing_of_haystack_is_imported_for_what_is_no_pipeline() -> None:
    program = (
        "import sys\nfrom portico.adapters.take import take\n"
        "def predict(area: float) -> float: return area\n"
        "take(predict)\n"
        "assert not [name for name in sys.modules if name.partition('.')[0] == 'haystack']\n"
        "assert 'portico.pipelines.service_app' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_an_error_about_something_else_says_that_pipelines_would_do() -> None:
    with pytest.raises(NotServable, match="a Haystack pipeline"):
        take(Document(content="x"))
