"""All models of a workspace behind one base URL of the relay: with the real SDK, by path and by host name."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import AuthenticationError, NotFoundError, OpenAI
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

import portico
from tests.relay.tenants import Tenant


def cat(messages: Any) -> Iterator[str]:
    yield "meow "
    yield str(messages[-1]["content"])[:20]


def dog(messages: Any) -> str:
    return "a stranger's woof"


def shared(messages: Any) -> str:
    return "shared"


@portico.model("vec", kind="embedding")
def vec(texts: list[str]) -> list[list[float]]:
    return [[float(len(text)), 1.0] for text in texts]


@pytest.fixture(scope="module", params=["relay", "relay_by_host"])
def tenant(request: pytest.FixtureRequest) -> Iterator[Tenant]:
    """Two services with models, one of them with the other's model too."""
    tenant = Tenant(request.getfixturevalue(request.param))
    tenant.serve({"cat": cat, "shared": shared, "vec": vec}, "zoo", chat=True)
    tenant.serve({"shared": shared}, "farm", chat=True, access="key")
    yield tenant
    tenant.leave()


@pytest.fixture(scope="module")
def stranger(tenant: Tenant) -> Iterator[Tenant]:
    """Another workspace of the same relay, with a service of a name that is there already."""
    stranger = Tenant(tenant.relay, "")
    stranger.serve({"dog": dog, "cat": dog}, "zoo", chat=True)
    yield stranger
    stranger.leave()


@pytest.fixture(scope="module")
def key(tenant: Tenant) -> str:
    return tenant.key("zoo", "farm")


@contextlib.contextmanager
def sdk(tenant: Tenant, key: str) -> Iterator[OpenAI]:
    url, host = tenant.models()
    named = {"Host": host} if tenant.relay.config.domain else {}
    with OpenAI(base_url=url, api_key=key, max_retries=0, default_headers=named) as client:
        yield client


@pytest.fixture
def client(tenant: Tenant, key: str) -> Iterator[OpenAI]:
    with sdk(tenant, key) as client:
        yield client


def hello(text: str = "hi") -> list[Any]:
    return [{"role": "user", "content": text}]


def test_a_workspaces_models_are_listed(client: OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {"cat", "vec", "zoo/shared", "farm/shared"}
    assert client.models.retrieve("farm/shared").owned_by == "farm"


def test_a_request_goes_to_the_service_that_has_its_model(client: OpenAI) -> None:
    whole = client.chat.completions.create(model="cat", messages=hello())
    assert whole.choices[0].message.content == "meow hi"
    stream = client.chat.completions.create(model="zoo/cat", messages=hello(), stream=True)
    assert [piece for chunk in stream if (piece := chunk.choices[0].delta.content)] == ["meow ", "hi"]
    assert client.embeddings.create(model="vec", input=["abc"], encoding_format="float").data[0].embedding == [3.0, 1.0]
    long = client.chat.completions.create(model="cat", messages=hello("x" * (4 * 1024 * 1024)))
    assert long.choices[0].message.content == "meow " + "x" * 20


def test_a_stored_response_is_found_by_its_id_alone(client: OpenAI) -> None:
    made = client.responses.create(model="cat", input="hi")
    again = client.responses.create(model="cat", input="more", previous_response_id=made.id)
    assert client.responses.retrieve(again.id).output_text == "meow more"
    assert [item.role for item in client.responses.input_items.list(made.id)] == ["user"]
    client.responses.delete(made.id)
    with pytest.raises(NotFoundError):
        client.responses.retrieve(made.id)


def test_a_key_opens_nothing_of_another_workspace(tenant: Tenant, stranger: Tenant, client: OpenAI, key: str) -> None:
    theirs = stranger.key("zoo")
    made = client.responses.create(model="cat", input="hi")
    for at, given in ((tenant, theirs), (stranger, key)):
        with sdk(at, given) as other:
            for use in (
                lambda: other.models.list(),
                lambda: other.chat.completions.create(model="cat", messages=hello()),
                lambda: other.responses.retrieve(made.id),
            ):
                with pytest.raises(AuthenticationError) as refused:
                    use()
                assert "woof" not in refused.value.message
        with pytest.raises(InvalidStatus) as closed:
            dial(at, given)
        assert closed.value.response.status_code == 401
        url, host = at.service("zoo")
        opened = httpx.get(f"{url}v1/models", headers={"Host": host, "Authorization": f"Bearer {given}"})
        assert opened.status_code == 401
    with sdk(stranger, theirs) as own:
        assert {model.id for model in own.models.list()} == {"dog", "cat"}
        assert own.chat.completions.create(model="cat", messages=hello()).choices[0].message.content == dog([])
        with pytest.raises(NotFoundError):
            own.responses.retrieve(made.id)


def test_who_shows_nothing_is_asked_for_a_key(tenant: Tenant, stranger: Tenant) -> None:
    for path in ("/models", "/models/cat", "/responses/resp_0"):
        for workspace in (tenant, stranger):
            url, host = workspace.models()
            answer = httpx.get(url + path, headers={"Host": host})
            assert (answer.status_code, answer.json()["error"]["type"]) == (401, "authentication_error")
    url, host = tenant.models()
    nowhere = httpx.get(url.replace("alice", "nobody") + "/models", headers={"Host": host.replace("alice", "nobody")})
    assert nowhere.status_code == 401  # no word on whether there is such a workspace


@pytest.mark.parametrize("path", ["/models", "/models/cat", "/responses/resp_nowhere"])
def test_a_key_in_the_address_opens_the_models_and_is_left_nowhere(tenant: Tenant, key: str, path: str) -> None:
    """A cookie for them would have no path but the root: it would be sent to every app of the origin."""
    url, host = tenant.models()
    everything = tenant.key("*")
    for given in (key, everything):
        answer = httpx.get(f"{url}{path}?portico_key={given}", headers={"Host": host} if host else {})
        assert answer.status_code == (404 if "nowhere" in path else 200)
        assert "set-cookie" not in answer.headers


def test_a_body_is_let_come_when_it_is_awaited(tenant: Tenant, key: str) -> None:
    """curl asks for the word before a long body; it must not wait a second for it in vain."""
    url, host = tenant.models()
    body = json.dumps({"model": "cat", "messages": hello("x" * 100_000)})
    headers = {"Host": host, "Authorization": f"Bearer {key}", "Expect": "100-continue"}
    assert httpx.post(f"{url}/chat/completions", content=body, headers=headers).status_code == 200


# --- the WebSocket of the responses API ----------------------------------------------------------------------------


def dial(tenant: Tenant, key: str, path: str = "responses") -> ClientConnection:
    url, host = tenant.models()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return connect(
        f"ws://{host}/{url.split('/', 3)[3]}/{path}",
        additional_headers=headers,
        address=("127.0.0.1", tenant.relay.port),
        proxy=None,
        open_timeout=30,
        close_timeout=5,
        max_size=None,
    )


def create(socket: ClientConnection, **fields: Any) -> None:
    socket.send(json.dumps({"type": "response.create", "input": "hi"} | fields))


def said(socket: ClientConnection) -> str:
    """The text of the response that is under way."""
    while True:
        event = json.loads(socket.recv(timeout=30))
        if event["type"] == "response.completed":
            return str(event["response"]["output"][0]["content"][0]["text"])
        assert event["type"] != "error", event


def error(socket: ClientConnection) -> str:
    event = json.loads(socket.recv(timeout=30))
    assert event["type"] == "error", event
    return str(event["error"]["code"])


def test_a_websocket_goes_to_the_service_that_its_first_message_names(tenant: Tenant, key: str) -> None:
    with dial(tenant, key) as socket:
        create(socket, model="shared")
        assert error(socket) == "model_ambiguous"
        create(socket, model="cat", input="x" * 1_000_000)
        assert said(socket) == "meow " + "x" * 20
        create(socket, model="zoo/shared")
        assert said(socket) == "shared"
        create(socket, model="farm/shared")
        assert error(socket) == "model_elsewhere"
        create(socket, model="dog")
        assert error(socket) == "model_not_found"


@pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")  # the SDK's own use of websockets
def test_the_sdk_connects_to_it(client: OpenAI, tenant: Tenant) -> None:
    if tenant.relay.config.domain:
        pytest.skip("the SDK's WebSocket dials the name that its base URL has")
    with client.responses.connect() as connection:
        connection.response.create(model="cat", input="hi")
        events = []
        for event in connection:
            events.append(event.type)
            if event.type in ("response.completed", "error"):
                break
    assert events[0] == "response.created"
    assert events[-1] == "response.completed"


def test_a_websocket_needs_a_credential_and_the_right_path(tenant: Tenant, key: str) -> None:
    for given, path, status in (("", "responses", 401), ("garbage", "responses", 401), (key, "chat/completions", 404)):
        with pytest.raises(InvalidStatus) as refused:
            dial(tenant, given, path)
        assert refused.value.response.status_code == status
        assert json.loads(refused.value.response.body)["error"]["type"]


def test_a_websocket_ends_with_its_provider(tenant: Tenant) -> None:
    brief = Tenant(tenant.relay)
    brief.serve({"brief": shared}, "brief", chat=True)
    with dial(brief, brief.key("brief")) as socket:
        create(socket, model="brief")
        assert said(socket) == "shared"
        brief.leave()
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=30)
