"""CircuitBreaker: a handler that fails again and again is left alone for a while."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import permutations
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus import Event, EventBus, PhasebusError
from bus.errors import CircuitOpen
from bus.middleware import Middleware, Recovery, Retry, Timeout
from bus.middleware.circuit_breaker import TRANSITIONS, CircuitBreaker, Signal, State
from bus.testing import FakeClock, settled
from tests.bus_helpers import Fails, Recorder, SelfMovingClock, settle

pytestmark = pytest.mark.anyio


class Service(Recorder):
    """A handler that fails as long as ``error`` says with what, and keeps what it was called with."""

    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__()
        self.error = error

    async def __call__(self, event: Event) -> None:
        self.events.append(event)
        if self.error is not None:
            raise self.error


def broken() -> Service:
    return Service(ValueError("it broke"))


async def publish(bus: EventBus, number: int = 1) -> None:
    for _ in range(number):
        await bus.publish("a.b")
    await settled(bus)


class Slow:
    """A handler whose calls run until the test ends them, each by the connection of its event."""

    def __init__(self) -> None:
        self.begun = 0
        self._calls: dict[str, tuple[anyio.Event, list[Exception]]] = {}

    @property
    def running(self) -> set[str]:
        return set(self._calls)

    async def __call__(self, event: Event) -> None:
        assert event.connection_id is not None
        self.begun += 1
        ended, errors = self._calls[event.connection_id] = anyio.Event(), []
        try:
            await ended.wait()
        finally:
            del self._calls[event.connection_id]
        if errors:
            raise errors[0]

    async def end(self, connection_id: str, error: Exception | None = None) -> None:
        await settle()
        ended, errors = self._calls[connection_id]
        errors.extend([error] if error is not None else [])
        ended.set()
        await settle()


async def swallow(bus: EventBus, connection_id: str) -> None:
    """Publish, and let failures of the inline handler be."""
    with suppress(CircuitOpen, ValueError, KeyError):
        await bus.publish("a.b", connection_id=connection_id)


async def cancelled_by(scope: anyio.CancelScope, work: Callable[..., Awaitable[None]], *args: Any) -> None:
    with scope:
        await work(*args)


# -- the states -------------------------------------------------------------------------------------------------------


async def test_a_handler_that_failed_so_often_in_a_row_is_not_called_any_more() -> None:
    service = broken()
    async with EventBus(middleware=[CircuitBreaker(max_failures=3)], clock=FakeClock()) as bus:
        bus.subscribe("a.b", service)
        await publish(bus, 5)
        assert len(service.events) == 3
        assert bus.stats().failed == 5


async def test_a_success_between_starts_the_count_anew() -> None:
    service = broken()
    async with EventBus(middleware=[CircuitBreaker(max_failures=2)], clock=FakeClock()) as bus:
        bus.subscribe("a.b", service)
        for error in (ValueError(), None, ValueError(), None, ValueError()):
            service.error = error
            await publish(bus)
        assert len(service.events) == 5
        await publish(bus, 2)
        assert len(service.events) == 6


async def test_a_refused_call_is_a_failure_like_any_other_and_says_when_it_is_tried_again() -> None:
    failures, clock = Recorder(), FakeClock()
    async with EventBus(middleware=[CircuitBreaker(max_failures=1, reset_after_s=30)], clock=clock) as bus:
        bus.subscribe("a.b", Fails())
        bus.subscribe("handler.failed", failures)
        await publish(bus)
        await clock.advance(10)
        await publish(bus)
    error = failures.events[1].error
    assert isinstance(error, CircuitOpen)
    assert (error.handler, error.retry_in_s) == ("Fails", 20)
    assert str(error) == "Fails was not called, because it failed too often: it is tried again in 20 s"


async def test_a_refused_call_reaches_the_publisher_of_an_inline_handler() -> None:
    async with EventBus(middleware=[CircuitBreaker(max_failures=1)], clock=FakeClock()) as bus:
        bus.subscribe("a.b", Fails(), inline=True)
        with pytest.raises(ValueError, match="it broke"):
            await bus.publish("a.b")
        with pytest.raises(PhasebusError, match="Fails was not called"):
            await bus.publish("a.b")


async def test_after_the_time_one_call_tries_it_and_its_success_closes_the_circuit() -> None:
    service, clock = broken(), FakeClock()
    async with EventBus(middleware=[CircuitBreaker(max_failures=1, reset_after_s=30)], clock=clock) as bus:
        bus.subscribe("a.b", service)
        await publish(bus)
        service.error = None
        await clock.advance(29.9)
        await publish(bus)
        assert len(service.events) == 1
        await clock.advance(0.1)
        await publish(bus, 3)
        assert len(service.events) == 4


async def test_the_failure_of_the_trial_opens_the_circuit_for_the_whole_time_again() -> None:
    service, clock = broken(), FakeClock()
    async with EventBus(middleware=[CircuitBreaker(max_failures=3, reset_after_s=30)], clock=clock) as bus:
        bus.subscribe("a.b", service)
        await publish(bus, 3)
        await clock.advance(45)
        await publish(bus, 2)
        assert len(service.events) == 4
        await clock.advance(29)
        await publish(bus)
        assert len(service.events) == 4
        await clock.advance(1)
        await publish(bus)
        assert len(service.events) == 5


async def test_while_the_trial_runs_other_calls_fail_at_once() -> None:
    service, failures, clock = Slow(), Recorder(), FakeClock()
    async with EventBus(middleware=[CircuitBreaker(max_failures=1, reset_after_s=30)], clock=clock) as bus:
        subscription = bus.subscribe("a.b", service, concurrency=2)
        bus.subscribe("handler.failed", failures)
        await bus.publish("a.b", connection_id="first")
        await service.end("first", ValueError())
        await clock.advance(30)
        await bus.publish("a.b", connection_id="trial")
        await bus.publish("a.b", connection_id="other")
        await settle()
        assert service.running == {"trial"}
        assert failures.events[1].field("error") == (
            "CircuitOpen: Slow was not called, because it failed too often: one call is trying it again"
        )
        await service.end("trial")
        await bus.publish("a.b", connection_id="other")
        await service.end("other")
        assert subscription.handled == 2


async def test_a_call_that_began_before_the_circuit_opened_neither_closes_it_nor_opens_it_again() -> None:
    service, clock = Slow(), FakeClock()
    async with EventBus(middleware=[CircuitBreaker(max_failures=1, reset_after_s=30)], clock=clock) as bus:
        subscription = bus.subscribe("a.b", service, concurrency=3)
        for connection in ("fails", "works", "fails late"):
            await bus.publish("a.b", connection_id=connection)
        await service.end("fails", ValueError())
        await service.end("works")
        await bus.publish("a.b", connection_id="refused")
        await settle()
        assert subscription.failed == 2
        await clock.advance(30)
        await bus.publish("a.b", connection_id="trial")
        await settle()
        await service.end("fails late", ValueError())
        await service.end("trial")
        await bus.publish("a.b", connection_id="again")
        await service.end("again")
        assert (subscription.handled, subscription.failed) == (3, 3)


async def test_each_subscription_has_a_circuit_of_its_own() -> None:
    heard, one = Recorder(), CircuitBreaker(max_failures=1)
    async with EventBus(middleware=[one], clock=FakeClock()) as bus, EventBus(middleware=[one]) as other:
        bus.subscribe("a.b", Fails())
        bus.subscribe("a.b", heard)
        other.subscribe("a.b", heard)
        await publish(bus, 3)
        await publish(other)
    assert len(heard.events) == 4


async def test_each_change_is_logged_with_the_handler_and_nothing_of_the_event(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "phasebus.circuit_breaker")
    service, clock = broken(), FakeClock()
    async with EventBus(middleware=[CircuitBreaker(max_failures=1, reset_after_s=30)], clock=clock) as bus:
        bus.subscribe("a.b", service)
        await bus.publish("a.b", {"phone_number": "+4930123456"})
        await settled(bus)
        await clock.advance(30)
        await publish(bus)
        service.error = None
        await clock.advance(30)
        await publish(bus, 2)
    said = [record for record in caplog.records if record.name == "phasebus.circuit_breaker"]
    assert [(record.levelname, record.getMessage()) for record in said] == [
        ("WARNING", "the circuit of Service is open: it failed too often"),
        ("INFO", "the circuit of Service is half-open: one call is to try it"),
        ("WARNING", "the circuit of Service is open: the call that tried it failed"),
        ("INFO", "the circuit of Service is half-open: one call is to try it"),
        ("INFO", "the circuit of Service is closed: the call that tried it succeeded"),
    ]
    assert "+4930123456" not in caplog.text


def test_every_state_is_left_and_every_signal_belongs_to_one_state() -> None:
    signals = [signal for leaving in TRANSITIONS.values() for signal in leaving]
    assert set(TRANSITIONS) == set(State)
    assert sorted(signals, key=list(Signal).index) == list(Signal)


@pytest.mark.parametrize("wrong", [{"max_failures": 0}, {"reset_after_s": 0}])
def test_numbers_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CircuitBreaker(**wrong)


# -- what counts ------------------------------------------------------------------------------------------------------


async def test_an_error_that_does_not_count_says_neither_that_it_works_nor_that_it_does_not() -> None:
    service, clock = Service(), FakeClock()
    breaker = CircuitBreaker(max_failures=2, reset_after_s=30, count=(ConnectionError,))
    async with EventBus(middleware=[breaker], clock=clock) as bus:
        bus.subscribe("a.b", service)
        for error in (KeyError(), ConnectionError(), KeyError(), ConnectionError()):
            service.error = error
            await publish(bus)
        assert len(service.events) == 4
        await publish(bus)
        assert len(service.events) == 4, "open: the other error between the two did not start the count anew"
        await clock.advance(30)
        service.error = KeyError()
        await publish(bus, 2)
        assert len(service.events) == 6, "the trial had no result, so the next call was the trial"


async def test_a_cancelled_trial_makes_the_next_call_the_trial() -> None:
    service, clock, scope = Slow(), FakeClock(), anyio.CancelScope()
    async with EventBus(middleware=[CircuitBreaker(max_failures=1, reset_after_s=30)], clock=clock) as bus:
        subscription = bus.subscribe("a.b", service, inline=True)
        async with anyio.create_task_group() as group:
            group.start_soon(swallow, bus, "first")
            await service.end("first", ValueError())
            await clock.advance(30)
            group.start_soon(cancelled_by, scope, swallow, bus, "trial")
            await settle()
            assert service.running == {"trial"}
            scope.cancel()
            await settle()
            assert service.running == set()
            group.start_soon(swallow, bus, "next")
            await service.end("next")
            group.start_soon(swallow, bus, "after")
            await service.end("after")
        assert subscription.handled == 2


async def test_a_time_limit_inside_counts_and_one_outside_leaves_no_result() -> None:
    breaker = CircuitBreaker(max_failures=1, reset_after_s=30)
    chains: list[tuple[list[Middleware], int]] = [([breaker, Timeout(1.0)], 1), ([Timeout(1.0), breaker], 2)]
    for chain, calls in chains:
        service, clock = Slow(), FakeClock()
        async with EventBus(middleware=chain, clock=clock, slow_after=None) as bus:
            bus.subscribe("a.b", service)
            for number in range(2):
                await bus.publish("a.b", connection_id=str(number))
                await clock.advance(1)
            assert service.begun == calls
            assert bus.stats().failed == 2


async def test_a_trial_that_a_time_limit_outside_cancels_is_not_the_last() -> None:
    service, clock = Slow(), FakeClock()
    chain: list[Middleware] = [Timeout(1.0), CircuitBreaker(max_failures=1, reset_after_s=30)]
    async with EventBus(middleware=chain, clock=clock, slow_after=None) as bus:
        bus.subscribe("a.b", service)
        await bus.publish("a.b", connection_id="first")
        await service.end("first", ValueError())
        await clock.advance(30)
        await bus.publish("a.b", connection_id="cancelled")
        await clock.advance(1)
        await bus.publish("a.b", connection_id="trial")
        await service.end("trial")
        assert bus.stats().handled == 1


async def test_a_failed_batch_is_one_failure_and_a_refused_one_fails_for_each_event() -> None:
    batches: list[list[Event]] = []
    failures = Recorder()

    async def write(events: list[Event]) -> None:
        batches.append(events)
        raise OSError

    async with EventBus(middleware=[CircuitBreaker(max_failures=2)], clock=FakeClock()) as bus:
        bus.subscribe_batch("a.b", write, max_size=3)
        bus.subscribe("handler.failed", failures)
        await publish(bus, 9)
    assert [len(events) for events in batches] == [3, 3]
    assert len(failures.events) == 9


# -- with recovery and retries ----------------------------------------------------------------------------------------


async def test_a_failure_that_recovery_dealt_with_counts() -> None:
    breaker = CircuitBreaker(max_failures=2)
    chains: list[list[Middleware]] = [[breaker, Recovery()], [Recovery(), breaker]]
    for chain in chains:
        service, failures = broken(), Recorder()
        async with EventBus(middleware=chain, clock=FakeClock()) as bus:
            bus.subscribe("a.b", service)
            bus.subscribe("handler.failed", failures)
            await publish(bus, 3)
            assert len(service.events) == 2
            assert len(failures.events) == bus.stats().failed == 3


async def test_each_try_of_a_retry_outside_is_a_call() -> None:
    service, failures, clock = broken(), Recorder(), SelfMovingClock()
    retry = Retry(max_tries=4, first_delay_s=1, jitter=0)
    async with EventBus(
        middleware=[CircuitBreaker(max_failures=2, reset_after_s=30)], clock=clock, slow_after=None
    ) as bus:
        bus.subscribe("a.b", service, retry=retry)
        bus.subscribe("handler.failed", failures)
        await publish(bus)
        assert len(service.events) == 2
    (failure,) = failures.events
    assert isinstance(failure.error, CircuitOpen)
    assert failure.field("tries") == 4


async def test_a_retry_outside_that_waits_long_enough_is_the_trial() -> None:
    clock = SelfMovingClock()
    called: list[Event] = []

    async def works_the_third_time(event: Event) -> None:
        called.append(event)
        if len(called) < 3:
            raise ValueError

    retry = Retry(max_tries=3, first_delay_s=40, max_delay_s=40, jitter=0)
    async with EventBus(
        middleware=[CircuitBreaker(max_failures=1, reset_after_s=30)], clock=clock, slow_after=None
    ) as bus:
        subscription = bus.subscribe("a.b", works_the_third_time, retry=retry)
        await publish(bus, 2)
        assert (subscription.handled, subscription.failed, subscription.retried) == (2, 0, 2)


async def test_the_tries_of_a_retry_inside_are_one_call() -> None:
    service, clock = broken(), SelfMovingClock()
    chain: list[Middleware] = [CircuitBreaker(max_failures=2, reset_after_s=30), Retry(max_tries=3, first_delay_s=0.1)]
    async with EventBus(middleware=chain, clock=clock, slow_after=None) as bus:
        bus.subscribe("a.b", service)
        await publish(bus, 3)
        assert len(service.events) == 6
        clock.jump(30)
        await publish(bus, 2)
        assert len(service.events) == 9, "the trial had all of its tries, then the circuit was open again"


@pytest.mark.parametrize("order", list(permutations(["retry", "recovery", "breaker"])), ids=" > ".join)
async def test_in_any_order_no_failure_becomes_a_success_and_no_trial_is_lost(order: tuple[str, ...]) -> None:
    parts: dict[str, Middleware] = {
        "retry": Retry(max_tries=3, first_delay_s=0.1),
        "recovery": Recovery(),
        "breaker": CircuitBreaker(max_failures=2, reset_after_s=30),
    }
    service, failures, clock = broken(), Recorder(), SelfMovingClock()
    async with EventBus(middleware=[parts[name] for name in order], clock=clock, slow_after=None) as bus:
        subscription = bus.subscribe("a.b", service)
        bus.subscribe("handler.failed", failures)
        await publish(bus, 3)
        assert (subscription.handled, subscription.failed) == (0, 3)
        assert len(failures.events) == 3
        called = len(service.events)
        clock.jump(30)
        await publish(bus)
        assert len(service.events) > called
        clock.jump(30)
        service.error = None
        await publish(bus, 2)
        assert (subscription.handled, subscription.failed) == (2, 4)
        assert len(failures.events) == 4


# -- any history, against a plain model -------------------------------------------------------------------------------


class Model:
    """What a circuit of 2 failures and 10 seconds lets through, said in another way."""

    def __init__(self) -> None:
        self.until: float | None = None
        self.in_a_row = 0
        self.trial: str | None = None
        self.counting: set[str] = set()

    def begin(self, call: str, now: float) -> bool:
        if self.until is None:
            self.counting.add(call)
            return True
        if self.trial is None and now >= self.until:
            self.trial = call
        return self.trial == call

    def end(self, call: str, how: str, now: float) -> None:
        if call == self.trial:
            self.trial = None
            self.until = {"works": None, "fails": now + 10}.get(how, self.until)
        elif call in self.counting:
            self.in_a_row = {"works": 0, "fails": self.in_a_row + 1}.get(how, self.in_a_row)
            if self.in_a_row == 2:
                self.until, self.in_a_row = now + 10, 0
                self.counting.clear()


begin = st.just(("begin", 0))
end = st.tuples(st.sampled_from(["works", "fails", "fails", "does not count", "is cancelled"]), st.integers(0, 5))
wait = st.tuples(st.just("wait"), st.sampled_from([5, 10]))
history = st.lists(begin | begin | end | end | wait, min_size=20, max_size=60)
CHAINS: dict[str, tuple[Middleware, ...]] = {"alone": (), "recovery outside": (Recovery(),)}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("around", CHAINS.values(), ids=CHAINS)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=history)
def test_any_history_of_overlapping_calls_is_let_through_as_a_plain_model_says(
    backend: str, around: tuple[Middleware, ...], history: list[tuple[str, int]]
) -> None:
    anyio.run(live_through, history, around, backend=backend)


async def live_through(history: list[tuple[str, int]], around: tuple[Middleware, ...]) -> None:
    service, clock, model = Slow(), SelfMovingClock(), Model()
    breaker = CircuitBreaker(max_failures=2, reset_after_s=10, count=(ValueError,))
    scopes: dict[str, anyio.CancelScope] = {}
    worked = 0
    async with EventBus(middleware=[*around, breaker], clock=clock, slow_after=None) as bus:
        subscription = bus.subscribe("a.b", service, inline=True)
        async with anyio.create_task_group() as group:
            for what, number in [*history, *[("works", 0)] * len(history)]:
                if what == "wait":
                    clock.jump(number)
                elif what == "begin":
                    call = f"call {len(scopes)}"
                    scopes[call] = anyio.CancelScope()
                    group.start_soon(cancelled_by, scopes[call], swallow, bus, call)
                    await settle()
                    assert (call in service.running) == model.begin(call, clock.now())
                elif service.running:
                    call = sorted(service.running)[number % len(service.running)]
                    if what == "is cancelled":
                        scopes[call].cancel()
                        await settle()
                    else:
                        errors = {"fails": ValueError(), "does not count": KeyError()}
                        await service.end(call, errors.get(what))
                    worked += what == "works"
                    model.end(call, what, clock.now())
        assert (subscription.handled, subscription.failed) == (worked, len(scopes) - worked)
