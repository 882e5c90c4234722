"""Rate limit: a token bucket for each connection, tenant, or the bus."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from bus import Event, EventBus, RateLimitExceeded
from bus.middleware import RateLimit
from bus.testing import FakeClock
from tests.bus_helpers import Recorder, SelfMovingClock, fill, settle

pytestmark = pytest.mark.anyio


def limited(clock: SelfMovingClock, **options: Any) -> EventBus:
    return EventBus(middleware=[RateLimit(**options)], clock=clock, slow_after=None)


async def test_a_burst_passes_and_the_next_waits_for_its_token() -> None:
    clock, heard = SelfMovingClock(), Recorder()
    async with limited(clock, rate_per_s=10.0, burst=3) as bus:
        bus.subscribe("a.b", heard)
        await fill(bus, "a.b", 3)
        assert clock.slept == []
        await fill(bus, "a.b", 2)
        assert clock.slept == pytest.approx([0.1, 0.1])
    assert heard.numbers == [0, 1, 2, 0, 1]


async def test_the_default_burst_is_one_seconds_worth() -> None:
    clock = SelfMovingClock()
    async with limited(clock, rate_per_s=100.0) as bus:
        await fill(bus, "a.b", 100)
        assert clock.slept == []
        await fill(bus, "a.b", 1)
        assert clock.slept == pytest.approx([0.01])


async def test_two_events_within_ten_milliseconds_at_a_hundred_a_second_both_pass() -> None:
    clock = SelfMovingClock()
    async with limited(clock, excess="drop") as bus:
        await fill(bus, "a.b", 2)
        assert bus.stats().total_events == 2


async def test_over_time_no_more_than_the_rate_passes() -> None:
    clock, passed = SelfMovingClock(), 0
    async with limited(clock, rate_per_s=10.0, burst=1, excess="error") as bus:
        for _ in range(1_000):
            clock.jump(0.01)
            try:
                await bus.publish("a.b", connection_id="c")
                passed += 1
            except RateLimitExceeded:
                pass
    assert 99 <= passed <= 101


async def test_drop_counts_and_reports_each_event() -> None:
    clock, heard, dropped = SelfMovingClock(), Recorder(), Recorder()
    async with limited(clock, rate_per_s=1.0, excess="drop") as bus:
        bus.subscribe("a.b", heard)
        bus.subscribe("event.dropped", dropped)
        await fill(bus, "a.b", 4)
        await bus.drain()
        assert bus.stats().events_by_type == {"a.b": 1, "event.dropped": 3}
    assert heard.numbers == [0]
    assert [event.field("by") for event in dropped.events] == ["rate limit"] * 3
    assert [event.connection_id for event in dropped.events] == ["c"] * 3


async def test_error_raises_to_the_publisher() -> None:
    clock = SelfMovingClock()
    async with limited(clock, rate_per_s=1.0, excess="error") as bus:
        await fill(bus, "a.b", 1)
        with pytest.raises(RateLimitExceeded, match=r"a\.b: more than 1 events a second from this connection"):
            await fill(bus, "a.b", 1)
        assert bus.stats().total_events == 1


@pytest.mark.parametrize(("per", "passed"), [("connection", 4), ("tenant", 2), ("bus", 1)])
async def test_each_has_a_bucket_of_its_own(per: str, passed: int) -> None:
    clock = SelfMovingClock()
    async with limited(clock, rate_per_s=1.0, per=per, excess="drop") as bus:
        for _ in range(2):
            for number in range(4):
                await bus.publish("a.b", connection_id=f"c{number}", tenant_id=f"t{number % 2}")
        assert bus.stats().events_by_type["a.b"] == passed


async def test_the_delayed_keep_their_order_and_others_do_not_wait_for_them() -> None:
    clock, heard = FakeClock(), Recorder()
    async with EventBus(middleware=[RateLimit(rate_per_s=1.0)], clock=clock) as bus:
        bus.subscribe("a.b", heard)
        async with anyio.create_task_group() as group:
            for n in range(5):
                group.start_soon(bus.publish, "a.b", {"n": n, "connection_id": "c"})
                await settle()
            await bus.publish("a.b", {"n": "other", "connection_id": "d"})
            await settle()
            assert heard.numbers == [0, "other"]
            await clock.advance(4)
    assert heard.numbers == [0, "other", 1, 2, 3, 4]


async def test_a_delayed_publisher_that_is_cancelled_holds_up_nobody() -> None:
    clock, heard = FakeClock(), Recorder()
    async with EventBus(middleware=[RateLimit(rate_per_s=1.0)], clock=clock) as bus:
        bus.subscribe("a.b", heard)
        await fill(bus, "a.b", 1)
        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()

            async def give_up() -> None:
                with scope:
                    await bus.publish("a.b", {"n": "cancelled", "connection_id": "c"})

            group.start_soon(give_up)
            await settle()
            group.start_soon(bus.publish, "a.b", {"n": "behind", "connection_id": "c"})
            await settle()
            scope.cancel()
            await clock.advance(1)
    assert heard.numbers == [0, "behind"]


async def test_an_inline_handler_of_a_delayed_event_may_publish_for_its_connection() -> None:
    clock, heard = SelfMovingClock(), Recorder()

    async def answer(event: Event) -> None:
        await bus.publish("b.b", {"n": event.field("n")}, connection_id="c")

    async with limited(clock, rate_per_s=1.0) as bus:
        bus.subscribe("a.b", answer, inline=True)
        bus.subscribe("b.b", heard)
        with anyio.fail_after(1):
            await fill(bus, "a.b", 3)
    assert heard.numbers == [0, 1, 2]


async def test_buckets_that_have_filled_up_are_forgotten() -> None:
    clock = SelfMovingClock()
    sizes: list[int] = []
    original = RateLimit._bucket

    def spy(self: RateLimit, buckets: Any, *rest: Any) -> Any:
        bucket = original(self, buckets, *rest)
        sizes.append(len(buckets))
        return bucket

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RateLimit, "_bucket", spy)
        async with limited(clock, rate_per_s=1.0, excess="drop") as bus:
            for number in range(1_000):
                clock.jump(0.1)
                await bus.publish("a.b", connection_id=str(number))
    assert max(sizes) <= 11


async def test_no_more_buckets_are_kept_than_allowed() -> None:
    clock = SelfMovingClock()
    async with limited(clock, rate_per_s=1.0, burst=2, max_buckets=2, excess="drop") as bus:
        for connection_id in ("used last", "forgotten", "used last", "new", "used last"):
            await bus.publish("a.b", connection_id=connection_id)
        assert bus.stats().events_by_type["a.b"] == 4


@pytest.mark.parametrize("rate", [0, -1])
async def test_a_rate_that_lets_nothing_through_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate_per_s"):
        RateLimit(rate)
