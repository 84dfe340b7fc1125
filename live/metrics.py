"""The master's state for Prometheus, through its own client library."""

from collections.abc import Iterator
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from lbsim.stats.buckets import highest_in
from live.tally import HALF_BITS, TICK_S

__all__ = ["TYPE", "text"]

TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Upper ends of the histogram's buckets, in seconds: three a decade, from 0.1 ms to 100 s.
ENDS = (*(base * 10.0**power for power in range(-4, 2) for base in (1.0, 2.0, 5.0)), 100.0)

GAUGES = (
    ("in_flight", "in_flight", "Requests at the worker, queued there and in service."),
    ("connections", "connections", "Open connections that the worker has."),
    ("loop_lag_seconds", "lag_s", "How late the worker's event loop was at its last heartbeat."),
    ("resident_bytes", "resident", "Resident memory of the worker."),
    ("silent_seconds", "silent_s", "Time since the worker was last heard of."),
)
COUNTERS = (
    ("cpu_seconds", "cpu_s", "Processor time of the worker's present process."),
    ("loop_busy_seconds", "busy_s", "Time in which the worker's event loop was not waiting."),
    ("restarts", "restarts", "Times that the worker was started again."),
)


class _Snapshot(Collector):
    """One snapshot as metric families."""

    def __init__(self, now: dict[str, Any]) -> None:
        self.now = now

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        now = self.now
        yield GaugeMetricFamily("live_workers_up", "Workers that take requests.", now["up"])
        yield GaugeMetricFamily("live_held", "Requests held by the master.", now["held"])
        yield GaugeMetricFamily("live_connections", "Open client connections.", now["connections"])
        yield GaugeMetricFamily("live_uptime_seconds", "Age of the master.", now["uptime_s"])
        yield CounterMetricFamily(
            "live_master_cpu_seconds", "Processor time of the master.", now["cpu_s"]
        )
        yield GaugeMetricFamily(
            "live_master_resident_bytes", "Resident memory of the master.", now["resident"]
        )
        events = CounterMetricFamily(
            "live_events", "What happened to connections and requests.", labels=["event"]
        )
        for name, count in sorted(now["counts"].items()):
            events.add_metric([name], count)
        yield events
        for name, key, about in GAUGES:
            yield self._of_workers(GaugeMetricFamily, name, key, about)
        for name, key, about in COUNTERS:
            yield self._of_workers(CounterMetricFamily, name, key, about)
        yield self._latency()

    def _of_workers(self, kind: Any, name: str, key: str, about: str) -> Metric:
        family: Metric = kind(f"live_worker_{name}", about, labels=["worker"])
        for worker in self.now["workers"]:
            if worker[key] is not None:  # what a master does not know that dispatches nothing
                family.add_metric([str(worker["worker"])], worker[key])  # type: ignore[attr-defined]
        return family

    def _latency(self) -> Metric:
        family = HistogramMetricFamily(
            "live_latency_seconds",
            "From the whole request at the master to the worker's word that it is answered.",
            labels=["worker"],
        )
        for worker in self.now["workers"]:
            ends = [*ENDS, float("inf")]
            counts = [0] * len(ends)
            for bucket, count in worker["buckets"].items():
                seconds = highest_in(int(bucket), HALF_BITS) * TICK_S
                counts[next(i for i, end in enumerate(ends) if seconds <= end)] += count
            total, rows = 0, []
            for end, count in zip(ends, counts, strict=True):
                total += count
                rows.append(("+Inf" if end == ends[-1] else f"{end:g}", total))
            family.add_metric([str(worker["worker"])], rows, worker["seconds"])
        return family


def text(now: dict[str, Any]) -> bytes:
    """Return a snapshot in Prometheus' text format."""
    return generate_latest(_Snapshot(now))
