"""Tools: typed functions that agents call by the Model Context Protocol (MCP), behind one URL of their service.

- `tool`: one tool, and what a call of it gives.

Not here: how a tool is made of a function (`portico.functions`), and all tools of a hub behind one URL
(`portico.hub.tools`).
"""
