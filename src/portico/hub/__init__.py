"""What a hub decides, once for every edge: who may publish and call, where a request goes, which headers go through.

`hub` ties it together. `links` is the providers' side, `gateway` the visitors'; `registry` holds services, replicas
and sessions; `keys` and `access` say who a visitor is and what that opens; `headers` is the firewall; `answers` are
the hub's own words; `control` is the REST control API without a web framework. The edges (tornado, ASGI) are thin.
"""
