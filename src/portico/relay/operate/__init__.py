"""For those who run a relay: what it tells them, and what they may do.

- `own_pages`: tells the relay's own addresses apart, and answers probes.
- `log`: the relay's log and its access log. `metrics`: for Prometheus.
- `admin`: the administrator's view of the whole, as a page and as JSON.
"""
