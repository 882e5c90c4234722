"""What the bus counts."""

from __future__ import annotations

import pytest

from bus import Event, EventBus, statistics
from bus.middleware import Recovery, publish_middleware
from bus.middleware.base import Next
from bus.routing import MAX_TYPES
from tests.bus_helpers import Fails, Gate, Recorder, fill, settle

pytestmark = pytest.mark.anyio


async def test_events_are_counted_heard_or_not() -> None:
    async with EventBus() as bus:
        bus.subscribe("a.b", Recorder())
        await fill(bus, "a.b", 3)
        await fill(bus, "nobody.listens", 2)
        assert bus.stats().total_events == 5
        assert bus.stats().events_by_type == {"a.b": 3, "nobody.listens": 2}


async def test_an_event_that_a_middleware_stops_is_not_counted() -> None:
    @publish_middleware
    async def stop(event: Event, call_next: Next) -> None:
        pass

    async with EventBus(middleware=[stop]) as bus:
        await bus.publish("a.b")
        assert bus.stats().total_events == 0


async def test_an_event_has_one_count_however_many_handlers_it_has() -> None:
    async with EventBus() as bus:
        for _ in range(5):
            bus.subscribe("a.b", Recorder())
        await bus.publish("a.b")
        await bus.drain()
        assert (bus.stats().total_events, bus.stats().handled) == (1, 5)


async def test_subscriptions_are_counted_once_by_pattern_and_no_more_when_cancelled() -> None:
    async with EventBus() as bus:
        subscriptions = [bus.subscribe(pattern, Recorder()) for pattern in ("a.b", "a.b", "a.*")]
        subscriptions.append(bus.subscribe("a.b", Recorder(), connection_id="c", timeout=1))
        assert bus.stats().active_handlers == 4
        assert bus.stats().subscriber_count == {"a.b": 3, "a.*": 1}
        for subscription in subscriptions:
            subscription.cancel()
            subscription.cancel()
        assert bus.stats().active_handlers == 0
        assert bus.stats().subscriber_count == {}


async def test_counts_outlive_their_subscription() -> None:
    async with EventBus() as bus:
        subscriptions = [bus.subscribe("a.b", Recorder()), bus.subscribe("a.b", Fails())]
        await fill(bus, "a.b", 3)
        await bus.drain()
        for subscription in subscriptions:
            subscription.cancel()
        assert (bus.stats().handled, bus.stats().failed) == (3, 3)
    assert (bus.stats().handled, bus.stats().failed) == (3, 3)


async def test_a_call_that_returns_after_its_subscription_was_cancelled_is_counted() -> None:
    gate = Gate()
    async with EventBus() as bus:
        subscription = bus.subscribe("a.b", gate)
        await fill(bus, "a.b", 3)
        await settle()
        subscription.cancel()
        gate.open()
        await bus.drain()
        assert bus.stats().handled == 1


async def test_what_is_queued_and_running_is_told_apart() -> None:
    gate = Gate()
    async with EventBus() as bus:
        bus.subscribe("a.b", gate)
        await fill(bus, "a.b", 3)
        await settle()
        assert (bus.stats().queued, bus.stats().handled) == (2, 0)
        gate.open()


async def test_a_recovered_failure_is_never_counted_as_handled() -> None:
    seen: list[tuple[int, int]] = []

    async def look(event: Event) -> None:
        seen.append((bus.stats().handled, bus.stats().failed))

    async with EventBus(middleware=[Recovery()]) as bus:
        bus.subscribe("a.b", Fails())
        bus.subscribe("handler.failed", look, inline=True)
        await bus.publish("a.b")
        await bus.drain()
        assert bus.stats().failed == 1
    assert seen == [(0, 0)]


async def test_names_from_outside_do_not_fill_the_memory() -> None:
    async with EventBus() as bus:
        for number in range(MAX_TYPES + 5):
            await bus.publish(f"a.b{number}")
        stats = bus.stats()
        assert stats.total_events == MAX_TYPES + 5
        assert stats.events_by_type["*"] == 5


async def test_statistics_do_not_change_afterwards() -> None:
    async with EventBus() as bus:
        before = bus.stats()
        await bus.publish("a.b")
        assert before.total_events == 0
        assert before.events_by_type == {}


async def test_what_cancelled_subscriptions_did_is_added_up_by_handler_and_pattern() -> None:
    async with EventBus() as bus:
        for number in range(3):
            subscription = bus.subscribe("a.b", Recorder(), connection_id=f"c{number}")
            await fill(bus, "a.b", 2, f"c{number}")
            await bus.drain()
            subscription.cancel()
        [former] = bus.stats().former
        assert (former.handler, former.pattern, former.connection_id) == ("Recorder", "a.b", None)
        assert (former.handled, former.latency.total, former.queued) == (6, 6, 0)
        assert bus.stats().handled == 6


async def test_a_call_that_outlives_its_subscription_is_in_flight_and_then_handled() -> None:
    gate = Gate()
    async with EventBus() as bus:
        subscription = bus.subscribe("a.b", gate)
        await fill(bus, "a.b", 3)
        await settle()
        subscription.cancel()
        assert (bus.stats().queued, bus.stats().in_flight, bus.stats().handled) == (0, 1, 0)
        gate.open()
        await bus.drain()
        assert (bus.stats().in_flight, bus.stats().handled) == (0, 1)
        assert bus.stats().former[0].latency.total == 1


async def test_handlers_made_without_end_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MAX_FORMER", 3)
    async with EventBus() as bus:
        for number in range(10):
            subscription = bus.subscribe(f"a.b{number}", Recorder())
            await bus.publish(f"a.b{number}")
            await bus.drain()
            subscription.cancel()
        assert [(former.pattern, former.handled) for former in bus.stats().former] == [
            ("a.b0", 1),
            ("a.b1", 1),
            ("a.b2", 1),
            ("*", 7),
        ]
