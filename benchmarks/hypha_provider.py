"""Serves the app through a Hypha server: `python -m benchmarks.hypha_provider URL ID`, in Hypha's own environment."""

import asyncio
import sys
from typing import Any

from hypha_rpc import connect_to_server  # type: ignore[import-not-found]  # it is in that environment alone

from benchmarks.app import app


async def main(server_url: str, service_id: str) -> None:
    server = await connect_to_server({"server_url": server_url})

    async def serve(args: dict[str, Any], context: Any = None) -> None:
        await app(args["scope"], args["receive"], args["send"])

    config = {"visibility": "public", "require_context": True}
    await server.register_service(
        {"id": service_id, "name": service_id, "type": "asgi", "serve": serve, "config": config}
    )
    print("SERVED", server.config.workspace, flush=True)
    await server.serve()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
