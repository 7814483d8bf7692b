"""The one base URL for all models of a hub: whose a model is, and the way of a request to it.

- `base`: what a request under the base URL means. `request`: what of it is looked at, and what is changed.
- `exchange`: an HTTP request on its way. `socket`: the same for a WebSocket.
- `catalog`: which models there are, and whose. `field`: finds ``model`` in a body.
- `encoded_body`: decompresses a body on its way.
- `stored`: finds the replica that has a stored response, by its id. `previous`: the same for a request that goes on
  from one (``previous_response_id``).
- `no_page`: sees to it that no answer is a page for browsers.
"""
