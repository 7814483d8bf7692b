"""Where visitors and links come in, and the two ways of a request: by ASGI, and past it.

- `edge`: takes a request either way, and brings it through its workspace's gate.
- `routes`: what a URL means. `own_hosts`: under which host names the relay answers.
- `proxies`: whose address and scheme a request has, behind a proxy. `addresses`: what one address may do.
- `visit_ends`: what is done when a visit is over: the access log.

By ASGI, under any server:

- `asgi_http`: a request. `asgi_socket`: a visitor's WebSocket. `asgi_link`: a provider's link.
- `driving`: calls ASGI's ``send`` from a callback.

Past ASGI, in the relay's own server, which is built on uvicorn's:

- `http1`: a connection. `framing`: where a request on it ends. `http1_visit`: the answer to one.
- `websocket`: WebSockets. `deadlines`: how long both wait for the other end.
- `past_asgi`: what this server and the edge know of each other, as interfaces.
- `uvicorn_internals`: what of uvicorn is used that it keeps to itself, and whether it is still there.
"""
