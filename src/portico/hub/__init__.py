"""What a hub decides, once for every edge: who may publish and call, where a request goes, which headers go through.

A `workspace` is one tenant; `hub` is a hub of one, and a relay has many. Of providers: `links` has each from HELLO to
its end, `tenancy` is what it is let in to, `holding` what becomes of its names when its link is lost, and `shares` and
`link_shares` say who may take how much. What is live: `registry` has the rules of names, `replicas` are services,
replicas and sessions, and `descriptor` is what a provider says of a service, `conditions` among it.

Of visitors: `request` is what came in, `gateway` the one gate and the one way through it. `callers`, `access`, `keys`
(`finishing`) and `client_address` say who it is and what that opens, `enforcer` and `body_limit` hold conditions
against it. `opening` finds a replica by a policy of `routing`, waits for one, and tries another; `forward`,
`http_forward` and `socket_forward` are the exchange on its way, between the edge's end and the hub's of `responders`.
`visits` has the one record of each, and `unfinished` bounds what WebSockets hold.

`firewall` is what may pass of heads, `models` the one base URL. `answers`, `pages`, `reply`, `redirects` and `http1`
are the hub's own words and how they are written; `control` is the REST control API without a web framework; `config`
are the settings. The edges (tornado, ASGI) are thin.
"""
