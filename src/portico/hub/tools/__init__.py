"""The one URL for all tools of a hub, by MCP: which there are for whom, whose each is, and the way of a call to it.

- `base`: what all requests under the URL share, and what is told there. `exchange`: one HTTP request. `agent`: who
  makes it. `answering`: the messages in it.
- `messages`: JSON-RPC, by hand. `eras`: which MCP a request speaks. `events`: server-sent events.
- `reply`: what goes back. `call`: a call on its way. `listening`: a caller who hears of changes.
- `catalog`: which services a caller may use. `names`: what their tools are called here.
- `definitions`: what is told of each tool, asked of its provider. `cleaning`: makes that fit to be told.
- `no_oauth`: where clients look for an authorization server, there is none.

No library of MCP is known here: the hub is in every Jupyter server.
"""
