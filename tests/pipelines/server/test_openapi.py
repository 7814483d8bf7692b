"""The description of a server of pipelines: names by which clients are generated, and what an author adds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openapi_spec_validator import validate
from starlette.testclient import TestClient

from tests.pipelines.serving import app, ask
from tests.pipelines.test_runs import Echo, Pieces, Uploads


def described(**wrappers: Any) -> dict[str, Any]:
    return dict(ask(app(**wrappers), "GET", "/openapi.json").json)


def test_a_run_has_the_names_and_the_schemas_that_clients_know() -> None:
    told = described(echo=Echo())
    operation = told["paths"]["/echo/run"]["post"]
    assert (operation["tags"], operation["operationId"]) == (["pipelines"], "echo_run_echo_run_post")
    asked = operation["requestBody"]
    assert (asked["required"], list(asked["content"])) == (True, ["application/json"])
    assert asked["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/echoRunRequest"}
    answered = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert answered == {"$ref": "#/components/schemas/echoRunResponse"}
    schemas = told["components"]["schemas"]
    assert list(schemas["echoRunRequest"]["properties"]) == ["text", "times"]
    assert schemas["echoRunRequest"]["required"] == ["text"]
    assert schemas["echoRunResponse"]["properties"]["result"]["type"] == "string"
    assert "422" in operation["responses"]


def test_files_make_the_body_a_form_alone() -> None:
    content = described(up=Uploads())["paths"]["/up/run"]["post"]["requestBody"]["content"]
    assert list(content) == ["multipart/form-data"]


def test_the_servers_own_routes_have_the_names_that_clients_know_and_say_where_a_key_is_needed() -> None:
    told = described()
    found = {
        (path, method): (operation["operationId"], operation["tags"], "security" in operation)
        for path, operations in told["paths"].items()
        for method, operation in operations.items()
    }
    assert (
        found.items()
        >= {
            ("/status", "get"): ("status_all", ["status"], False),
            ("/status/{pipeline_name}", "get"): ("status_pipeline", ["status"], False),
            ("/deploy_files", "post"): ("pipeline_deploy", ["config"], True),
            ("/deploy-yaml", "post"): ("yaml_pipeline_deploy", ["config"], True),
            ("/undeploy/{pipeline_name}", "post"): ("pipeline_undeploy", ["config"], True),
        }.items()
    )


@pytest.mark.parametrize("name", ["a b", "{x}", "{x}{x}", "ü"])
def test_any_name_is_described_and_the_whole_is_valid(name: str) -> None:
    told = described(echo=Echo(), p=Pieces(), up=Uploads())
    validate(told)
    served = app(echo=Echo())
    deployed = served.pipelines.deployments.find("echo")
    from dataclasses import replace

    served.pipelines.deployments.add(replace(deployed, name=name))
    told = ask(served, "GET", "/openapi.json").json
    assert f"/{name}/run" in told["paths"]
    ids = [operation["operationId"] for operations in told["paths"].values() for operation in operations.values()]
    assert len(ids) == len(set(ids))


def test_it_follows_what_is_deployed_and_what_the_author_adds() -> None:
    served = app(echo=Echo())
    assert "/echo/run" in served.openapi()["paths"]
    assert served.openapi() is served.openapi()

    @served.get("/own", tags=["mine"])
    async def own() -> int:
        return 1

    assert served.openapi()["paths"]["/own"]["get"]["tags"] == ["mine"]
    served.pipelines.deployments.remove("echo")
    with TestClient(served) as client:
        told = client.get("/openapi.json").json()
    assert "/own" in told["paths"]
    assert "/echo/run" not in told["paths"]
    assert "echoRunRequest" not in json.dumps(told)


def test_below_another_path_it_says_so() -> None:
    assert ask(app(), "GET", "/x/openapi.json", root_path="/x").json["servers"] == [{"url": "/x"}]
