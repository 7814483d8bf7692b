"""Where visitors and links come in: which URL is whose, and the two ways of a request, past ASGI and by ASGI.

`edge` takes both; `routes` says what a URL means, under the names in `own_hosts`; `addresses` what one address may do,
`proxies` whose it is; `visit_ends` is what is done when a visit is over. By ASGI, from any server: `asgi_http`,
`asgi_socket`, `asgi_link`, over `driving`. Past ASGI, from the relay's own: `http1`, whose requests `framing` delimits
and whose answers `http1_visit` writes, and `websocket`; both wait as long as `deadlines` says. `past_asgi` is what they
and the edge know of each other, `internals` what they use of uvicorn.
"""
