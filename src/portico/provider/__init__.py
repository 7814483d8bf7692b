"""The process that holds the apps: it dials out to hubs and answers what comes over the links.

`serving` is the way in (`portico.serve`); `service` is what it returns; `provider` owns services and sessions;
`session` keeps one link to one hub; `discovery` finds the hub; `thread` is where the event loop lives; `card` shows a
service in a notebook. What is not here: the wire (`portico.link`), how an app is called (`portico.asgi`).
"""
