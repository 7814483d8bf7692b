"""A program that makes a token for visitors."""

import asyncio

from portico import connect_to_server


async def main():
    server = await connect_to_server({"server_url": "https://relay.example.org"})
    token = await server.generate_token()
    print(token)
    await server.disconnect()


asyncio.run(main())
