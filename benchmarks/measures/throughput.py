"""Small GETs, 16 at a time: requests/s of every path, each taking its turn in every round.

A ratio is the median of the rounds' own ratios, so that a neighbour who keeps the machine busy for a minute
slows both sides of it.
"""

from statistics import median

from benchmarks.load import WrkFailed, wrk
from benchmarks.paths import Stage
from benchmarks.row import Bar, Effort, Row, Say

WARM_UP = 1  # second
BARS = {"jupyter-server-proxy": Bar("at least", 7.0), "request-handler": Bar("at least", 1.0)}


def measure(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    started = stage.paths.values()
    paths, out = [], dict(stage.absent)
    for path in started:
        try:
            wrk(path, WARM_UP)
            paths.append(path)
        except WrkFailed as error:
            # The others still say something; that this one does not is said in its rows.
            out[path.name] = str(error)
    if not paths:
        raise WrkFailed(f"no path answers: {out}")
    rates: dict[str, list[float]] = {path.name: [] for path in paths}
    for number in range(effort.rounds):
        # Each round starts with another path: whoever runs after an expensive one has no lasting advantage.
        start = number % len(paths)
        for path in paths[start:] + paths[:start]:
            rates[path.name].append(wrk(path, effort.seconds).requests_per_second)
        say(f"round {number + 1} of {effort.rounds}: " + ", ".join(f"{n} {r[-1]:,.0f}" for n, r in rates.items()))
    rows = []
    for name, own in rates.items():
        against = ratio(own, rates.get("jupyter-server-proxy"))
        spread = f"{min(own):,.0f} to {max(own):,.0f}"
        rows.append(Row("throughput", name, median(own), "requests/s", None, against, "jupyter-server-proxy", spread))
    rows += [Row("throughput", name, None, "requests/s", note=why) for name, why in out.items()]
    for name, bar in BARS.items():
        value, note = ratio(rates.get("portico"), rates.get(name)), ""
        if value is None:
            note = "; ".join(f"{n}: {out.get(n, 'left out')}" for n in ("portico", name) if n not in rates)
        rows.append(Row("throughput", f"portico to {name}", value, "×", bar, note=note))
    return rows


def ratio(own: list[float] | None, other: list[float] | None) -> float | None:
    if own is None or other is None:
        return None
    return median(a / b for a, b in zip(own, other, strict=True))
