"""What a bus has done, for Prometheus: ``pip install 'phasebus[prometheus]'``.

    from prometheus_client import REGISTRY, start_http_server
    from bus.integrations.prometheus import BusCollector

    REGISTRY.register(BusCollector(bus))
    start_http_server(9464)

Events cost nothing more: the bus counts in plain slots anyway, and they are read when Prometheus asks. All names begin
with the prefix, ``phasebus`` unless told otherwise:

==========================  =========  =====================================================================
events_total                type       events published, heard or not
subscriptions               h, p       subscriptions in force
events_queued               h, p       events that wait
calls_in_flight             h, p       calls of the handler that have not returned
calls_handled_total         h, p       calls that returned
calls_failed_total          h, p       calls that raised or took too long, after the last try
calls_retried_total         h, p       further tries
calls_slow_total            h, p       calls that took longer than the bus's ``slow_after``
events_dropped_total        h, p       events that an overflow policy threw away
events_overrun_total        h, p       events that went past the bound of a queue
delivery_duration_seconds   h, p       from being queued (inline: from the call) until the handler had returned
==========================  =========  =====================================================================

The labels h, p are ``handler`` and ``pattern``; of a batch handler, a call has many events. Connection ids are no
labels: subscriptions to single connections are added up. Types are, up to the 10,000 that the bus tells apart; drop the
label where names come from outside. ``histogram_quantile`` of the durations is good to a factor of four.

What a scrape costs: 1,000 subscriptions are read in 10 ms. Where they are of 1,000 handlers, their 23,000 lines take a
quarter of a second to write, in the thread that serves them.

What cancelled subscriptions did stays counted. Weak spot: streams are not exported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate

from attrs import field, frozen

from bus.bus import EventBus
from bus.integrations.by_handler import HandlerCounts, by_handler
from bus.latency import upper_bound_s

try:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError as error:
    raise ImportError(
        "bus.integrations.prometheus needs the package prometheus-client: pip install 'phasebus[prometheus]'"
    ) from error

BOUNDS = range(10, 35, 2)
"""Which of the bus's buckets bound those of Prometheus: 2¹⁰ ns, which is 1.024 µs, then times four up to 17.2 s."""

_LABELS = ("handler", "pattern")
_GAUGES: dict[str, tuple[str, Callable[[HandlerCounts], int]]] = {
    "subscriptions": ("Subscriptions in force.", lambda counts: counts.subscriptions),
    "events_queued": ("Events that wait in queues.", lambda counts: counts.queued),
    "calls_in_flight": ("Calls of the handler that have not returned.", lambda counts: counts.in_flight),
}
_COUNTERS: dict[str, tuple[str, Callable[[HandlerCounts], int]]] = {
    "calls_handled": ("Calls of the handler that returned.", lambda counts: counts.handled),
    "calls_failed": ("Calls that raised or took too long, after the last try.", lambda counts: counts.failed),
    "calls_retried": ("Further tries of failed calls.", lambda counts: counts.retried),
    "calls_slow": ("Calls that took longer than slow_after.", lambda counts: counts.slow),
    "events_dropped": ("Events that an overflow policy threw away.", lambda counts: counts.dropped),
    "events_overrun": ("Events that went past the bound of a queue.", lambda counts: counts.overrun),
}


@frozen
class BusCollector(Collector):
    """Reads a bus whenever it is asked, from any thread. Register it: ``registry.register(BusCollector(bus))``.

    :param prefix: what the names begin with; several buses in one registry need one each
    """

    bus: EventBus
    prefix: str = field(default="phasebus", kw_only=True)

    def describe(self) -> Iterator[Metric]:
        """The names, for the registry, which refuses one that it has already."""
        return self._families({}, {})

    def collect(self) -> Iterator[Metric]:
        """The values as they are now."""
        statistics = self.bus.stats()
        return self._families(statistics.events_by_type, by_handler(statistics))

    def _families(
        self, events_by_type: Mapping[str, int], handlers: Mapping[tuple[str, str], HandlerCounts]
    ) -> Iterator[Metric]:
        events = CounterMetricFamily(f"{self.prefix}_events", "Events published, heard or not.", labels=["type"])
        for event_type, count in events_by_type.items():
            events.add_metric([event_type], count)
        yield events
        for name, (meaning, read) in _GAUGES.items():
            gauge = GaugeMetricFamily(f"{self.prefix}_{name}", meaning, labels=_LABELS)
            for labels, counts in handlers.items():
                gauge.add_metric(labels, read(counts))
            yield gauge
        for name, (meaning, read) in _COUNTERS.items():
            counter = CounterMetricFamily(f"{self.prefix}_{name}", meaning, labels=_LABELS)
            for labels, counts in handlers.items():
                counter.add_metric(labels, read(counts))
            yield counter
        durations = HistogramMetricFamily(
            f"{self.prefix}_delivery_duration_seconds",
            "From being queued until the handler had returned.",
            labels=_LABELS,
        )
        for labels, counts in handlers.items():
            durations.add_metric(labels, buckets_of(counts.latency_counts), counts.latency_sum_s)
        yield durations


def buckets_of(counts: Iterable[int]) -> list[tuple[str, float]]:
    """Cumulative buckets, each with its upper bound in seconds, of durations counted as in the bus.

    A duration of exactly a bound is counted above it, which is one nanosecond more strict than Prometheus asks for.
    """
    below = list(accumulate(counts))
    return [*((repr(upper_bound_s(bound)), below[bound]) for bound in BOUNDS), ("+Inf", below[-1])]
