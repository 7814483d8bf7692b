"""What most people serve: a FastAPI app, for what its own import adds to a start."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def hello() -> dict[str, str]:
    return {"hello": "world"}
