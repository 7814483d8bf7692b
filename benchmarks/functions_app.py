"""The same functions twice: in plain FastAPI, and as Portico serves them. And fifty in one service."""

from __future__ import annotations

from typing import Any, Literal

City = Literal["Bern", "Basel"]


def predict(area: float, rooms: int = 2, city: City = "Bern") -> float:
    """Price of a flat.

    Args:
        area: square metres
    """
    return area * rooms


async def predict_async(area: float, rooms: int = 2, city: City = "Bern") -> float:
    """Price of a flat, on the event loop."""
    return area * rooms


def plain() -> Any:
    """A FastAPI app as its users write it: a model of the body, and of the answer."""
    from fastapi import FastAPI
    from pydantic import BaseModel

    class Flat(BaseModel):
        area: float
        rooms: int = 2
        city: City = "Bern"

    class Price(BaseModel):
        result: float

    app = FastAPI()

    def price(flat: Flat) -> Price:
        return Price(result=predict(flat.area, flat.rooms, flat.city))

    async def price_async(flat: Flat) -> Price:
        return Price(result=await predict_async(flat.area, flat.rooms, flat.city))

    # Postponed annotations name these two, which only this function knows.
    for function in (price, price_async):
        function.__annotations__ = {"flat": Flat, "return": Price}
    app.post("/predict/run")(price)
    app.post("/predict_async/run")(price_async)
    return app


def served() -> Any:
    """The same by Portico."""
    from portico.functions.server import FunctionsServer
    from portico.functions.signature import typed_function

    return FunctionsServer({one.__name__: typed_function(one) for one in (predict, predict_async)})


def fifty() -> Any:
    """Fifty functions in one service."""
    from portico.functions.server import FunctionsServer
    from portico.functions.signature import typed_function

    return FunctionsServer({f"predict_{number}": typed_function(predict, f"predict_{number}") for number in range(50)})


def sdk() -> Any:
    """The same as tools alone, as the SDK of MCP serves them."""
    from mcp.server import MCPServer
    from mcp.server.transport_security import TransportSecuritySettings

    server = MCPServer("functions", log_level="ERROR")
    for one in (predict, predict_async):
        server.tool()(one)
    return server.streamable_http_app(
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False)
    )
