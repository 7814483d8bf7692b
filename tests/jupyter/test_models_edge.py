"""``/portico/v1``: one base URL and one key for every model in every kernel that the caller may use."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

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


# --- stored responses --------------------------------------------------------------------------------------------


def farm_key(server: JupyterServer) -> str:
    return str(server.api("POST", "portico/api/keys", {"services": ["farm"], "expires_in": 600})["key"])


@contextlib.contextmanager
def unified(server: JupyterServer, key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=server.url + "portico/v1", api_key=key, max_retries=0) as client:
        yield client


def call(
    server: JupyterServer, method: str, path: str, headers: dict[str, str], body: bytes | None = None
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, "/portico/v1/" + path, body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"{}")
    finally:
        connection.close()


@pytest.mark.parametrize("model", ["cat", "org/cow:1"])
def test_a_stored_response_is_found_by_its_id_alone(client: OpenAI, model: str) -> None:
    made = client.responses.create(model=model, input="hi")
    for _ in range(2):
        assert client.responses.retrieve(made.id).output_text == "meow hi"
    assert [item.role for item in client.responses.input_items.list(made.id)] == ["user"]
    again = client.responses.create(model=model, input="more", previous_response_id=made.id)
    assert client.responses.retrieve(again.id).previous_response_id == made.id
    assert client.responses.cancel(made.id).status == "completed"  # it has ended; nothing changes
    client.responses.delete(made.id)
    for gone in (client.responses.retrieve, client.responses.cancel, client.responses.delete):
        with pytest.raises(NotFoundError) as caught:
            gone(made.id)
        assert caught.value.code == "response_not_found"
    assert client.responses.retrieve(again.id).output_text == "meow more"


def test_a_cancel_with_a_body_is_found_too(jupyter_server: JupyterServer, key: str, client: OpenAI) -> None:
    made = client.responses.create(model="cat", input="hi")
    bearer = {"Authorization": f"Bearer {key}"}
    for body in (b"", b"{}", b"x" * 300_000):
        assert call(jupyter_server, "POST", f"responses/{made.id}/cancel", bearer, body)[0] == 200


def test_what_cannot_be_done_to_a_response_is_said(jupyter_server: JupyterServer, key: str, client: OpenAI) -> None:
    made = client.responses.create(model="cat", input="hi")
    bearer = {"Authorization": f"Bearer {key}"}
    for method, path, status in (
        ("PUT", f"responses/{made.id}", 405),
        ("GET", f"responses/{made.id}/cancel", 405),
        ("GET", f"responses/{made.id}?stream=true", 400),
        ("GET", f"responses/{made.id}/input_items?limit=0", 400),
        ("GET", "responses/resp_unknown?stream=true", 404),
        ("GET", "responses/..%2f..%2fmodels", 404),
        ("GET", "responses/resp_unknown/more", 404),
    ):
        answered, value = call(jupyter_server, method, path, bearer)
        assert (answered, list(value)) == (status, ["error"]), (method, path, value)
        assert value["error"]["type"]


def test_nobody_sees_a_response_of_a_service_that_they_may_not_use(
    jupyter_server: JupyterServer, client: OpenAI, kernels: tuple[Kernel, Kernel]
) -> None:
    made = client.responses.create(model="cat", input="hi")
    with unified(jupyter_server, farm_key(jupyter_server)) as other:
        for use in (other.responses.retrieve, other.responses.cancel, other.responses.delete):
            with pytest.raises(NotFoundError):
                use(made.id)
        with pytest.raises(NotFoundError):
            other.responses.input_items.list(made.id)
    zoo = jupyter_server.api("POST", "portico/api/keys", {"services": ["zoo"]})["key"]
    with unified(jupyter_server, zoo) as another, pytest.raises(NotFoundError):
        another.responses.retrieve(made.id)  # it may use the service, and another visitor's response is not its own
    assert call(jupyter_server, "GET", f"responses/{made.id}", {})[0] == 401
    assert client.responses.retrieve(made.id).output_text == "meow hi"


def test_only_services_that_the_caller_may_use_are_asked(
    jupyter_server: JupyterServer, kernels: tuple[Kernel, Kernel]
) -> None:
    def requests(name: str) -> int:
        return int(jupyter_server.api("GET", f"portico/api/services/{name}")["requests"])

    before = requests("zoo"), requests("farm")
    with unified(jupyter_server, farm_key(jupyter_server)) as client, pytest.raises(NotFoundError):
        client.responses.retrieve("resp_of_nobody")
    assert (requests("zoo"), requests("farm")) == (before[0], before[1] + 1)


def test_a_response_is_found_on_whichever_replica_made_it(jupyter_server: JupyterServer) -> None:
    kernels = [jupyter_server.kernel() for _ in range(2)]
    try:
        for kernel in kernels:
            kernel.execute("%load_ext portico\ndef twin(messages): return 'twin'").check()
            kernel.execute('%serve {"twin": twin} --name twins --replica').check()
        key = jupyter_server.api("POST", "portico/api/keys", {"services": ["twins"]})["key"]
        with unified(jupyter_server, key) as client:
            made = [client.responses.create(model="twin", input="hi").id for _ in range(4)]
            assert [client.responses.retrieve(id).output_text for id in made * 2] == ["twin"] * 8
            for id in made:
                client.responses.delete(id)
                with pytest.raises(NotFoundError):
                    client.responses.retrieve(id)
    finally:
        for kernel in kernels:
            kernel.shutdown()


# --- the WebSocket of the responses API --------------------------------------------------------------------------


def dial(server: JupyterServer, headers: dict[str, str], path: str = "responses") -> ClientConnection:
    url = server.url.replace("http://", "ws://") + "portico/v1/" + path
    return connect(url, additional_headers=headers, proxy=None, open_timeout=30, close_timeout=5, max_size=None)


def create(socket: ClientConnection, **fields: Any) -> None:
    socket.send(json.dumps({"type": "response.create", "input": "hi"} | fields))


def said(socket: ClientConnection) -> str:
    """The text of the response that is under way."""
    while True:
        event = json.loads(socket.recv(timeout=30))
        if event["type"] == "response.completed":
            return str(event["response"]["output"][0]["content"][0]["text"])
        assert event["type"] != "error", event


def error(socket: ClientConnection) -> dict[str, Any]:
    event = json.loads(socket.recv(timeout=30))
    assert event["type"] == "error", event
    return dict(event)


def test_a_websocket_goes_to_the_service_that_its_first_message_names(jupyter_server: JupyterServer, key: str) -> None:
    with dial(jupyter_server, {"Authorization": f"Bearer {key}"}) as socket:
        create(socket, model="cat")
        assert said(socket) == "meow hi"
        create(socket, model="zoo/shared")  # another model of the same service
        assert said(socket) == "from zoo"
        create(socket, model="shared")  # of two services: this connection is with one of them
        assert said(socket) == "from zoo"
        create(socket, model="org/cow:1", stream_id="lane")
        refused = error(socket)
        assert (refused["status"], refused["error"]["code"]) == (400, "model_elsewhere")
        assert refused["stream_id"] == "lane"
        create(socket, model="dog")
        assert error(socket)["error"]["code"] == "model_not_found"
        socket.send("no JSON")  # goes to the service, which says so
        assert error(socket)["status"] == 400
        create(socket, model="cat", input="still here")
        assert said(socket) == "meow still here"


def test_a_first_message_of_no_use_may_be_followed_by_a_better_one(jupyter_server: JupyterServer, key: str) -> None:
    with dial(jupyter_server, {"Authorization": f"Bearer {key}"}) as socket:
        for message in ("[]", "{}", '{"model": 5}', '{"mod', ""):
            socket.send(message)
            refused = error(socket)
            assert (refused["status"], refused["error"]["type"]) == (400, "invalid_request_error")
        create(socket, model="shared")
        assert error(socket)["error"]["code"] == "model_ambiguous"
        create(socket, model="org/cow:1", input="x" * 1_000_000)
        assert said(socket) == "meow " + "x" * 20


def test_a_websocket_needs_a_credential_and_opens_what_it_opens(
    jupyter_server: JupyterServer, kernels: tuple[Kernel, Kernel]
) -> None:
    for headers in ({}, {"Authorization": "Bearer garbage"}):
        with pytest.raises(InvalidStatus) as refused:
            dial(jupyter_server, headers)
        assert refused.value.response.status_code == 401
        assert json.loads(refused.value.response.body)["error"]["type"] == "authentication_error"
    bearer = {"Authorization": f"Bearer {farm_key(jupyter_server)}"}
    with pytest.raises(InvalidStatus) as elsewhere:
        dial(jupyter_server, bearer, "chat/completions")
    assert elsewhere.value.response.status_code == 404
    with dial(jupyter_server, bearer) as socket:
        for model in ("cat", "zoo/cat", "vec"):
            create(socket, model=model)
            assert error(socket)["error"]["code"] == "model_not_found"
        create(socket, model="shared")  # there is one for this key
        assert said(socket) == "from farm"
        create(socket, model="zoo/cat")
        assert error(socket)["error"]["code"] == "model_not_found"


def test_a_response_of_the_websocket_is_stored_and_gone_on_with(
    jupyter_server: JupyterServer, key: str, client: OpenAI
) -> None:
    made = client.responses.create(model="cat", input="hi")
    with dial(jupyter_server, {"Authorization": f"Bearer {key}"}) as socket:
        create(socket, model="zoo/cat", input="more", previous_response_id=made.id)
        while (event := json.loads(socket.recv(timeout=30)))["type"] != "response.completed":
            assert event["type"] != "error", event
    stored = client.responses.retrieve(event["response"]["id"])
    assert (stored.output_text, stored.previous_response_id) == ("meow more", made.id)


def test_a_websocket_ends_with_its_service(jupyter_server: JupyterServer) -> None:
    kernel = jupyter_server.kernel()
    try:
        kernel.execute("%load_ext portico\ndef brief(messages): return 'brief'").check()
        kernel.execute('%serve {"brief": brief} --name brief').check()
        key = jupyter_server.api("POST", "portico/api/keys", {"services": ["brief"]})["key"]
        with dial(jupyter_server, {"Authorization": f"Bearer {key}"}) as socket:
            create(socket, model="brief")
            assert said(socket) == "brief"
            kernel.shutdown()
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=30)
    except BaseException:
        kernel.shutdown()
        raise
