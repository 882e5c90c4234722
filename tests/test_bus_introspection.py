"""A bus tells what it did, by subscription, and who listens to what; slow handlers are named."""

from __future__ import annotations

import logging

import anyio
import pytest

from bus import Event, EventBus, Retry, default_chain, delivery_middleware
from bus.latency import Histogram, upper_bound_s
from bus.middleware import Recovery
from bus.testing import FakeClock, settled
from tests.bus_helpers import Fails, Gate, Recorder, fill, settle

pytestmark = pytest.mark.anyio


async def test_statistics_are_told_by_subscription() -> None:
    gate, clock = Gate(), FakeClock()
    async with EventBus(clock=clock, slow_after=None) as bus:
        bus.subscribe("a.*", gate, queue_size=2, overflow="drop_oldest")
        bus.subscribe("a.b", Fails(), retry=Retry(max_tries=3, first_delay_s=1, jitter=0), connection_id="c")
        bus.subscribe("a.b", Recorder(), inline=True)
        bus.subscribe_batch("a.b", lambda events: None, max_size=10, max_wait=1)
        await fill(bus, "a.b", 4)
        await clock.advance(60)
        slow, failing, inline, batch = bus.stats().subscriptions
        assert (slow.handler, slow.pattern, slow.kind, slow.connection_id) == ("Gate", "a.*", "queued", None)
        assert (slow.queued, slow.in_flight, slow.handled, slow.dropped) == (1, 1, 0, 2)
        assert (failing.connection_id, failing.failed, failing.retried, failing.handled) == ("c", 4, 8, 0)
        assert (inline.kind, inline.handled, inline.in_flight) == ("inline", 4, 0)
        assert (batch.kind, batch.handled) == ("batch", 1)
        gate.open()
        await settled(bus)
        assert bus.stats().subscriptions[0].handled == 2
        assert bus.stats().in_flight == 0


async def test_the_histogram_counts_every_delivery_and_its_sum_is_theirs() -> None:
    async with EventBus() as bus:
        bus.subscribe("a.b", Recorder())
        bus.subscribe("a.b", Recorder(), inline=True)
        await fill(bus, "a.b", 100)
        await bus.drain()
        for subscription in bus.stats().subscriptions:
            histogram = subscription.latency
            assert histogram.total == subscription.handled == 100
            assert 0 < subscription.last_latency_s <= histogram.sum_s
            assert histogram.quantile(0.5) <= histogram.quantile(0.99) <= histogram.quantile(1)
            assert histogram.sum_s <= 100 * histogram.quantile(1)


async def test_a_queued_events_latency_includes_its_wait() -> None:
    gate = Gate()
    async with EventBus() as bus:
        bus.subscribe("a.b", gate)
        await fill(bus, "a.b", 2)
        await settle()
        gate.open()
        await bus.drain()
        (told,) = bus.stats().subscriptions
        # both waited for the gate: the second in the queue, so its latency is no shorter than its wait there
        assert told.last_latency_s >= told.latency.sum_s / 4


def test_quantiles_are_the_upper_bounds_of_their_buckets() -> None:
    counts = [0] * 64
    counts[10], counts[20] = 99, 1
    histogram = Histogram(tuple(counts), 1.0)
    assert histogram.quantile(0.5) == histogram.quantile(0.99) == upper_bound_s(10)
    assert histogram.quantile(1) == upper_bound_s(20) == 2**20 / 1e9
    assert Histogram((0,) * 64, 0.0).quantile(0.5) == 0


async def test_describe_says_who_listens_to_what_and_through_which_middleware() -> None:
    async with EventBus(middleware=default_chain()) as bus:

        @delivery_middleware
        async def announce(event: Event, call_next: object) -> None:
            raise NotImplementedError

        bus.use(announce)
        bus.subscribe("call.*", Recorder(), concurrency=4, timeout=5.0)
        bus.subscribe("call.ended", Fails(), inline=True, connection_id="c1")
        async with bus.stream("ai.*"), anyio.create_task_group() as tasks:
            tasks.start_soon(bus.wait_for, "call.ended")
            await settle()
            described = bus.describe()
            assert [listener.name for listener in described.listeners_to("call.ended", "c1")] == [
                "Recorder",
                "Fails",
                "wait_for",
            ]
            assert [listener.name for listener in described.listeners_to("call.ended", "c2")] == [
                "Recorder",
                "wait_for",
            ]
            page = str(described)
            tasks.cancel_scope.cancel()
    assert page.splitlines()[:2] == [
        "publish → Validation → Deduplication → fan-out",
        "deliver → Recovery → Logging → Metrics → "
        "test_describe_says_who_listens_to_what_and_through_which_middleware.<locals>.announce → handler",
    ]
    assert "    Recorder (queued), timeout 5.0, concurrency 4" in page
    assert "    Fails (inline), of c1" in page
    assert "    stream of ai.* (stream)" in page


async def test_a_slow_handler_is_named_when_it_returns_and_its_payload_is_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "phasebus.bus")

    def dawdle(event: Event) -> None:
        for _ in range(10_000):
            pass

    async with EventBus(slow_after=1e-6) as bus:
        bus.subscribe("a.b", dawdle, inline=True)
        await bus.publish("a.b", {"phone_number": "+49170"}, connection_id="c1")
        assert bus.stats().subscriptions[0].slow == 1
    (line,) = (record.getMessage() for record in caplog.records)
    assert "dawdle took" in line
    assert "a.b of c1" in line
    assert "49170" not in line


async def test_a_handler_that_does_not_return_is_named_while_it_hangs_and_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "phasebus.bus")
    clock, gate = FakeClock(), Gate()
    async with EventBus(clock=clock, slow_after=2) as bus:
        bus.subscribe("a.b", gate)
        await bus.publish("a.b", connection_id="c1")
        await clock.advance(1.9)
        assert caplog.records == []
        await clock.advance(20)
        assert [record.getMessage() for record in caplog.records] == [
            "Gate has been handling a.b of c1 for more than 2 s"
        ]
        gate.open()


async def test_without_slow_after_nobody_is_called_slow(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "phasebus.bus")
    clock, gate = FakeClock(), Gate()
    async with EventBus(clock=clock, slow_after=None) as bus:
        subscription = bus.subscribe("a.b", gate)
        await bus.publish("a.b")
        await clock.advance(1_000)
        gate.open()
        await bus.drain()
        assert (subscription.slow, caplog.records) == (0, [])
    with pytest.raises(ValueError, match="slow_after must be more than 0 seconds"):
        EventBus(slow_after=0)


async def test_a_recovered_failure_counts_as_failed_by_subscription_too() -> None:
    async with EventBus(middleware=[Recovery()]) as bus:
        bus.subscribe("a.b", Fails(), inline=True)
        await fill(bus, "a.b", 3)
        (told,) = bus.stats().subscriptions
        assert (told.failed, told.handled, told.in_flight) == (3, 0, 0)
