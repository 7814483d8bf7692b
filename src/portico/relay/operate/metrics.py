"""How Prometheus reads what a relay counts and has.

All is looked up when somebody asks, in a registry of the relay's own, so that two relays in one process do not mix.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from portico.hub.visits import Visits
from portico.relay.counters import Counters
from portico.relay.state import RelayState
from portico.version import __version__

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_STATUSES = ("live", "stalled", "reconnecting")


class RelayCollector(Collector):
    """Reads a relay when it is asked to."""

    def __init__(self, state: RelayState) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        state, counters = self._state, self._state.counters
        info = GaugeMetricFamily("portico_relay_info", "The relay's version.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield _gauge("portico_relay_ready", "Whether visitors and providers should be sent here.", state.ready)
        yield from self._visitors(state.visits, counters)
        yield from self._providers(state, counters)

    @staticmethod
    def _visitors(visits: Visits, counters: Counters) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "portico_relay_requests", "Answers to visitors, by the class of their status.", labels=["status"]
        )
        classes: dict[str, int] = {}
        for status, count in visits.statuses.items():
            name = f"{status // 100}xx"
            classes[name] = classes.get(name, 0) + count
        for name, count in sorted(classes.items()):
            requests.add_metric([name], count)
        yield requests
        answers = CounterMetricFamily(
            "portico_relay_own_answers", "Answers in the relay's own words, by what they say.", labels=["code"]
        )
        for code, count in sorted(visits.codes.items()):
            answers.add_metric([code], count)
        yield answers
        for name, text, value in (
            ("rate_limited", "Requests answered 429 by the relay.", _limited(visits)),
            ("abandoned_requests", "Requests whose visitor left before the answer was whole.", visits.abandoned),
            ("invalid_requests", "Requests that were no HTTP.", counters.invalid),
            ("late_requests", "Connections closed as a head or a body did not come in time.", counters.late),
            ("slow_visitors", "Connections cut as the visitor took nothing of what waited.", counters.slow),
            ("turned_away_connections", "Connections of addresses that held too many.", counters.turned_away),
            ("websockets", "Visitors' WebSockets that were accepted.", visits.sockets),
        ):
            yield CounterMetricFamily(f"portico_relay_{name}", text, value=value)
        yield _gauge("portico_relay_websockets_open", "Visitors' WebSockets under way.", visits.sockets_open)

    @staticmethod
    def _providers(state: RelayState, counters: Counters) -> Iterator[Metric]:
        links = state.links
        workspaces = state.workspaces.all()
        yield _gauge("portico_relay_links", "Providers that are linked.", links.count)
        yield _gauge("portico_relay_streams", "Requests and WebSockets in flight.", links.streams)
        held = sum(item.link.connection.held for item in links.all())
        yield _gauge("portico_relay_held_bytes", "Bytes from providers that visitors have not taken yet.", held)
        yield _gauge("portico_relay_workspaces", "Workspaces that were asked for since the start.", len(workspaces))
        services = GaugeMetricFamily("portico_relay_services", "Services, by what they are.", labels=["status"])
        counts = dict.fromkeys(_STATUSES, 0)
        waiting = 0
        for workspace in workspaces:
            for service in workspace.registry.services.values():
                counts[service.status] += 1
            waiting += sum(1 for session in workspace.registry.sessions.values() if not session.linked)
        for status in _STATUSES:
            services.add_metric([status], counts[status])
        yield services
        yield _gauge("portico_relay_sessions_held", "Lost providers whose names are held for them.", waiting)
        refused = CounterMetricFamily("portico_relay_refused_hellos", "Providers that were not let in.")
        refused.add_metric([], links.refused)
        yield refused
        reached = CounterMetricFamily(
            "portico_relay_limits_reached",
            "What was refused as there was no room for it, by the limit.",
            labels=["limit"],
        )
        for limit, count in sorted(links.refusals.counts.items()):
            reached.add_metric([limit], count)
        yield reached
        traffic = CounterMetricFamily(
            "portico_relay_link_bytes", "Bytes on all links, which is about what visitors send and get.", labels=["way"]
        )
        traffic.add_metric(["from_providers"], counters.from_providers)
        traffic.add_metric(["to_providers"], counters.to_providers)
        yield traffic


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=float(value))


_LIMITS = (
    "rate_limited",
    "too_many_attempts",
    "too_many_aborted",
    "too_many_streams",
    "too_many_waiting",
    "concurrency",
)


def _limited(visits: Visits) -> int:
    return sum(visits.codes.get(code, 0) for code in _LIMITS)


class Metrics:
    """The text of ``/metrics``."""

    def __init__(self, state: RelayState) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(RelayCollector(state))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def render(self) -> bytes:
        """The Prometheus text format, 0.0.4."""
        return generate_latest(self._registry)
