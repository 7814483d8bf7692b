"""The process that holds the apps: it dials out to hubs and answers what comes over the links.

`serving` is the way in (`portico.serve`), `connect` another (`portico.connect_to_server`), with `options`. What they
make is a `publication`: a `service`, or a share of it (`sharing`). `provider` publishes them; its `board` knows what is
where, its `news` who is told, its `work` what runs on the loop, which lives in a `thread`. `sessions` are with hubs:
`presence` is what all have in common, `session` one that is linked, by `dial`, again and again (`reconnect`), with its
`registrations`; `preview` is one with a page, and `control` answers what a hub asks. `discovery` finds the hub, and
`credentials` are what `login` kept for it; `tls` and `unix` are how it is reached, and `api` asks it. `surroundings` is
a browser tab, where it runs in one. `output`, `secret` and `leaving` are about what an author sees, and does not.

What is not here: the wire (`portico.link`), how an app is called (`portico.asgi`), how a card looks (`portico.card`).
"""
