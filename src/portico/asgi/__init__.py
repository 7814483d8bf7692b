"""From a stream to an ASGI app (ASGI 3.0). Nothing here knows links, hubs or names.

One call of an app:

- `http`: for a request. `websocket`: for a visitor's WebSocket.
- `carrier`: what both need of a stream, as an interface.
- `pausing`: where its sends wait.
- `mount`: the path under which the app is told that it lives.

The app itself:

- `adapt`: what counts as an app, and ASGI 3 apps out of ASGI 2 and WSGI ones.
- `instance`: an app that runs, with the requests in it. `lifespan`: its startup and shutdown.
- `wsgi`: WSGI apps, on threads. `wsgi_environ`: the request as they are told it.
- `event_functions`: an app made of a dict of functions, each of which is given a request as a dict.

Which object is served as what is decided in `portico.adapters`.
"""
