"""From a stream to an ASGI app (ASGI 3.0), and nothing about links, hubs or names.

`http` and `websocket` drive one app call a stream; `lifespan` starts and ends an app; `adapt` says what counts as one;
`functions` makes one of functions, `wsgi` of a WSGI app.
"""
