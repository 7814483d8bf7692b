"""What a hub decides, once for every edge: who may publish and call, where a request goes, which headers go through.

`hub` is one of one workspace, for Jupyter; a `workspace` is one tenant of any, with the settings in `config`.

- A visitor's request, and its way: `request` is it as it came, `callers` say whose it is (by `keys`, a
  `client_address`), `access` and `conditions` what that opens (`enforcer` holds them), `gateway` is the one gate.
  `opening` opens a stream to the replica that `routing` picks, `forward` carries it: `http_forward` or
  `socket_forward`, between two `responders`, as `http1` writes it. `visits` is the record of it all. Bounds:
  `body_limit`, `unfinished` messages.
- What passes: `firewall`. What the hub says itself: `answers`, `pages`, `redirects`, and `reply` of the edges.
- Providers: `links`, each let in to a `tenancy`, as far as `link_shares` has room; `registry` holds names, `replicas`
  services and sessions, `descriptor` what is said of them; `holding` keeps names while a link is lost.
- Programs: `control` is the REST control API, without a web framework; `finishing` ends a change that was begun.
  `models` is the one base URL for all models. `shares` counts who has how much.

The edges (tornado, ASGI) are thin, and not here.
"""
