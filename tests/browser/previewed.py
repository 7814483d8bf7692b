# /// script
# requires-python = ">=3.12"
# dependencies = ["fastapi"]
# ///
# The app that the tests of the preview visit. It runs in a browser.
import asyncio
import hashlib
import time
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse


@asynccontextmanager
async def lifespan(app):
    yield {"started": True}


app = FastAPI(title="Previewed", lifespan=lifespan)
more = asyncio.Event()
left: list[str] = []
someone_left = asyncio.Event()


@app.get("/", response_class=HTMLResponse, include_in_schema=False)
def home():
    form = "<form method=post action=form><button>Send</button></form>"
    return f"<title>Previewed</title><h1>Hello from a tab</h1><a href=other>other</a>{form}"


@app.get("/other", response_class=HTMLResponse)
def other(request: Request):
    return f"<title>Other</title><h1>Other</h1><a href='{request.url_for('home')}'>home</a>"


@app.post("/form")
async def form(request: Request):
    return RedirectResponse(request.url_for("other"), 303)


@app.get("/elsewhere")
def elsewhere():
    return RedirectResponse("other?a=1")


@app.get("/hello")
def hello(request: Request):
    return {"hello": "you", "started": request.state.started}


@app.api_route("/told", methods=["GET", "PUT"])
async def told(request: Request):
    scope = request.scope
    keys = ("method", "scheme", "path", "root_path", "server", "client")
    return {
        **{key: scope[key] for key in keys},
        "raw_path": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(),
        "headers": [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]],
        "portico": scope["extensions"]["portico"],
    }


@app.get("/told/{rest:path}")
async def told_more(request: Request):
    return await told(request)


@app.get("/parts")
async def parts(name: str = "parts", early: bool = False):
    """One part, and another when `/more` is called."""

    async def make():
        try:
            if not early:
                yield b"first\n"
            await more.wait()
            more.clear()
            yield b"second\n"
        except BaseException:
            left.append(name)
            someone_left.set()
            raise

    return StreamingResponse(make(), media_type="text/plain")


@app.post("/more", status_code=204)
async def go_on():
    more.set()


async def ends(scope, receive, send):
    """Says nothing, or the head and a part, until the visitor leaves; notes what it hears then."""
    name = scope["path"].rpartition("/")[2]
    if name == "late-head":
        await more.wait()
        more.clear()
    if name != "before-head":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first\n", "more_body": True})
    while (message := await receive())["type"] == "http.request":
        pass
    left.append(f"{name}: {message['type']}")
    someone_left.set()


app.mount("/ends", ends)


@app.get("/left")
async def who_left(name: str):
    while name not in left:
        someone_left.clear()
        await someone_left.wait()
    return left


@app.get("/events")
async def events():
    async def lines():
        yield "data: first\n\n"
        await more.wait()
        more.clear()
        yield "data: second\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")


@app.get("/in-step")
async def in_step(count: int):
    """Numbered events, each once `/more` is called for the one before it."""

    async def lines():
        for number in range(count):
            yield f"data: {number}\n\n"
            await more.wait()
            more.clear()

    return StreamingResponse(lines(), media_type="text/event-stream")


@app.post("/upload")
async def upload(request: Request):
    digest, size, chunks = hashlib.sha256(), 0, 0
    async for chunk in request.stream():
        digest.update(chunk)
        size += len(chunk)
        chunks += 1
    return {"size": size, "chunks": chunks, "sha256": digest.hexdigest()}


@app.get("/download")
async def download(size: int, chunk: int = 64 * 1024):
    async def make():
        for _ in range(0, size, chunk):
            yield b"x" * chunk

    return StreamingResponse(make(), media_type="application/octet-stream")


@app.get("/twice")
async def twice():
    response = Response("twice", headers={"link": "<a>; rel=a"})
    response.headers.append("link", "<b>; rel=b")
    return response


@app.get("/empty", status_code=204)
async def empty():
    return Response(status_code=204, headers={"x-empty": "yes"})


@app.get("/unchanged")
async def unchanged():
    return Response(status_code=304, headers={"etag": '"1"'})


@app.head("/head")
async def head():
    return Response("12345")


@app.get("/login")
async def login(response: Response):
    response.set_cookie("sid", "42", httponly=True)
    response.set_cookie("theme", "dark")
    return {}


@app.get("/logout")
async def logout(response: Response):
    response.delete_cookie("sid")
    return {}


@app.get("/cookies")
async def cookies(request: Request):
    return dict(request.cookies)


@app.get("/broken")
async def broken():
    raise RuntimeError("a secret of the author")


@app.get("/broken-late")
async def broken_late():
    async def make():
        yield b"first\n"
        await asyncio.sleep(0)
        raise RuntimeError("a secret of the author")

    return StreamingResponse(make())


@app.get("/busy")
def busy(seconds: float):
    """Computes, and lets nothing else run meanwhile."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return {"busy": seconds}


@app.get("/print")
async def say(text: str):
    print(text)
