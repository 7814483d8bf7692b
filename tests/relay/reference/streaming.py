"""An app that streams, which a command line serves."""

import asyncio

from fastapi import FastAPI
from starlette.responses import StreamingResponse

app = FastAPI()


@app.get("/stream")
async def stream_response():
    async def stream_generator():
        for i in range(10):
            yield f"Chunk {i}\n".encode()
            await asyncio.sleep(0.5)  # Simulate processing time

    return StreamingResponse(stream_generator(), media_type="text/plain")
