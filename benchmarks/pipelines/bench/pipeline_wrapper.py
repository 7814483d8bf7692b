"""The same file for both servers: a trivial run, and chats that stream as many tokens as the question says."""

from collections.abc import Iterator

from hayhooks import BasePipelineWrapper, streaming_generator
from haystack import Pipeline, component
from haystack.dataclasses import StreamingChunk


@component
class Counter:
    """Streams *many* tokens, and does nothing between."""

    @component.output_types(many=int)
    def run(self, many: int, streaming_callback=None) -> dict[str, int]:
        for _ in range(many):
            streaming_callback(StreamingChunk(content="token "))
        return {"many": many}


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = Pipeline()
        self.pipeline.add_component("counter", Counter())

    def run_api(self, text: str) -> str:
        return text

    def run_chat_completion(self, model: str, messages: list[dict], body: dict) -> Iterator:
        many = int(messages[-1]["content"])
        if body.get("user") == "pipeline":
            return streaming_generator(pipeline=self.pipeline, pipeline_run_args={"counter": {"many": many}})
        return ("token " for _ in range(many))
