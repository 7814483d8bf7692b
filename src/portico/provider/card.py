"""How a service looks in a notebook: a small card in HTML, and its twin in plain text for terminals and saved files.

Self-contained: no script, no style sheet; colours follow JupyterLab's theme where there is one. A key is never shown.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from portico.provider.service import Service

_DOTS = {"live": "#2e9e5b", "starting": "#c98a00", "reconnecting": "#c98a00", "stopped": "#888888", "failed": "#d13438"}

_ACCESS = {
    "private": "private: you, and whoever has a key",
    "key": "whoever has a key",
    "public": "public: whoever can reach this server",
}

_XSS_NOTE = (
    "Its pages run on Jupyter's own origin: a script in them can do what you can do here. "
    "Open to others only what you trust."
)


def curl(service: Service) -> str:
    """A command line that calls the service; the key is the reader's to fill in."""
    if service.kind == "chat":
        return f"curl {service.url}v1/models" + _authorization(service)
    return f"curl {service.url}" + _authorization(service)


def _authorization(service: Service) -> str:
    return "" if service.access == "public" else ' -H "Authorization: Bearer $PORTICO_KEY"'


def openai_snippet(service: Service) -> str:
    """Python that talks to the service's first model by the OpenAI SDK."""
    key = '"none"' if service.access == "public" else "service.key()"
    model = service.models[0] if service.models else service.name
    return (
        "from openai import OpenAI\n"
        f'client = OpenAI(base_url="{service.url}v1", api_key={key})\n'
        "client.chat.completions.create(\n"
        f'    model="{model}", messages=[{{"role": "user", "content": "Hello"}}])'
    )


def text(service: Service) -> str:
    """The card as plain text."""
    lines = [f"{service.title} is {service.status}" + (f": {service.error}" if service.error else "")]
    if service.status in ("live", "reconnecting"):
        lines += [f"  {service.url}", f"  {_ACCESS[service.access]}", f"  {curl(service)}"]
        if service.kind == "chat":
            lines += ["  " + line for line in openai_snippet(service).splitlines()]
    if service.log.total:
        lines.append(f"  errors: {service.log.total}, the last: {service.log[-1].summary} (service.log)")
    return "\n".join(lines)


def html(service: Service) -> str:
    """The card as HTML."""
    live = service.status in ("live", "reconnecting")
    dot = _DOTS.get(service.status, "#888888")
    # A path alone: the page knows under which host the reader came.
    path = urlsplit(service.url).path
    rows = [
        '<div style="display:flex;align-items:baseline;gap:.5em;flex-wrap:wrap">'
        f'<span aria-hidden="true" style="color:{dot}">&#9679;</span>'
        f"<strong>{escape(service.title)}</strong>"
        f'<span style="{_DIM}">{escape(service.status)}</span></div>'
    ]
    if service.error:
        rows.append(f'<div role="alert" style="margin-top:.4em">{escape(service.error)}</div>')
    if live:
        rows.append(
            f'<div style="margin-top:.3em"><a href="{escape(path, quote=True)}" target="_blank" '
            f'rel="noopener" style="color:var(--jp-content-link-color,#0b6bcb)">{escape(service.url)}</a></div>'
        )
        rows.append(f'<div style="{_DIM}">{escape(_ACCESS[service.access])}</div>')
        rows.append(_code("curl", curl(service)))
        if service.kind == "chat":
            rows.append(_code("OpenAI SDK", openai_snippet(service)))
        if service.access != "private":
            rows.append(f'<div style="{_DIM};margin-top:.3em">{escape(_XSS_NOTE)}</div>')
    if service.log.total:
        last = service.log[-1]
        rows.append(
            f'<details style="margin-top:.4em"><summary style="cursor:pointer">{service.log.total} '
            f"error{'s' if service.log.total > 1 else ''}; the last: {escape(last.summary[:200])}</summary>"
            f'<pre style="{_PRE}">{escape(last.doing)}\n{escape(last.traceback)}</pre></details>'
        )
    return f'<div style="{_BOX}">{"".join(rows)}</div>'


_BOX = (
    "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;line-height:1.45;"
    "border:1px solid var(--jp-border-color1,#c8c8c8);border-radius:6px;padding:.7em .9em;max-width:46em;"
    "color:var(--jp-ui-font-color1,inherit)"
)
_DIM = "color:var(--jp-ui-font-color2,#6a6a6a)"
_PRE = (
    "margin:.3em 0 0;padding:.5em .6em;overflow-x:auto;white-space:pre;font-size:12px;border-radius:4px;"
    "background:var(--jp-layout-color2,rgba(128,128,128,.12));color:inherit;"
    "font-family:var(--jp-code-font-family,ui-monospace,monospace)"
)


def _code(label: str, code: str) -> str:
    return (
        f'<details style="margin-top:.3em"{" open" if label == "curl" else ""}><summary style="cursor:pointer;{_DIM}">'
        f'{escape(label)}</summary><pre style="{_PRE}">{escape(code)}</pre></details>'
    )
