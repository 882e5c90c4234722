"""What a bus tells about itself: counts and latencies by subscription, who listens, and which handlers are slow."""

from __future__ import annotations

import logging
import math
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import Event, EventBus, Subscription
from bus.latency import BUCKETS, Histogram, upper_bound_s
from bus.middleware import Deduplication, Recovery, Retry, Timeout, delivery_middleware
from bus.middleware.base import Next
from bus.statistics import SubscriptionStatistics
from bus.testing import FakeClock, all_tasks_blocked, settled
from bus.testing import Recorder as BusRecorder
from tests.bus_helpers import Fails, Gate, Recorder, fill
from tests.lifecycle_helpers import lifecycle_on

pytestmark = pytest.mark.anyio

MILLISECOND = 1_000_000
SECRET = "+49 151 000000"


class Stopwatch:
    """What the bus measures with, moved by hand."""

    def __init__(self) -> None:
        self.ns = 1_000 * MILLISECOND

    def __call__(self) -> int:
        return self.ns

    def handler(self, milliseconds: float, fails: bool = False) -> Any:
        """A handler that takes so long, by this."""

        def handle(_: Any) -> None:
            self.ns += int(milliseconds * MILLISECOND)
            if fails:
                raise ValueError("it broke")

        return handle


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    stopwatch = Stopwatch()
    for module in ("subscription", "inbox", "fan_out"):
        monkeypatch.setattr(f"bus.{module}.perf_counter_ns", stopwatch)
    return stopwatch


def statistics_of(bus: EventBus) -> SubscriptionStatistics:
    """Those of the first subscription."""
    return bus.stats().subscriptions[0]


# -- counts by subscription --


async def test_subscriptions_are_listed_in_the_order_of_subscribing_with_who_and_what() -> None:
    async with EventBus() as bus:
        bus.subscribe("b.*", Recorder())
        bus.subscribe("a.b", Gate(), connection_id="c", inline=True)
        bus.subscribe_batch("*", lambda events: None)
        bus.subscribe("a.b", Recorder(), connection_id="b")
        listed = [(each.handler, each.pattern, each.connection_id, each.kind) for each in bus.stats().subscriptions]
    name = "test_subscriptions_are_listed_in_the_order_of_subscribing_with_who_and_what.<locals>.<lambda>"
    assert listed == [
        ("Recorder", "b.*", None, "queued"),
        ("Gate", "a.b", "c", "inline"),
        (name, "*", None, "batch"),
        ("Recorder", "a.b", "b", "queued"),
    ]


async def test_what_waits_and_what_runs_is_counted_by_subscription() -> None:
    gate = Gate()
    async with EventBus() as bus:
        bus.subscribe("a.b", gate, concurrency=2)
        bus.subscribe("a.b", Recorder())
        for n in range(5):
            await bus.publish("a.b", connection_id=f"c{n}")
        await all_tasks_blocked()
        slow, quick = bus.stats().subscriptions
        assert (slow.queued, slow.in_flight, slow.handled) == (3, 2, 0)
        assert (quick.queued, quick.in_flight, quick.handled) == (0, 0, 5)
        assert (bus.stats().queued, bus.stats().in_flight, bus.stats().handled) == (3, 2, 5)
        gate.open()


async def test_an_inline_call_is_in_flight_while_it_waits() -> None:
    gate = Gate()
    async with EventBus() as bus, anyio.create_task_group() as group:
        bus.subscribe("a.b", gate, inline=True)
        group.start_soon(bus.publish, "a.b")
        await all_tasks_blocked()
        assert (statistics_of(bus).in_flight, statistics_of(bus).handled) == (1, 0)
        gate.open()
        await all_tasks_blocked()
        assert (statistics_of(bus).in_flight, statistics_of(bus).handled) == (0, 1)


async def test_failures_tries_drops_and_overruns_are_counted_by_subscription() -> None:
    clock, gate = FakeClock(), Gate()

    async def flood(event: Event) -> None:
        for n in range(3):
            await bus.publish("c.c", {"n": n})

    async with EventBus(clock=clock, slow_after=None) as bus:
        bus.subscribe("a.b", Fails(), retry=Retry(3, first_delay_s=1, jitter=0))
        bus.subscribe("c.c", gate, queue_size=1, overflow="drop_newest")
        bus.subscribe("c.c", gate, queue_size=1)
        bus.subscribe("c.begin", flood)
        await bus.publish("a.b")
        await clock.advance(3)
        await bus.publish("c.c")
        await all_tasks_blocked()
        await bus.publish("c.begin")
        await all_tasks_blocked()
        failing, dropping, overrun, _ = bus.stats().subscriptions
        assert (failing.failed, failing.retried, failing.handled) == (1, 2, 0)
        assert (dropping.dropped, dropping.overrun) == (2, 0)
        assert (overrun.dropped, overrun.overrun) == (0, 2)
        assert (bus.stats().dropped, bus.stats().overrun, bus.stats().failed) == (2, 2, 1)
        gate.open()


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("fails", [True, False])
async def test_a_call_that_returns_after_its_subscription_was_cancelled_is_counted_once(
    inline: bool, fails: bool
) -> None:
    gate = Gate()

    async def handle(event: Event) -> None:
        await gate(event)
        if fails:
            raise ValueError("it broke")

    async with EventBus(middleware=[Recovery()]) as bus, anyio.create_task_group() as group:
        subscription = bus.subscribe("a.b", handle, inline=inline)
        group.start_soon(bus.publish, "a.b")
        await all_tasks_blocked()
        subscription.cancel()
        assert (bus.stats().handled, bus.stats().failed) == (0, 0)
        gate.open()
        await bus.drain()
        await all_tasks_blocked()
        assert (bus.stats().handled, bus.stats().failed) == ((0, 1) if fails else (1, 0))
        assert (bus.stats().in_flight, subscription.in_flight) == (0, 0)
        assert bus._former._busy == {}


async def test_a_handler_that_cancels_its_own_subscription_is_counted_once() -> None:
    own: list[Subscription] = []
    async with EventBus() as bus:
        own.append(bus.subscribe("a.b", lambda event: own[0].cancel()))
        own.append(bus.subscribe("a.b", lambda event: own[1].cancel(), inline=True))
        await bus.publish("a.b")
        await bus.drain()
        assert (bus.stats().handled, bus.stats().active_handlers) == (2, 0)


async def test_types_are_counted_under_plain_names_whoever_published_them() -> None:
    async with EventBus() as bus:
        bus.subscribe("a.b", Fails())
        await bus.publish("a.b")
        await bus.drain()
        types = bus.stats().events_by_type
    assert types == {"a.b": 1, "handler.failed": 1}
    assert {type(name) for name in types} == {str}


# -- latencies --


async def test_the_latency_of_an_event_is_from_being_queued_until_it_is_handled(stopwatch: Stopwatch) -> None:
    async with EventBus() as bus:
        bus.subscribe("a.b", stopwatch.handler(3))
        await fill(bus, "a.b", 3)
        stopwatch.ns += MILLISECOND
        await bus.drain()
        found = statistics_of(bus)
        assert found.last_latency_s == pytest.approx(0.010)  # queued, then two others, then itself
        assert found.latency.sum_s == pytest.approx(0.004 + 0.007 + 0.010)
        assert found.latency.total == 3
        assert found.latency.quantile(0) == upper_bound_s((4 * MILLISECOND).bit_length())


async def test_the_latency_of_an_inline_handler_is_that_of_its_call(stopwatch: Stopwatch) -> None:
    async with EventBus() as bus:
        bus.subscribe("a.b", stopwatch.handler(2), inline=True)
        bus.subscribe("a.b", stopwatch.handler(5), inline=True)
        await fill(bus, "a.b", 2)
        first, second = bus.stats().subscriptions
        assert [first.last_latency_s, second.last_latency_s] == pytest.approx([0.002, 0.005])
        assert second.latency.sum_s == pytest.approx(0.010)
        assert second.latency.total == 2


async def test_the_latency_of_a_batch_is_that_of_its_first_event(stopwatch: Stopwatch) -> None:
    async with EventBus() as bus:
        bus.subscribe_batch("a.b", stopwatch.handler(2), max_size=2)
        await bus.publish("a.b")
        stopwatch.ns += 7 * MILLISECOND
        await bus.publish("a.b")
        await bus.drain()
        found = statistics_of(bus)
        assert found.latency.total == 1
        assert found.last_latency_s == pytest.approx(0.009)


async def test_failed_calls_count_in_the_latency_too(stopwatch: Stopwatch) -> None:
    async with EventBus() as bus:
        bus.subscribe("a.b", stopwatch.handler(3, fails=True))
        await fill(bus, "a.b", 2)
        await bus.drain()
        assert statistics_of(bus).latency.total == 2
        assert statistics_of(bus).latency.sum_s == pytest.approx(0.009)


async def test_before_the_first_event_all_is_nothing() -> None:
    async with EventBus() as bus:
        bus.subscribe("a.b", Recorder())
        found = statistics_of(bus)
        assert (found.last_latency_s, found.latency.total, found.latency.sum_s) == (0, 0, 0)
        assert found.latency.quantile(0.99) == 0


@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=50), st.floats(0, 1))
def test_a_quantile_is_above_the_true_one_and_below_twice_as_much(nanoseconds: list[int], part: float) -> None:
    counts = [0] * BUCKETS
    for duration in nanoseconds:
        counts[duration.bit_length()] += 1
    histogram = Histogram(tuple(counts), sum(nanoseconds) / 1e9)
    true_ns = sorted(nanoseconds)[max(0, math.ceil(part * len(nanoseconds)) - 1)]
    found_ns = histogram.quantile(part) * 1e9
    assert histogram.total == len(nanoseconds)
    assert true_ns * (1 - 1e-12) <= found_ns <= max(1, 2 * true_ns) * (1 + 1e-12)


def test_quantiles_never_decrease() -> None:
    histogram = Histogram((0, 5, 0, 3, 1, *[0] * (BUCKETS - 5)), 1.0)
    quantiles = [histogram.quantile(part / 20) for part in range(21)]
    assert quantiles == sorted(quantiles)
    assert set(quantiles) == {upper_bound_s(1), upper_bound_s(3), upper_bound_s(4)}


# -- who listens --


async def test_a_description_says_who_listens_to_what_through_which_middleware() -> None:
    @delivery_middleware
    async def tagged(event: Event, call_next: Next) -> None:
        await call_next(event)

    async with (
        EventBus(middleware=[Recovery(), Deduplication(), Timeout(5)]) as bus,
        anyio.create_task_group() as group,
    ):
        bus.use(tagged)
        bus.subscribe("b.*", Recorder(), concurrency=4, queue_size=10, overflow="drop_oldest")
        bus.subscribe("a.b", Gate(), connection_id="c", inline=True)
        bus.subscribe_batch("a.b", lambda events: None, max_size=10, max_wait=0.5, queue_size=20)
        stream = bus.stream("*", queue_size=5)
        group.start_soon(bus.wait_for, "a.b")
        recorder = BusRecorder(bus)
        await all_tasks_blocked()
        text = str(bus.describe())
        recorder.stop()
        await stream.aclose()
        group.cancel_scope.cancel()
    here = "test_a_description_says_who_listens_to_what_through_which_middleware.<locals>"
    assert text.split("\n") == [
        "publish → Deduplication → fan-out",
        f"deliver → Recovery → Timeout → {here}.tagged → handler",
        "(its own choice)",
        "    recorder (lifecycle)",
        "*",
        "    stream of * (stream), queue_size 5",
        "a.b",
        "    Gate (inline), of c",
        f"    {here}.<lambda> (batch), max_size 10, max_wait 0.5, queue_size 20",
        "    wait_for (wait)",
        "b.*",
        "    Recorder (queued), concurrency 4, queue_size 10, overflow drop_oldest",
    ]


async def test_a_bus_with_nobody_and_nothing_says_so() -> None:
    async with EventBus() as bus:
        assert str(bus.describe()) == "publish → fan-out\ndeliver → handler"
        assert bus.describe().listeners_to("a.b") == ()


async def test_it_is_told_what_is_unusual_about_a_listener() -> None:
    retry = Retry(max_tries=3)
    async with EventBus() as bus:
        bus.subscribe("a.b", Recorder(), timeout=5, retry=retry, priorities={"a.b": 1}, replay_last=True)
        bus.subscribe("a.b", lambda event: None, thread=True)
        first, second = bus.describe().listeners
    assert first.details == ("timeout 5", "priorities {'a.b': 1}", f"retry {retry}", "replay_last True")
    assert second.details == ("thread True",)


@pytest.mark.parametrize(
    ("event_type", "connection_id", "who"),
    [
        ("a.b", None, ["all", "a", "a.b"]),
        ("a.b", "c", ["all", "a", "a.b", "c's"]),
        ("a.b", "d", ["all", "a", "a.b"]),
        ("a.b.c", "c", ["all", "a"]),
        ("b.b", "c", ["all"]),
    ],
)
async def test_who_hears_an_event_is_who_gets_it(event_type: str, connection_id: str | None, who: list[str]) -> None:
    heard: list[str] = []
    async with EventBus() as bus:
        for name, pattern, whose in [("all", "*", None), ("a", "a.*", None), ("a.b", "a.b", None), ("c's", "a.b", "c")]:

            def handle(event: Event, name: str = name) -> None:
                heard.append(name)

            handle.__qualname__ = name
            bus.subscribe(pattern, handle, connection_id=whose, inline=True)
        listeners = bus.describe().listeners_to(event_type, connection_id)
        assert [listener.name for listener in listeners] == who
        await bus.publish(event_type, connection_id=connection_id)
        assert heard == who
        assert bus.has_listener(event_type, connection_id)


async def test_a_lifecycle_hears_what_its_definition_names() -> None:
    async with EventBus() as bus, lifecycle_on(bus):
        description = bus.describe()
        assert [listener.name for listener in description.listeners_to("a.came")] == ["lifecycle door"]
        assert description.listeners_to("some.other_thing") == ()


async def test_who_has_gone_is_not_described() -> None:
    async with EventBus() as bus:
        subscription = bus.subscribe("a.b", Recorder())
        stream = bus.stream("a.b")
        recorder = BusRecorder(bus)
        assert len(bus.describe().listeners) == 3
        subscription.cancel()
        await stream.aclose()
        recorder.stop()
        assert bus.describe().listeners == ()


# -- slow handlers --


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert SECRET not in caplog.text
    return [record.getMessage() for record in caplog.records if record.name == "phasebus.bus"]


async def publish(bus: EventBus, event_type: str = "a.b", connection_id: str | None = "c") -> None:
    await bus.publish(event_type, {"phone_number": SECRET}, connection_id=connection_id)


@pytest.mark.parametrize("options", [{}, {"concurrency": 3}, {"inline": True}])
async def test_a_handler_that_took_long_is_warned_of_by_name(
    options: dict[str, Any], stopwatch: Stopwatch, caplog: pytest.LogCaptureFixture
) -> None:
    handler = stopwatch.handler(1_500)
    handler.__qualname__ = "slow"
    async with EventBus(clock=FakeClock()) as bus:
        bus.subscribe("a.b", handler, **options)
        await publish(bus)
        await bus.drain()
        assert statistics_of(bus).slow == 1
    assert warnings_of(caplog) == ["slow took 1.5 s to handle a.b of c"]


async def test_a_slow_batch_is_warned_of(stopwatch: Stopwatch, caplog: pytest.LogCaptureFixture) -> None:
    handler = stopwatch.handler(1_500)
    handler.__qualname__ = "slow"
    async with EventBus() as bus:
        bus.subscribe_batch("a.b", handler)
        await publish(bus)
        await publish(bus, connection_id="d")
        await bus.drain()
        assert statistics_of(bus).slow == 1
    assert warnings_of(caplog) == ["slow took 1.5 s to handle event.batch of None"]


async def test_a_handler_that_is_quick_enough_is_not_warned_of_however_long_its_events_waited(
    stopwatch: Stopwatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with EventBus() as bus:
        bus.subscribe("a.b", stopwatch.handler(900))
        for _ in range(5):
            await publish(bus)
        stopwatch.ns += 60_000 * MILLISECOND
        await bus.drain()
        found = statistics_of(bus)
        assert (found.slow, found.handled) == (0, 5)
        assert found.last_latency_s == pytest.approx(64.5)
    assert warnings_of(caplog) == []


async def test_a_worker_that_takes_no_rest_measures_each_call_by_itself(
    stopwatch: Stopwatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with EventBus(slow_after=0.000_1) as bus:
        bus.subscribe("a.b", stopwatch.handler(0.06))
        for _ in range(3):
            await publish(bus)
        await bus.drain()
        assert (statistics_of(bus).slow, statistics_of(bus).handled) == (0, 3)
    assert warnings_of(caplog) == []


async def test_a_handler_is_not_warned_of_for_what_another_took(
    stopwatch: Stopwatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with EventBus(clock=FakeClock()) as bus:
        for number in range(3):
            handler = stopwatch.handler(1_500 if number == 1 else 1)
            handler.__qualname__ = f"number {number}"
            bus.subscribe("a.b", handler)
        await all_tasks_blocked()
        await publish(bus)
        await bus.drain()
    assert warnings_of(caplog) == ["number 1 took 1.5 s to handle a.b of c"]


async def test_a_handler_is_not_warned_of_for_the_report_of_its_last_failure(
    stopwatch: Stopwatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with EventBus(clock=FakeClock()) as bus:
        bus.subscribe("a.b", stopwatch.handler(0, fails=True))
        handler = stopwatch.handler(1_500)
        handler.__qualname__ = "slow"
        bus.subscribe("handler.failed", handler, inline=True)
        await publish(bus)
        await publish(bus)
        await bus.drain()
    slow = [warning for warning in warnings_of(caplog) if "took" in warning]
    assert slow == ["slow took 1.5 s to handle handler.failed of c"] * 2


async def test_a_slow_failure_is_both(stopwatch: Stopwatch, caplog: pytest.LogCaptureFixture) -> None:
    handler = stopwatch.handler(2_000, fails=True)
    handler.__qualname__ = "slow"
    async with EventBus() as bus:
        bus.subscribe("a.b", handler)
        await publish(bus)
        await bus.drain()
        assert (statistics_of(bus).slow, statistics_of(bus).failed) == (1, 1)
    assert warnings_of(caplog) == ["slow took 2 s to handle a.b of c", "slow failed on a.b of c: ValueError"]


async def test_how_slow_is_slow_is_the_users_to_say(stopwatch: Stopwatch, caplog: pytest.LogCaptureFixture) -> None:
    async with EventBus(slow_after=0.1) as bus:
        bus.subscribe("a.b", stopwatch.handler(100))
        await publish(bus)
        await bus.drain()
        assert statistics_of(bus).slow == 0
        bus.subscribe("b.b", stopwatch.handler(101))
        await publish(bus, "b.b")
        await bus.drain()
        assert bus.stats().subscriptions[1].slow == 1


@pytest.mark.parametrize("slow_after", [0, -1, math.nan])
def test_a_time_that_every_handler_takes_is_refused(slow_after: float) -> None:
    with pytest.raises(ValueError, match="slow_after must be more than 0 seconds, or None"):
        EventBus(slow_after=slow_after)


async def test_a_handler_that_does_not_return_is_warned_of_once_while_it_runs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, gate = FakeClock(), Gate()
    async with EventBus(clock=clock, slow_after=2) as bus:
        bus.subscribe("a.b", gate)
        await publish(bus)
        await clock.advance(1.9)
        assert warnings_of(caplog) == []
        await clock.advance(2.1)
        assert warnings_of(caplog) == ["Gate has been handling a.b of c for more than 2 s"]
        await clock.advance(1_000)
        assert len(warnings_of(caplog)) == 1
        gate.open()


async def test_each_call_that_does_not_return_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    clock, gate = FakeClock(), Gate()
    async with EventBus(clock=clock) as bus:
        bus.subscribe("a.b", gate, concurrency=2)
        bus.subscribe_batch("a.b", lambda events: gate(events[0]), max_size=2)
        await publish(bus, connection_id="c")
        await publish(bus, connection_id="d")
        await clock.advance(3)
        gate.open()
    assert sorted(warnings_of(caplog)) == [
        "Gate has been handling a.b of c for more than 1 s",
        "Gate has been handling a.b of d for more than 1 s",
        "test_each_call_that_does_not_return_is_warned_of.<locals>.<lambda> has been handling event.batch of None "
        "for more than 1 s",
    ]


async def test_calls_that_follow_each_other_are_not_taken_for_one(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()

    async def handle(event: Event) -> None:
        await clock.sleep(0.9)

    async with EventBus(clock=clock) as bus:
        bus.subscribe("a.b", handle)
        for _ in range(10):
            await publish(bus)
        await clock.advance(20)
        await settled(bus)
        assert statistics_of(bus).handled == 10
    assert warnings_of(caplog) == []


async def test_a_handler_that_waits_for_its_next_try_is_warned_of_too(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    async with EventBus(clock=clock) as bus:
        bus.subscribe("a.b", Fails(), retry=Retry(2, first_delay_s=10, jitter=0))
        await publish(bus)
        await clock.advance(9)
        assert warnings_of(caplog) == ["Fails has been handling a.b of c for more than 1 s"]
        await clock.advance(1)
        await settled(bus)


async def test_who_does_not_want_it_is_not_warned(stopwatch: Stopwatch, caplog: pytest.LogCaptureFixture) -> None:
    clock, gate = FakeClock(), Gate()
    async with EventBus(clock=clock, slow_after=None) as bus:
        bus.subscribe("b.b", stopwatch.handler(60_000))
        bus.subscribe("a.b", gate)
        await publish(bus, "b.b")
        await publish(bus)
        await clock.advance(100)
        assert statistics_of(bus).slow == 0
        assert clock._alarms == []
        gate.open()
    assert warnings_of(caplog) == []


async def test_a_payload_is_in_no_warning(stopwatch: Stopwatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    clock, gate = FakeClock(), Gate()

    def handle(event: Event) -> None:
        stopwatch.ns += 5_000 * MILLISECOND
        raise ValueError(SECRET)

    async with EventBus(clock=clock, close_timeout=0) as bus:
        bus.subscribe("a.b", handle)
        bus.subscribe("a.b", gate, queue_size=1, overflow="drop_newest")
        for _ in range(4):
            await publish(bus)
            await all_tasks_blocked()
        await clock.advance(5)
    assert len(warnings_of(caplog)) > 5
