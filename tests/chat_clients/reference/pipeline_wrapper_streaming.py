"""A cell: a pipeline's wrapper whose chat is streamed."""

from collections.abc import Generator

from portico.models import get_last_user_message
from tests.chat_clients.reference.stand_in import BasePipelineWrapper, Pipeline, log, streaming_generator

URLS = ["https://haystack.deepset.ai", "https://www.redis.io", "https://ssi.inc"]


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = Pipeline()  # Same as before

    def run_api(self, urls: list[str], question: str) -> str: ...  # Same as before

    def run_chat_completion(self, model: str, messages: list[dict], body: dict) -> str | Generator:
        log.trace(f"Running pipeline with model: {model}, messages: {messages}, body: {body}")

        question = get_last_user_message(messages)
        log.trace(f"Question: {question}")

        # Streaming pipeline run, will return a generator
        return streaming_generator(
            pipeline=self.pipeline,
            pipeline_run_args={"fetcher": {"urls": URLS}, "prompt": {"query": question}},
        )
