"""The wall clock jumps by an hour, both ways: whatever the bus times holds all the same.

Number 14 in the list of faults that the bus must survive. Nothing may go by ``time.time``: that is what jumps here, in
every module of the bus that has it by any name.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Awaitable, Callable

import anyio
import pytest
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from bus import DrainTimeout, Event, EventBus
from bus.clock import Clock, SystemClock
from bus.middleware import Deduplication, RateLimit, Retry, Timeout
from bus.testing import FakeClock
from tests.bus_helpers import Gate, Recorder, settle

pytestmark = pytest.mark.anyio

both_ways = pytest.mark.parametrize("hours", [1, -1])


def jump(patch: pytest.MonkeyPatch, hours: float) -> None:
    """Let the wall clock jump."""
    real, before = time.time, Event("a.b").timestamp

    def jumped() -> float:
        return real() + 3_600 * hours

    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("bus", "time"):
            for attribute, value in list(vars(module).items()):
                if value is real:
                    patch.setattr(module, attribute, jumped)
    assert abs(Event("a.b").timestamp - before) > 3_000


Happened = Callable[[], Awaitable[bool]]
Setting = Callable[[EventBus, TaskGroup, float], Awaitable[Happened]]
"""Sets something up that is due after so many seconds; what it returns tells whether it has happened."""


async def a_timeout_of_a_subscription(bus: EventBus, group: TaskGroup, due_s: float) -> Happened:
    subscription = bus.subscribe("a.b", Gate(), timeout=due_s)
    await bus.publish("a.b")
    return lambda: _is(subscription.failed == 1)


async def a_timeout_by_middleware(bus: EventBus, group: TaskGroup, due_s: float) -> Happened:
    bus.use(Timeout(due_s))
    subscription = bus.subscribe("a.b", Gate())
    await bus.publish("a.b")
    return lambda: _is(subscription.failed == 1)


async def a_retry(bus: EventBus, group: TaskGroup, due_s: float) -> Happened:
    tries = Recorder()

    async def fails(event: Event) -> None:
        await tries(event)
        raise ValueError("it broke")

    bus.subscribe("a.b", fails, retry=Retry(2, first_delay_s=due_s, max_delay_s=due_s, jitter=0))
    await bus.publish("a.b")
    return lambda: _is(len(tries.events) == 2)


async def a_token_of_the_rate_limit(bus: EventBus, group: TaskGroup, due_s: float) -> Happened:
    bus.use(RateLimit(rate_per_s=1 / due_s, burst=1))
    heard = Recorder()
    bus.subscribe("a.b", heard)
    for _ in range(2):
        group.start_soon(bus.publish, "a.b")
    return lambda: _is(len(heard.events) == 2)


async def the_end_of_a_window(bus: EventBus, group: TaskGroup, due_s: float) -> Happened:
    bus.use(Deduplication(window_s=due_s))
    heard = Recorder()
    bus.subscribe("a.b", heard)
    await bus.publish("a.b", id="wamid.1")

    async def passes_again() -> bool:
        await bus.publish("a.b", id="wamid.1")
        await settle()
        return len(heard.events) == 2

    return passes_again


async def a_batch(bus: EventBus, group: TaskGroup, due_s: float) -> Happened:
    batches: list[list[Event]] = []
    bus.subscribe_batch("a.b", batches.append, max_wait=due_s)
    await bus.publish("a.b")
    return lambda: _is(len(batches) == 1)


async def a_wait_in_vain(bus: EventBus, group: TaskGroup, due_s: float) -> Happened:
    return _ends(group, lambda: bus.wait_for("never.comes", timeout=due_s))


async def a_drain_that_gives_up(bus: EventBus, group: TaskGroup, due_s: float) -> Happened:
    bus.subscribe("a.b", Gate())
    await bus.publish("a.b")
    return _ends(group, lambda: bus.drain(due_s))


def _ends(group: TaskGroup, wait: Callable[[], Awaitable[object]]) -> Happened:
    timed_out = False

    async def run() -> None:
        nonlocal timed_out
        try:
            await wait()
        except (TimeoutError, DrainTimeout):
            timed_out = True

    group.start_soon(run)
    return lambda: _is(timed_out)


async def _is(happened: bool) -> bool:
    return happened


timed = pytest.mark.parametrize(
    "setting",
    [
        a_timeout_of_a_subscription,
        a_timeout_by_middleware,
        a_retry,
        a_token_of_the_rate_limit,
        the_end_of_a_window,
        a_batch,
        a_wait_in_vain,
        a_drain_that_gives_up,
    ],
)


def _bus(clock: Clock | None = None) -> EventBus:
    return EventBus(clock=clock, close_timeout=0, slow_after=None)


@timed
@both_ways
async def test_fault_14_what_is_due_happens_to_the_millisecond_though_the_wall_clock_jumps(
    setting: Setting, hours: float, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "phasebus.bus")
    clock = FakeClock()
    async with anyio.create_task_group() as group, _bus(clock) as bus:
        happened = await setting(bus, group, 10.0)
        await clock.advance(5)
        with pytest.MonkeyPatch.context() as patch:
            jump(patch, hours)
            await clock.advance(4.999)
            assert not await happened()
            await clock.advance(0.002)
            assert await happened()
        group.cancel_scope.cancel()


@timed
async def test_fault_14_by_the_systems_clock_nothing_happens_early_because_the_wall_clock_went_forward(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "phasebus.bus")
    async with anyio.create_task_group() as group, _bus() as bus:
        happened = await setting(bus, group, 1_000.0)
        await settle()
        with pytest.MonkeyPatch.context() as patch:
            jump(patch, 1)
            await settle()
            assert not await happened()
        group.cancel_scope.cancel()


@timed
async def test_fault_14_by_the_systems_clock_nothing_happens_late_because_the_wall_clock_went_back(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "phasebus.bus")
    async with anyio.create_task_group() as group, _bus() as bus:
        happened = await setting(bus, group, 0.001)
        await settle()
        with pytest.MonkeyPatch.context() as patch, anyio.fail_after(10):
            jump(patch, -1)
            while not await happened():
                await checkpoint()
        group.cancel_scope.cancel()


@both_ways
async def test_fault_14_the_systems_clock_does_not_notice_that_the_wall_clock_jumps(hours: float) -> None:
    clock = SystemClock()
    before = clock.now()
    with pytest.MonkeyPatch.context() as patch:
        jump(patch, hours)
        assert 0 <= clock.now() - before < 60


@both_ways
async def test_fault_14_what_is_replayed_comes_in_the_order_published_though_the_wall_clock_jumps(hours: float) -> None:
    heard = Recorder()
    async with EventBus() as bus:
        await bus.publish("a.first", connection_id="c")
        with pytest.MonkeyPatch.context() as patch:
            jump(patch, hours)
            await bus.publish("a.second", connection_id="c")
        await bus.publish("a.third", connection_id="c")
        bus.subscribe("*", heard, replay_last=True)
    assert heard.types == ["a.first", "a.second", "a.third"]


@both_ways
async def test_fault_14_latencies_do_not_tell_that_the_wall_clock_jumped(hours: float) -> None:
    gate = Gate()
    async with EventBus() as bus:
        bus.subscribe("a.b", gate)
        await bus.publish("a.b")
        await settle()
        with pytest.MonkeyPatch.context() as patch:
            jump(patch, hours)
            gate.open()
            await bus.drain()
        (statistics,) = bus.stats().subscriptions
        assert 0 < statistics.last_latency_s < 60
