"""The one base URL for all models of a hub: whose a model is, and the way of a request to it."""
