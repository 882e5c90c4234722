"""Faults of ending: cancelled at every await, waiting and publishing at once, draining a great deal.

The numbers are those of the list of faults that the bus must survive.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from bus import BusClosed, DrainTimeout, Event, EventBus, EventStream, PhasebusError, Subscription, default_chain
from bus.middleware import Deduplication, Middleware, RateLimit, Recovery, Retry
from bus.testing import FakeClock
from bus.workers import Workers
from tests.bus_helpers import Gate, Recorder, assert_at_rest, cancelled_at, fill, living_tasks, settle, within

pytestmark = pytest.mark.anyio


async def at_every_await(trial: Callable[[int], Awaitable[bool]], at_least: int) -> None:
    """Run ``trial`` for its await number 0, 1, 2, … until it says that it never got so far."""
    step, more = 0, True
    while more:
        with anyio.fail_after(10):
            more = await trial(step)
        step += more
        assert step < 200
    assert step >= at_least


async def cancel_at(step: int, work: Coroutine[Any, Any, Any]) -> bool:
    """Run ``work`` in a scope of its own, cancelled at its await number ``step``. Whether it got so far."""
    reached = False
    with anyio.CancelScope() as scope:
        reached = await cancelled_at(step, scope, work)
    return reached or scope.cancelled_caught


# -- 9: publisher, subscriber and bus cancelled at every await --


@asynccontextmanager
async def crowded(bus: EventBus, clock: FakeClock, first: str) -> AsyncIterator[tuple[Recorder, Gate]]:
    """Two queued subscribers, one of them full with a publisher (for ``first``) waiting; an inline one fails once."""
    failed, everything, gate = False, Recorder(), Gate()

    async def inline(event: Event) -> None:
        nonlocal failed
        await checkpoint()
        await bus.publish("other.answer", connection_id=event.connection_id)
        if not failed:
            failed = True
            raise ValueError("it broke")

    async with bus, anyio.create_task_group() as group:
        bus.subscribe("*", everything)
        bus.subscribe("slow.*", gate, queue_size=1)
        for n in range(2):
            await bus.publish("slow.thing", {"n": n}, connection_id="c")
            await settle()
        bus.subscribe("slow.thing", inline, inline=True, retry=Retry(2, jitter=0.0))
        group.start_soon(bus.publish, "slow.other", {"n": 2, "connection_id": first})
        await settle()
        yield everything, gate
        gate.open()
        await clock.advance(10)
        await bus.drain()
        group.start_soon(bus.publish, "slow.thing", {"n": "afterwards", "connection_id": "c"})
        await clock.advance(10)
        await bus.drain()
        assert everything.numbers.count("afterwards") == gate.numbers.count("afterwards") == 1
        assert_at_rest(bus)


@pytest.mark.parametrize("chain", [False, True], ids=["bare", "chain"])
@pytest.mark.parametrize("first", ["c", "another"])
async def test_fault_09_a_publisher_cancelled_at_any_await_has_published_all_or_nothing(
    chain: bool, first: str
) -> None:
    middleware: list[Middleware] = [RateLimit(rate_per_s=1, burst=3), Deduplication(), Recovery()] if chain else []

    async def trial(step: int) -> bool:
        clock, reached = FakeClock(), False
        bus = EventBus(middleware=middleware, clock=clock)
        async with crowded(bus, clock, first) as (everything, gate), anyio.create_task_group() as group:

            async def publish() -> None:
                nonlocal reached
                reached = await cancel_at(step, bus.publish("slow.thing", {"n": "it"}, connection_id="c"))

            group.start_soon(publish)
            await clock.advance(1)  # the rate limit lets it go on, to where there is no room
            gate.open()
            await clock.advance(10)
        assert ("it" in everything.numbers) == ("it" in gate.numbers)
        return reached

    await at_every_await(trial, 5 if chain else 3)


class CatchingClock(FakeClock):
    """Keeps the scope that the last time limit would cancel."""

    scope: anyio.CancelScope

    def move_on_after(self, seconds: float | None) -> AbstractContextManager[anyio.CancelScope, bool]:
        limit = super().move_on_after(seconds)
        self.scope = limit._scope  # type: ignore[attr-defined]
        return limit


KINDS: dict[str, dict[str, Any]] = {
    "one worker": {},
    "three workers": {"concurrency": 3},
    "priorities": {"priorities": {"a.b": 1}},
    "inline": {"inline": True},
}


@pytest.mark.parametrize("kind", [*KINDS, "batches"])
async def test_fault_09_a_handler_whose_time_is_up_at_any_await_fails_once_and_the_next_is_handled(kind: str) -> None:
    async def trial(step: int) -> bool:
        clock, reached, handled, failures = CatchingClock(), False, Recorder(), Recorder()

        async def work(event: Event) -> None:
            await checkpoint()
            await bus.publish("a.answer", connection_id="c")
            await clock.sleep(0)
            await handled(event)

        async def handle(event: Event) -> None:
            nonlocal reached
            if event.field("n"):
                await work(event)
            else:
                reached = True
                reached = await cancelled_at(step, clock.scope, work(event))

        async def handle_batch(events: list[Event]) -> None:
            for event in events:
                await handle(event)

        async with EventBus(middleware=[Recovery()], clock=clock) as bus:
            if kind == "batches":
                bus.subscribe_batch("a.b", handle_batch, 1, timeout=1000)
            else:
                bus.subscribe("a.b", handle, timeout=1000, **KINDS[kind])
            bus.subscribe("handler.failed", failures)
            await fill(bus, "a.b", 2)
            await bus.drain()
            assert_at_rest(bus)
        assert handled.numbers == [0, 1][len(failures.events) :]
        assert all(isinstance(failed.error, TimeoutError) for failed in failures.events)
        assert len(failures.events) == reached
        return reached

    await at_every_await(trial, 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("whose", ["its handler", "a publisher"])
async def test_fault_09_a_subscription_cancelled_at_any_await_ends_and_nobody_waits_for_it(
    kind: str, whose: str
) -> None:
    async def trial(step: int) -> bool:
        reached, others, begun = False, Recorder(), Recorder()

        async def handle(event: Event) -> None:
            nonlocal reached
            await begun(event)
            if whose == "its handler" and event.field("n") == 0:
                reached = await cancelled_at(step, subscription, work())
            else:
                await work()

        async def work() -> None:
            await checkpoint()
            await bus.publish("a.answer", connection_id="c")
            await settle()

        async with EventBus() as bus:
            subscription: Subscription = bus.subscribe("a.b", handle, queue_size=1, **KINDS[kind])
            bus.subscribe("a.b", others)
            if whose == "a publisher":
                reached = await cancelled_at(step, subscription, fill(bus, "a.b", 10))
            else:
                await fill(bus, "a.b", 10)
            await bus.drain()
            assert subscription.cancelled == reached
            assert others.numbers == list(range(10))
            assert bus.stats().handled == len(begun.events) + 10
            assert_at_rest(bus)
        return reached and step < 30

    await at_every_await(trial, 3)


async def _take(stream: EventStream, numbers: list[int]) -> None:
    for _ in range(2):
        numbers.append((await anext(stream)).field("n"))


async def test_fault_09_a_reader_cancelled_at_any_await_loses_no_event() -> None:
    async def trial(step: int) -> bool:
        reached, numbers = False, list[int]()
        async with EventBus() as bus, bus.stream("a.b") as stream, anyio.create_task_group() as group:

            async def read() -> None:
                nonlocal reached
                reached = await cancel_at(step, _take(stream, numbers))

            group.start_soon(read)
            await settle()
            for n in range(4):
                await bus.publish("a.b", {"n": n})
                await settle()
            for _ in range(4 - len(numbers)):
                numbers.append((await anext(stream)).field("n"))
            assert numbers == [0, 1, 2, 3]
        return reached

    await at_every_await(trial, 2)


WAITS: dict[str, Callable[[EventBus], Coroutine[Any, Any, Any]]] = {
    "wait_for": lambda bus: bus.wait_for("b.b"),
    "wait_for with a time-out": lambda bus: bus.wait_for("b.b", connection_id="c", timeout=1000),
    "drain": lambda bus: bus.drain(),
    "drain with a time-out": lambda bus: bus.drain(1000),
    "aclose": lambda bus: bus.aclose(),
}


@pytest.mark.parametrize("wait", WAITS)
async def test_fault_09_who_waits_for_the_bus_may_be_cancelled_at_any_await(wait: str) -> None:
    async def trial(step: int) -> bool:
        reached, gate = False, Gate()
        async with EventBus() as bus, anyio.create_task_group() as group:
            bus.subscribe("a.b", gate)
            await fill(bus, "a.b", 3)

            async def give_up() -> None:
                nonlocal reached
                reached = await cancel_at(step, WAITS[wait](bus))

            group.start_soon(give_up)
            await settle()
            assert bus.pending.draining == 0 or not reached
            gate.open()
            if wait != "aclose":
                await settle()
                await bus.publish("b.b", connection_id="c")
                await bus.drain()
                assert gate.numbers == [0, 1, 2]
        assert not bus._fan_out.waiters
        assert_at_rest(bus)
        return reached

    await at_every_await(trial, 1)


async def test_fault_09_a_bus_closed_at_any_await_of_a_publisher_has_its_event_or_tells_it() -> None:
    async def trial(step: int) -> bool:
        outcome, reached, heard, gate = "", False, Recorder(), Gate()

        async def publish() -> None:
            nonlocal outcome
            try:
                await bus.publish("slow.thing", {"n": "it"}, connection_id="c")
                outcome = "published"
            except BusClosed:
                outcome = "closed"

        async with anyio.create_task_group() as group, EventBus(close_timeout=0) as bus:

            class Close:
                def cancel(self) -> None:
                    group.start_soon(bus.aclose)

            async def run() -> None:
                nonlocal reached
                reached = await cancelled_at(step, Close(), publish())

            bus.subscribe("slow.thing", gate, queue_size=1)
            bus.attach(_Listener(heard))
            for _ in range(2):
                await fill(bus, "slow.thing", 1)
                await settle()
            group.start_soon(run)
            await settle()
            gate.open()
            await settle()
        assert outcome == ("published" if "it" in heard.numbers else "closed")
        assert_at_rest(bus)
        return reached

    await at_every_await(trial, 1)


class _Listener:
    """Something attached to a bus, that hears what was published even when nobody handles it any more."""

    def __init__(self, heard: Recorder) -> None:
        self._heard = heard

    def names(self, event_type: str) -> bool:
        return True

    def receive(self, event: Event) -> bool:
        self._heard.events.append(event)
        return True

    async def carry_out(self, event: Event) -> None:
        await checkpoint()

    def take_over(self, event: Event) -> None:
        pass


async def _whole_life(buses: list[EventBus]) -> None:
    async def handle(event: Event) -> None:
        await checkpoint()
        if event.type == "a.b":
            await bus.publish("a.c", connection_id=event.connection_id)

    async def handle_batch(events: list[Event]) -> None:
        await checkpoint()

    async def fails(event: Event) -> None:
        raise ValueError("it broke")

    bus = EventBus(middleware=[*default_chain(), Retry(2, first_delay_s=0)])
    buses.append(bus)
    async with bus:
        bus.subscribe("a.b", handle, queue_size=1)
        bus.subscribe("a.*", handle, concurrency=3, priorities={"a.b": 1}, timeout=1000)
        bus.subscribe("a.b", handle, inline=True)
        bus.subscribe("a.c", fails)
        bus.subscribe_batch("a.*", handle_batch, 2)
        async with bus.stream("a.c") as stream, anyio.create_task_group() as group:
            group.start_soon(bus.wait_for, "a.b")
            await fill(bus, "a.b", 3)
            await anext(stream)
            await bus.drain()
            group.cancel_scope.cancel()


async def _only_workers(buses: list[EventBus]) -> None:
    async with Workers() as workers:
        workers.start_soon(settle, name="worker")


@pytest.mark.parametrize("life", [_whole_life, _only_workers])
async def test_fault_09_a_bus_cancelled_at_any_await_ends_with_all_its_tasks_and_nothing_is_left(
    life: Callable[[list[EventBus]], Coroutine[Any, Any, None]],
) -> None:
    before = living_tasks()

    async def trial(step: int) -> bool:
        buses: list[EventBus] = []
        reached = await cancel_at(step, life(buses))
        for bus in buses:
            assert_at_rest(bus)
            assert not bus._fan_out.waiters
            assert list(bus._routes) == []
        await settle()
        assert living_tasks() == before
        return reached

    await at_every_await(trial, 2)


# -- 10: wait_for before, during and after the publish --


@pytest.mark.parametrize("when", ["before", "during", "after", "any"])
async def test_fault_10_ten_thousand_races_of_wait_and_publish_miss_no_event(when: str) -> None:
    # A quarter of them each time. "during": the publisher waits already, for room in the queue of a subscriber.
    found = 0

    async def wait(key: str, begun: anyio.Event, published: anyio.Event, turns: int) -> None:
        nonlocal found
        if when == "after":
            await published.wait()
        for _ in range(turns % 4 if when in ("during", "any") else 0):
            await checkpoint()
        begun.set()
        event = await bus.wait_for("a.b", connection_id=key, replay_last=when in ("after", "any"))
        assert event.connection_id == key
        found += 1

    async def publish(key: str, begun: anyio.Event, published: anyio.Event, turns: int) -> None:
        if when == "before":
            await begun.wait()
        for _ in range(turns % 3):
            await checkpoint()
        await bus.publish("a.b", connection_id=key)
        published.set()

    async with within(60), EventBus() as bus:  # a miss would be a wait without end
        for batch in range(5):
            gate = Gate()
            if when == "during":
                full = bus.subscribe("a.b", gate, queue_size=1)
                for _ in range(2):
                    await bus.publish("a.b", connection_id="the first")
                    await settle()
            async with anyio.create_task_group() as group:
                for number in range(500):
                    arguments = f"{batch}.{number}", anyio.Event(), anyio.Event(), number
                    for task in (wait, publish) if number % 2 else (publish, wait):
                        group.start_soon(task, *arguments)
                if when == "during":
                    await settle()
                    assert (len(full.waiting), len(list(bus._fan_out.waiters))) == (500, 500)
                    gate.open()
            if when == "during":
                full.cancel()
        assert found == 2_500
        assert not bus._fan_out.waiters
        await bus.drain()
        assert_at_rest(bus)


# -- 11: drain with 10,000 queued --


@pytest.mark.parametrize("options", [{"concurrency": 1}, {"concurrency": 8}, {"max_size": 64}])
async def test_fault_11_a_drain_with_ten_thousand_queued_handles_all(options: dict[str, Any]) -> None:
    handled = Recorder()

    async def handle_batch(events: list[Event]) -> None:
        handled.events.extend(events)

    async with within(60), EventBus() as bus:
        if "max_size" in options:
            bus.subscribe_batch("a.b", handle_batch, **options, max_wait=1_000, queue_size=10_000)
        else:
            bus.subscribe("a.b", handled, **options, queue_size=10_000)
        for n in range(10_000):
            await bus.publish("a.b", {"n": n}, connection_id=f"c{n % 7}")
        assert bus.stats().queued == 10_000
        await bus.drain(60)
        assert_at_rest(bus)
    assert sorted(handled.numbers) == list(range(10_000))


@pytest.mark.parametrize("options", [{"concurrency": 1}, {"concurrency": 8}, {"max_size": 64}])
async def test_fault_11_a_drain_that_times_out_halfway_names_each_event_that_is_not_handled(
    options: dict[str, Any],
) -> None:
    clock, handled, unfinished = FakeClock(), list[str](), list[DrainTimeout]()

    async def handle(event: Event) -> None:
        await clock.sleep(1)
        handled.append(event.id)

    async def handle_batch(events: list[Event]) -> None:
        await clock.sleep(1)
        handled.extend(event.id for event in events)

    async def drain(timeout: float) -> None:
        try:
            await bus.drain(timeout)
        except DrainTimeout as error:
            unfinished.append(error)

    bus = EventBus(clock=clock, close_timeout=0, slow_after=None)
    async with within(60), bus, anyio.create_task_group() as group:
        if "max_size" in options:
            bus.subscribe_batch("a.b", handle_batch, **options, queue_size=10_000)
        else:
            bus.subscribe("a.b", handle, **options, queue_size=10_000)
        ids = [(await bus.publish("a.b", connection_id=f"c{n % 8}")).id for n in range(10_000)]
        group.start_soon(drain, 20.5)
        await clock.advance(20.5)
        (error,) = unfinished
        assert isinstance(error, TimeoutError)
        assert isinstance(error, PhasebusError)
        assert sorted([*handled, *error.running_ids, *error.event_ids]) == sorted(ids)
        assert len(error.running_ids) == options.get("concurrency", options.get("max_size"))
        assert len(error.event_ids) == bus.stats().queued
