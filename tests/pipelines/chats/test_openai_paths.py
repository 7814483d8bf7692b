"""The description of the OpenAI API's routes in a server's OpenAPI document."""

from pathlib import Path

from starlette.testclient import TestClient

from portico.pipelines.chats.chat import PipelineModels
from portico.pipelines.chats.openai_paths import openai_paths
from portico.pipelines.program.app import create_app
from portico.pipelines.settings import PipelinesSettings
from tests.pipelines.openai_wrappers import Echo, Wrapper, deployed, request, table


def test_a_servers_document_has_the_routes_and_those_of_each_chat(tmp_path: Path) -> None:
    app = create_app(PipelinesSettings(pipelines_dir=str(tmp_path), api_key="key"))
    with TestClient(app, base_url="http://127.0.0.1:1416", client=("127.0.0.1", 5)) as client:
        for name, wrapper in (("talks", Echo()), ("quiet", Wrapper())):
            app.pipelines.deployments.add(deployed(name, wrapper))
        document = client.get("/openapi.json").json()
    for route, method, id in (
        ("models", "get", "openai_models"),
        ("chat/completions", "post", "openai_chat_completions"),
        ("responses", "post", "openai_responses"),
        ("files", "post", "openai_files_create"),
    ):
        assert document["paths"][f"/v1/{route}"][method]["operationId"] == id
        assert document["paths"][f"/{route}"][method]["operationId"] == f"{id}_alias"
    assert "/talks/chat" in document["paths"]
    assert "/talks/chat/completions" in document["paths"]
    assert not [path for path in document["paths"] if path.startswith("/quiet/chat")]


def test_each_operation_is_there_and_asks_for_what_is_required() -> None:
    deployments = table(p=Echo())
    app = PipelineModels(deployments)
    for path, operations in openai_paths(deployments.present.values()).items():
        route = path.strip("/")
        for method, operation in operations.items():
            assert app.handles(method.upper(), route) or route.removeprefix("v1/") == "files"
            if "requestBody" not in operation or "files" in path:
                continue
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            least = {"model": "p", "messages": []}
            least = {name: least[name] for name in schema["required"]}
            assert request(app, path, least).status == 200, path
            for name in least:
                less = {key: value for key, value in least.items() if key != name}
                assert request(app, path, less).status == 422, path
