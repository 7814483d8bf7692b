"""Embeddings: every shape of vectors, both encodings."""

import base64
import struct

import numpy as np
import pytest
from openai.types import CreateEmbeddingResponse

from portico.models import Usage, chat_server, model
from tests.models.visitor import ask

VECTORS = [[1.0, 0.5, -0.25], [0.0, 1.0, 2.0]]


def packed(vector):
    return base64.b64encode(struct.pack("<3f", *vector)).decode()


async def coroutine(texts):
    return VECTORS


def generator(texts):
    yield from VECTORS


async def async_generator(texts):
    for vector in VECTORS:
        yield vector
    yield Usage(5)


SHAPES = {
    "lists": lambda texts: VECTORS,
    "tuples": lambda texts: tuple(map(tuple, VECTORS)),
    "array": lambda texts: np.array(VECTORS),
    "float32": lambda texts: np.array(VECTORS, dtype=np.float32),
    "arrays": lambda texts: [np.array(vector) for vector in VECTORS],
    "base64": lambda texts: [packed(vector) for vector in VECTORS],
    "dict": lambda texts: {"embeddings": VECTORS, "usage": {"prompt_tokens": 5, "total_tokens": 5}},
    "whole": lambda texts: {"data": [{"embedding": VECTORS[1], "index": 1}, {"embedding": VECTORS[0], "index": 0}]},
    "object": lambda texts: CreateEmbeddingResponse.model_validate(
        {
            "object": "list",
            "model": "x",
            "data": [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(VECTORS)],
            "usage": {"prompt_tokens": 5, "total_tokens": 5},
        }
    ),
    "coroutine": coroutine,
    "generator": generator,
    "async generator": async_generator,
    "by input": lambda input: VECTORS,
    "by any name": lambda sentences, dimensions=None: VECTORS,
}


def server(function, **more):
    return chat_server({"e": model(kind="embedding")(function)}, **more)


@pytest.mark.parametrize("threads", [True, False])
@pytest.mark.parametrize("shape", list(SHAPES))
def test_every_shape_in_both_encodings(shape, threads):
    app = server(SHAPES[shape], threads=threads)
    body = {"model": "e", "input": ["a", "b"]}
    answer = ask(app, "POST", "/v1/embeddings", body)
    parsed = CreateEmbeddingResponse.model_validate(answer.json)
    assert [row.embedding for row in parsed.data] == VECTORS
    assert [row.index for row in parsed.data] == [0, 1]
    assert parsed.usage.total_tokens > 0
    rows = ask(app, "POST", "/v1/embeddings", {**body, "encoding_format": "base64"}).json["data"]
    assert [row["embedding"] for row in rows] == [packed(vector) for vector in VECTORS]


@pytest.mark.parametrize("one", [[1.0, 2.0], [[1.0, 2.0]], np.array([1.0, 2.0]), np.array([[1.0, 2.0]])])
def test_one_text(one):
    rows = ask(server(lambda texts: one), "POST", "/v1/embeddings", {"input": "a"}).json["data"]
    assert [row["embedding"] for row in rows] == [[1.0, 2.0]]


def test_the_function_gets_the_texts_and_the_fields():
    seen = []
    app = server(lambda texts, dimensions, request, user: seen.append((texts, dimensions, request, user)) or [[1.0]])
    body = {"model": "e", "input": "a", "dimensions": 3, "user": "bob"}
    ask(app, "POST", "/v1/embeddings", body)
    assert seen == [(["a"], 3, body, "bob")]


@pytest.mark.parametrize(
    "bad",
    [
        [],
        [[1.0]] * 3,
        "nonsense",
        ["nonsense", "more"],
        [["a"], ["b"]],
        [[], []],
        [[float("nan")], [1.0]],
        [[None], [None]],
        {"vectors": []},
        None,
        b"bytes",
    ],
    ids=str,
)
def test_what_are_no_vectors(bad):
    seen = []
    answer = ask(server(lambda texts: bad, on_error=seen.append), "POST", "/v1/embeddings", {"input": ["a", "b"]})
    assert answer.status == 500, answer.body
    assert answer.headers["x-should-retry"] == "false"
    assert len(seen) == 1


def test_the_sdk(sdk):
    client = sdk(server(lambda texts: np.array([[len(text), 0.5] for text in texts])))
    response = client.embeddings.create(model="e", input=["a", "bbb"])
    assert [row.embedding for row in response.data] == [[1.0, 0.5], [3.0, 0.5]]
    assert client.embeddings.create(model="e", input="a", encoding_format="float").data[0].embedding == [1.0, 0.5]
