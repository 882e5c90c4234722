"""Retry: when a failed handler is called again, what waits meanwhile, and what is told when the last try has failed."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import defaultdict
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import DrainTimeout, Event, EventBus, HandlerFailure
from bus.middleware import Logging, Metrics, Middleware, Recovery, Retry, Timeout, delivery_middleware
from bus.middleware.base import Next
from bus.testing import FakeClock, all_tasks_blocked, settled
from tests.bus_helpers import Gate, Recorder, assert_at_rest, fill

pytestmark = pytest.mark.anyio

THRICE = Retry(max_tries=3, first_delay_s=1, jitter=0)
"""At 0, 1 and 3 seconds."""


class Tries(Recorder):
    """A handler that fails as often as it is told to, for each event, and keeps when it was called."""

    def __init__(self, clock: FakeClock, failures: float = math.inf, error: BaseException | None = None) -> None:
        super().__init__()
        self.at: list[float] = []
        self._clock = clock
        self._left: dict[str, float] = defaultdict(lambda: failures)
        self._error = error or ValueError("it broke")

    async def __call__(self, event: Event) -> None:
        self.events.append(event)
        self.at.append(self._clock.now())
        if self._left[event.id] > 0:
            self._left[event.id] -= 1
            raise self._error


def running(*middleware: Middleware, clock: FakeClock, **options: Any) -> EventBus:
    return EventBus(middleware=middleware, clock=clock, slow_after=None, **options)


# -- when --


async def test_a_failed_handler_is_called_again_later_and_later() -> None:
    clock = FakeClock()
    tries = Tries(clock)
    async with running(clock=clock) as bus:
        subscription = bus.subscribe(
            "a.b", tries, retry=Retry(6, first_delay_s=0.5, factor=4, max_delay_s=20, jitter=0)
        )
        await bus.publish("a.b")
        await clock.advance(1_000)
        assert tries.at == [0, 0.5, 2.5, 10.5, 30.5, 50.5]
        assert (subscription.handled, subscription.failed, subscription.retried) == (0, 1, 5)
        assert_at_rest(bus)


async def test_a_handler_that_succeeds_is_not_called_again() -> None:
    clock, failures = FakeClock(), Recorder()
    tries = Tries(clock, failures=2)
    async with running(clock=clock) as bus:
        subscription = bus.subscribe("a.b", tries, retry=THRICE)
        bus.subscribe("handler.failed", failures)
        await bus.publish("a.b")
        await clock.advance(1_000)
        assert tries.at == [0, 1, 3]
        assert (subscription.handled, subscription.failed, subscription.retried) == (1, 0, 2)
        assert subscription.in_flight == 0
    assert failures.events == []


async def test_each_event_begins_with_its_first_try() -> None:
    clock, failures = FakeClock(), Recorder()
    tries = Tries(clock)
    async with running(clock=clock) as bus:
        bus.subscribe("a.b", tries, retry=THRICE)
        bus.subscribe("handler.failed", failures)
        await fill(bus, "a.b", 2)
        await clock.advance(1_000)
        assert tries.at == [0, 1, 3, 3, 4, 6]
        await settled(bus)
    assert [failed.data.tries for failed in failures.events] == [3, 3]


@pytest.mark.parametrize(
    ("policy", "delays"),
    [
        (Retry(jitter=0), [0.1, 0.2, 0.4, 0.8, 1.6]),
        (Retry(jitter=0, first_delay_s=10, factor=3), [10, 30, 30, 30]),
        (Retry(jitter=0, first_delay_s=2, factor=1), [2, 2, 2]),
        (Retry(jitter=0, first_delay_s=7, max_delay_s=3), [3, 3]),
        (Retry(jitter=0, first_delay_s=0), [0, 0, 0]),
        (Retry(jitter=0.5, random=lambda: 1.0), [0.15, 0.3, 0.6]),
        (Retry(jitter=0.5, random=lambda: 0.0), [0.05, 0.1, 0.2]),
        (Retry(jitter=0.5, random=lambda: 0.5), [0.1, 0.2, 0.4]),
        (Retry(jitter=1, random=lambda: 0.0), [0, 0, 0]),
    ],
)
def test_the_waits_are_as_promised(policy: Retry, delays: list[float]) -> None:
    assert [policy.delay_s(failures) for failures in range(1, len(delays) + 1)] == pytest.approx(delays)


@given(
    st.builds(
        Retry,
        first_delay_s=st.floats(0, 1e6),
        factor=st.floats(1, 1e6) | st.integers(1, 1_000),
        max_delay_s=st.floats(0, 1e6),
        jitter=st.floats(0, 1),
        random=st.builds(lambda drawn: lambda: drawn, st.floats(0, 1)),
    ),
    st.integers(1, 5_000),
)
def test_a_wait_is_finite_never_negative_and_within_its_jitter_of_the_bound(policy: Retry, failures: int) -> None:
    delay_s = policy.delay_s(failures)
    assert math.isfinite(delay_s)
    assert 0 <= delay_s <= policy.max_delay_s * (1 + policy.jitter)


@pytest.mark.parametrize("failures", [1_025, 10**6])
def test_huge_exponents_are_no_error(failures: int) -> None:
    assert Retry(jitter=0).delay_s(failures) == 30
    assert Retry(jitter=0, first_delay_s=0).delay_s(failures) == 0
    assert Retry(jitter=0, first_delay_s=5, factor=1).delay_s(failures) == 5
    assert Retry(jitter=0, max_delay_s=math.inf, factor=1.1).delay_s(10) < math.inf


async def test_what_failed_together_does_not_return_together() -> None:
    clock = FakeClock()
    tries = Tries(clock)
    async with running(clock=clock) as bus:
        bus.subscribe("a.b", tries, retry=Retry(2, jitter=0.5), concurrency=20)
        for n in range(20):
            await bus.publish("a.b", connection_id=f"c{n}")
        await clock.advance(1)
        await settled(bus)
    assert len(set(tries.at)) > 15
    assert all(0.05 <= at <= 0.15 for at in tries.at[20:])


async def test_a_handler_may_be_tried_for_ever() -> None:
    clock = FakeClock()
    tries = Tries(clock, failures=5_000)
    async with running(clock=clock) as bus:
        bus.subscribe("a.b", tries, retry=Retry(max_tries=math.inf, first_delay_s=0, jitter=0))  # type: ignore[arg-type]
        await bus.publish("a.b")
        await settled(bus, timeout=60)
    assert len(tries.at) == 5_001


# -- what is worth another try --


@pytest.mark.parametrize(
    ("error", "calls"), [(ConnectionError("lost"), 3), (ConnectionResetError("lost"), 3), (ValueError("wrong"), 1)]
)
async def test_only_errors_of_the_given_classes_are_worth_another_try(error: Exception, calls: int) -> None:
    clock, failures = FakeClock(), Recorder()
    tries = Tries(clock, error=error)
    async with running(clock=clock) as bus:
        bus.subscribe("a.b", tries, retry=Retry(3, 1, jitter=0, retry_on=(ConnectionError, TimeoutError)))
        bus.subscribe("handler.failed", failures)
        await bus.publish("a.b")
        await clock.advance(10)
        await settled(bus)
    assert len(tries.at) == calls
    assert [(failed.error, failed.data.tries) for failed in failures.events] == [(error, calls)]


async def test_an_error_not_worth_it_ends_the_tries_whenever_it_comes() -> None:
    clock, letters, calls = FakeClock(), list[HandlerFailure](), list[float]()

    def handle(event: Event) -> None:
        calls.append(clock.now())
        raise ConnectionError("lost") if len(calls) < 2 else ValueError("wrong")

    async with running(clock=clock) as bus:
        bus.subscribe("a.b", handle, retry=Retry(9, 1, jitter=0, retry_on=(ConnectionError,)))
        bus.subscribe_dead_letters(letters.append)
        await bus.publish("a.b")
        await clock.advance(100)
        await settled(bus)
    assert calls == [0, 1]
    assert [(letter.error, letter.tries) for letter in letters] == [("ValueError: wrong", 2)]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_awaiting_something_cancelled_is_a_failure_but_only_tried_again_when_asked() -> None:
    clock, calls = FakeClock(), list[str]()

    async def handle(event: Event) -> None:
        calls.append(event.type)
        task = asyncio.ensure_future(anyio.sleep_forever())
        await anyio.lowlevel.checkpoint()
        task.cancel()
        await task

    async with running(clock=clock) as bus:
        bus.subscribe("a.b", handle, retry=THRICE)
        bus.subscribe("c.d", handle, retry=Retry(3, 1, retry_on=(asyncio.CancelledError,)))
        await bus.publish("a.b")
        await bus.publish("c.d")
        await clock.advance(100)
        await settled(bus)
        assert bus.stats().failed == 2
    assert sorted(calls) == ["a.b", "c.d", "c.d", "c.d"]


# -- order --


async def test_later_events_of_the_connection_wait_behind_a_retry() -> None:
    clock = FakeClock()
    tries = Tries(clock, failures=1)
    async with running(clock=clock) as bus:
        bus.subscribe("a.b", tries, retry=THRICE, concurrency=4)
        await fill(bus, "a.b", 3)
        await clock.advance(2)
        assert tries.numbers == [0, 0, 1, 1, 2]
        await clock.advance(1)
        assert tries.numbers == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(("concurrency", "others"), [(1, []), (2, [0, 1, 2])])
async def test_other_connections_go_on_if_there_is_concurrency_to_spare(concurrency: int, others: list[int]) -> None:
    clock, heard = FakeClock(), Recorder()
    tries = Tries(clock)

    async def handle(event: Event) -> None:
        await (tries if event.connection_id == "bad" else heard)(event)

    async with running(clock=clock) as bus:
        bus.subscribe("a.b", handle, retry=THRICE, concurrency=concurrency)
        await bus.publish("a.b", connection_id="bad")
        await fill(bus, "a.b", 3, "good")
        await clock.advance(2.9)
        assert heard.numbers == others
        await clock.advance(0.1)
        assert heard.numbers == [0, 1, 2]
        await settled(bus)


async def test_an_urgent_event_overtakes_what_waits_behind_a_retry_of_another_connection() -> None:
    clock, heard = FakeClock(), Recorder()

    async def handle(event: Event) -> None:
        await heard(event)
        if event.connection_id == "bad" and len(heard.events) == 1:
            raise ValueError("it broke")

    async with running(clock=clock) as bus:
        bus.subscribe("a.*", handle, retry=THRICE, priorities={"a.urgent": 1})
        await bus.publish("a.b", {"n": 0}, connection_id="bad")
        await bus.publish("a.b", {"n": 1}, connection_id="good")
        await bus.publish("a.urgent", {"n": 2}, connection_id="bad")
        await clock.advance(1)
        assert heard.numbers == [0, 0, 2, 1]


# -- with the other middleware --


async def test_a_time_out_of_the_bus_limits_each_try_and_not_the_waits() -> None:
    clock, gate, failures = FakeClock(), Gate(), Recorder()
    async with running(Timeout(5), clock=clock) as bus:
        subscription = bus.subscribe("a.b", gate, retry=Retry(3, first_delay_s=60, factor=1, jitter=0, max_delay_s=60))
        bus.subscribe("handler.failed", failures)
        await bus.publish("a.b")
        await clock.advance(5 + 60 + 5 + 60 + 4.9)
        assert (len(gate.events), subscription.failed) == (3, 0)
        await clock.advance(0.1)
        await settled(bus)
    assert [(failed.data.tries, type(failed.error)) for failed in failures.events] == [(3, TimeoutError)]


async def test_a_time_out_of_the_subscription_limits_each_try() -> None:
    clock, gate = FakeClock(), Gate()
    async with running(clock=clock) as bus:
        bus.subscribe("a.b", gate, timeout=5, retry=THRICE)
        await bus.publish("a.b")
        await clock.advance(5 + 1 + 5 + 2)
        assert len(gate.events) == 3
        gate.open()
        await settled(bus)
        assert bus.stats().handled == 1


@pytest.mark.parametrize("inline", [True, False])
async def test_a_time_out_around_a_retry_limits_all_of_it(inline: bool) -> None:
    clock, failures = FakeClock(), Recorder()
    tries = Tries(clock)
    async with running(Recovery(), Timeout(2), THRICE, clock=clock) as bus, anyio.create_task_group() as group:
        bus.subscribe("a.b", tries, inline=inline)
        bus.subscribe("handler.failed", failures)
        group.start_soon(bus.publish, "a.b")
        await clock.advance(100)
        await settled(bus)
    assert tries.at == [0, 1]
    assert [(failed.data.tries, type(failed.error)) for failed in failures.events] == [(2, TimeoutError)]


async def test_metrics_and_logs_see_each_try(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "phasebus.events")
    clock, metrics = FakeClock(), Metrics()
    async with running(metrics, Logging(), clock=clock) as bus:
        bus.subscribe("a.b", Tries(clock, failures=2), retry=THRICE)
        await bus.publish("a.b")
        await clock.advance(3)
    series = metrics.series["a.b", "Tries"]
    assert (series.handled, series.failed) == (1, 2)
    records = [record for record in caplog.records if record.name == "phasebus.events"]
    assert [record.__dict__["outcome"] for record in records] == ["failed", "failed", "handled"]


async def test_a_retry_of_the_bus_is_for_every_subscription() -> None:
    clock = FakeClock()
    tries = [Tries(clock), Tries(clock)]
    async with running(THRICE, clock=clock) as bus:
        subscriptions = [bus.subscribe("a.b", handler) for handler in tries]
        await bus.publish("a.b")
        await clock.advance(10)
        await settled(bus)
        assert [subscription.retried for subscription in subscriptions] == [2, 2]
    assert [handler.at for handler in tries] == [[0, 1, 3], [0, 1, 3]]


@pytest.mark.parametrize("recovery", ["none", "outside", "inside"])
async def test_a_retry_within_a_retry_makes_its_tries_each_time_and_each_keeps_its_own_waits(recovery: str) -> None:
    clock, letters = FakeClock(), list[HandlerFailure]()
    tries, inner = Tries(clock), Retry(2, first_delay_s=1, jitter=0)
    chains: dict[str, list[Middleware]] = {
        "none": [inner],
        "outside": [Recovery(), inner],
        "inside": [inner, Recovery()],
    }
    async with running(*chains[recovery], clock=clock) as bus:
        subscription = bus.subscribe("a.b", tries, retry=Retry(3, first_delay_s=100, jitter=0, max_delay_s=1_000))
        bus.subscribe_dead_letters(letters.append)
        await bus.publish("a.b")
        await clock.advance(1_000)
        await settled(bus)
        assert (subscription.retried, subscription.failed) == (5, 1)
    assert tries.at == [0, 1, 101, 102, 302, 303]
    assert [letter.tries for letter in letters] == [6]


async def test_a_success_within_a_retry_within_a_retry_ends_both() -> None:
    clock = FakeClock()
    tries = Tries(clock, failures=3)
    async with running(Retry(2, first_delay_s=1, jitter=0), clock=clock) as bus:
        subscription = bus.subscribe("a.b", tries, retry=Retry(3, first_delay_s=100, jitter=0, max_delay_s=1_000))
        await fill(bus, "a.b", 2)
        await clock.advance(102)
        assert tries.at == [0, 1, 101, 102, 102]
        await clock.advance(1_000)
        assert (subscription.handled, subscription.failed) == (2, 0)


ORDERS: dict[str, list[Middleware]] = {
    "inside": [THRICE, Recovery()],
    "outside": [Recovery(), THRICE],
    "both": [Recovery(), THRICE, Recovery()],
}


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("order", [*ORDERS, "around all"])
async def test_wherever_recovery_stands_a_failure_is_told_once_after_the_last_try(order: str, inline: bool) -> None:
    clock, letters = FakeClock(), list[HandlerFailure]()
    tries = Tries(clock)
    retry = THRICE if order == "around all" else None
    async with running(*ORDERS.get(order, [Recovery()]), clock=clock) as bus, anyio.create_task_group() as group:
        subscription = bus.subscribe("a.b", tries, inline=inline, retry=retry)
        bus.subscribe_dead_letters(letters.append)
        group.start_soon(bus.publish, "a.b")
        await clock.advance(2.9)
        assert letters == []
        await clock.advance(0.1)
        await settled(bus)
        assert (subscription.handled, subscription.failed, subscription.retried) == (0, 1, 2)
    assert tries.at == [0, 1, 3]
    assert [letter.tries for letter in letters] == [3]


@pytest.mark.parametrize("order", [*ORDERS, "around all"])
async def test_wherever_recovery_stands_a_success_at_the_last_try_is_no_failure(order: str) -> None:
    clock, letters = FakeClock(), list[HandlerFailure]()
    retry = THRICE if order == "around all" else None
    async with running(*ORDERS.get(order, [Recovery()]), clock=clock) as bus:
        subscription = bus.subscribe("a.b", Tries(clock, failures=2), retry=retry)
        bus.subscribe_dead_letters(letters.append)
        await bus.publish("a.b")
        await clock.advance(3)
        await settled(bus)
        assert (subscription.handled, subscription.failed) == (1, 0)
    assert letters == []


async def test_a_middleware_within_may_succeed_in_the_handlers_stead() -> None:
    calls: list[Event] = []

    @delivery_middleware
    async def only_once(event: Event, call_next: Next) -> None:
        calls.append(event)
        if len(calls) == 1:
            await call_next(event)

    clock = FakeClock()
    async with running(THRICE, only_once, clock=clock) as bus:
        subscription = bus.subscribe("a.b", Tries(clock))
        await bus.publish("a.b")
        await clock.advance(3)
        assert (len(calls), subscription.handled, subscription.failed) == (2, 1, 0)


# -- inline --


async def test_a_publisher_waits_through_the_tries_of_an_inline_handler_and_gets_the_last_error() -> None:
    clock, calls, raised = FakeClock(), list[float](), list[str]()

    def handle(event: Event) -> None:
        calls.append(clock.now())
        raise ValueError(f"try {len(calls)}")

    async def publish() -> None:
        try:
            await bus.publish("a.b")
        except ValueError as error:
            raised.append(str(error))

    async with running(clock=clock) as bus, anyio.create_task_group() as group:
        subscription = bus.subscribe("a.b", handle, inline=True, retry=THRICE)
        group.start_soon(publish)
        await clock.advance(2.9)
        assert raised == []
        await clock.advance(0.1)
        assert raised == ["try 3"]
        assert (subscription.failed, subscription.retried) == (1, 2)
    assert calls == [0, 1, 3]


async def test_the_next_inline_handler_begins_with_its_own_first_try() -> None:
    clock, letters = FakeClock(), list[HandlerFailure]()
    async with running(Recovery(), clock=clock) as bus, anyio.create_task_group() as group:
        bus.subscribe("a.b", Tries(clock), inline=True, retry=THRICE)
        bus.subscribe("a.b", Tries(clock), inline=True)
        bus.subscribe_dead_letters(letters.append)
        group.start_soon(bus.publish, "a.b")
        await clock.advance(3)
        await settled(bus)
    assert [letter.tries for letter in letters] == [3, 1]


async def test_the_tries_of_one_inline_handler_that_succeeded_are_not_those_of_the_next() -> None:
    clock, letters = FakeClock(), list[HandlerFailure]()
    async with running(Recovery(), clock=clock) as bus, anyio.create_task_group() as group:
        bus.subscribe("a.b", Tries(clock, failures=1), inline=True, retry=THRICE)
        bus.subscribe("a.b", Tries(clock), inline=True)
        bus.subscribe_dead_letters(letters.append)
        group.start_soon(bus.publish, "a.b")
        await clock.advance(3)
        await settled(bus)
    assert [letter.tries for letter in letters] == [1]


async def test_a_publisher_cancelled_while_an_inline_handler_waits_for_its_next_try_ends_the_tries() -> None:
    clock = FakeClock()
    tries = Tries(clock)
    async with running(clock=clock) as bus, anyio.create_task_group() as group:
        subscription = bus.subscribe("a.b", tries, inline=True, retry=THRICE)
        group.start_soon(bus.publish, "a.b")
        await all_tasks_blocked()
        group.cancel_scope.cancel()
        await clock.advance(10)
        assert (tries.at, subscription.in_flight) == ([0], 0)
        assert_at_rest(bus)


# -- draining, closing and cancelling meanwhile --


async def test_drain_waits_for_the_last_try() -> None:
    clock, drained = FakeClock(), anyio.Event()

    async def drain() -> None:
        await bus.drain()
        drained.set()

    async with running(clock=clock) as bus, anyio.create_task_group() as group:
        bus.subscribe("a.b", Tries(clock, failures=2), retry=THRICE)
        await bus.publish("a.b")
        group.start_soon(drain)
        await clock.advance(2.9)
        assert not drained.is_set()
        await clock.advance(0.1)
        assert drained.is_set()


async def test_a_drain_that_times_out_meanwhile_names_the_event() -> None:
    clock, names = FakeClock(), list[tuple[str, ...]]()

    async def drain() -> None:
        try:
            await bus.drain(2)
        except DrainTimeout as unfinished:
            names.extend([unfinished.running_ids, unfinished.event_ids])

    async with running(clock=clock) as bus, anyio.create_task_group() as group:
        bus.subscribe("a.b", Tries(clock), retry=THRICE)
        first, second = [await bus.publish("a.b") for _ in range(2)]
        group.start_soon(drain)
        await clock.advance(2)
        assert names == [(first.id,), (second.id,)]
        await clock.advance(10)


async def test_a_bus_that_is_closed_meanwhile_gives_up_and_says_on_what(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "phasebus.bus")
    clock, failures = FakeClock(), Recorder()
    tries = Tries(clock)
    async with running(clock=clock, close_timeout=0) as bus:
        bus.subscribe("a.b", tries, retry=THRICE)
        bus.subscribe("handler.failed", failures)
        event = await bus.publish("a.b")
        await all_tasks_blocked()
    assert tries.at == [0]
    assert event.id in caplog.text
    assert failures.events == []
    assert clock._alarms == []
    assert_at_rest(bus)


async def test_a_bus_that_is_closed_with_time_enough_makes_the_tries_that_are_left() -> None:
    clock = FakeClock()
    tries = Tries(clock, failures=2)
    async with running(clock=clock, close_timeout=5) as bus, anyio.create_task_group() as group:
        bus.subscribe("a.b", tries, retry=THRICE)
        await bus.publish("a.b")
        group.start_soon(bus.aclose)
        await clock.advance(3)
    assert tries.at == [0, 1, 3]
    assert bus.stats().handled == 1


async def test_a_subscription_cancelled_meanwhile_goes_on_with_the_event_at_hand_and_no_other() -> None:
    clock = FakeClock()
    tries = Tries(clock, failures=2)
    async with running(clock=clock) as bus:
        subscription = bus.subscribe("a.b", tries, retry=THRICE)
        await fill(bus, "a.b", 3)
        await all_tasks_blocked()
        subscription.cancel()
        await clock.advance(10)
        assert tries.numbers == [0, 0, 0]
        assert bus.stats().handled == 1
        assert_at_rest(bus)


# -- options --


@pytest.mark.parametrize(
    "options",
    [
        {"max_tries": 0},
        {"first_delay_s": -1},
        {"first_delay_s": math.nan},
        {"factor": 0.5},
        {"max_delay_s": -1},
        {"jitter": 1.1},
        {"jitter": -0.1},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ValueError, match=name):
        Retry(**options)


async def test_what_is_no_policy_is_refused_and_nobody_has_subscribed() -> None:
    async with EventBus() as bus:
        with pytest.raises(ValueError, match=r"retry is a bus\.middleware\.Retry, not 3"):
            bus.subscribe("a.b", Recorder(), retry=3)  # type: ignore[call-overload]
        assert bus.stats().active_handlers == 0
