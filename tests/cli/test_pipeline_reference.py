"""The commands that Hayhooks' pages show, with its programs: each runs here, with the command's name changed alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live_pipelines import LivePipelines, running_pipelines

LLM = '''\
"""A generator as those before chat: it gives texts, and streams them by a callback."""

from haystack import component
from haystack.dataclasses import StreamingChunk


@component
class Echo:
    @component.output_types(replies=list[str])
    def run(self, prompt: str, streaming_callback: object = None):
        for word in prompt.split(" ") if streaming_callback else ():
            streaming_callback(StreamingChunk(content=word + " "))
        return {"replies": [prompt]}


@component
class Pages:
    @component.output_types(texts=list[str])
    def run(self, urls: list[str]):
        return {"texts": [f"page of {url}" for url in urls]}
'''

YAML = """\
components:
  fetcher:
    type: local_parts.Pages
    init_parameters: {}
  prompt:
    type: haystack.components.builders.prompt_builder.PromptBuilder
    init_parameters: {template: "{{ texts | length }} pages: {{ query }}", required_variables: [texts, query]}
  llm:
    type: local_parts.Echo
    init_parameters: {}
connections:
- {sender: fetcher.texts, receiver: prompt.texts}
- {sender: prompt.prompt, receiver: llm.prompt}
inputs:
  urls: fetcher.urls
  query: prompt.query
outputs:
  replies: llm.replies
"""

HEAD = """\
from pathlib import Path
from typing import Generator, List, Union
from haystack import Pipeline
from hayhooks.server.pipelines.utils import get_last_user_message, streaming_generator
from hayhooks.server.utils.base_pipeline_wrapper import BasePipelineWrapper
from hayhooks.server.logger import log


URLS = ["https://haystack.deepset.ai", "https://www.redis.io", "https://ssi.inc"]


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        pipeline_yaml = (Path(__file__).parent / "chat_with_website.yml").read_text()
        self.pipeline = Pipeline.loads(pipeline_yaml)

    def run_api(self, urls: List[str], question: str) -> str:
        log.trace(f"Running pipeline with urls: {urls} and question: {question}")
        result = self.pipeline.run({"fetcher": {"urls": urls}, "prompt": {"query": question}})
        return result["llm"]["replies"][0]
"""

WHOLE = """
    def run_chat_completion(self, model: str, messages: List[dict], body: dict) -> Union[str, Generator]:
        log.trace(f"Running pipeline with model: {model}, messages: {messages}, body: {body}")
        question = get_last_user_message(messages)
        log.trace(f"Question: {question}")
        result = self.pipeline.run({"fetcher": {"urls": URLS}, "prompt": {"query": question}})
        return result["llm"]["replies"][0]
"""

STREAMED = """
    def run_chat_completion(self, model: str, messages: List[dict], body: dict) -> Union[str, Generator]:
        log.trace(f"Running pipeline with model: {model}, messages: {messages}, body: {body}")
        question = get_last_user_message(messages)
        return streaming_generator(
            pipeline=self.pipeline,
            pipeline_run_args={"fetcher": {"urls": URLS}, "prompt": {"query": question}},
        )
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePipelines]:
    folder = tmp_path_factory.mktemp("reference")
    (folder / "lib").mkdir()
    (folder / "lib" / "local_parts.py").write_text(LLM)
    for name, more in (("chat_with_website", WHOLE), ("chat_with_website_streaming", STREAMED)):
        example = folder / "examples" / name
        example.mkdir(parents=True)
        (example / "pipeline_wrapper.py").write_text(HEAD + more)
        (example / "chat_with_website.yml").write_text(YAML.partition("inputs:\n  urls")[0])
    (folder / "by_itself.yml").write_text(YAML)
    (folder / ".env").write_text(f"HAYHOOKS_ADDITIONAL_PYTHONPATH={folder / 'lib'}\n")
    with running_pipelines(folder, HAYSTACK_DESERIALIZATION_ALLOWLIST="local_parts") as live:
        yield live


def test_every_command(live: LivePipelines) -> None:
    assert "No pipelines" in live.portico("status").stdout
    said = live.portico("pipeline", "deploy-files", "-n", "chat_with_website", "examples/chat_with_website").stdout
    assert "successfully deployed" in said
    assert "chat_with_website" in live.portico("status").stdout
    run = ("pipeline", "run", "chat_with_website", "-p", 'urls=["https://a.example"]', "-p", "question=What is it?")
    assert live.portico(*run).stdout == "1 pages: What is it?\n"
    assert live.portico(*run, "-s").stdout.strip() == '{"result":"1 pages: What is it?"}'
    said = live.portico("pipeline", "deploy", "by_itself.yml").stdout
    assert "Pipeline 'by_itself' successfully deployed" in said
    given = ("-p", "urls=[]", "-p", "query=7")
    assert json.loads(live.portico("pipeline", "run", "by_itself", *given).stdout) == {
        "llm": {"replies": ["0 pages: 7"]}
    }
    for name in ("chat_with_website", "by_itself"):
        assert "successfully undeployed" in live.portico("pipeline", "undeploy", name).stdout
    assert "No pipelines" in live.portico("status").stdout


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("chat_with_website", ["3 pages: What is it?"]),
        ("chat_with_website_streaming", ["3 ", "pages: ", "What ", "is ", "it? "]),
    ],
)
def test_chat_by_its_own_url(live: LivePipelines, name: str, pieces: list[str]) -> None:
    live.portico("pipeline", "deploy-files", "-o", "-n", name, os.path.join("examples", name))
    asked = {"model": name, "messages": [{"role": "user", "content": "What is it?"}]}
    whole = live.request("POST", f"/{name}/chat/completions", json=asked).json()
    assert whole["choices"][0]["message"]["content"] == "".join(pieces)
    streamed = live.request("POST", f"/{name}/chat/completions", json=asked | {"stream": True}).text
    chunks = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
    texts = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
    assert [text for text in texts if text] == pieces
    source = Path(live.shell.folder, "examples", name, "pipeline_wrapper.py").read_text()
    assert Path(live.shell.folder, "pipelines", name, "pipeline_wrapper.py").read_text() == source
