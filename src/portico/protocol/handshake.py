"""What JSON control frames hold: HELLO and WELCOME with the settings of each end, REGISTER, UNREGISTER and ACK.

Here a control frame becomes an event and an event a frame; when it may come is the connection's to say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from portico import foreign
from portico.errors import RemoteProtocolError
from portico.protocol import frames
from portico.protocol.events import Ack, Hello, Register, Unregister, Welcome
from portico.protocol.flow_control import ANNOUNCED, Limits

_MOST_VERSION = 1000  # beyond it a number is no version, and would make a long error


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSettings:
    """What one end tells the other about itself. Sizes in bytes."""

    max_data: int
    max_batch: int
    max_header_block: int
    max_control_frame: int
    stream_window: int
    link_window: int
    max_streams: int


def settings_of(limits: Limits) -> dict[str, int]:
    return {name: getattr(limits, name) for name in ANNOUNCED}


def _settings(value: dict[str, Any]) -> PeerSettings:
    given = value.get("settings")
    if not isinstance(given, dict):
        raise RemoteProtocolError("the handshake has no settings")
    numbers = {}
    for name, (low, high) in ANNOUNCED.items():
        number = given.get(name)
        if type(number) is not int or not low <= number <= high:
            raise RemoteProtocolError(f"the handshake's {name} must be a whole number from {low} to {high}")
        numbers[name] = number
    return PeerSettings(**numbers)


def _text(value: dict[str, Any], name: str) -> str:
    text = value.get(name, "")
    if not isinstance(text, str):
        raise RemoteProtocolError(f"{name} in a control frame must be a string")
    return text


def _texts(value: dict[str, Any], name: str) -> tuple[str, ...]:
    found = value.get(name, [])
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise RemoteProtocolError(f"{name} in a control frame must be a list of strings")
    return tuple(found)


def _object(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name, {})
    if not isinstance(found, dict):
        raise RemoteProtocolError(f"{name} in a control frame must be an object")
    return found


def _request(value: dict[str, Any]) -> int:
    number = value.get("request")
    if type(number) is not int or not 0 <= number <= frames.MAX_STREAM_ID:
        raise RemoteProtocolError("a control frame's request must be a whole number")
    return number


def _check_version(value: dict[str, Any]) -> None:
    versions = value.get("versions")
    listed = versions if isinstance(versions, list) else []
    spoken = [number for number in listed if type(number) is int and 0 <= number < _MOST_VERSION]
    if frames.VERSION not in spoken:
        raise RemoteProtocolError(
            f"no common version of the link protocol: this end speaks {frames.VERSION}, the other {spoken[:8]}; "
            "update the older of the two"
        )


def pack_hello(hello: Hello, limits: Limits) -> bytes:
    return frames.pack_json(
        frames.HELLO,
        {
            "versions": [frames.VERSION],
            "settings": settings_of(limits),
            "token": hello.token,
            "session": hello.session,
            "epoch": hello.epoch,
            "agent": hello.agent,
            "info": hello.info,
            "features": list(hello.features),
        },
    )


def unpack_hello(payload: bytes) -> tuple[Hello, PeerSettings]:
    value = frames.unpack_json(payload)
    _check_version(value)
    session, epoch = _text(value, "session"), value.get("epoch")
    if not 16 <= len(session) <= 128 or type(epoch) is not int or epoch < 0:
        raise RemoteProtocolError("HELLO needs a session of 16 to 128 characters and an epoch from 0 up")
    hello = Hello(
        token=_text(value, "token"),
        session=session,
        epoch=epoch,
        agent=_text(value, "agent"),
        info=_object(value, "info"),
        features=_texts(value, "features"),
    )
    return hello, _settings(value)


def pack_welcome(welcome: Welcome, limits: Limits) -> bytes:
    return frames.pack_json(
        frames.WELCOME,
        {
            "versions": [frames.VERSION],
            "settings": settings_of(limits),
            "base_url": welcome.base_url,
            "agent": welcome.agent,
            "info": welcome.info,
        },
    )


def unpack_welcome(payload: bytes) -> tuple[Welcome, PeerSettings]:
    value = frames.unpack_json(payload)
    _check_version(value)
    welcome = Welcome(
        base_url=_text(value, "base_url"),
        agent=_text(value, "agent"),
        info=_object(value, "info"),
    )
    return welcome, _settings(value)


def pack_register(register: Register) -> bytes:
    return frames.pack_json(frames.REGISTER, {"request": register.request, "service": register.service})


def unpack_register(payload: bytes) -> Register:
    value = frames.unpack_json(payload)
    return Register(_request(value), _object(value, "service"))


def pack_unregister(unregister: Unregister) -> bytes:
    return frames.pack_json(frames.UNREGISTER, {"request": unregister.request, "name": unregister.name})


def unpack_unregister(payload: bytes) -> Unregister:
    value = frames.unpack_json(payload)
    return Unregister(_request(value), _text(value, "name"))


def pack_ack(ack: Ack) -> bytes:
    return frames.pack_json(
        frames.ACK,
        {
            "request": ack.request,
            "ok": ack.ok,
            "url": ack.url,
            "error": ack.error,
            "code": ack.code,
            "detail": ack.detail,
        },
    )


def unpack_ack(payload: bytes) -> Ack:
    value = frames.unpack_json(payload)
    return Ack(
        request=_request(value),
        ok=value.get("ok") is True,
        url=_text(value, "url"),
        error=_text(value, "error"),
        code=_text(value, "code"),
        detail=_object(value, "detail"),
    )


# --- what people are shown --------------------------------------------------------------------------------------


def presentable_hello(hello: Hello) -> Hello:
    """*hello* as its hub may show it."""
    return replace(hello, agent=foreign.text(hello.agent))


def presentable_welcome(welcome: Welcome) -> Welcome:
    """*welcome* as its provider may show it. Raises `RemoteProtocolError` for a URL that is not a page's."""
    public = welcome.info.get("public_base_url")
    _check_url("base_url", welcome.base_url)
    _check_url("public_base_url", "" if public is None else public)
    return replace(welcome, agent=foreign.text(welcome.agent), info=foreign.json_object(welcome.info))


def presentable_ack(ack: Ack) -> Ack:
    """*ack* as its provider may show it. Raises `RemoteProtocolError` for a URL that is not a page's."""
    _check_url("url", ack.url)
    return replace(
        ack, error=foreign.text(ack.error), code=foreign.text(ack.code), detail=foreign.json_object(ack.detail)
    )


def _check_url(name: str, url: object) -> None:
    if url == "":
        return
    try:
        foreign.server_url(url)
    except ValueError as error:
        raise RemoteProtocolError(f"{name} in a control frame is not the URL of a page: {error}") from None
