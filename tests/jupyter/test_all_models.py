"""``/portico/v1``: one base URL and one key for every model in every kernel that the caller may use."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.live_jupyter import JupyterServer, Kernel

SERVE = """
%load_ext portico
import portico

def cat(messages):
    yield "meow "
    yield str(messages[-1]["content"])[:20]

def shared(messages): return "from {name}"

@portico.model("vec", kind="embedding")
def vec(texts): return [[float(len(text)), 1.0] for text in texts]
"""


@pytest.fixture(scope="module")
def kernels(jupyter_server: JupyterServer) -> Iterator[tuple[Kernel, Kernel]]:
    zoo, farm = jupyter_server.kernel(), jupyter_server.kernel()
    zoo.execute(SERVE.replace("{name}", "zoo")).check()
    farm.execute(SERVE.replace("{name}", "farm")).check()
    zoo.execute('%serve {"cat": cat, "shared": shared, "vec": vec} --name zoo').check()
    farm.execute('%serve {"shared": shared, "org/cow:1": cat} --name farm --chat --origin https://chat.example').check()
    yield zoo, farm
    zoo.shutdown()
    farm.shutdown()


@pytest.fixture(scope="module")
def key(jupyter_server: JupyterServer, kernels: tuple[Kernel, Kernel]) -> str:
    body = {"services": ["zoo", "farm"], "expires_in": 600}
    return str(jupyter_server.api("POST", "portico/api/keys", body)["key"])


@pytest.fixture
def client(jupyter_server: JupyterServer, key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=jupyter_server.url + "portico/v1", api_key=key, max_retries=0) as client:
        yield client


def hello(text: str = "hi") -> list[Any]:
    return [{"role": "user", "content": text}]


def test_the_models_of_every_kernel_are_listed_and_clashes_are_qualified(client: OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {"cat", "vec", "zoo/shared", "farm/shared", "org/cow:1"}
    assert client.models.retrieve("org/cow:1").owned_by == "farm"
    assert client.models.retrieve("zoo/shared").id == "zoo/shared"
    with pytest.raises(NotFoundError, match="does not exist"):
        client.models.retrieve("dog")


def test_a_request_goes_to_the_service_that_has_its_model(client: OpenAI) -> None:
    whole = client.chat.completions.create(model="cat", messages=hello())
    assert whole.choices[0].message.content == "meow hi"
    stream = client.chat.completions.create(model="org/cow:1", messages=hello(), stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "meow hi"
    assert client.embeddings.create(model="vec", input=["abc"], encoding_format="float").data[0].embedding == [3.0, 1.0]
    assert client.responses.create(model="cat", input="yo").output_text.startswith("meow")


@pytest.mark.parametrize("name", ["zoo", "farm"])
def test_a_model_that_two_services_have_is_called_by_its_service(client: OpenAI, name: str) -> None:
    for model in (f"{name}/shared",):
        answer = client.chat.completions.create(model=model, messages=hello())
        assert answer.choices[0].message.content == f"from {name}"
    with pytest.raises(BadRequestError, match="zoo/shared, farm/shared"):
        client.chat.completions.create(model="shared", messages=hello())


def test_an_unknown_model_is_404_in_the_shape_that_sdks_read(client: OpenAI) -> None:
    with pytest.raises(NotFoundError) as caught:
        client.chat.completions.create(model="dog", messages=hello())
    assert caught.value.code == "model_not_found"


def test_megabytes_before_the_model_are_passed_on(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="zoo/cat", messages=hello("x" * (8 * 1024 * 1024)))
    assert answer.choices[0].message.content == "meow " + "x" * 20


def post(server: JupyterServer, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request("POST", "/portico/v1/chat/completions", body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"{}")
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"[]", 400), (b"{}", 400), (b'{"model": 5}', 400), (b"", 400), (b'{"mod', 400), (b"\xff\xfe", 400)],
)
def test_a_body_that_names_no_model_is_400(jupyter_server: JupyterServer, key: str, body: bytes, status: int) -> None:
    answered, value = post(jupyter_server, body, {"Authorization": f"Bearer {key}"})
    assert answered == status
    assert value["error"]["type"] == "invalid_request_error"


def test_nobody_is_let_in_without_a_key_and_a_key_opens_its_own(
    jupyter_server: JupyterServer, kernels: tuple[Kernel, Kernel]
) -> None:
    body = json.dumps({"messages": hello(), "model": "cat"}).encode()
    assert post(jupyter_server, body, {})[0] == 401
    assert post(jupyter_server, body, {"Authorization": "Bearer garbage"})[0] == 401
    farm_key = jupyter_server.api("POST", "portico/api/keys", {"services": ["farm"]})["key"]
    with OpenAI(base_url=jupyter_server.url + "portico/v1", api_key=farm_key, max_retries=0) as client:
        assert {model.id for model in client.models.list()} == {"shared", "org/cow:1"}
        assert (
            client.chat.completions.create(model="shared", messages=hello()).choices[0].message.content == "from farm"
        )
        with pytest.raises(NotFoundError):
            client.chat.completions.create(model="cat", messages=hello())


def test_the_list_needs_a_credential(jupyter_server: JupyterServer, kernels: tuple[Kernel, Kernel]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", jupyter_server.port, timeout=30)
    connection.request("GET", "/portico/v1/models")
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["error"]["type"]) == (401, "authentication_error")
    connection.close()


def test_a_page_of_an_allowed_origin_may_ask(jupyter_server: JupyterServer, key: str) -> None:
    asks = {"Origin": "https://chat.example", "Access-Control-Request-Method": "POST"}
    for origin, status in (("https://chat.example", 204), ("https://evil.example", 401)):
        connection = http.client.HTTPConnection("127.0.0.1", jupyter_server.port, timeout=30)
        connection.request("OPTIONS", "/portico/v1/chat/completions", headers=asks | {"Origin": origin})
        response = connection.getresponse()
        response.read()
        assert response.status == status
        connection.close()
