"""The counts of a bus by handler and pattern: what monitoring systems are given.

A series for each connection would grow without bound, so subscriptions to single connections are added up.
"""

from __future__ import annotations

from collections import defaultdict
from operator import add

from attrs import define, field

from bus.latency import BUCKETS
from bus.statistics import BusStatistics, SubscriptionStatistics


@define
class HandlerCounts:
    """What the subscriptions of one handler to one pattern did together, cancelled ones included.

    :ivar subscriptions: how many are in force
    :ivar latency_counts: deliveries by duration, as in :class:`bus.latency.Histogram`; ``latency_sum_s`` is their sum

    The others are as in :class:`~bus.statistics.SubscriptionStatistics`.
    """

    subscriptions: int = 0
    queued: int = 0
    in_flight: int = 0
    handled: int = 0
    failed: int = 0
    retried: int = 0
    dropped: int = 0
    overrun: int = 0
    slow: int = 0
    latency_counts: list[int] = field(factory=lambda: [0] * BUCKETS)
    latency_sum_s: float = 0.0

    def add(self, subscription: SubscriptionStatistics) -> None:
        """Count in what one more did."""
        self.queued += subscription.queued
        # Another thread may look between a call's end and its beginning being noted.
        self.in_flight += max(0, subscription.in_flight)
        self.handled += subscription.handled
        self.failed += subscription.failed
        self.retried += subscription.retried
        self.dropped += subscription.dropped
        self.overrun += subscription.overrun
        self.slow += subscription.slow
        self.latency_counts = list(map(add, self.latency_counts, subscription.latency.counts))
        self.latency_sum_s += subscription.latency.sum_s


def by_handler(statistics: BusStatistics) -> dict[tuple[str, str], HandlerCounts]:
    """The counts by (handler, pattern); they only grow, whoever subscribes and cancels."""
    counts: dict[tuple[str, str], HandlerCounts] = defaultdict(HandlerCounts)
    for subscription in (*statistics.former, *statistics.subscriptions):
        counts[subscription.handler, subscription.pattern].add(subscription)
    for subscription in statistics.subscriptions:
        counts[subscription.handler, subscription.pattern].subscriptions += 1
    return counts
