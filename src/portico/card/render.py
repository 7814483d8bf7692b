"""How a service looks in a notebook: a small card in HTML, and its twin in plain text for terminals and saved files.

It renders a `CardState`, and knows nothing else of a service. Self-contained: no script, no style sheet. Colours follow
JupyterLab's theme where there is one. A notebook that is not trusted loses every declaration with a ``var()``, so each
has a plain one before it, or is not needed. What is shown stays true in a saved notebook: it says since when, and for
how long. A key is never shown.
"""

from __future__ import annotations

import time
from functools import lru_cache
from html import escape
from urllib.parse import urlsplit

from portico.card import programs
from portico.card.state import CardState, FailureState, ShareState

_DOTS = {
    "live": "#2e9e5b",
    "starting": "#c98a00",
    "reconnecting": "#c98a00",
    "expired": "#888888",
    "stopped": "#888888",
    "failed": "#d13438",
}

_ACCESS = {
    "private": "private: open to you, signed in to Jupyter, and to whoever has a key",
    "key": "key: open to whoever has a key; in a browser, its page asks for it",
    "public": "public: open to whoever can reach this server",
}

_SHARED = {
    "private": "private: open to the users of its workspace, signed in to the relay, and to whoever has a key",
    "key": "key: open to whoever has a key",
    "public": "public: open to whoever has the link",
}

_PREVIEWED = (
    "a preview, in this browser alone, while this tab is open; WebSockets need a link by a relay "
    "(%serve app --share --relay https://...)"
)

_PAGES = {"chat": "a page to try it on", "functions": "a page with a form", "pipeline": "a page to try it on"}
"""What is at the URL of services of these kinds."""

_XSS_NOTE = (
    "Its pages run on Jupyter's own origin: a script in them can do what you can do here. "
    "Open to others only what you trust."
)


def _opens_pages(service: CardState) -> bool:
    """Whether others may be shown pages of its author's; those of chat models and of functions are Portico's own."""
    return service.access != "private" and service.kind not in _PAGES


def _state(service: CardState) -> str:
    """What the status is, in words that stay true when they are read later."""
    if service.status == "live":
        return f"live since {_minute(service.served)}, while this {service.holder} runs"
    if service.status == "reconnecting":
        return _reconnecting("hub", service.error)
    return f"{service.status}: {_last_line(service.error)}" if service.error else service.status


def _reconnecting(where: str, why: str) -> str:
    lost = f"reconnecting: the link to the {where} was lost, and is being dialled again"
    return f"{lost}: {_last_line(why)}" if why else lost


def _last_line(text: str) -> str:
    """A framework may tell of a failed startup by a whole traceback, which is in the log too."""
    return text.strip().rpartition("\n")[2]


def frame(service: CardState) -> str:
    """The service's own page in a frame, as HTML, where it is previewed."""
    if not (service.is_previewed and service.is_live and service.url):
        return ""
    source, title = escape(service.url, quote=True), escape(service.title, quote=True)
    return f'<iframe class="portico-frame" src="{source}" title="{title}" style="{_FRAME}"></iframe>'


def _minute(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(when))


def _circumstances(service: CardState, failure: FailureState) -> str:
    """What the app was doing, when, and whether it was the only time."""
    doing = failure.doing.replace(urlsplit(service.url).path, "/", 1)  # below the app's root, as its routes say
    count = f", {failure.total} errors so far" if failure.total > 1 else ""
    return f"{doing}, at {time.strftime('%H:%M:%S', time.localtime(failure.time))}{count}"


def text(service: CardState) -> str:
    """The card as plain text."""
    lines = [f"{service.title} is {_state(service)}"]
    if service.is_live:
        docs = service.docs_url
        page = f" ({_PAGES[service.kind]})" if service.kind in _PAGES else ""
        if service.url:
            lines += [f"  {service.url}{page}", *([f"  {docs}"] if docs else [])]
        lines += [f"  {kind}"] if (kind := _kind(service)) else []
        lines.append(f"  {_who_may(service)}")
        lines += [f"  {note}" for note in (*service.notes, *service.remarks)]
        if not service.is_previewed:
            lines += _programs_text(service)
        if _opens_pages(service):
            lines += ["", f"  {_XSS_NOTE}"]
        for share in service.shares:
            lines += ["", *("  " + line for line in share_text(share).splitlines())]
    if (last := service.failure) is not None:
        lines += ["", f"  {last.summary}", f"  {_circumstances(service, last)} (all of it: service.log)"]
        lines += ["  " + line for line in last.own.splitlines()]
    return "\n".join(lines)


def html(service: CardState) -> str:
    """The card as HTML."""
    state = escape(_state(service))
    rows = [
        f'<div><span aria-hidden="true" style="color:{_DOTS.get(service.status, "#888888")}">&#9679;</span> '
        f'<strong style="margin:0 .3em">{escape(service.title)}</strong> '
        + (f'<span role="alert">{state}</span>' if service.error else f'<span style="{_DIM}">{state}</span>')
        + "</div>"
    ]
    if service.is_live:
        if service.url:
            rows.append(f'<div style="margin-top:.3em;overflow-wrap:anywhere">{_links(service)}</div>')
        if kind := _kind(service):
            rows.append(f'<div style="{_DIM}">{escape(kind)}</div>')
        rows.append(f'<div style="{_DIM}">{escape(_who_may(service))}</div>')
        rows += [f'<div style="{_NOTE}">{escape(note)}</div>' for note in (*service.notes, *service.remarks)]
        if not service.is_previewed:
            rows += _programs(service)
        if _opens_pages(service):
            rows.append(f'<div style="{_DIM};margin-top:.3em">{escape(_XSS_NOTE)}</div>')
        rows += [_shared_row(share) for share in service.shares]
    if service.failure is not None:
        rows.append(_failure(service, service.failure))
    return f'<div class="portico-card" style="{_BOX}">{"".join(rows)}</div>'


def _kind(service: CardState) -> str:
    """What it is, where that is neither an app nor chat models, which can be seen by their links."""
    if service.kind in ("app", "chat"):
        return ""
    return service.how if service.kind in ("functions", "pipeline") else f"{service.kind}: {service.how}"


def _talks(service: CardState) -> bool:
    """Whether clients of the OpenAI API talk to it."""
    return service.kind == "chat" or (service.kind == "pipeline" and bool(service.models))


def _who_may(service: CardState) -> str:
    if service.is_previewed:
        return _PREVIEWED if service.url else service.notice
    return _ACCESS[service.access]


def _programs_text(service: CardState) -> list[str]:
    """How programs and agents call it, as plain text."""
    if service.kind == "chat":
        return ["", *("  " + line if line else "" for line in programs.openai_snippet(service).splitlines())]
    hint = [] if service.access == "public" else [f"  {programs.key_hint(service)}"]
    lines = [f"  {programs.curl(service)}"]
    if service.kind == "pipeline" and service.models:
        lines.append(f"  chat clients, by the OpenAI API: {service.url}v1, model {service.models[0]}")
    if mcp := programs.mcp_url(service):
        lines += [f"  agents, by MCP: {mcp}", f"  {programs.claude_code(service)}", f"  {programs.vs_code(service)}"]
    return lines + hint


def _programs(service: CardState) -> list[str]:
    """How programs and agents call it."""
    hint = "" if service.access == "public" else programs.key_hint(service)
    rows = [_code("curl", programs.curl(service), hint, shown=service.call is not None or not _talks(service))]
    if mcp := programs.mcp_url(service):
        url = f'<code style="{_CODE}" title="Click to select">{escape(mcp)}</code>'
        rows.append(f'<div style="{_DIM};margin-top:.3em">agents, by MCP: {url}</div>')
        rows.append(_code("Claude Code", programs.claude_code(service), shown=False))
        rows.append(_code("VS Code", programs.vs_code(service), shown=False))
    if _talks(service):
        rows.insert(0, _code("OpenAI SDK", programs.openai_snippet(service), shown=service.call is None))
    return rows


def share_text(share: ShareState) -> str:
    """What a shared link is, as plain text."""
    lines = [f"shared by {_host(share.relay)}: {_share_state(share)}"]
    if share.status in ("live", "reconnecting"):
        lines += [f"  {share.url}", f"  {_who_may_open(share)}"]
    return "\n".join(lines)


def share_html(share: ShareState) -> str:
    """What a shared link is, as a card of its own."""
    return f'<div class="portico-card" style="{_BOX}">{_share_rows(share)}</div>'


def _shared_row(share: ShareState) -> str:
    return (
        f'<div style="margin-top:.6em;padding-top:.5em;border-top:1px solid rgba(128,128,128,.3)">'
        f"{_share_rows(share)}</div>"
    )


def _share_rows(share: ShareState) -> str:
    rows = [
        f'<div><span aria-hidden="true" style="color:{_DOTS.get(share.status, "#888888")}">&#9679;</span> '
        f'<strong style="margin:0 .3em">shared by {escape(_host(share.relay))}</strong> '
        f'<span style="{_DIM}">{escape(_share_state(share))}</span></div>'
    ]
    if share.status in ("live", "reconnecting"):
        url = escape(share.url, quote=True)
        rows.append(
            f'<div style="margin-top:.3em;overflow-wrap:anywhere">'
            f'<a href="{url}" target="_blank" rel="noopener">{escape(share.url)}</a></div>'
        )
        rows.append(f'<div style="{_DIM}">{escape(_who_may_open(share))}</div>')
        if code := qr_code(share.url):
            rows.append(
                f'<details style="margin-top:.3em"><summary style="{_SUMMARY}">QR code</summary>'
                f'<div style="margin-top:.4em" role="img" aria-label="QR code of the link">{code}</div></details>'
            )
    return "".join(rows)


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _share_state(share: ShareState) -> str:
    """What the status is, in words that stay true when they are read later."""
    if share.status == "live":
        until = f", open until {_minute(share.expires)}" if share.expires is not None else ""
        return f"since {_minute(share.shared)}{until or ', until it is unshared'}"
    if share.status == "reconnecting":
        return _reconnecting("relay", share.error)
    if share.status == "expired" and share.expires is not None:
        return f"expired at {_minute(share.expires)}"
    return f"{share.status}: {share.error}" if share.error else share.status


def _who_may_open(share: ShareState) -> str:
    """Access, and the conditions on it."""
    parts = [_SHARED[share.access]]
    if share.has_password:
        parts.append("and knows the password")
    if share.networks:
        parts.append(f"from {', '.join(share.networks)}")
    limits = [share.rate] if share.rate else []
    limits += [f"{share.concurrency} at once"] if share.concurrency is not None else []
    return " ".join(parts) + (f"; at most {', '.join(limits)}" if limits else "")


@lru_cache(maxsize=32)  # a card is drawn anew with every change
def qr_code(url: str) -> str:
    """An inline SVG of *url* as a QR code (ISO/IEC 18004), dark on white in any theme; empty if it cannot be made."""
    try:
        import segno
    except ImportError:  # in a browser, say; the link is there all the same
        return ""
    svg: str = segno.make(url, micro=False).svg_inline(
        scale=4, border=3, light="#fff", dark="#000", svgclass=None, lineclass=None
    )
    return svg


_BOX = (
    "font-family:system-ui,sans-serif;font-family:var(--jp-ui-font-family,system-ui,sans-serif);"
    "font-size:13px;line-height:1.45;border:1px solid rgba(128,128,128,.5);border-color:var(--jp-border-color1);"
    "border-radius:6px;padding:.7em .9em;max-width:46em;color:var(--jp-ui-font-color1,inherit)"
)
_FRAME = (
    "box-sizing:border-box;display:block;width:100%;max-width:60em;height:24em;margin-top:.5em;background:#fff;"
    "border:1px solid rgba(128,128,128,.5);border-radius:6px"
)
_NOTE = "margin-top:.3em;padding-left:.7em;border-left:3px solid #c98a00"
_DIM = "color:var(--jp-ui-font-color2,inherit)"
_SUMMARY = f"cursor:pointer;{_DIM}"
# Lines are wrapped, not cut: what is copied is the one line that it is.
_PRE = (
    "margin:.3em 0 0;padding:.5em .6em;white-space:pre-wrap;overflow-wrap:anywhere;word-break:normal;font-size:12px;"
    "line-height:1.4;border-radius:4px;background:rgba(128,128,128,.12);background:var(--jp-layout-color2,rgba(128,128,128,.12));"
    "color:inherit;font-family:ui-monospace,monospace;font-family:var(--jp-code-font-family,ui-monospace,monospace)"
)


_CODE = (
    "user-select:all;overflow-wrap:anywhere;font-size:12px;color:inherit;background:transparent;"
    "font-family:ui-monospace,monospace;font-family:var(--jp-code-font-family,ui-monospace,monospace)"
)


def _links(service: CardState) -> str:
    docs = service.docs_url
    page = f' &nbsp;<span style="{_DIM}">{_PAGES[service.kind]}</span>' if service.kind in _PAGES else ""
    return _link(service, service.url, service.url) + (f" &nbsp;{_link(service, docs, 'docs')}" if docs else "") + page


def _link(service: CardState, url: str, label: str) -> str:
    # In a page of the hub's own server a path is enough, and right under whichever host name the reader came.
    target = urlsplit(url).path if service.holder == "kernel" else url
    return f'<a href="{escape(target, quote=True)}" target="_blank" rel="noopener">{escape(label)}</a>'


def _code(label: str, code: str, hint: str = "", *, shown: bool) -> str:
    """A piece of code to take away: a click selects all of it."""
    after = f'<div style="{_DIM};font-size:12px;overflow-wrap:anywhere">{escape(hint)}</div>' if hint else ""
    return (
        f'<details style="margin-top:.3em"{" open" if shown else ""}><summary style="{_SUMMARY}">{escape(label)}'
        f'</summary><pre title="Click to select" style="{_PRE};user-select:all">{escape(code)}</pre>{after}</details>'
    )


def _failure(service: CardState, failure: FailureState) -> str:
    own = f'<pre style="{_PRE}">{escape(failure.own.rstrip())}</pre>' if failure.own else ""
    return (
        '<div style="margin-top:.6em;padding-left:.7em;border-left:3px solid #d13438">'
        f'<strong style="overflow-wrap:anywhere">{escape(failure.summary[:500])}</strong>'
        f'<div style="{_DIM}">{escape(_circumstances(service, failure))}</div>{own}'
        f'<details style="margin-top:.3em"><summary style="{_SUMMARY}">Whole traceback</summary>'
        f'<pre style="{_PRE};max-height:24em;overflow-y:auto" tabindex="0">{escape(failure.traceback.rstrip())}</pre>'
        "</details></div>"
    )
