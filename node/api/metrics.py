"""Metrics of the HTTP API and of the node's status. Owns their names; the registry is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from typing_extensions import override

from node.services.ports import NodeFacade
from node.services.status import NodeStatus

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


class HttpMetrics:
    """Durations of answered requests by method, route and status."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # The time of creation of every series would double the page for nothing.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._durations = Histogram(
            "piaolian_http_request_duration_seconds",
            "Time to answer a request, waiting included.",
            ("method", "route", "status"),
            buckets=_BUCKETS,
            registry=registry,
        )
        # `labels()` takes a lock and builds a key; there are few combinations and many requests.
        self._children: dict[tuple[str, str, int], Histogram] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request. `route` is the route's pattern, never the path."""
        key = (method, route, status)
        child = self._children.get(key)
        if child is None:
            child = self._durations.labels(method, route, str(status))
            self._children[key] = child
        child.observe(seconds)


class StatusCollector(Collector):
    """Gauges read from the node's status when they are scraped."""

    def __init__(self, node: NodeFacade, time_ms: Callable[[], int]) -> None:
        self._node = node
        self._time_ms = time_ms

    @override
    def collect(self) -> Iterator[Metric]:
        """The families, from one snapshot."""
        status = self._node.status()
        yield InfoMetricFamily(
            "piaolian_build", "The running program.", value={"version": status.version}
        )
        age_s = (self._time_ms() - status.head_time_ms) / 1000 if status.head_time_ms else 0.0
        for name, help_text, value in (
            ("height", "Newest committed block.", status.height),
            ("final_height", "Newest final block.", status.final_height),
            (
                "head_age_seconds",
                "Age of the newest committed block; below zero when it is ahead of this clock.",
                age_s,
            ),
            ("peers", "Connected peers.", sum(peer.connected for peer in status.peers)),
            ("pool_transactions", "Transactions in the pool.", status.pool.transactions),
            ("pool_bytes", "Bytes in the pool.", status.pool.bytes),
            ("outbox_transactions", "Own transactions not yet final.", status.outbox),
            ("evidence", "Evidence kept against voters.", status.evidence.count),
            (
                "rejoining",
                "1 while this voter may have forgotten what it signed.",
                status.signing.state == "rejoining",
            ),
            (
                "rejoining_answers",
                "Voters that answered it since its start.",
                status.signing.answers,
            ),
            (
                "rejoining_height",
                "It signs again above this height; 0: unknown or none.",
                status.signing.height_needed or 0,
            ),
            ("raft_term", "Raft term.", status.raft.term),
            ("raft_commit_index", "Raft commit index.", status.raft.commit_index),
            ("raft_leader", "1 on the leader.", status.raft.state == "leader"),
            (
                "clock_offset_seconds",
                "This clock less the middle of all voters' clocks.",
                status.clock_offset_ms / 1000,
            ),
            ("disk_free_bytes", "Room on the data folder's disk.", status.disk_free_bytes),
        ):
            yield GaugeMetricFamily(f"piaolian_{name}", help_text, value=float(value))
        yield CounterMetricFamily(
            "piaolian_rule_faults",
            "Transactions over which the rules failed (RULE_FAULT): a fault of the program.",
            value=float(status.rule_faults),
        )
        yield _strikes(status)
        ready = GaugeMetricFamily("piaolian_ready", "1 when a check passes.", labels=["check"])
        for check in self._node.checks():
            ready.add_metric([check.name], float(check.ok))
        yield ready

    def describe(self) -> Iterator[Metric]:
        """Nothing: the node may not be ready when the collector is registered."""
        return iter(())


def _strikes(status: NodeStatus) -> CounterMetricFamily:
    strikes = CounterMetricFamily(
        "piaolian_peer_strikes",
        "How often a peer broke the rules of the links; it costs it the link.",
        labels=["peer"],
    )
    for peer in status.peers:
        strikes.add_metric([peer.node], float(peer.strikes))
    return strikes


def exposition(registry: CollectorRegistry, accept: str) -> web.Response:
    """All metrics, as OpenMetrics when the scraper accepts it."""
    encoder, content_type = choose_encoder(accept)
    return web.Response(body=encoder(registry), headers={"Content-Type": content_type})
