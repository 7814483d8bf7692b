"""The pages of a pipeline's service, as a person uses them: the form, its streams, the chat, and the picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from haystack import Pipeline
from haystack.components.builders import ChatPromptBuilder
from haystack.components.generators.chat import MockChatGenerator
from haystack.dataclasses import ChatMessage
from playwright.sync_api import BrowserContext, expect

from portico.adapters import TakeOptions
from portico.adapters.take import take
from portico.pipelines import BasePipelineWrapper, SSEStream, get_last_user_message, streaming_generator
from tests.browser.functions_page import Functions
from tests.browser.functions_served import House, serving

pytestmark = pytest.mark.real


class Website(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = Pipeline()
        asking = [ChatMessage.from_user("About {{ query }}")]
        self.pipeline.add_component("prompt", ChatPromptBuilder(asking, required_variables=["query"]))
        self.pipeline.add_component("llm", MockChatGenerator())
        self.pipeline.connect("prompt.prompt", "llm.messages")

    def streamed(self, question: str) -> Any:
        return streaming_generator(self.pipeline, pipeline_run_args={"prompt": {"query": question}})

    def run_api(self, question: str, how: str = "whole") -> Any:
        """Ask about a website."""
        if how == "fails":
            raise LookupError("no such page")
        if how == "whole":
            return {"said": question}
        return SSEStream(self.streamed(question)) if how == "framed" else self.streamed(question)

    def run_chat_completion(self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]) -> Any:
        return self.streamed(get_last_user_message(messages) or "")


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with serving() as house:
        house.app = take(Website, TakeOptions(name="website", report=lambda doing, error: None)).app
        yield house


def test_its_form_shows_results_streams_and_failures(visitor: BrowserContext, house: House) -> None:
    one = Functions(visitor, house)
    one.control("question").fill("Portico")
    assert one.called() == {"said": "Portico"}
    for how in ("streamed", "framed"):
        one.control("how").fill(how)
        one.run()
        expect(one.output).to_contain_text("About Portico")
    one.control("how").fill("fails")
    one.run()
    expect(one.panel).to_contain_text("Pipeline execution failed: no such page")
    assert [said for said in one.complaints if "500" not in said] == []


def test_its_chat_is_a_page_beside_the_form_and_so_is_its_picture(visitor: BrowserContext, house: House) -> None:
    one = Functions(visitor, house)
    one.page.get_by_role("link", name="Chat").click()
    one.page.get_by_label("Message").fill("streams")
    one.page.get_by_label("Message").press("Enter")
    expect(one.page.get_by_role("log")).to_contain_text("About streams")
    expect(one.page.locator("#base")).to_have_text(f"{house.url}v1")
    one.page.get_by_role("link", name="Picture").click()
    expect(one.page.locator("svg")).to_contain_text("MockChatGenerator")
    one.page.go_back()
    one.page.get_by_role("link", name="Form").click()
    expect(one.page).to_have_url(house.url)
    assert one.complaints == []
    assert house.asked in ([], ["/favicon.ico"])
