"""A failed handler is called again, later and later; only its last failure counts."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import Event, EventBus, Retry
from bus.middleware import Metrics, Recovery, Timeout
from bus.testing import FakeClock, all_tasks_blocked
from tests.bus_helpers import Gate, Recorder, fill, settle

pytestmark = pytest.mark.anyio


class Flaky:
    """Fails so many times with each event; notes when it was called."""

    def __init__(self, failures: int, clock: FakeClock, error: type[Exception] = ConnectionError) -> None:
        self.failures = failures
        self.clock = clock
        self.error = error
        self.called: list[tuple[Any, float]] = []

    async def __call__(self, event: Event) -> None:
        self.called.append((event.field("n"), self.clock.now()))
        if sum(n == event.field("n") for n, _ in self.called) <= self.failures:
            raise self.error("it broke")

    @property
    def times(self) -> list[float]:
        return [at for _, at in self.called]


async def test_the_wait_grows_by_the_factor_up_to_its_bound() -> None:
    clock = FakeClock()
    flaky = Flaky(5, clock)
    async with EventBus(clock=clock) as bus:
        retry = Retry(max_tries=9, first_delay_s=1, factor=3, max_delay_s=10, jitter=0)
        subscription = bus.subscribe("a.b", flaky, retry=retry)
        await bus.publish("a.b")
        await clock.advance(100)
    assert flaky.times == [0, 1, 4, 13, 23, 33]
    assert (subscription.handled, subscription.failed, subscription.retried) == (1, 0, 5)


async def test_after_the_last_try_the_failure_is_told_once_with_its_tries() -> None:
    clock, failures = FakeClock(), Recorder()
    flaky = Flaky(99, clock)
    async with EventBus(clock=clock) as bus:
        bus.subscribe("handler.failed", failures)
        subscription = bus.subscribe("a.b", flaky, retry=Retry(max_tries=4, first_delay_s=1, jitter=0))
        event = await bus.publish("a.b", {"n": 1})
        await clock.advance(100)
    (failed,) = failures.events
    assert (failed.data.event, failed.data.tries, len(flaky.called)) == (event, 4, 4)
    assert (subscription.handled, subscription.failed, subscription.retried) == (0, 1, 3)


async def test_an_error_of_another_class_is_not_worth_another_try() -> None:
    clock, failures = FakeClock(), Recorder()
    flaky = Flaky(99, clock, error=ValueError)
    async with EventBus(clock=clock) as bus:
        bus.subscribe("handler.failed", failures)
        bus.subscribe("a.b", flaky, retry=Retry(retry_on=(ConnectionError, TimeoutError)))
        await bus.publish("a.b")
        await clock.advance(100)
    assert [event.data.tries for event in failures.events] == [1]


async def test_later_events_of_the_connection_wait_behind_and_others_do_not() -> None:
    clock = FakeClock()
    order: list[tuple[str | None, int]] = []

    async def handle(event: Event) -> None:
        order.append((event.connection_id, event.field("n")))
        if event.connection_id == "c" and len([1 for name, _ in order if name == "c"]) == 1:
            raise ConnectionError

    async with EventBus(clock=clock) as bus:
        bus.subscribe("a.b", handle, concurrency=2, retry=Retry(first_delay_s=1, jitter=0))
        await fill(bus, "a.b", 2, "c")
        await fill(bus, "a.b", 2, "d")
        await all_tasks_blocked()
        assert order == [("c", 0), ("d", 0), ("d", 1)]
        await clock.advance(1)
    assert order[3:] == [("c", 0), ("c", 1)]


@given(st.integers(1, 400), st.floats(0, 1), st.floats(0, 1e3), st.floats(1, 1e6), st.floats(0, 1e5))
def test_a_delay_stays_within_its_jitter_and_never_overflows(
    failures: int, jitter: float, first: float, factor: float, longest: float
) -> None:
    plain = Retry(first_delay_s=first, factor=factor, max_delay_s=longest, jitter=0).delay_s(failures)
    assert 0 <= plain <= longest
    for drawn in (0.0, 0.5, 1.0):
        retry = Retry(first_delay_s=first, factor=factor, max_delay_s=longest, jitter=jitter, random=lambda d=drawn: d)  # type: ignore[misc]
        assert plain * (1 - jitter) - 1e-9 <= retry.delay_s(failures) <= plain * (1 + jitter) + 1e-9


def test_delays_never_shrink_from_one_try_to_the_next() -> None:
    retry = Retry(jitter=0)
    assert all(before <= after for before, after in pairwise(map(retry.delay_s, range(1, 100))))


async def test_a_subscriptions_retry_surrounds_the_middleware_so_each_try_is_limited_and_measured() -> None:
    clock, metrics, failures = FakeClock(), Metrics(), Recorder()
    tries: list[float] = []

    async def hang(event: Event) -> None:
        tries.append(clock.now())
        await anyio.sleep_forever()

    async with EventBus(middleware=[Timeout(limit_s=5), metrics], clock=clock, slow_after=None) as bus:
        bus.subscribe("handler.failed", failures)
        bus.subscribe("a.b", hang, retry=Retry(max_tries=3, first_delay_s=1, jitter=0))
        await bus.publish("a.b")
        await clock.advance(100)
    assert tries == [0, 6, 13]
    assert sum(series.failed for (event_type, _), series in metrics.series.items() if event_type == "a.b") == 3
    assert "took longer than 5 s" in failures.events[0].data.error


@pytest.mark.parametrize("order", [[Recovery(), "retry"], ["retry", Recovery()]])
@pytest.mark.parametrize("inline", [False, True])
async def test_recovery_inside_or_outside_deals_with_the_last_failure_only(order: list[Any], inline: bool) -> None:
    clock, failures = FakeClock(), Recorder()
    flaky = Flaky(99, clock)
    retry = Retry(max_tries=3, first_delay_s=1, jitter=0)
    async with EventBus(middleware=[retry if m == "retry" else m for m in order], clock=clock) as bus:
        bus.subscribe("handler.failed", failures)
        subscription = bus.subscribe("a.b", flaky, inline=inline)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.publish, "a.b")
            await clock.advance(100)
        told = [(event.data.handler, event.data.tries) for event in failures.events if event.data.handler == "Flaky"]
        assert told == [("Flaky", 3)]
        assert (subscription.handled, subscription.failed) == (0, 1)


async def test_an_inline_handlers_publisher_waits_for_the_tries_and_gets_the_last_error() -> None:
    clock = FakeClock()
    fails, succeeds = Flaky(99, clock), Flaky(1, clock)
    async with EventBus(clock=clock) as bus, anyio.create_task_group() as tasks:
        bus.subscribe("a.b", fails, inline=True, retry=Retry(max_tries=2, first_delay_s=1, jitter=0))
        bus.subscribe("a.b", succeeds, inline=True, retry=Retry(max_tries=2, first_delay_s=1, jitter=0))
        tasks.start_soon(clock.advance, 5)
        with pytest.raises(ConnectionError):
            await bus.publish("a.b")
        assert (fails.times, succeeds.times) == ([0, 1], [1, 2])


async def test_a_retry_inside_a_retry_multiplies_the_tries() -> None:
    clock, failures = FakeClock(), Recorder()
    flaky = Flaky(99, clock)
    inner = Retry(max_tries=2, first_delay_s=1, jitter=0)
    outer = Retry(max_tries=3, first_delay_s=10, factor=1, jitter=0)
    async with EventBus(middleware=[inner], clock=clock) as bus:
        bus.subscribe("a.b", flaky, retry=outer)
        bus.subscribe_dead_letters(lambda failure: failures.events.append(failure))  # type: ignore[arg-type]
        await bus.publish("a.b")
        await clock.advance(100)
    assert flaky.times == [0, 1, 11, 12, 22, 23]
    assert [failure.tries for failure in failures.events] == [6]  # type: ignore[attr-defined]


async def test_closing_in_the_middle_of_a_wait_ends_it_and_names_the_event(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    flaky = Flaky(99, clock)
    async with EventBus(clock=clock, close_timeout=0) as bus:
        bus.subscribe("a.b", flaky, retry=Retry(first_delay_s=1_000))
        event = await bus.publish("a.b")
        await settle()
    assert len(flaky.called) == 1
    assert event.id in caplog.text


async def test_a_cancelled_subscription_finishes_the_event_it_is_at() -> None:
    clock, gate = FakeClock(), Gate()
    flaky = Flaky(1, clock)
    async with EventBus(clock=clock) as bus:
        subscription = bus.subscribe("a.b", flaky, retry=Retry(first_delay_s=1, jitter=0))
        await fill(bus, "a.b", 2)
        await settle()
        subscription.cancel()
        gate.open()
        await clock.advance(5)
        assert flaky.called == [(0, 0.0), (0, 1.0)]
        assert bus.stats().handled == 1


@pytest.mark.parametrize("wrong", [{"max_tries": 0}, {"factor": 0.5}, {"jitter": 1.5}, {"first_delay_s": -1}])
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Retry(**wrong)
