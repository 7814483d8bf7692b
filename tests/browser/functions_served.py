"""Typed functions on a server of their own, for the tests of their page: on loopback, below a path."""

from __future__ import annotations

import datetime
import decimal
import enum
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import numpy
import pandas
import uvicorn
from pydantic import BaseModel, Field, SecretStr

from portico.functions.given import Progress
from portico.functions.server import FunctionsServer
from portico.functions.signature import typed_function
from portico.functions.typed import FunctionOptions
from portico.types import ASGIApp, Receive, Scope, Send

ROOT = "/portico/apps/flats"


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    name: str
    toys: list[str] = []


class Tree(BaseModel):
    """A tree."""

    value: int
    children: list[Tree] = []


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


def predict(
    area: Annotated[float, Field(gt=0)],
    rooms: Annotated[int, Field(ge=1, le=12)] = 2,
    city: Literal["Bern", "Basel"] = "Bern",
    balcony: bool = False,
    floor: int | None = None,
    note: str = "",
) -> dict[str, Any]:
    """Price of a flat.

    Args:
        area: square metres
        floor: 0 for the ground floor
    """
    return {"area": area, "rooms": rooms, "city": city, "balcony": balcony, "floor": floor, "note": note}


def moments(
    day: datetime.date,
    at: datetime.datetime,
    hour: datetime.time = datetime.time(12, 30),
    pause: datetime.timedelta = datetime.timedelta(minutes=5),
) -> list[str]:
    """Dates and times."""
    return [day.isoformat(), at.isoformat(), hour.isoformat(), str(pause)]


def nested(
    tags: list[str],
    pair: tuple[int, str],
    limits: dict[str, int],
    pet: Annotated[Cat | Dog, Field(discriminator="kind")],
    thing: int | str | list[int] = 3,
    tree: Tree | None = None,
    colours: set[Colour] = set(),  # noqa: B006 -- never changed
    grid: list[list[float]] = [],  # noqa: B006
    maybe: bool | None = None,
) -> dict[str, Any]:
    """Values of several parts."""
    return {
        "tags": tags,
        "pair": pair,
        "limits": limits,
        "pet": pet,
        "thing": thing,
        "tree": tree,
        "colours": sorted(colour.value for colour in colours),
        "grid": grid,
        "maybe": maybe,
    }


def echo(anything, big: int = 12345678901234567890, exact: decimal.Decimal = decimal.Decimal("1.10")):
    """Gives back what it is given."""
    return {"anything": anything, "big": big, "exact": exact, "10": 1, "9": 2}


def files(papers: list[bytes], photo: bytes | None = None, note: str = "") -> dict[str, Any]:
    """Sizes of files."""
    return {"papers": [len(paper) for paper in papers], "photo": len(photo) if photo else None, "note": note}


class Shown:
    def __init__(self, **by_kind: Any) -> None:
        self._by_kind = {kind.replace("_", "/"): data for kind, data in by_kind.items()}

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return self._by_kind


def show(html: str = "<b>bold</b>") -> Shown:
    """Shows HTML."""
    return Shown(text_html=html, text_plain="in Python")


def rows(count: int = 3) -> list[dict[str, Any]]:
    """A table."""
    return [{"city": f"city {number}, <b>", "price": number * 1.5, "sold": None} for number in range(count)]


def table(data: pandas.DataFrame, by: str = "city") -> pandas.DataFrame:
    """Means of a table."""
    return data.groupby(by).mean().reset_index()


def array(values: numpy.ndarray) -> dict[str, Any]:
    """The shape of an array."""
    return {"shape": list(values.shape), "sum": float(values.sum())}


def text(what: str) -> str:
    """A text."""
    return what


def unlock(password: SecretStr, door: str) -> str:
    """Takes a secret."""
    return f"{door}, {len(password.get_secret_value())}"


def fails(why: str = "no reason") -> None:
    """Raises."""
    raise ValueError(why)


def checked(text: str) -> str:
    """Refuses a value by itself."""
    from fastapi import HTTPException

    raise HTTPException(int(text), "as was asked for", {"Retry-After": "7"})


class Gate:
    """What the functions that take their time wait for."""

    def __init__(self) -> None:
        self.more = threading.Event()
        self.begun = threading.Event()
        self.closed = threading.Event()
        self.calls = 0

    def train(self, progress: Progress, epochs: int = 4) -> str:
        """Learn, and say how far it is."""
        self.calls += 1
        progress(1, epochs, "loss <b>0.5</b>")
        self.begun.set()
        assert self.more.wait(30)
        progress(epochs, epochs)
        return "learnt"

    def tell(self, prompt: str) -> Iterator[Any]:
        """A story, word by word."""
        self.calls += 1
        try:
            yield f"{prompt} "
            self.begun.set()
            while not self.more.wait(0.05):
                yield "."
            yield {"word": 1}
            yield "<img src=x onerror=alert(1)>"
            if prompt == "fail":
                raise ValueError("no more words")
        finally:
            self.closed.set()

    def wait(self) -> str:
        """Takes its time."""
        self.calls += 1
        self.begun.set()
        assert self.more.wait(30)
        return "waited"

    def new(self) -> None:
        """Begin again, for another test."""
        for event in (self.more, self.begun, self.closed):
            event.clear()
        self.calls = 0


GATE = Gate()

GET = FunctionOptions(get=True)
ALL: dict[str, Callable[..., Any]] = {
    "predict": predict,
    "moments": moments,
    "nested": nested,
    "echo": echo,
    "files": files,
    "show": show,
    "rows": rows,
    "table": table,
    "array": array,
    "text": text,
    "unlock": unlock,
    "fails": fails,
    "checked": checked,
    "train": GATE.train,
    "tell": GATE.tell,
    "wait": GATE.wait,
}


def server_of(
    functions: Mapping[str, Callable[..., Any]], title: str = "", **options: FunctionOptions
) -> FunctionsServer:
    typed = {name: typed_function(one, name, options.get(name)) for name, one in functions.items()}
    return FunctionsServer(typed, title=title)


class House:
    """Serves *app* below `ROOT`; which app, may be changed while it runs."""

    def __init__(self, port: int) -> None:
        self.origin = f"http://127.0.0.1:{port}"
        self.url = f"{self.origin}{ROOT}/"
        self.app: ASGIApp = server_of({"predict": predict})
        self.access = "anonymous"
        self.authorization = ""
        """What the last request to the service had in its Authorization."""
        self.asked: list[str] = []
        """The paths that were asked for outside of the service, by HTTP or a WebSocket."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(ROOT):
            self.authorization = dict(scope["headers"]).get(b"authorization", b"").decode()
            extensions = {**scope.get("extensions", {}), "portico": {"access": self.access}}
            await self.app({**scope, "root_path": ROOT, "extensions": extensions}, receive, send)
        elif scope["type"] == "websocket":
            self.asked.append(scope["path"])
            await receive()
            await send({"type": "websocket.close"})
        elif scope["type"] == "http":
            self.asked.append(scope["path"])
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})


@contextmanager
def serving() -> Iterator[House]:
    """A `House` on a port that was free."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await house(scope, receive, send)

    config = uvicorn.Config(app, port=0, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    house = House(socket.getsockname()[1])
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
    thread.start()
    try:
        yield house
    finally:
        GATE.more.set()  # what waits for it ends
        server.should_exit = True
        thread.join(20)
        socket.close()
