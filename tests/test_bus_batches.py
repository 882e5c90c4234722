"""Handlers of lists of events: when a batch is handled, what is in it, and what happens when it fails."""

from __future__ import annotations

import math
import threading
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from bus import CausalityLoop, DrainTimeout, Event, EventBus, QueueFull
from bus.batch import BatchHandler
from bus.causality import MAX_CAUSATION_DEPTH
from bus.middleware import Metrics, Recovery, Retry, Timeout, delivery_middleware
from bus.middleware.base import Next
from bus.testing import FakeClock, all_tasks_blocked, settled
from tests.bus_helpers import Recorder, assert_at_rest, fill

pytestmark = pytest.mark.anyio

HOUR = 3600.0


class Batches:
    """A handler that keeps the numbers of each batch; while it is shut, it waits with each."""

    def __init__(self, shut: bool = False) -> None:
        self.numbers: list[list[Any]] = []
        self._opened = anyio.Event()
        if not shut:
            self._opened.set()

    async def __call__(self, events: list[Event]) -> None:
        self.numbers.append([event.field("n") for event in events])
        await self._opened.wait()

    def open(self) -> None:
        self._opened.set()


class Breaks:
    """A handler that fails as often as it is told to, and keeps the numbers of each try."""

    def __init__(self, times: float) -> None:
        self.numbers: list[list[Any]] = []
        self._times = times

    def __call__(self, events: list[Event]) -> None:
        self.numbers.append([event.field("n") for event in events])
        if len(self.numbers) <= self._times:
            raise ValueError("it broke")


# -- when --


async def test_a_full_batch_is_handled_at_once() -> None:
    batches, clock = Batches(), FakeClock()
    async with EventBus(clock=clock) as bus:
        bus.subscribe_batch("a.b", batches, max_size=3, max_wait=HOUR)
        await fill(bus, "a.b", 7)
        await all_tasks_blocked()
        assert batches.numbers == [[0, 1, 2], [3, 4, 5]]
        assert clock.now() == 0


async def test_an_incomplete_batch_is_handled_when_its_first_event_has_waited_long_enough() -> None:
    batches, clock = Batches(), FakeClock()
    async with EventBus(clock=clock, slow_after=None) as bus:
        subscription = bus.subscribe_batch("a.b", batches, max_size=10, max_wait=5)
        await all_tasks_blocked()
        await bus.publish("a.b", {"n": 0})
        await clock.advance(3)
        await bus.publish("a.b", {"n": 1})
        await clock.advance(1.999)
        assert batches.numbers == []
        await clock.advance(0.001)
        assert batches.numbers == [[0, 1]]
        assert len(subscription._idle) == 1


async def test_each_batch_has_its_own_time() -> None:
    batches, clock = Batches(), FakeClock()
    async with EventBus(clock=clock, slow_after=None) as bus:
        bus.subscribe_batch("a.b", batches, max_size=2, max_wait=5)
        await bus.publish("a.b", {"n": 0})
        await clock.advance(4)
        await bus.publish("a.b", {"n": 1})
        await bus.publish("a.b", {"n": 2})
        await clock.advance(4.999)
        assert batches.numbers == [[0, 1]]
        await clock.advance(0.001)
        assert batches.numbers == [[0, 1], [2]]


async def test_a_batch_waits_from_when_its_own_first_event_came_though_the_one_before_was_late() -> None:
    batches, clock = Batches(shut=True), FakeClock()
    async with EventBus(clock=clock, slow_after=None) as bus:
        bus.subscribe_batch("a.b", batches, max_size=2, max_wait=5)
        for n in range(5):
            await bus.publish("a.b", {"n": n})
            await clock.advance(1)
        batches.open()
        await clock.advance(3.999)
        assert batches.numbers == [[0, 1], [2, 3]]
        await clock.advance(0.001)
        assert batches.numbers == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
async def test_what_is_dropped_is_forgotten(overflow: Any) -> None:
    batches = Batches(shut=True)
    async with EventBus(clock=FakeClock()) as bus:
        subscription = bus.subscribe_batch("a.b", batches, 2, HOUR, queue_size=4, overflow=overflow)
        await fill(bus, "a.b", 2)
        await all_tasks_blocked()
        await fill(bus, "a.b", 100)
        assert len(subscription._batches.begun_at) <= 3
        batches.open()
        await settled(bus)
        assert (len(subscription._batches.begun_at), subscription._batches.room) == (0, 0)


async def test_no_event_waits_longer_than_max_wait_for_others_even_behind_a_full_batch() -> None:
    batches, clock = Batches(), FakeClock()
    async with EventBus(clock=clock, slow_after=None) as bus:
        bus.subscribe_batch("a.b", batches, max_size=3, max_wait=5)
        await fill(bus, "a.b", 4)
        await clock.advance(5)
        assert batches.numbers == [[0, 1, 2], [3]]


async def test_without_any_wait_a_batch_is_what_has_gathered_while_the_handler_was_busy() -> None:
    batches = Batches(shut=True)
    async with EventBus(clock=FakeClock()) as bus:
        bus.subscribe_batch("a.b", batches, max_size=3, max_wait=0)
        await bus.publish("a.b", {"n": "first"})
        await all_tasks_blocked()
        await fill(bus, "a.b", 4)
        await all_tasks_blocked()
        assert batches.numbers == [["first"]]
        batches.open()
        await all_tasks_blocked()
        assert batches.numbers == [["first"], [0, 1, 2], [3]]


async def test_a_batch_that_never_comes_of_age_waits_to_be_full() -> None:
    batches, clock = Batches(), FakeClock()
    async with EventBus(clock=clock, slow_after=None) as bus:
        bus.subscribe_batch("a.b", batches, max_size=2, max_wait=math.inf)
        await bus.publish("a.b", {"n": 0})
        await clock.advance(1_000 * HOUR)
        assert batches.numbers == []
        await bus.publish("a.b", {"n": 1})
        await all_tasks_blocked()
        assert batches.numbers == [[0, 1]]


async def test_the_real_clock_ends_a_wait_too() -> None:
    batches = Batches()
    async with EventBus() as bus:
        bus.subscribe_batch("a.b", batches, max_wait=0.001)
        await bus.publish("a.b", {"n": 0})
        with anyio.fail_after(10):
            while not batches.numbers:
                await anyio.sleep(0.001)
    assert batches.numbers == [[0]]


# -- what --


async def test_batches_hold_the_events_of_all_connections_in_the_order_published() -> None:
    batches = Batches()
    async with EventBus() as bus:
        bus.subscribe_batch("a.b", batches, max_size=16, queue_size=16)
        async with anyio.create_task_group() as group:
            for connection in range(5):
                group.start_soon(fill, bus, "a.b", 100, f"c{connection}")
    numbers = [n for batch in batches.numbers for n in batch]
    assert sorted(numbers) == sorted([*range(100)] * 5)
    assert max(len(batch) for batch in batches.numbers) <= 16


async def test_batches_keep_the_order_in_which_events_were_published() -> None:
    batches, heard = Batches(), Recorder()
    async with EventBus() as bus:
        bus.subscribe("a.b", heard, inline=True)
        bus.subscribe_batch("a.b", batches, max_size=7, queue_size=7)
        async with anyio.create_task_group() as group:
            for connection in range(5):
                group.start_soon(fill, bus, "a.b", 20, f"c{connection}")
    assert [n for batch in batches.numbers for n in batch] == heard.numbers


async def test_a_batch_subscription_of_a_connection_gets_only_its_events() -> None:
    batches = Batches()
    async with EventBus() as bus:
        bus.subscribe_batch("a.*", batches, connection_id="c")
        for n, (event_type, connection_id) in enumerate([("a.b", "c"), ("a.b", "d"), ("b.b", "c"), ("a.c", "c")]):
            await bus.publish(event_type, {"n": n}, connection_id=connection_id)
    assert batches.numbers == [[0, 3]]


@pytest.mark.parametrize("handler_kind", ["plain", "async", "plain that returns a coroutine", "in a thread"])
async def test_every_kind_of_handler_is_called_with_a_list(handler_kind: str) -> None:
    given: list[Any] = []

    async def handle(events: list[Event]) -> None:
        await anyio.lowlevel.checkpoint()
        given.append(events)

    handlers: dict[str, BatchHandler] = {
        "plain": given.append,
        "async": handle,
        "plain that returns a coroutine": lambda events: handle(events),
        "in a thread": given.append,
    }
    async with EventBus() as bus:
        bus.subscribe_batch("a.b", handlers[handler_kind], thread=handler_kind == "in a thread")
        events = [await bus.publish("a.b") for _ in range(3)]
        await bus.drain()
    assert given == [events]


async def test_a_batch_in_a_thread_does_not_hold_up_the_loop() -> None:
    begun, go, heard = threading.Event(), threading.Event(), Recorder()

    def handle(events: list[Event]) -> None:
        begun.set()
        assert go.wait(10)

    async with EventBus() as bus:
        bus.subscribe_batch("a.b", handle, max_size=1, thread=True)
        bus.subscribe("b.b", heard)
        await bus.publish("a.b")
        assert await anyio.to_thread.run_sync(begun.wait, 10)
        await bus.publish("b.b")
        await all_tasks_blocked()
        assert heard.types == ["b.b"]
        go.set()


# -- draining and closing --


async def test_drain_does_not_wait_for_a_batch_to_become_full() -> None:
    batches, clock = Batches(), FakeClock()
    async with EventBus(clock=clock) as bus:
        bus.subscribe_batch("a.b", batches, max_size=10, max_wait=HOUR)
        await fill(bus, "a.b", 2)
        await all_tasks_blocked()
        assert batches.numbers == []
        await settled(bus)
        assert batches.numbers == [[0, 1]]
        assert clock.now() == 0
        assert_at_rest(bus)


async def test_a_batch_is_hurried_only_while_somebody_drains() -> None:
    batches, clock = Batches(), FakeClock()
    async with EventBus(clock=clock) as bus:
        bus.subscribe_batch("a.b", batches, max_size=10, max_wait=HOUR)
        await bus.publish("a.b", {"n": 0})
        await settled(bus)
        await bus.publish("a.b", {"n": 1})
        await all_tasks_blocked()
        assert batches.numbers == [[0]]


async def test_a_drain_also_waits_for_the_batches_that_handlers_fill_meanwhile() -> None:
    batches = Batches()

    async def publish_again(events: list[Event]) -> None:
        await batches(events)
        for event in events:
            if event.field("n") < 5:
                await bus.publish("a.b", {"n": event.field("n") + 1})

    async with EventBus(clock=FakeClock()) as bus:
        bus.subscribe_batch("a.b", publish_again, max_size=3, max_wait=HOUR)
        await bus.publish("a.b", {"n": 0})
        await settled(bus)
        assert_at_rest(bus)
    assert batches.numbers == [[0], [1], [2], [3], [4], [5]]


@pytest.mark.parametrize("how", ["leaving the block", "aclose"])
async def test_an_incomplete_batch_is_handled_before_the_bus_is_closed(how: str) -> None:
    batches = Batches()
    async with EventBus(clock=FakeClock()) as bus:
        bus.subscribe_batch("a.b", batches, max_size=10, max_wait=HOUR)
        await fill(bus, "a.b", 2)
        await all_tasks_blocked()
        if how == "aclose":
            await bus.aclose()
            assert batches.numbers == [[0, 1]]
    assert batches.numbers == [[0, 1]]


async def test_a_drain_that_times_out_names_the_events_of_the_batch_that_runs_and_those_that_wait() -> None:
    batches = Batches(shut=True)
    async with EventBus(clock=FakeClock()) as bus:
        bus.subscribe_batch("a.b", batches, max_size=3, max_wait=HOUR)
        ids = [(await bus.publish("a.b")).id for _ in range(5)]
        await all_tasks_blocked()
        with pytest.raises(DrainTimeout) as raised:
            await bus.drain(0)
        assert raised.value.running_ids == tuple(ids[:3])
        assert raised.value.event_ids == tuple(ids[3:])
        batches.open()


# -- room --


async def test_a_full_queue_makes_the_publisher_wait_until_a_batch_is_taken() -> None:
    batches = Batches(shut=True)
    async with EventBus(clock=FakeClock()) as bus, anyio.create_task_group() as group:
        subscription = bus.subscribe_batch("a.b", batches, max_size=2, max_wait=HOUR, queue_size=3)
        await fill(bus, "a.b", 2)
        await all_tasks_blocked()
        for n in range(2, 9):
            group.start_soon(bus.publish, "a.b", {"n": n, "connection_id": f"c{n}"})
            await all_tasks_blocked()
        assert batches.numbers == [[0, 1]]
        assert (subscription.queued, len(subscription.waiting)) == (3, 4)
        batches.open()
        await all_tasks_blocked()
        assert [len(batch) for batch in batches.numbers] == [2, 2, 2, 2]
        assert (subscription.queued, len(subscription.waiting)) == (1, 0)
    assert sorted(n for batch in batches.numbers for n in batch) == list(range(9))


@pytest.mark.parametrize(
    ("overflow", "kept", "lost"), [("drop_oldest", [[5, 6], [7]], [2, 3, 4]), ("drop_newest", [[2, 3], [4]], [5, 6, 7])]
)
async def test_a_full_queue_drops_what_it_says(overflow: Any, kept: list[list[int]], lost: list[int]) -> None:
    batches, dropped = Batches(shut=True), Recorder()
    async with EventBus(clock=FakeClock()) as bus:
        subscription = bus.subscribe_batch("a.b", batches, 2, HOUR, queue_size=3, overflow=overflow)
        bus.subscribe("event.dropped", dropped)
        await fill(bus, "a.b", 2)
        await all_tasks_blocked()
        ids = {(await bus.publish("a.b", {"n": n})).id: n for n in range(2, 8)}
        assert (subscription.queued, subscription.dropped) == (3, 3)
        batches.open()
        await settled(bus)
        assert batches.numbers == [[0, 1], *kept]
        assert [ids[event.field("id")] for event in dropped.events] == lost
        assert_at_rest(bus)


async def test_a_full_queue_may_be_an_error() -> None:
    batches = Batches(shut=True)
    async with EventBus(clock=FakeClock()) as bus:
        bus.subscribe_batch("a.b", batches, 1, HOUR, queue_size=1, overflow="error")
        await bus.publish("a.b", {"n": 0})
        await all_tasks_blocked()
        await bus.publish("a.b", {"n": 1})
        with pytest.raises(QueueFull):
            await bus.publish("a.b", {"n": 2})
        batches.open()
    assert batches.numbers == [[0], [1]]


# -- counting --


async def test_events_are_counted_while_they_wait_and_calls_when_they_return() -> None:
    batches = Batches(shut=True)
    async with EventBus(clock=FakeClock()) as bus:
        subscription = bus.subscribe_batch("a.b", batches, max_size=3, max_wait=HOUR)
        await fill(bus, "a.b", 5)
        await all_tasks_blocked()
        (before,) = bus.stats().subscriptions
        assert (before.kind, before.queued, before.in_flight, before.handled) == ("batch", 2, 1, 0)
        assert bus.pending.count == 3
        batches.open()
        await settled(bus)
        (after,) = bus.stats().subscriptions
        assert (after.queued, after.in_flight, after.handled, after.latency.total) == (0, 0, 2, 2)
        assert subscription.begun == 2
        assert_at_rest(bus)


async def test_the_middleware_sees_one_delivery_of_all_events() -> None:
    seen: list[tuple[str, str | None, list[int]]] = []

    @delivery_middleware
    async def look(event: Event, call_next: Next) -> None:
        seen.append((event.type, event.connection_id, [one.field("n") for one in event.data]))
        await call_next(event)

    metrics = Metrics()
    async with EventBus(middleware=[look, metrics]) as bus:
        bus.subscribe_batch("a.b", Batches())
        await fill(bus, "a.b", 2, "c")
        await bus.drain()
        await bus.publish("a.b", {"n": 2}, connection_id="c")
        await bus.publish("a.b", {"n": 3}, connection_id="d")
        await bus.drain()
        assert "event.batch" not in bus.stats().events_by_type
    assert seen == [("event.batch", "c", [0, 1]), ("event.batch", None, [2, 3])]
    assert [(key, series.handled) for key, series in metrics.series.items()] == [(("event.batch", "Batches"), 2)]


# -- failure --


@pytest.mark.parametrize("middleware", [(), (Recovery(),)], ids=["bare", "recovery"])
async def test_a_batch_that_fails_is_one_failed_call_and_one_report_for_each_event(middleware: Any) -> None:
    failures, breaks = Recorder(), Breaks(1)
    async with EventBus(middleware=middleware) as bus:
        subscription = bus.subscribe_batch("a.b", breaks, max_size=3)
        bus.subscribe("handler.failed", failures)
        events = [await bus.publish("a.b", {"n": n}, connection_id=f"c{n}") for n in range(4)]
        await bus.drain()
        assert (subscription.failed, subscription.handled) == (1, 1)
        assert_at_rest(bus)
    assert [failed.data.event for failed in failures.events] == events[:3]
    assert [failed.connection_id for failed in failures.events] == ["c0", "c1", "c2"]
    assert {(failed.data.handler, failed.data.error, failed.data.tries) for failed in failures.events} == {
        ("Breaks", "ValueError: it broke", 1)
    }


async def test_a_batch_is_retried_as_a_whole() -> None:
    failures, breaks, clock = Recorder(), Breaks(2), FakeClock()
    async with EventBus(clock=clock, slow_after=None) as bus:
        subscription = bus.subscribe_batch("a.b", breaks, max_size=3, retry=Retry(3, 1, jitter=0))
        bus.subscribe("handler.failed", failures)
        await fill(bus, "a.b", 4)
        await clock.advance(3)
        assert breaks.numbers == [[0, 1, 2], [0, 1, 2], [0, 1, 2], [3]]
        assert (subscription.handled, subscription.retried, subscription.failed) == (2, 2, 0)
    assert failures.events == []


async def test_a_batch_whose_last_try_failed_is_reported_with_the_number_of_tries() -> None:
    failures, clock = Recorder(), FakeClock()
    async with EventBus(clock=clock, slow_after=None) as bus:
        bus.subscribe_batch("a.b", Breaks(math.inf), max_size=2, retry=Retry(3, 1, jitter=0))
        bus.subscribe("handler.failed", failures)
        await fill(bus, "a.b", 2)
        await clock.advance(3)
        await settled(bus)
    assert [(failed.data.event.field("n"), failed.data.tries) for failed in failures.events] == [(0, 3), (1, 3)]


async def test_a_handler_that_spoils_its_list_gets_all_events_at_the_next_try() -> None:
    lengths: list[int] = []

    def handle(events: list[Event]) -> None:
        lengths.append(len(events))
        events.clear()
        if len(lengths) < 2:
            raise ValueError("it broke")

    async with EventBus() as bus:
        bus.subscribe_batch("a.b", handle, retry=Retry(first_delay_s=0))
        await fill(bus, "a.b", 3)
    assert lengths == [3, 3]


@pytest.mark.parametrize("own", [None, 7])
async def test_a_batch_that_takes_too_long_is_cancelled_and_the_error_names_its_handler(own: float | None) -> None:
    failures, batches, clock = Recorder(), Batches(shut=True), FakeClock()
    async with EventBus(middleware=[Timeout(9)], clock=clock, slow_after=None) as bus:
        subscription = bus.subscribe_batch("a.b", batches, 2, timeout=own)
        bus.subscribe("handler.failed", failures)
        await fill(bus, "a.b", 2)
        await clock.advance(own or 9)
        await settled(bus)
        assert subscription.failed == 1
    assert [failed.data.error.partition(" to handle")[0] for failed in failures.events] == [
        f"TimeoutError: Batches took longer than {own or 9} s"
    ] * 2


async def test_an_event_that_is_called_like_a_batch_is_an_event_like_any_other() -> None:
    failures = Recorder()

    def handle(event: Event) -> None:
        raise ValueError("it broke")

    async with EventBus() as bus:
        bus.subscribe("event.batch", handle)
        bus.subscribe("handler.failed", failures)
        event = await bus.publish("event.batch", "text")
        await bus.drain()
    assert [failed.data.event for failed in failures.events] == [event]


# -- what a handler publishes --


async def test_what_a_handler_publishes_is_caused_by_the_last_event_and_deeper_than_any() -> None:
    heard = Recorder()

    async def handle(events: list[Event]) -> None:
        await bus.publish("b.b")

    async with EventBus() as bus:
        bus.subscribe_batch("a.b", handle)
        bus.subscribe("b.b", heard)
        await bus.publish_event(Event("a.b", causation_depth=41))
        last = await bus.publish("a.b")
    assert [(event.causation_id, event.causation_depth) for event in heard.events] == [(last.id, 42)]


async def test_a_chain_of_batches_without_end_is_cut() -> None:
    failures = Recorder()

    async def again(events: list[Event]) -> None:
        await bus.publish("a.b")

    async with EventBus() as bus:
        bus.subscribe_batch("a.b", again)
        bus.subscribe("handler.failed", failures)
        await bus.publish_event(Event("a.b", causation_depth=MAX_CAUSATION_DEPTH - 3))
        await bus.publish("a.b")
        with anyio.fail_after(10):
            await bus.drain()
    assert isinstance(failures.events[0].error, CausalityLoop)


async def test_the_events_of_a_batch_that_are_passed_on_to_another_bus_keep_their_identity() -> None:
    heard = Recorder()

    async def pass_on(events: list[Event]) -> None:
        for event in events:
            await there.publish_event(event)

    async with EventBus() as there, EventBus() as here:
        there.subscribe("*", heard)
        here.subscribe_batch("*", pass_on)
        events = [await here.publish("a.b") for _ in range(3)]
        await settled(here, there)
    assert [(event.id, event.causation_id) for event in heard.events] == [(event.id, None) for event in events]


variable: ContextVar[str] = ContextVar("variable", default="unset")


async def test_a_handler_sees_the_context_of_the_event_that_made_the_batch_complete() -> None:
    seen: list[str] = []

    def handle(events: list[Event]) -> None:
        seen.append(variable.get())
        variable.set("handler's")

    async with EventBus() as bus:
        bus.subscribe_batch("a.b", handle, max_size=2)
        for value in ("first", "second", "third", "fourth"):
            variable.set(value)
            await bus.publish("a.b")
        await bus.drain()
        assert variable.get() == "fourth"
    assert seen == ["second", "fourth"]


# -- cancelling --


async def test_cancelling_discards_an_incomplete_batch() -> None:
    batches, clock = Batches(), FakeClock()
    async with EventBus(clock=clock, slow_after=None) as bus:
        subscription = bus.subscribe_batch("a.b", batches, max_size=3, max_wait=5)
        await fill(bus, "a.b", 2)
        await all_tasks_blocked()
        subscription.cancel()
        subscription.cancel()
        await fill(bus, "a.b", 5)
        await clock.advance(10)
        await settled(bus)
        assert_at_rest(bus)
        assert list(subscription.backlog) == []
        assert clock._alarms == []
    assert batches.numbers == []


async def test_cancelling_lets_the_batch_that_runs_finish_and_discards_the_rest() -> None:
    batches = Batches(shut=True)
    async with EventBus(clock=FakeClock()) as bus:
        subscription = bus.subscribe_batch("a.b", batches, max_size=2, max_wait=HOUR)
        await fill(bus, "a.b", 5)
        await all_tasks_blocked()
        subscription.cancel()
        assert bus.pending.count == 1
        batches.open()
        await settled(bus)
        assert bus.stats().handled == 1
        assert_at_rest(bus)
    assert batches.numbers == [[0, 1]]


# -- options --


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"max_size": 0}, "max_size must be from 1 to queue_size"),
        ({"max_size": 3, "queue_size": 2}, r"max_size must be from 1 to queue_size \(2\), not 3"),
        ({"max_size": 1, "queue_size": 0}, "queue_size must be at least 1"),
        ({"max_wait": -1}, "max_wait must be 0 seconds or more"),
        ({"max_wait": math.nan}, "max_wait must be 0 seconds or more"),
        ({"timeout": 0}, "timeout must be more than 0"),
        ({"overflow": "explode"}, "overflow must be one of"),
        ({"retry": 3}, "retry is a bus.middleware.Retry"),
    ],
)
async def test_a_wrong_option_is_refused_and_nobody_has_subscribed(options: dict[str, Any], problem: str) -> None:
    async with EventBus() as bus:
        with pytest.raises(ValueError, match=problem):
            bus.subscribe_batch("a.b", Batches(), **options)
        assert bus.stats().active_handlers == 0


async def test_what_is_no_handler_is_refused() -> None:
    async with EventBus() as bus:
        with pytest.raises(TypeError, match="a function of a list of events, not 5"):
            bus.subscribe_batch("a.b", 5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="Batches is async: thread=True is for plain functions"):
            bus.subscribe_batch("a.b", Batches(), thread=True)


async def test_the_queue_holds_at_least_one_batch() -> None:
    async with EventBus() as bus:
        assert bus.subscribe_batch("a.b", Batches(), max_size=5_000).queue_size == 5_000
        assert bus.subscribe_batch("a.b", Batches(), max_size=5).queue_size == 1024
