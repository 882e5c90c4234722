"""What a bus has done so far, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from operator import add
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from bus.latency import Histogram

if TYPE_CHECKING:
    from bus.subscription import Subscription


@frozen
class SubscriptionStatistics:
    """One subscription, as it stood when the statistics were taken.

    :ivar handler: the name of the handler
    :ivar pattern: what it subscribed to, and ``connection_id`` of whom, if of one only
    :ivar kind: ``queued``, ``inline`` or ``batch``
    :ivar queued: events that wait
    :ivar in_flight: calls that have not returned
    :ivar handled: calls that returned
    :ivar failed: calls that raised or took too long, after the last try
    :ivar retried: further tries
    :ivar dropped: events that its overflow policy threw away
    :ivar overrun: events that went past its bound because a handler published them
    :ivar slow: calls that took longer than the bus's ``slow_after``
    :ivar last_latency_s: seconds from being queued until handled, of the last event
    :ivar latency: the same of all events, as a histogram
    """

    handler: str
    pattern: str
    connection_id: str | None
    kind: str
    queued: int
    in_flight: int
    handled: int
    failed: int
    retried: int
    dropped: int
    overrun: int
    slow: int
    last_latency_s: float
    latency: Histogram


@frozen
class BusStatistics:
    """Taken by :meth:`EventBus.stats`; does not change afterwards.

    :ivar total_events: events published, heard or not
    :ivar events_by_type: the same, by type
    :ivar active_handlers: subscriptions in force (streams and waits do not count)
    :ivar subscriber_count: subscriptions in force, by pattern
    :ivar queued: events that wait in a queue now
    :ivar in_flight: calls of handlers that have not returned
    :ivar handled: calls of handlers that returned, those of former subscriptions included
    :ivar failed: calls of handlers that raised or took too long
    :ivar dropped: events thrown away by overflow policies
    :ivar overrun: events that went past a bound because a handler published them
    :ivar subscriptions: each subscription in force, in the order of subscribing
    :ivar former: what those no longer in force did, added up by handler and pattern
    """

    total_events: int
    events_by_type: Mapping[str, int]
    active_handlers: int
    subscriber_count: Mapping[str, int]
    queued: int
    in_flight: int
    handled: int
    failed: int
    dropped: int
    overrun: int
    subscriptions: tuple[SubscriptionStatistics, ...]
    former: tuple[SubscriptionStatistics, ...] = ()


def statistics_of(subscription: Subscription) -> SubscriptionStatistics:
    """How a subscription stands now."""
    return SubscriptionStatistics(
        handler=subscription.name,
        pattern=subscription.pattern,
        connection_id=subscription.connection_id,
        kind=subscription.kind,
        queued=subscription.queued,
        in_flight=subscription.in_flight,
        handled=subscription.handled,
        failed=subscription.failed,
        retried=subscription.retried,
        dropped=subscription.dropped,
        overrun=subscription.overrun,
        slow=subscription.slow,
        last_latency_s=subscription.last_ns / 1e9,
        latency=Histogram(tuple(subscription.latencies), subscription.sum_ns / 1e9),
    )


MAX_FORMER = 1_000
"""Handlers may be made without end: beyond so many pairs of handler and pattern, ``*`` and ``*`` have the rest."""

_ADDED = ("handled", "failed", "retried", "dropped", "overrun", "slow")


class FormerSubscriptions:
    """What cancelled subscriptions did: a handler that subscribes for each connection leaves one sum, not many.

    A call that still runs when its subscription is cancelled is counted once it has returned.
    """

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], SubscriptionStatistics] = {}
        self._busy: dict[Subscription, None] = {}

    def add(self, subscription: Subscription) -> None:
        """Count one that has been cancelled, or one of whose last calls has returned."""
        if subscription.in_flight:
            self._busy[subscription] = None
            return
        self._busy.pop(subscription, None)
        last = evolve(statistics_of(subscription), connection_id=None, queued=0)
        key = (last.handler, last.pattern)
        if key not in self._sums and len(self._sums) >= MAX_FORMER:
            key = ("*", "*")
            last = evolve(last, handler="*", pattern="*")
        former = self._sums.get(key)
        self._sums[key] = last if former is None else _sum(former, last)

    def statistics(self) -> tuple[SubscriptionStatistics, ...]:
        """The sums, and those that are not done yet."""
        busy = (evolve(statistics_of(each), connection_id=None, queued=0) for each in list(self._busy))
        return (*self._sums.values(), *busy)


def _sum(former: SubscriptionStatistics, last: SubscriptionStatistics) -> SubscriptionStatistics:
    """Both; what tells of one moment is that of the last."""
    counts = tuple(map(add, former.latency.counts, last.latency.counts))
    return evolve(
        last,
        latency=Histogram(counts, former.latency.sum_s + last.latency.sum_s),
        **{name: getattr(former, name) + getattr(last, name) for name in _ADDED},
    )
