"""Stop sequences, limits of tokens and counting."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.models import Usage, chat_server, model
from portico.models.stop import StopFilter
from tests.models.visitor import ask, chat
from tests.waiting import eventually


@given(
    pieces=st.lists(st.text("abx", max_size=4), max_size=12),
    stops=st.lists(st.text("abx", min_size=1, max_size=4), min_size=1, max_size=3),
)
def test_pieces_do_not_matter(pieces, stops):
    """However a text is cut, the filter lets through what is before the first stop sequence, no more and no less."""
    text = "".join(pieces)
    places = [text.find(stop) for stop in stops if stop in text]
    # Where one stop sequence lies within another that begins before it, the one that is whole first may win.
    stop_filter = StopFilter(stops)
    out = ""
    for piece in pieces:
        out += stop_filter.feed(piece)
    out += stop_filter.end()
    assert text.startswith(out)
    assert not any(stop in out for stop in stops)
    if places:
        assert stop_filter.hit is not None
        assert text.startswith(out + stop_filter.hit)
    else:
        assert out == text


class Source:
    def __init__(self):
        self.closed = 0
        self.given = 0

    async def on_loop(self, messages):
        try:
            for piece in ("Hello ", "wor", "ld. ST", "OP and ", *("more " * 1000).split()):
                self.given += 1
                yield piece
        finally:
            self.closed += 1

    def on_thread(self, messages):
        try:
            for piece in ("Hello ", "wor", "ld. ST", "OP and ", *("more " * 1000).split()):
                self.given += 1
                yield piece
        finally:
            self.closed += 1


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("way", ["on_loop", "on_thread", "inline"])
def test_a_stop_sequence_across_pieces_ends_the_answer_and_the_generator(way, stream):
    source = Source()
    function = source.on_loop if way == "on_loop" else source.on_thread
    answer = chat(chat_server({"m": function}, threads=way != "inline"), stop=["STOP"], stream=stream)
    choice = (answer.chunks[-1] if stream else answer.json)["choices"][0]
    assert (answer.text if stream else choice["message"]["content"]) == "Hello world. "
    assert choice["finish_reason"] == "stop"
    eventually(lambda: source.closed == 1, what="the generator's end")
    assert source.given < 200


def test_what_looks_like_a_stop_at_the_end_is_given():
    app = chat_server({"m": lambda messages: iter(["Hello ST", "O"])})
    assert chat(app, stop="STOP", stream=True).text == "Hello STO"


def test_max_tokens_without_a_tokenizer_is_the_models_own_business():
    app = chat_server({"m": lambda messages, max_tokens: f"{max_tokens} " * 100})
    assert len(chat(app, max_tokens=3).json["choices"][0]["message"]["content"]) == 200


@pytest.mark.parametrize("stream", [True, False])
def test_max_tokens_with_a_tokenizer_is_enforced(stream):
    function = model("m", tokenizer=lambda text: len(text.split()))(lambda messages: iter(["a b ", "c d ", "e f"]))
    answer = chat(chat_server(function), max_completion_tokens=3, max_tokens=100, stream=stream)
    choice = (answer.chunks[-1] if stream else answer.json)["choices"][0]
    assert (answer.text if stream else choice["message"]["content"]).split() == ["a", "b", "c"]
    assert choice["finish_reason"] == "length"


class Words:
    """A tokenizer whose tokens are words, and whose ids are places in a list."""

    KNOWN = ("hello", "you", "there")

    def encode(self, text):
        return text.split()

    def decode(self, ids):
        return " ".join(self.KNOWN[id] for id in ids)


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [([0, 1], ["<hello you>"]), ([[0, 1], [2]], ["<hello you>", "<there>"]), ([[0], "more"], ["<hello>", "<more>"])],
)
def test_a_prompt_may_be_token_ids_where_the_tokenizer_knows_them(prompt, texts):
    app = chat_server({"m": lambda prompt: f"<{prompt}>"}, tokenizer=Words())
    answer = ask(app, "POST", "/v1/completions", {"prompt": prompt}).json
    assert [choice["text"] for choice in answer["choices"]] == texts
    vectors = chat_server(
        {"v": model(kind="embedding")(lambda texts: [[len(text)] for text in texts])}, tokenizer=Words()
    )
    rows = ask(vectors, "POST", "/v1/embeddings", {"input": prompt}).json["data"]
    assert [row["embedding"] for row in rows] == [[len(text) - 2] for text in texts]


@pytest.mark.parametrize(
    "prompt", [[7], [[0], [-9]], [[0.5]], [[True]], [[]], [[0, "hello"]], [[[0]]], [0, [1]]], ids=str
)
def test_token_ids_that_nobody_knows_are_the_clients_error(prompt):
    reached = []
    app = chat_server({"m": lambda prompt: reached.append(prompt) or "x"}, tokenizer=Words())
    answer = ask(app, "POST", "/v1/completions", {"prompt": prompt})
    assert (answer.status, answer.error["param"]) == (400, "prompt")
    assert reached == []


def test_usage_is_counted_by_a_tokenizer():
    app = chat_server({"m": lambda messages: "a b c"}, tokenizer=Words())
    usage = chat(app).json["usage"]
    assert usage == {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4}


def test_usage_of_the_model_goes_before_all():
    def counts(messages):
        yield "x"
        yield Usage(10, 20)

    assert chat(chat_server({"m": counts}, tokenizer=Words())).json["usage"]["total_tokens"] == 30


def test_estimated_usage_says_so():
    assert chat(chat_server({"m": lambda messages: "four"})).json["usage"] == {
        "prompt_tokens": 2,
        "completion_tokens": 1,
        "total_tokens": 3,
        "estimated": True,
    }


@pytest.mark.parametrize("tokens", ["many", b"many", None, -1, 1.5], ids=str)
@pytest.mark.parametrize("stream", [True, False])
def test_a_tokenizer_that_gives_nonsense_is_the_models_failure(tokens, stream):
    seen = []
    app = chat_server({"m": lambda messages: "x"}, tokenizer=lambda text: tokens, on_error=seen.append)
    answer = chat(app, **({"stream": True, "stream_options": {"include_usage": True}} if stream else {}))
    error = answer.events[-2]["error"] if stream else answer.error
    assert error["code"] == "unusable_output"
    assert "The tokenizer gave" in str(seen[0])


SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "cat", "schema": {"type": "object", "required": ["name"]}},
}


@pytest.mark.parametrize(
    ("text", "form", "good"),
    [
        ('{"name": "Tom"}', SCHEMA, True),
        ('{"nom": "Tom"}', SCHEMA, False),
        ("Tom", SCHEMA, False),
        ('{"a": 1}', {"type": "json_object"}, True),
        ("[1]", {"type": "json_object"}, False),
        ("Tom", {"type": "text"}, True),
    ],
)
def test_structured_output_is_checked(text, form, good):
    seen = []
    app = chat_server({"m": lambda messages: iter(text)}, on_error=seen.append)
    whole = chat(app, response_format=form)
    assert whole.status == (200 if good else 500)
    events = chat(app, response_format=form, stream=True).events
    assert ("error" in events[-2]) is not good
    assert len(seen) == (0 if good else 2)
    flat = {**form.get("json_schema", {}), "type": form["type"]}
    answer = ask(app, "POST", "/v1/responses", {"input": "x", "text": {"format": flat}})
    assert answer.status == (200 if good else 500)


def test_a_schema_cannot_make_the_server_fetch_anything():
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "http://127.0.0.1:9/schema"}}}
    app = chat_server({"m": lambda messages: "{}"})
    answer = chat(app, response_format=schema)
    assert answer.status == 400
    assert answer.error["param"] == "response_format.json_schema.schema"


def test_a_cut_answer_is_not_checked():
    app = chat_server({"m": lambda messages: '{"name": "Tom"'}, tokenizer=lambda text: len(text))
    choice = chat(app, response_format=SCHEMA, max_tokens=5).json["choices"][0]
    assert choice["finish_reason"] == "length"


def test_no_stop_sequence_makes_a_token_dear():
    """Sixteen of them that nearly match at every place, the worst that a client may ask for."""
    stops = ["a" * (4096 - place) + "b" for place in range(1, 17)]
    began = time.process_time()
    answer = chat(chat_server({"m": lambda messages: iter(["aaaaa"] * 2000)}), stop=stops, stream=True)
    assert answer.text == "a" * 10_000
    assert time.process_time() - began < 2


@pytest.mark.parametrize("n", [2, 3])
def test_a_stop_sequence_ends_its_own_choice(n):
    runs = []

    async def counts(messages):
        runs.append(1)
        own = len(runs)
        for word in ("one ", "two ", "STOP" if own == 1 else "three ", "four"):
            yield word
            await asyncio.sleep(0)

    choices = chat(chat_server({"m": counts}), stop="STOP", n=n).json["choices"]
    whole = "one two three four"
    assert [choice["message"]["content"] for choice in choices] == ["one two ", *[whole] * (n - 1)]


def test_the_stop_filter_is_quick_on_long_texts():
    async def long(messages):
        for _ in range(200):
            yield "abc " * 50
            await asyncio.sleep(0)

    assert len(chat(chat_server({"m": long}), stop=["nowhere"], stream=True).text) == 40_000
