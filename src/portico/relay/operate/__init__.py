"""For those who run a relay: its log, its metrics, the page of its administrator, and the probes."""
