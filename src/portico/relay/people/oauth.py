"""How a program gets a token by OAuth (RFC 8628): what it calls, and answers and errors in OAuth's shape."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from portico.hub.answers import Answer
from portico.relay.people.device import GRANT_TYPE, RETRY_AFTER, DeviceFlow, OAuthError
from portico.relay.people.forms import Endpoint, address_of, page_of, read_fields
from portico.relay.people.grants import EVERY_SCOPE

METADATA = "/.well-known/oauth-authorization-server"
"""RFC 8414 §3. The only path of the relay's pages that is not under ``/portico/``."""

_AUTHORIZATION = "/portico/device_authorization"
_TOKEN = "/portico/token"
PATHS = (_AUTHORIZATION, _TOKEN, METADATA)
"""What is here."""


class OAuthEndpoints:
    """What programs call to get a token. The page that their user sees is `portico.relay.people.sign_in`'s."""

    def __init__(self, base_url: str, devices: DeviceFlow) -> None:
        self._base_url = base_url
        self._devices = devices

    def routes(self) -> list[tuple[str, Endpoint, list[str]]]:
        """Path, endpoint and methods of each."""
        return [
            (_AUTHORIZATION, self._device_authorization, ["POST"]),
            (_TOKEN, self._token, ["POST"]),
            (METADATA, self._metadata, ["GET"]),
        ]

    async def _metadata(self, request: Request) -> Response:
        """RFC 8414 §2."""
        base = self._base_url
        return JSONResponse(
            {
                "issuer": base,
                "device_authorization_endpoint": base + _AUTHORIZATION,
                "token_endpoint": base + _TOKEN,
                "response_types_supported": [],
                "grant_types_supported": [GRANT_TYPE],
                "token_endpoint_auth_methods_supported": ["none"],
                "scopes_supported": list(EVERY_SCOPE),
            }
        )

    async def _device_authorization(self, request: Request) -> Response:
        fields = await _fields(request)
        agent = request.headers.get("user-agent", "")
        return secret_json(
            self._devices.begin(fields, address=address_of(request), agent=agent, origin=page_of(request))
        )

    async def _token(self, request: Request) -> Response:
        answer, _ = await self._devices.poll(await _fields(request))
        return secret_json(answer)


async def _fields(request: Request) -> dict[str, str]:
    try:
        return await read_fields(request)
    except Answer as answer:
        raise OAuthError("invalid_request", answer.message, answer.status, answer.headers) from None


def secret_json(body: dict[str, Any], status: int = 200) -> Response:
    """RFC 6749 §5.1: what holds a token is kept by no cache."""
    return JSONResponse(body, status, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})


async def say_error(request: Request, error: Exception) -> Response:
    """The answer to an `OAuthError`."""
    assert isinstance(error, OAuthError)
    response = secret_json(error.body(), error.status)
    if error.status == 429:
        response.headers["Retry-After"] = str(RETRY_AFTER)
    for name, value in error.headers:
        response.headers[name.decode()] = value.decode()
    return response
