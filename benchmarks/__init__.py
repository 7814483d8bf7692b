"""Benchmarks: every way to serve an app from beside a notebook, started and measured in one run.

`python -m benchmarks` from the root of the repository starts them all on loopback, prints a table, and writes
it to `benchmarks/results/` as JSON and as a plot. The machine that runs this is seldom quiet, so what counts
are ratios between paths that were measured in turn, within seconds of each other.

What is where: `app` is the app that all paths serve, `paths` says how each is reached, `servers` and `kernel`
start the processes behind them, `load`, `http_client` and `websocket_client` are who calls, `measures/` has
one module a question, `report` and `plot` show the answers.
"""
