"""Tools: typed functions that agents call by the Model Context Protocol (MCP), behind one URL of their service.

- `tool`: one tool, and what a call of it gives.
- `server`: the ASGI app behind that URL.
- `endpoint`: MCP over HTTP, by the official SDK, which it imports; loaded when the first client comes.
- `calling`: one call while it runs: its progress, and how it is stopped.
- `changes`: who is told that the list of tools has changed.

Not here: how a tool is made of a function (`portico.functions`), and all tools of a hub behind one URL
(`portico.hub.tools`).
"""
