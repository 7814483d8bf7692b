"""Every exception that Portico raises, as one tree. This module imports nothing of Portico.

::

    PorticoError
    ├── LocalError                  you erred: the call, its arguments, or their state
    │   ├── LocalProtocolError      a frame was asked for that the stream's state forbids
    │   ├── InvalidName             a service name outside DNS-label rules
    │   ├── InvalidOption           an option whose value cannot be used
    │   ├── NotServable             the object is no ASGI app, nothing that carries one, and no function
    │   ├── StartupFailed           the app's own lifespan startup failed
    │   ├── NoHub                   no hub was found to publish on
    │   ├── AnsweredWithError       an app answered with a status of 500 or more, and raised nothing that got out
    │   ├── StoreFailed             what a server remembers could not be read or written
    │   ├── UnusableOutput          a function gave something that no answer can be made of
    │   └── DialogueError           a dialogue cannot do what it was to do
    │       ├── NoSuchQuestion      an answer to a question that it has not asked
    │       ├── NotAsked            an answer to a question that takes none any more
    │       ├── DialogueOver        it has ended
    │       ├── DialogueFull        a message, a question or an answer more than it keeps
    │       ├── MessagesLost        it does not keep the messages that were to be read
    │       ├── TooManyDialogues    there are as many of them as there may be
    │       └── CannotWait          synchronous code asked where it cannot wait for the answer
    ├── UnusableRequest             a visitor's request, or a field of it, cannot be used
    ├── FunctionError               what the caller of a typed function is told of its exception
    ├── Busy                        too many calls wait already
    ├── APIError                    an answer in the OpenAI error shape; a model function may raise it
    │   ├── InvalidRequest          the request's body or a parameter of it cannot be used
    │   └── ModelNotFound           no model has that id
    └── RemoteError                 they erred: the other end of a link, or the way to it
        ├── RemoteProtocolError     bytes that the link protocol does not allow
        ├── LinkClosed              the link is gone; says both sides' reasons
        ├── StreamReset             the other end gave this stream up
        ├── NoAnswer                nobody answered a dialogue's question in time
        └── Refused                 the hub said no: a name taken, a token that may not
            └── NameTaken           another provider holds the name

An error's ``status`` is the HTTP status that a visitor or an API client is answered with,
mapped here and nowhere else (RFC 9110 §15).
"""

from collections.abc import Mapping


class PorticoError(Exception):
    """The root. ``str(error)`` is one or two plain sentences that say what to do."""

    status = 500


class LocalError(PorticoError):
    """The caller erred."""

    status = 400


class LocalProtocolError(LocalError):
    """A frame was asked for that the stream's or the link's state forbids."""

    status = 500


class InvalidName(LocalError, ValueError):
    """A service or workspace name that cannot be part of a host name."""


class InvalidOption(LocalError, ValueError):
    """An option whose value cannot be used."""


class NotServable(LocalError, TypeError):
    """What was given is no app, carries none, and is no function."""


class StartupFailed(LocalError):
    """The app's lifespan startup failed; ``__cause__`` is its own exception where there is one."""

    status = 503


class NoHub(LocalError):
    """No hub was found to publish on. The text says which ways were tried."""

    status = 503


class AnsweredWithError(LocalError):
    """An app answered with a status of 500 or more. Not raised: it is what a service's log says of such a request."""

    status = 500

    def __init__(self, status: int) -> None:
        super().__init__(f"the app answered with {status}; what it printed or logged may say why")


class StoreFailed(LocalError):
    """What a relay or a server remembers could not be read or written: a full disk, a file that may not be used."""

    status = 503


class UnusableOutput(LocalError, TypeError):
    """A function returned or yielded something that no answer can be made of."""

    status = 500


class DialogueError(LocalError):
    """A dialogue cannot do what its code, or who reads and answers it, wanted of it."""


class NoSuchQuestion(DialogueError):
    """An answer names a question that the dialogue has not asked, or does not keep any more."""

    status = 404


class NotAsked(DialogueError):
    """The question takes no answer any more: it has one, or it came too late, or its code does not wait for it."""

    status = 409


class DialogueOver(DialogueError):
    """The dialogue has ended: it takes no answer, and its code can neither tell nor ask anything."""

    status = 409


class DialogueFull(DialogueError):
    """A message, a question or an answer is more than a dialogue keeps of them."""

    status = 413


class MessagesLost(DialogueError):
    """A dialogue cannot be read on from a message that it never told, or of which it does not keep what followed."""

    status = 410


class TooManyDialogues(DialogueError):
    """There are as many dialogues, or threads for them, as there may be. Nothing of the new one has begun."""

    status = 503


class CannotWait(DialogueError):
    """Synchronous code asked where it cannot wait for the answer. Its question was not told to anybody."""

    status = 501


class UnusableRequest(PorticoError):
    """A visitor's request cannot be used, whatever it is for: too long, not decodable, not JSON. Nothing of it was run.

    ``status`` is the HTTP status (400 by default), ``field`` names what of the body is meant (``messages[0].content``)
    and ``code`` is a word for programs; ``headers`` are for the answer's head. How an answer with these looks is up to
    the room that was asked.
    """

    status = 400

    def __init__(
        self,
        message: str,
        status: int | None = None,
        *,
        field: str | None = None,
        code: str | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        if status is not None:
            self.status = status
        self.field = field
        self.code = code
        self.headers = headers
        super().__init__(message)


class FunctionError(PorticoError):
    """A typed function failed: what its caller is told. ``__cause__`` is its own exception, for its author alone.

    ``type`` is the name of the exception's class, and ``message`` its text on one line; ``detail`` is both, as is the
    text of this error: ``"<type>: <message>"``. Where the function raised an ``HTTPException`` (Starlette's or
    FastAPI's), ``type`` is empty, and ``status``, ``detail`` and ``headers`` are those that it has.
    """

    status = 500

    def __init__(
        self,
        type: str,
        message: str,
        *,
        status: int = 500,
        detail: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.type = type
        self.message = message
        self.status = status
        self.headers: Mapping[str, str] = headers or {}
        text = f"{type}: {message}" if type and message else type or message
        self.detail = text if detail is None else detail
        super().__init__(text)


class Busy(PorticoError):
    """Too many calls wait for their turn already. ``retry_after`` is in seconds (RFC 9110 §10.2.3)."""

    status = 429

    def __init__(self, message: str, retry_after: int = 1) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class PipelineError(PorticoError):
    """A pipeline cannot be deployed, undeployed or found; ``status`` is what HTTP clients are told, with the text."""

    status = 422


class NoSuchPipeline(PipelineError):
    """No pipeline of that name is deployed."""

    status = 404


class PipelineNotSaved(PipelineError):
    """The server could not write a pipeline's files; the files that were there before are there."""

    status = 500


class PipelineExists(PipelineError):
    """A pipeline of that name is deployed already, and is not to be replaced."""

    status = 409


class APIError(PorticoError):
    """An answer in the OpenAI error shape: ``{"error": {message, type, param, code}}``.

    A model function may raise it: unlike any other exception's, its text reaches the client as it is.

    ``status`` is the HTTP status, 400 to 599; ``type``, ``code`` and ``param`` are the fields of that name, with the
    type that OpenAI gives the status by default; ``retry_after`` is in seconds and becomes a Retry-After header
    (RFC 9110 §10.2.3). Source: OpenAI API reference, "Error codes".
    """

    status = 500

    _TYPES = {  # noqa: RUF012 -- a constant
        401: "authentication_error",
        403: "permission_error",
        429: "rate_limit_error",
    }

    def __init__(
        self,
        message: str,
        status: int | None = None,
        *,
        type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        if status is not None:
            self.status = status
        self.type = type or self._TYPES.get(
            self.status, "invalid_request_error" if self.status < 500 else "server_error"
        )
        self.code = code
        self.param = param
        self.retry_after = retry_after
        super().__init__(message)


class InvalidRequest(APIError):
    """The request's body, or the parameter ``param`` of it, cannot be used. Nothing of it reached a function."""

    status = 400

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message, param=param, code=code)


class ModelNotFound(APIError):
    """No model has that id."""

    status = 404

    def __init__(self, message: str) -> None:
        super().__init__(message, param="model", code="model_not_found")


class RemoteError(PorticoError):
    """The other end erred, or the way to it."""

    status = 502


class RemoteProtocolError(RemoteError):
    """The other end sent bytes that the link protocol does not allow. The link must be closed."""


class LinkClosed(RemoteError):
    """The link is gone.

    ``reason`` is what this side saw or said, ``remote_reason`` what the other end said, if it did.
    """

    def __init__(self, reason: str, remote_reason: str = "") -> None:
        self.reason = reason
        self.remote_reason = remote_reason
        super().__init__(f"{reason} (the other end said: {remote_reason})" if remote_reason else reason)


class StreamReset(RemoteError, OSError):
    """The other end gave the stream up. An ``OSError``, as the ASGI specification asks of ``send()``."""

    def __init__(self, code: int, reason: str = "") -> None:
        self.code = code
        self.reason = reason
        super().__init__(reason or f"the stream was reset (code {code})")


class NoAnswer(RemoteError, TimeoutError):
    """Nobody answered a dialogue's question in time."""

    status = 504


class Refused(RemoteError):
    """The hub said no; ``code`` is its machine-readable reason."""

    status = 403

    def __init__(self, message: str, code: str = "refused") -> None:
        self.code = code
        super().__init__(message)


class NameTaken(Refused):
    """Another provider holds the name. ``holder`` tells who: keys ``kernel_id``, ``notebook``, ``provider``."""

    status = 409

    def __init__(self, message: str, holder: dict[str, str] | None = None) -> None:
        self.holder = holder or {}
        super().__init__(message, "name_taken")
