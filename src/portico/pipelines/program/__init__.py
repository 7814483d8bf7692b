"""The server of pipelines as a program: from its start to its end, in one process or several.

- `app`: the server as a FastAPI app. `tools_app`: a server of tools alone.
- `life`: what such a process deploys, watches and ends.
- `running`: the program. `addresses`: where it listens. `process`: one that serves, `processes`: several.
"""
