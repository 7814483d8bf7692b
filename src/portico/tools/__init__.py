"""Tools: typed functions that agents call by the Model Context Protocol (MCP), behind one URL of their service.

- `tool`: one tool, and what a call of it gives.
- `server`: the ASGI app behind that URL. It loads `endpoint`, and the SDK with it, when the first client comes.
- `endpoint`: what is asked of tools, by the official SDK, whose `Server` does the protocol.
- `modern`, `handshake`: MCP over HTTP, for clients of 2026-07-28 and for those before, which have `sessions`.
- `reply`: one request while it is answered; `wire`: its messages.
- `calling`: one call while it runs: its progress, and how it is stopped.
- `changes`: who is told that the list of tools has changed.

Not here: how a tool is made of a function (`portico.functions`), and all tools of a hub behind one URL
(`portico.hub.tools`).
"""
