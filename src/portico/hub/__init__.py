"""What a hub decides, once for both edges: who may publish and call, where a request goes, which headers go through.

The whole:

- `workspace`: one tenant. `hub`: a hub of one workspace, as in Jupyter; a relay has many.
- `config`: the settings. `control`: the REST control API, without a web framework.

Providers:

- `links`: each provider's link, from HELLO to its end. `link_limits`: how many an address and a user may have.
- `tenancy`: what a provider is let in to.
- `holding`: the names of a provider that has lost its link are held for it.
- `asking`: asks a provider for what it alone knows, such as a log.

What is live:

- `registry`: which name is whose. `replicas`: services, their replicas, and the sessions of their providers.
- `descriptor`: what a provider says of a service. `conditions`: the conditions that it sets.

A visitor's request, in the order of its way:

- `request`: the request as it came in. `visits`: the hub's one record of it.
- `gateway`: the one gate, and the one way through it.
- `client_address`: the visitor's address. `callers`: who calls. `keys`: the keys they show. `access`: what that opens.
- `enforcer`: holds conditions against it. `body_limit`: how long its body may be.
- `opening`: finds a replica, waits for one, tries another. `routing`: the policies that choose one.
- `forward`: the exchange on its way, with the count of what is in flight. `http_forward`: for a request.
  `socket_forward`: for a WebSocket. `responders`: its two ends, as interfaces.
- `unfinished`: bounds what WebSockets hold of messages that have not ended. `held_bodies`: what is held of bodies.

Rooms within: `firewall`: what passes of header fields, URLs and cookies. `models`: the one base URL for all models.
`tools`: the one URL for all tools.

What the hub says itself:

- `answers`: its own answers, refusals among them. `pages`: the same for browsers. `redirects`: where it sends them.
- `http1`: writes a response as HTTP/1.1. `date_and_server`: the Date of an answer, the server of a scope.

For all of them: `fair_use`: who holds how much of what is limited, and comes how often. `finish_anyway`: ends a change
that was begun when its caller is gone.

The edges are thin, and not here: `portico.jupyter` (tornado) and `portico.relay.edge` (ASGI).
"""
