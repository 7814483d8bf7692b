"""The process that holds the apps: it dials out to hubs and answers what comes over the links.

`serving` is the way in (`portico.serve`), `connect` another (`portico.connect_to_server`); `service` is what serving
returns; `provider` owns services and sessions; `session` keeps one link to one hub; `discovery` finds the hub, and
`credentials` are what `portico login` kept for it; `api` asks a hub's control API; `thread` is where the event loop
lives; `card` shows a service in a notebook. What is not here: the wire (`portico.link`), how an app is called
(`portico.asgi`).
"""
