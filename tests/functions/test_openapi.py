"""The description of all functions: valid, true, and of the names that people know."""

# ruff: noqa: B006 -- so people write defaults, and the functions here change none

import datetime
import decimal
import enum
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import pytest
from fastapi import FastAPI
from openapi_spec_validator import validate
from pydantic import BaseModel, Field
from starlette.datastructures import Headers, UploadFile

from portico.functions.given import User
from portico.functions.mark import tool
from portico.functions.openapi import FunctionRoute, Schemas
from portico.functions.run_route import RunRoute
from portico.functions.server import FunctionsServer
from portico.functions.signature import typed_function
from tests.functions.visiting import get, run, server


def described(app: FunctionsServer, **more: Any) -> Any:
    answer = get(app, "/openapi.json", **more)
    assert answer.status == 200
    validate(answer.json)
    return answer.json


def predict(area: float, rooms: int = 2, city: Literal["Bern", "Basel"] = "Bern") -> float:
    """Price of a flat.

    It is made up.

    Args:
        area: square metres
    """
    return area * rooms


def test_a_function_in_openapi():
    told = described(server(predict))
    assert told["openapi"] == "3.1.0"
    assert told["info"]["title"] == "Predict"
    assert set(told["paths"]) == {"/run", "/predict/run"}
    operation = told["paths"]["/predict/run"]["post"]
    assert operation["summary"] == "Price of a flat."
    assert "It is made up." in operation["description"]
    assert operation["requestBody"]["required"]
    request = told["components"]["schemas"]["predictRunRequest"]
    assert request["required"] == ["area"]
    assert request["properties"]["area"]["description"] == "square metres"
    assert request["properties"]["city"]["enum"] == ["Bern", "Basel"]
    answer = told["components"]["schemas"]["predictRunResponse"]
    assert answer["properties"]["result"]["type"] == "number"
    assert {"ValidationError", "HTTPValidationError"} <= set(told["components"]["schemas"])


def test_below_a_path():
    told = described(server(predict), root_path="/portico/apps/flats")
    assert told["servers"] == [{"url": "/portico/apps/flats"}]
    assert "servers" not in described(server(predict))


def test_after_a_change():
    app = server(predict)
    assert "/predict/run" in described(app)["paths"]

    def other(x: int) -> int:
        return x

    app.replace({"other": typed_function(other)})
    assert set(described(app)["paths"]) == {"/run", "/other/run"}


def test_what_callers_cannot_give_is_not_in_it():
    def who(user: User, headers: Headers, note: str = "") -> str:
        return note

    told = described(server(who))
    assert set(told["components"]["schemas"]["whoRunRequest"]["properties"]) == {"note"}
    assert not told["paths"]["/who/run"]["post"]["requestBody"]["required"]


def test_a_get_has_its_arguments_in_the_query():
    @tool(get=True)
    def find(text: str, many: list[int] = [], flat: dict[str, int] | None = None) -> str:
        return text

    path = described(server(find))["paths"]["/find/run"]
    assert set(path) == {"get", "post"}
    parameters = {one["name"]: one for one in path["get"]["parameters"]}
    assert parameters["text"]["required"]
    assert parameters["many"]["schema"]["type"] == "array"
    assert "application/json" in parameters["flat"]["content"]
    assert "requestBody" not in path["get"]


def test_files_are_in_a_form():
    def read(file: UploadFile, many: list[bytes], note: str = "") -> str:
        return note

    content = described(server(read))["paths"]["/read/run"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "multipart/form-data"}
    properties = content["multipart/form-data"]["schema"]["properties"]
    assert properties["file"]["contentMediaType"] == "application/octet-stream"
    assert properties["many"]["items"]["contentMediaType"] == "application/octet-stream"
    assert properties["note"]["type"] == "string"


def test_pieces_come_as_text_or_events_or_at_once():
    def words() -> Iterator[str]:
        yield ""

    content = described(server(words))["paths"]["/run"]["post"]["responses"]["200"]["content"]
    assert list(content) == ["text/plain", "application/json", "text/event-stream"]


class Flat(BaseModel):
    area: Annotated[float, Field(gt=0)]
    inside: list["Flat"] = []


class OtherFlat(BaseModel):
    rooms: int


OtherFlat.__name__ = OtherFlat.__qualname__ = "Flat"


def test_schemas_of_one_name_are_kept_apart():
    def one(flat: Flat) -> Flat:
        return flat

    def two(flat: OtherFlat) -> OtherFlat:
        return flat

    def three(flat: Flat) -> None:
        pass

    schemas = described(server(one, two, three))["components"]["schemas"]
    flats = {name: schema for name, schema in schemas.items() if "Flat" in name}
    assert len([schema for schema in flats.values() if "rooms" in schema["properties"]]) == 1
    used = {schemas[f"{name}RunRequest"]["properties"]["flat"]["$ref"] for name in ("one", "two", "three")}
    assert len(used) == 2


def test_what_a_schema_refers_to_tells_it_from_others():
    schemas = Schemas()

    def of(inner: str) -> dict[str, Any]:
        return {"$ref": "#/$defs/A", "$defs": {"A": {"items": {"$ref": "#/$defs/B"}}, "B": {"type": inner}}}

    assert schemas.add(of("string"), "one") == schemas.add(of("string"), "two")
    assert schemas.add(of("number"), "three") == {"$ref": "#/components/schemas/three-A"}
    assert schemas.all["three-A"] == {"items": {"$ref": "#/components/schemas/three-B"}}


def test_a_default_of_null_is_told():
    def find(text: str | None = None) -> str:
        return text or ""

    schema = described(server(find))["components"]["schemas"]["findRunRequest"]["properties"]["text"]
    assert schema["default"] is None


def test_a_route_can_stand_in_any_fastapi_app():
    typed = typed_function(predict)
    app = FastAPI()
    app.router.routes.append(FunctionRoute("/price", RunRoute(typed), "POST", {}, "price"))
    assert run(app, "/price", {"area": 2}).json == {"result": 4.0}
    assert run(app, "/price", {}).status == 422
    assert get(app, "/price").status == 405
    assert app.openapi()["paths"]["/price"]["post"]["summary"] == "Price of a flat."


# --- functions of many types -----------------------------------------------------------------------------------------


class Color(enum.Enum):
    red = "red"
    blue = "blue"


@dataclass
class Point:
    x: float
    y: float = 0.0


class Named(TypedDict):
    name: str


def numbers(
    a: int, b: Annotated[float, Field(ge=-1, le=1)] = 0.5, c: bool = False, d: Annotated[int, Field(ge=0, le=10)] = 3
) -> float:
    return a * b if c else float(d)


def texts(a: str, b: str | None = None, c: Annotated[str, Field(min_length=2)] = "ab") -> list[str | None]:
    return [a, b, c]


def dates(a: datetime.date, b: datetime.datetime | None = None, c: datetime.timedelta | None = None) -> datetime.date:
    return a


def others(a: uuid.UUID, c: Color = Color.red) -> dict[str, Any]:
    return {"a": a, "c": c}


def decimals(a: decimal.Decimal) -> decimal.Decimal:
    return a


def containers(a: list[int], b: dict[str, float], c: set[str] = set(), d: tuple[int, str] = (1, "a")) -> dict[str, int]:
    return {"many": len(a) + len(b) + len(c) + len(d)}


def models(a: Flat, b: Point | None = None, c: Named | None = None) -> Flat:
    return a


def unions(a: int | list[str] | Point, b: Literal[1, "two", None] = 1) -> int | str:
    return 1 if isinstance(a, int) else "other"


def anything(a, b=2):
    return [a, b]


def nothing() -> None:
    pass


def more(a: int = 1, **kwargs: int) -> dict[str, int]:
    return {"a": a, **kwargs}


def pieces(a: Annotated[int, Field(ge=0, le=5)]) -> Iterator[str]:
    yield from ["x"] * a


async def files(a: UploadFile, b: bytes = b"", c: list[bytes] = []) -> dict[str, int]:
    return {"a": len(await a.read()), "b": len(b), "c": len(c)}


@tool(get=True)
def query(a: int, b: str = "", c: bool = False, d: Color = Color.red, e: Point | None = None) -> str:
    return f"{a}{b}{c}{d}{e}"


MANY = (numbers, texts, dates, others, containers, models, unions, anything, nothing, more, pieces, query)

LOOSE = (files, decimals)
"""Functions of which the schema cannot say all: base64, and numbers as text."""


@pytest.mark.parametrize(
    ("functions", "excluded"),
    [
        # pydantic takes "3" for 3, as FastAPI does: what the schema forbids may be read all the same.
        (MANY, "negative_data_rejection"),
        (LOOSE, "negative_data_rejection,positive_data_acceptance"),
    ],
    ids=["many types", "what a schema cannot say"],
)
def test_the_description_holds(functions, excluded, serve, tmp_path: Path):
    """Whatever schemathesis makes of it: no 5xx, and no status, media type or body that it does not tell."""
    url = serve(server(*functions))
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", "25"),
        *("--exclude-checks", excluded),
        *("--generation-deterministic", "--continue-on-failure", "--warnings", "off", "--no-color"),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout
    assert f"Tested: {sum(1 + one.options.get for one in map(typed_function, functions))}" in done.stdout
