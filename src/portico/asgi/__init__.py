"""From a stream to an ASGI app (ASGI 3.0), and nothing about links, hubs or names.

`http` and `websocket` drive one app call a stream, over what `carrier` says that they need; `lifespan` starts and ends
an app, `instance` is one that runs. What counts as an app: `adapt`, with objects of known `libraries`; `functions`
makes one of functions, `wsgi` of a WSGI app, to which `wsgi_environ` tells the request. `mount` is where an app
believes that it lives.
"""
