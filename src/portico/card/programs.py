"""What a card gives to paste: how programs and agents call a service. All of it is text for a shell, Python, or JSON.

A key is never in it: it is the reader's to fill in.
"""

from __future__ import annotations

import json
from shlex import quote

from portico.card.state import CallState, CardState

_KEY = "PORTICO_KEY"
"""The environment variable that a key is read from."""


def curl(service: CardState) -> str:
    """A command line that calls the service."""
    if service.call is not None:
        return f"curl {quote(service.url + service.call.path)}" + _authorization(service) + _body(service.call)
    if service.kind in ("chat", "pipeline"):
        return f"curl {quote(service.url + 'v1/models')}" + _authorization(service)
    return f"curl {quote(service.url)}" + _authorization(service)


def _authorization(service: CardState) -> str:
    return "" if service.access == "public" else f' -H "Authorization: Bearer ${_KEY}"'


def _body(call: CallState) -> str:
    if not call.files:
        return f" -H 'Content-Type: application/json' -d {quote(call.body)}"
    fields = [f"{name}=@{name}" for name in call.files]
    fields += [f"{name}={_text(value)}" for name, value in json.loads(call.body).items()]
    return "".join(f" -F {quote(field)}" for field in fields)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def key_call(service: CardState) -> str:
    """Python that makes a key for the service, right wherever it is run in the process that serves it."""
    return f'portico.service("{service.name}").key()'


def key_hint(service: CardState) -> str:
    call = key_call(service)
    return (
        f'To call it by !curl from this notebook: import os, portico; os.environ["{_KEY}"] = {call}. '
        f"To see a key: print({call}), after import portico; clear that output before you save."
    )


def openai_snippet(service: CardState) -> str:
    """Python that talks to the service's first model by the OpenAI SDK."""
    public = service.access == "public"
    key = '"none"' if public else key_call(service)
    model = service.models[0] if service.models else service.name
    return (
        ("" if public else "import portico\n") + "from openai import OpenAI\n\n"
        "client = OpenAI(\n"
        f"    base_url={json.dumps(service.url + 'v1', ensure_ascii=False)},\n"
        f"    api_key={key},\n"
        ")\n"
        "answer = client.chat.completions.create(\n"
        f'    model={json.dumps(model, ensure_ascii=False)}, messages=[{{"role": "user", "content": "Hello"}}]\n'
        ")\n"
        "print(answer.choices[0].message.content)"
    )


_WITH_TOOLS = ("functions", "pipeline")
"""Kinds of services of which it is known where their tools are."""


def mcp_url(service: CardState) -> str:
    """Where agents find its tools; empty if it has none."""
    return service.url + "mcp" if service.kind in _WITH_TOOLS and service.tools else ""


def claude_code(service: CardState) -> str:
    """The command that tells Claude Code of its tools."""
    key = "" if service.access == "public" else f' --header "Authorization: Bearer ${_KEY}"'
    return f"claude mcp add --transport http {service.name} {quote(mcp_url(service))}{key}"


def vs_code(service: CardState) -> str:
    """The command that tells VS Code of its tools."""
    server: dict[str, object] = {"name": service.name, "type": "http", "url": mcp_url(service)}
    if service.access != "public":
        server["headers"] = {"Authorization": f"Bearer ${{env:{_KEY}}}"}
    return f"code --add-mcp {quote(json.dumps(server, ensure_ascii=False))}"
