"""The process that holds the apps: it dials out to hubs, and answers what comes over the links.

Ways in:

- `serving`: `portico.serve`. `connect`: `portico.connect_to_server`. `options`: the options of both.

What an author holds:

- `publication`: one thing, live on one hub: what services and shares have in common.
- `service`: a service, as `portico.serve` returns it. `sharing`: a share, which is that service on a further hub.
- `secret`: a key, as text that is not shown by accident.

The provider:

- `provider`: publishes services and shares, and calls the right app for each stream.
- `board`: what is published under which name. `news`: what has become of it, and who is told.
- `thread`: the thread of the provider's event loop. `work`: runs things on that loop for other threads.
- `control`: answers what a hub asks the provider.
- `output`: keeps what services print. `notebook_exit`: keeps their ``exit()`` from ending the kernel.

Its standing with hubs:

- `sessions`: one for each hub and workspace. `presence`: what all of them have in common.
- `session`: one over a link, which it keeps up. `preview`: one with the page of a notebook in the browser.
- `dial`: dials the hub. `reconnect`: when to dial again. `registrations`: what the hub was asked to register.

The way to a hub:

- `discovery`: finds the hub, or the relay. `credentials`: the tokens kept for relays. `login`: gets one.
- `api`: calls the hub's control API. `tls`: checks its certificate. `unix`: reaches it by a Unix socket.
- `surroundings`: what a provider needs of the browser tab, if it runs in one.

Not here: the wire (`portico.link`), how an app is called (`portico.asgi`), how a card looks (`portico.card`).
"""
