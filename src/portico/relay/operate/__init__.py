"""For those who run a relay: what it tells them, and what they may do.

`log` is what it writes, `metrics` what it counts, `admin` the administrator's view of the whole; `own_pages` tells
these and the probes apart by their paths.
"""
