"""The one base URL for all models of a hub: whose a model is, and the way of a request to it.

`base` says what a request means, `exchange` takes it to a service, `socket` does so for a WebSocket; `request` is what
is looked at and changed, `no_page` what becomes of an answer. `catalog` knows the models, `field` finds the model in a
body (`encoded_body` decodes one on its way, `held_bodies` bounds what is held meanwhile), `stored` whose a response is,
and `previous` whose the one that is gone on from.
"""
