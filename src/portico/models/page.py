"""The page that a person gets at a chat server's own URL: its models, how to call them, and a small chat.

One document with nothing to load, read only when a browser first asks for it. All that comes from outside goes in
as escaped text or as data, and what models answer is only ever put in as text. Text and controls keep to WCAG 2.2 AA in
both colour schemes: 4.5 to 1, and 3 to 1 for the controls' edges.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import quote

from portico.models.registry import Kind
from portico.types import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What stands at the top of the page."""

    title: str = ""
    """By default the last part of its path."""
    lead: str = "Python functions, served as the OpenAI API."
    links: Mapping[str, str] = field(default_factory=dict)
    """Other pages: what each is called, and its path relative to the service's root."""


USUAL = Around()


def page(scope: Scope, kinds: Mapping[str, Kind], identity: Mapping[str, Any] | None, around: Around = USUAL) -> str:
    """The page of a server with models of these *kinds*, by id, for one request.

    *identity* is the visitor as the hub has verified it. Who came in without being anyone needs no key, and the
    examples show none.
    """
    path: str = scope["path"]
    root = str(scope.get("root_path", "")).rstrip("/")
    name = around.title or root.rpartition("/")[2] or "Chat models"
    rows = "".join(
        f"<li><code>{escape(id)}</code>{'' if kind == 'chat' else ' <span class=kind>embeddings</span>'}</li>"
        for id, kind in kinds.items()
    )
    told: dict[str, Any] = {
        "base": base_of(path, root),
        "chat": [id for id, kind in kinds.items() if kind == "chat"],
        "embedding": [id for id, kind in kinds.items() if kind == "embedding"],
        "keyed": identity is not None and identity.get("access") != "anonymous",
    }
    # A script's text ends at "</script", whatever is around it.
    settings = json.dumps(told).replace("<", "\\u003c")
    above = told["base"].removesuffix("v1")
    links = "".join(
        f' <a href="{escape(above + to or "./")}">{escape(label)}</a>' for label, to in around.links.items()
    )
    return _PAGE.format(
        name=escape(name),
        lead=escape(around.lead) + links,
        models=rows,
        settings=settings,
        style=_STYLE,
        script=_SCRIPT,
    )


def base_of(path: str, root: str) -> str:
    """The base URL for clients, relative to the page at *path*: the app's *root*, with or without ``/v1``."""
    if path.removeprefix(root).strip("/"):
        return "." if path.endswith("/") else "v1"
    return "v1" if path.endswith("/") or not path else f"./{quote(path.rpartition('/')[2])}/v1"


_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#dcdcd7, #3a3d42); --edge: light-dark(#85857f, #7d8188);
  --dim: light-dark(#5c5c5c, #adadad); --box: light-dark(#fff, #222427); --soft: light-dark(#f1f1ee, #2a2d31);
  --accent: light-dark(#0b5cad, #8cc0ff); --on: light-dark(#fff, #10233a); --bad: light-dark(#a61b1f, #ff9b95) }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; background: light-dark(#f6f6f4, #17181a);
  color: light-dark(#1d1d1f, #ececec); overflow-wrap: anywhere }
main { max-width: 46rem; margin: 0 auto; padding: 1.5rem 1rem 3rem }
header { margin: 0 .2rem 1rem } h1 { font-size: 1.5rem; line-height: 1.3; margin: 0 }
a { color: var(--accent) } h2 { font-size: 1rem; margin: 0 0 .6rem } p { margin: .4rem 0 } .dim { color: var(--dim) }
section { background: var(--box); border: 1px solid var(--line); border-radius: 12px; padding: 1.1rem 1.3rem;
  margin: 0 0 1rem }
ul { list-style: none; display: flex; flex-wrap: wrap; gap: .4rem; margin: 0; padding: 0 }
li { background: var(--soft); border-radius: 6px; padding: .1rem .55rem } .kind { font-size: .85em; color: var(--dim) }
code, pre { font: .875em/1.5 ui-monospace, "Cascadia Code", Menlo, Consolas, monospace }
pre { background: var(--soft); border-radius: 8px; margin: 0; padding: .7rem .9rem; white-space: pre-wrap }
button, select, textarea { font: inherit; color: inherit; background: var(--box); border: 1px solid var(--edge);
  border-radius: 8px; padding: .35rem .8rem }
button { cursor: pointer } button:hover { background: var(--soft) }
button[type=submit] { background: var(--accent); border-color: var(--accent); color: var(--on) }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px } [hidden] { display: none !important }
.head { display: flex; align-items: baseline; justify-content: space-between; gap: .6rem; margin: .9rem 0 .35rem }
.head:first-of-type { margin-top: 0 } .head h3 { font-size: .9rem; margin: 0; font-weight: 600 }
.copy { padding: .05rem .6rem; font-size: .85rem }
.bar { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem; margin-bottom: .6rem } .bar h2 { margin: 0 }
.bar select { max-width: 100%; padding: .25rem .5rem } .bar .right { margin-left: auto }
#log { display: flex; flex-direction: column; gap: .6rem; max-height: 60vh; overflow-y: auto; margin-bottom: .7rem }
#log:empty { margin: 0 }
.turn { max-width: 90%; border-radius: 12px; padding: .5rem .85rem; white-space: pre-wrap }
.turn b { display: block; font-size: .8rem; color: var(--dim); font-weight: 600 }
.user { align-self: flex-end; background: light-dark(#e2eefb, #1c3450) }
.assistant { align-self: flex-start; background: var(--soft) }
.thought, .call { color: var(--dim); font-size: .9em }
.thought { border-left: 3px solid var(--line); padding-left: .6rem; margin: .2rem 0 }
.note { color: var(--dim); font-size: .9em } .bad { color: var(--bad) }
form { display: flex; gap: .5rem; align-items: flex-end } textarea { flex: 1; min-width: 0; resize: vertical }
::placeholder { color: var(--dim); opacity: 1 }
.away { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
@media (max-width: 30rem) { form { flex-direction: column; align-items: stretch } }
"""

_SCRIPT = """
'use strict'
const settings = JSON.parse(document.getElementById('settings').textContent)
const at = id => document.getElementById(id)
const base = new URL(settings.base, location.origin + location.pathname).href.replace(/[/]$/, '')
const say = text => { at('status').textContent = text }

// Examples to take away.
const chats = settings.chat.length > 0
const example = JSON.stringify(chats ? settings.chat[0] : settings.embedding[0])
const body = chats ? `{"model": ${example}, "messages": [{"role": "user", "content": "Hello"}]}`
  : `{"model": ${example}, "input": "Hello"}`
const inShell = body.replaceAll("'", "'\\\\''")
at('base').textContent = base
at('curl').textContent = `curl '${base}/${chats ? 'chat/completions' : 'embeddings'}' \\\\\\n`
  + (settings.keyed ? '  -H "Authorization: Bearer $PORTICO_KEY" \\\\\\n' : '')
  + `  -H "Content-Type: application/json" \\\\\\n  -d '${inShell}'`
at('python').textContent = (settings.keyed ? 'import os\\n' : '') + 'from openai import OpenAI\\n\\n'
  + `client = OpenAI(\\n    base_url=${JSON.stringify(base)},\\n`
  + `    api_key=${settings.keyed ? 'os.environ["PORTICO_KEY"]' : '"none"'},\\n)\\n`
  + (chats ? `answer = client.chat.completions.create(\\n    model=${example},\\n`
    + '    messages=[{"role": "user", "content": "Hello"}],\\n)\\nprint(answer.choices[0].message.content)'
    : `vectors = client.embeddings.create(model=${example}, input="Hello")\\nprint(vectors.data[0].embedding)`)
at('keys').hidden = !settings.keyed

async function copy(button) {
  const text = at(button.dataset.from)
  try {
    await navigator.clipboard.writeText(text.textContent)
    say('Copied.')
    button.textContent = 'Copied'
    setTimeout(() => { button.textContent = 'Copy' }, 1500)
  } catch { // no secure context, or not allowed: it is selected, to be copied by hand
    getSelection().selectAllChildren(text)
    say('Selected: copy it with your keyboard.')
  }
}
for (const button of document.querySelectorAll('.copy')) button.addEventListener('click', () => copy(button))

// The chat.
const log = at('log'), input = at('message'), picker = at('model')
let messages = [], running = null
for (const id of settings.chat) picker.append(new Option(id, id))
at('pick').hidden = settings.chat.length < 2
at('chat').hidden = !chats

function add(parent, kind, text, tag = 'div') {
  const part = document.createElement(tag)
  part.className = kind
  part.textContent = text
  parent.append(part)
  return part
}

function turn(kind, who) {
  const part = add(log, `turn ${kind}`, '')
  add(part, '', who, 'b')
  return part
}

// An error in plain words.
class Told extends Error {}

async function refusal(answer) {
  if (answer.status == 401) return 'You are not signed in any more. Load this page again.'
  let message = ''
  try { message = (await answer.json()).error.message } catch { /* no JSON: the status says it */ }
  if (answer.status == 429 || answer.status == 503) message += ' Try again in a moment.'
  return message || `The server answered with status ${answer.status}.`
}

// The data of each event, as it comes.
async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { value, done } = await reader.read()
    if (done) return
    const lines = (rest + value).split('\\n')
    rest = lines.pop()
    for (const line of lines) if (line.startsWith('data: ')) yield line.slice(6)
  }
}

async function answer(messages, shown, signal) {
  const request = { model: picker.value, messages, stream: true }
  const got = await fetch(`${base}/chat/completions`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(request), signal,
  })
  if (!got.ok) throw new Told(await refusal(got))
  let thought = null, words = null, ended = false
  const calls = []
  const reply = { role: 'assistant', content: '' }
  messages.push(reply)
  for await (const data of events(got.body)) {
    if (data == '[DONE]') { ended = true; break }
    const chunk = JSON.parse(data)
    if (chunk.error) throw new Told(chunk.error.message)
    const delta = chunk.choices[0]?.delta ?? {}
    const low = log.scrollHeight - log.scrollTop - log.clientHeight < 40
    if (delta.reasoning) {
      thought ??= add(shown, 'thought', '')
      thought.append(delta.reasoning)
    }
    const text = delta.content || delta.refusal
    if (text) {
      words ??= add(shown, 'words', '')
      words.append(text)
      reply.content += text
    }
    for (const { index, function: called } of delta.tool_calls ?? []) {
      calls[index] ??= add(shown, 'call', 'wants to call ')
      calls[index].append(called.name ? called.name + ' ' : '', called.arguments ?? '')
    }
    if (low) log.scrollTop = log.scrollHeight
  }
  if (!ended) throw new Told('The answer broke off.')
  if (!words && !calls.length) add(shown, 'note', 'The answer is empty.')
}

async function send() {
  const text = input.value.trim()
  if (!text || running) return
  input.value = ''
  const asked = messages, before = messages.length
  messages.push({ role: 'user', content: text })
  turn('user', 'You').append(text)
  const shown = turn('assistant', picker.value)
  log.scrollTop = log.scrollHeight
  running = new AbortController()
  busy(true)
  say('The model is answering.')
  try {
    await answer(asked, shown, running.signal)
    say('')
  } catch (error) {
    const stopped = error.name == 'AbortError'
    const words = stopped ? 'Stopped.' : error instanceof Told ? error.message
      : 'The server cannot be reached, or the connection was lost.'
    add(shown, stopped ? 'note' : 'note bad', words)
    log.scrollTop = log.scrollHeight
    say(words)
    // What was not answered is not sent again; half an answer that was stopped stays part of the chat.
    if (!stopped || asked.at(-1).role == 'user' || !asked.at(-1).content) asked.length = before
  } finally {
    running = null
    busy(false)
  }
}

function busy(is) {
  log.setAttribute('aria-busy', is) // so that an answer is read out once it is whole
  at('stop').hidden = !is
  at('send').hidden = is
  const focused = document.activeElement
  if (focused === document.body || focused.hidden) input.focus()
}

at('form').addEventListener('submit', event => { event.preventDefault(); send() })
at('stop').addEventListener('click', () => running?.abort())
at('new').addEventListener('click', () => {
  running?.abort()
  messages = []
  log.replaceChildren()
  say('A new chat.')
  input.focus()
})
input.addEventListener('keydown', event => {
  if (event.key == 'Enter' && !event.shiftKey && !event.isComposing) { event.preventDefault(); send() }
  if (event.key == 'Escape') running?.abort()
})
"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex">
<title>{name} · Portico</title>
<style>{style}</style></head>
<body><main>
<header><h1>{name}</h1><p class=dim>{lead}</p></header>
<noscript><section>Scripts are off, so there is no chat here. The base URL for clients is this page's address and
<code>v1</code>.</section></noscript>
<section aria-labelledby=models><h2 id=models>Models</h2><ul>{models}</ul></section>
<section id=chat hidden aria-labelledby=chat-title>
<div class=bar><h2 id=chat-title>Chat</h2>
<span id=pick hidden><label class=away for=model>Model</label><select id=model autocomplete=off></select></span>
<button id=new type=button class="copy right">New chat</button></div>
<div id=log role=log aria-live=polite aria-label=Conversation tabindex=0></div>
<form id=form><label class=away for=message>Message</label>
<textarea id=message rows=2 autocomplete=off placeholder="Write a message"
 aria-describedby=hint></textarea>
<button id=send type=submit>Send</button><button id=stop type=button hidden>Stop</button></form>
<p class="dim note" id=hint>Enter sends, Shift and Enter begins a line, Escape stops.</p>
</section>
<section aria-labelledby=use><h2 id=use>Use it in a program</h2>
<div class=head><h3>Base URL for clients</h3>
<button class=copy data-from=base aria-label="Copy the base URL">Copy</button></div><pre id=base></pre>
<div class=head><h3>curl</h3>
<button class=copy data-from=curl aria-label="Copy the curl command">Copy</button></div><pre id=curl></pre>
<div class=head><h3>Python</h3>
<button class=copy data-from=python aria-label="Copy the Python program">Copy</button></div><pre id=python></pre>
<p class="dim note" id=keys hidden><code>PORTICO_KEY</code> is a key of this service: <code>service.key()</code>,
where it is served, makes one.</p>
</section>
<p class=away id=status role=status></p>
</main>
<script type="application/json" id=settings>{settings}</script>
<script>{script}</script>
</body></html>
"""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


CSP = (
    f"default-src 'none'; script-src {_hash(_SCRIPT)}; style-src {_hash(_STYLE)}; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
"""Nothing runs but the page's own script, which talks to this server alone."""
