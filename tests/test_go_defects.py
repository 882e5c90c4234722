"""Defects of the original, an event bus in Go, that must not come back: 1 to 6 and 9 of the design's list.

Each scenario runs on phasebus, and on a stand-in that does what the original did, where it must break: so the scenario
does show the defect. (7 and 8 concern the lifecycle: ``test_go_defects_lifecycle.py``.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from inspect import getclosurevars

import anyio
import pytest
from anyio.abc import TaskGroup

from bus import Event, EventBus
from bus.middleware import Deduplication, Metrics, RateLimit, Recovery, Timeout
from bus.testing import FakeClock
from tests.bus_helpers import Fails, Gate, Recorder, assert_at_rest, fill, settle

pytestmark = pytest.mark.anyio
Handler = Callable[[Event], Awaitable[None]]


class OriginalBus:
    """The original, in short: a task for each handler and event; middleware wraps handlers; errors go to a log."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._lock = anyio.Lock()
        self.handlers: dict[str, list[Handler]] = {}
        self.around: list[Callable[[Handler], Handler]] = []
        self.started = 0
        self.ended = 0

    def subscribe(self, event_type: str, handler: Handler, *, timeout: float | None = None) -> None:
        if timeout is not None:
            handler = only_logs_timeout(handler)
        self.handlers.setdefault(event_type, []).append(handler)

    def unsubscribe(self, event_type: str, handler: Handler) -> None:
        self.handlers[event_type] = [other for other in self.handlers[event_type] if other is not handler]

    async def publish(self, event_type: str, data: object = None, *, connection_id: str | None = None) -> None:
        event = Event(event_type, connection_id, data or {})
        for handler in self.handlers.get(event_type, []):
            for wrap in self.around:
                handler = wrap(handler)
            self.started += 1
            self._tasks.start_soon(self._run, handler, event)

    async def mark_ready(self, connection_id: str) -> None:
        async with self._lock:
            await self.publish("connection.ready", connection_id=connection_id)

    async def mark_ready_inline(self, connection_id: str) -> None:
        async with self._lock:
            for handler in self.handlers["connection.ready"]:
                await handler(Event("connection.ready", connection_id))

    async def _run(self, handler: Handler, event: Event) -> None:
        try:
            await handler(event)
        except Exception:
            return  # log.Printf("panic: …")
        finally:
            self.ended += 1


def only_logs_timeout(handler: Handler) -> Handler:
    async def wrapped(event: Event) -> None:
        await handler(event)  # after the timeout the original wrote a line to its log, and went on waiting

    return wrapped


class OriginalDeduplication:
    """One cache for all handlers, by (type, connection)."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, str | None]] = set()

    def __call__(self, handler: Handler) -> Handler:
        async def wrapped(event: Event) -> None:
            key = (event.type, event.connection_id)
            if key not in self.seen:
                self.seen.add(key)
                await handler(event)

        return wrapped


@asynccontextmanager
async def original() -> AsyncIterator[OriginalBus]:
    async with anyio.create_task_group() as tasks:
        yield OriginalBus(tasks)
        await settle()
        tasks.cancel_scope.cancel()


# -- 1 -----------------------------------------------------------------------------------------------------------------


class FirstIsSlow(Recorder):
    """The first event takes longer than the second."""

    async def __call__(self, event: Event) -> None:
        if event.field("n") == 0:
            for _ in range(10):
                await anyio.lowlevel.checkpoint()
        await super().__call__(event)


async def test_1_two_events_of_a_connection_are_handled_in_order() -> None:
    heard = FirstIsSlow()
    async with EventBus() as bus:
        bus.subscribe("webrtc.ice_connection_changed", heard)
        await fill(bus, "webrtc.ice_connection_changed", 2)
    assert heard.numbers == [0, 1]


async def test_1_a_task_per_event_turns_them_around() -> None:
    heard = FirstIsSlow()
    async with original() as bus:
        bus.subscribe("webrtc.ice_connection_changed", heard)
        for n in range(2):
            await bus.publish("webrtc.ice_connection_changed", {"n": n}, connection_id="c")
    assert heard.numbers == [1, 0]


# -- 2 -----------------------------------------------------------------------------------------------------------------


async def test_2_with_deduplication_both_subscribers_get_an_event() -> None:
    first, second = Recorder(), Recorder()
    async with EventBus(middleware=[Deduplication()]) as bus:
        bus.subscribe("a.b", first)
        bus.subscribe("a.b", second)
        await bus.publish("a.b", {"n": 1}, connection_id="c")
    assert first.numbers == second.numbers == [1]


async def test_2_a_cache_shared_by_the_handlers_starves_the_second() -> None:
    first, second = Recorder(), Recorder()
    async with original() as bus:
        bus.around.append(OriginalDeduplication())
        bus.subscribe("a.b", first)
        bus.subscribe("a.b", second)
        await bus.publish("a.b", {"n": 1}, connection_id="c")
    assert len(first.events) + len(second.events) == 1


async def test_2_two_ice_states_within_the_window_both_pass() -> None:
    heard = Recorder()
    async with EventBus(middleware=[Deduplication()]) as bus:
        bus.subscribe("webrtc.ice_connection_changed", heard)
        for state in ("checking", "connected", "connected"):
            await bus.publish("webrtc.ice_connection_changed", {"n": state}, connection_id="c")
    assert heard.numbers == ["checking", "connected"]


async def test_2_a_key_of_type_and_connection_loses_the_second_ice_state() -> None:
    heard = Recorder()
    async with original() as bus:
        bus.around.append(OriginalDeduplication())
        bus.subscribe("webrtc.ice_connection_changed", heard)
        for state in ("checking", "connected"):
            await bus.publish("webrtc.ice_connection_changed", {"n": state}, connection_id="c")
            await settle()
    assert heard.numbers == ["checking"]


# -- 3 -----------------------------------------------------------------------------------------------------------------


async def test_3_two_events_within_ten_milliseconds_at_a_hundred_a_second_both_pass() -> None:
    clock, heard = FakeClock(), Recorder()
    async with EventBus(middleware=[RateLimit(rate_per_s=100)], clock=clock) as bus:
        bus.subscribe("a.b", heard)
        await fill(bus, "a.b", 2)
    assert heard.numbers == [0, 1]


def test_3_a_ticker_loses_the_second_silently() -> None:
    now, ticks, passed = 0.0, 0, []
    for event in (0, 1):
        now += 0.004
        if now * 100 >= ticks:  # the next tick of a ticker at 100 a second is there
            ticks += 1
            passed.append(event)
    assert passed == [0]


async def test_3_an_event_over_the_limit_is_never_lost_silently() -> None:
    clock, dropped = FakeClock(), Recorder()
    async with EventBus(middleware=[RateLimit(rate_per_s=1, excess="drop")], clock=clock) as bus:
        bus.subscribe("event.dropped", dropped)
        await fill(bus, "a.b", 3)
    assert len(dropped.events) == 2


# -- 4 -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("middleware", [[], [Timeout(0.001)]], ids=["of the subscription", "of the middleware"])
async def test_4_a_timeout_cancels_the_handler(middleware: list[Timeout]) -> None:
    gate, failures = Gate(), Recorder()
    async with EventBus(middleware=middleware) as bus:
        bus.subscribe("a.b", gate, timeout=None if middleware else 0.001)
        bus.subscribe("handler.failed", failures)
        await bus.publish("a.b")
        with anyio.fail_after(5):
            await bus.drain()
        assert_at_rest(bus)
    assert isinstance(failures.events[0].error, TimeoutError)


async def test_4_a_timeout_that_only_logs_leaves_the_handler_running() -> None:
    gate = Gate()
    async with original() as bus:
        bus.subscribe("a.b", gate, timeout=0.001)
        await bus.publish("a.b")
        await anyio.sleep(0.002)
        await settle()
        assert bus.started - bus.ended == 1


# -- 5 -----------------------------------------------------------------------------------------------------------------


async def test_5_a_subscription_with_a_timeout_can_be_cancelled() -> None:
    heard = Recorder()
    async with EventBus() as bus:
        subscription = bus.subscribe("a.b", heard, timeout=60)
        subscription.cancel()
        await bus.publish("a.b")
        assert bus.stats().active_handlers == 0
    assert heard.events == []


async def test_5_comparing_handlers_never_finds_a_wrapped_one() -> None:
    heard = Recorder()
    async with original() as bus:
        bus.subscribe("a.b", heard, timeout=60)
        bus.unsubscribe("a.b", heard)
        await bus.publish("a.b")
    assert len(heard.events) == 1


async def test_5_of_two_subscriptions_of_one_handler_the_right_one_is_cancelled() -> None:
    heard = Recorder()
    async with EventBus() as bus:
        bus.subscribe("a.b", heard)
        bus.subscribe("a.b", heard).cancel()
        await bus.publish("a.b")
    assert len(heard.events) == 1


# -- 6 -----------------------------------------------------------------------------------------------------------------


async def test_6_a_stuck_handler_makes_publishers_wait_instead_of_filling_the_memory() -> None:
    gate = Gate()
    async with EventBus() as bus:
        bus.subscribe("a.b", gate, queue_size=10)

        async def publish_for_ever() -> None:
            while True:
                await bus.publish("a.b")
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(publish_for_ever)
            await settle()
            assert bus.stats().queued == 10
            tasks.cancel_scope.cancel()
        gate.open()


async def test_6_a_task_per_event_is_bounded_by_nothing() -> None:
    gate = Gate()
    async with original() as bus:
        bus.subscribe("a.b", gate)
        for _ in range(1_000):
            await bus.publish("a.b")
        await settle()
        assert len(gate.events) == 1_000


async def test_6_the_memory_of_deduplication_is_bounded_and_ends_with_its_window() -> None:
    clock = FakeClock()
    async with EventBus(middleware=[Deduplication(window_s=1, max_entries=10)], clock=clock) as bus:
        for n in range(1_000):
            await bus.publish("a.b", id=f"id {n}")
        await clock.advance(1)
        await bus.publish("a.b", id="last")
        seen = getclosurevars(bus._publish_chain.call).nonlocals["seen"]
        assert list(seen.states) == ["last"]


# -- 9 -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inline", [True, False])
async def test_9_a_handler_may_publish_subscribe_and_look_at_statistics(inline: bool) -> None:
    heard = Recorder()

    async def handle(event: Event) -> None:
        bus.subscribe("b.b", heard)
        bus.stats()
        await bus.publish("b.b")

    async with EventBus() as bus:
        bus.subscribe("connection.ready", handle, inline=inline)
        with anyio.fail_after(1):
            await bus.publish("connection.ready")
            await bus.drain()
    assert heard.types == ["b.b"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_9_publishing_while_a_lock_is_held_locks_up() -> None:
    async with original() as bus:

        async def handle(event: Event) -> None:
            await bus.mark_ready("another")

        bus.subscribe("connection.ready", handle)
        with pytest.raises(RuntimeError, match="already held"):  # a Go mutex hangs; this one says so
            await bus.mark_ready_inline("c")


async def test_9_handlers_are_counted_once_each() -> None:
    async with EventBus() as bus:
        subscriptions = [bus.subscribe("a.b", Recorder(), timeout=timeout) for timeout in (None, 60)]
        assert bus.stats().active_handlers == 2
        for subscription in subscriptions:
            subscription.cancel()
            subscription.cancel()
        assert bus.stats().active_handlers == 0


async def test_9_metrics_can_be_read() -> None:
    metrics = Metrics()
    async with EventBus(middleware=[metrics]) as bus:
        bus.subscribe("a.b", Recorder())
        await fill(bus, "a.b", 3)
    assert Counter({key: series.handled for key, series in metrics.series.items()}) == {("a.b", "Recorder"): 3}


@pytest.mark.parametrize("middleware", [[], [Recovery()]])
async def test_9_a_failing_handler_is_an_event(middleware: list[Recovery]) -> None:
    failures = Recorder()
    async with EventBus(middleware=middleware) as bus:
        bus.subscribe("a.b", Fails())
        bus.subscribe("handler.failed", failures)
        event = await bus.publish("a.b")
    assert failures.events[0].field("event") is event


async def test_9_a_log_line_tells_no_one_of_a_failure() -> None:
    failures = Recorder()
    async with original() as bus:
        bus.subscribe("a.b", Fails())
        bus.subscribe("handler.failed", failures)
        await bus.publish("a.b")
    assert failures.events == []
