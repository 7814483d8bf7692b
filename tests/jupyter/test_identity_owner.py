"""Who calls with the server's own token: one and the same user, however often Jupyter is asked."""

from __future__ import annotations

import httpx

from tests.live_jupyter import JupyterServer

APP = """
import json, portico

async def app(scope, receive, send):
    if scope["type"] == "http":
        told = json.dumps(scope["extensions"]["portico"]).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": told})

portico.serve(app, "whoami")
"""


def test_the_servers_token_is_the_same_user_each_time(jupyter_server: JupyterServer) -> None:
    kernel = jupyter_server.kernel()
    try:
        kernel.execute(APP).check()
        url = f"{jupyter_server.url}portico/apps/whoami/"
        with httpx.Client(headers={"Authorization": f"token {jupyter_server.token}"}, trust_env=False) as client:
            # each asks Jupyter anew, as for any request whose credentials look otherwise
            told = [client.get(url, headers={"Cookie": f"other={number}"}).json() for number in range(3)]
            told.append(client.get(url, headers={"Authorization": f"Bearer {jupyter_server.token}"}).json())
    finally:
        kernel.shutdown()
    assert told[0]["access"] == "user"
    assert told[0]["user"]["id"] == "owner"
    assert told == [told[0]] * 4
