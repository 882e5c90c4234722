"""What a bus has done so far, as a value."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen


@frozen
class BusStatistics:
    """Taken by :meth:`EventBus.stats`; does not change afterwards.

    :ivar total_events: events published, heard or not
    :ivar events_by_type: the same, by type
    :ivar active_handlers: subscriptions in force (streams and waits do not count)
    :ivar subscriber_count: subscriptions in force, by pattern
    :ivar queued: events that wait in a queue now
    :ivar handled: calls of handlers that returned, by subscriptions in force
    :ivar failed: calls of handlers that raised or took too long
    :ivar dropped: events thrown away by overflow policies
    :ivar overrun: events that went past a bound because a handler published them
    """

    total_events: int
    events_by_type: Mapping[str, int]
    active_handlers: int
    subscriber_count: Mapping[str, int]
    queued: int
    handled: int
    failed: int
    dropped: int
    overrun: int
