"""The relay: a hub of its own, as an ASGI app, which makes services public by a link."""
