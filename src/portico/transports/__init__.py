"""What moves opaque binary messages from one end of a link to the other. No transport knows the protocol.

- `transport`: the interface.
- `memory`: a pair within one process. It is public, and what tests use.
- `websocket`: dials out from CPython. `browser`: dials out from a browser tab.
- `sansio`: bounds on what the WebSocket library holds. `whole_frames`: reads and writes usual messages past that
  library, for speed. Both are for either end of a WebSocket in CPython.

The accepting ends live with their servers: `portico.jupyter.links`, `portico.relay.edge.asgi_link`.
"""
