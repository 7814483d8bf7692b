"""Pictures of pipelines: what is in them, in which form a client gets them, and that nothing in them can harm."""

from __future__ import annotations

import io
import socket
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from portico.errors import NoSuchPipeline, PipelineError
from portico.pipelines.components.objects import prepare_object
from portico.pipelines.deployment import Deployment, Source
from portico.pipelines.pictures.drawing import draw, form_for
from portico.pipelines.pictures.graph import graph_of
from portico.pipelines.pictures.graph_layout import lay_out
from portico.pipelines.pictures.graph_svg import svg
from tests.pipelines.haystack_made import branches, looping, question_and_reply

CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"
CHROME_IMG = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


def served(pipe: Any, name: str = "mine") -> Deployment:
    return Deployment(name=name, pipeline=pipe, wrapper=None, source=Source(kind="object"))


def texts(document: bytes) -> list[str]:
    root = ElementTree.fromstring(document)
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "png"),
        ("*/*", "png"),
        ("image/*", "png"),
        ("image/png", "png"),
        ("image/png, image/svg+xml;q=0.5", "png"),
        ("image/svg+xml", "svg"),
        ("IMAGE/SVG+XML", "svg"),
        (CHROME, "svg"),
        (CHROME_IMG, "svg"),
        ("text/plain", "mermaid"),
        ("text/vnd.mermaid", "mermaid"),
        ("text/html;q=0", "png"),
        ("image/svg+xml;q=x", "png"),
        ("application/json", "png"),
    ],
)
def test_a_client_gets_what_it_asks_for_and_else_png(accept: str, form: str) -> None:
    assert form_for(accept) == form


def test_a_png_is_a_picture_on_light_ground() -> None:
    from PIL import Image

    picture = draw(served(question_and_reply()))
    assert picture.media_type == "image/png"
    with Image.open(io.BytesIO(picture.body)) as image:
        assert image.format == "PNG"
        assert image.width > 200
        assert image.height > 400
        grey = image.convert("L")
        assert grey.getpixel((0, 0)) > 250
        assert grey.getextrema()[0] < 60
        assert image.mode != "RGBA"  # nothing shows through


def test_an_svg_has_each_component_connection_input_and_output() -> None:
    picture = draw(served(question_and_reply()), form="svg")
    assert picture.media_type == "image/svg+xml"
    found = texts(picture.body)
    for text in (
        "Input",
        "prompt",
        "ChatPromptBuilder",
        "llm",
        "MockChatGenerator",
        "Output",
        "question: Any",
        "replies",
    ):
        assert text in found, text
    assert "prompt \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} messages" in found
    assert any(text.startswith("may get: streaming_callback, generation_kwargs") for text in found)
    assert b"prefers-color-scheme: dark" in picture.body


def test_mermaid_has_the_same() -> None:
    text = draw(served(branches()), form="mermaid").body.decode()
    assert text.startswith("flowchart TD\n")
    assert 'c0["<b>first</b><br/>Double"]' in text
    assert 'c0 -- "value" --> c1' in text
    assert 'input -- "value: int" --> c2' in text


def test_where_a_loop_begins_is_where_the_input_goes() -> None:
    pipe = looping()
    graph = graph_of("g", pipe)
    assert graph is not None
    assert ("input", "c0") in {(edge.sender, edge.receiver) for edge in graph.edges}
    api = prepare_object("g", pipe).api
    assert api is not None
    assert [(one.name, one.required) for one in api.parameters] == [("value", True)]


def test_an_agent_shows_its_model_and_its_tools() -> None:
    from haystack.components.agents import Agent
    from haystack.components.generators.chat import MockChatGenerator
    from haystack.tools import create_tool_from_function

    def weather(city: str) -> str:
        """Tell the weather."""
        return city

    agent = Agent(chat_generator=MockChatGenerator("x"), tools=[create_tool_from_function(weather)])
    found = texts(draw(served(agent, "helper"), form="svg").body)
    for text in ("helper", "Agent", "model: MockChatGenerator", "tools: weather", "messages: list[ChatMessage]"):
        assert text in found, text


def test_names_are_text_and_nothing_else() -> None:
    from haystack import Pipeline
    from haystack.testing.sample_components import Double

    wicked = '<script>alert(1)</script>"]; click c0 "javascript:x" \x00\ud800'
    pipe = Pipeline()
    pipe.add_component(wicked, Double())
    picture = draw(served(pipe, wicked), form="svg")
    assert b"<script" not in picture.body
    ElementTree.fromstring(picture.body)
    assert dict(picture.headers)[b"content-security-policy"].startswith(b"default-src 'none'")
    text = draw(served(pipe, wicked), form="mermaid").body.decode()
    assert "<script" not in text
    assert '"]; click' not in text
    assert draw(served(pipe, wicked)).body.startswith(b"\x89PNG")


def test_a_long_name_is_shortened_and_other_scripts_are_kept() -> None:
    from haystack import Pipeline
    from haystack.testing.sample_components import Double

    pipe = Pipeline()
    pipe.add_component("x" * 1000, Double())
    pipe.add_component("検索", Double())
    graph = graph_of("g", pipe)
    assert graph is not None
    assert max(len(node.title) for node in graph.nodes) == 60
    assert "検索" in svg(lay_out(graph))


def test_a_wrapper_without_a_pipeline_has_nothing_to_draw() -> None:
    for nothing in (None, 3, {"a": 1}, Deployment):
        with pytest.raises(NoSuchPipeline, match="'mine' has no graph to draw"):
            draw(served(nothing))


def test_another_form_is_refused() -> None:
    with pytest.raises(PipelineError, match=r"png, svg, mermaid; not as 'gif'"):
        draw(served(branches()), form="gif")


def test_nothing_is_asked_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("it is drawn here")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for form in ("png", "svg", "mermaid"):
        assert draw(served(branches()), form=form).body


def test_a_large_one_is_made_smaller() -> None:
    from haystack import Pipeline
    from haystack.testing.sample_components import Double
    from PIL import Image

    pipe = Pipeline()
    for number in range(120):
        pipe.add_component(f"step {number}", Double())
    for number in range(60):
        pipe.connect(f"step {number}.value", f"step {number + 1}.value")
    with Image.open(io.BytesIO(draw(served(pipe)).body)) as image:
        assert image.width * image.height < 5_000_000


def test_without_pillow_the_other_forms_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(PipelineError, match="PNG needs Pillow") as caught:
        draw(served(branches()))
    assert caught.value.status == 501
    assert draw(served(branches()), form="svg").body
