"""What phasebus gives to tests: a recorder, a clock moved by hand, and waiting until nothing happens any more."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from bus import DrainTimeout, Event, EventBus, WebRTCEventData
from bus.testing import FakeClock, Recorder, all_tasks_blocked, settled
from statemachines import ConnectionLifecycle, parse_definition
from tests.bus_helpers import Gate

pytestmark = pytest.mark.anyio

PATIENT = """
name: patient
dependencies: {a: a.came}
states:
  waiting: {initial: true, after: {30s: gone}, transitions: [{cond: all_ready, target: there}]}
  there: {enter: [{publish: it.arrived}], after: {5s: gone}}
  gone: {final: true}
"""


# -- Recorder --


async def test_a_recorder_keeps_every_event_at_once_and_in_order() -> None:
    async with EventBus() as bus:
        recorder = Recorder(bus)
        bus.subscribe("a.b", lambda event: None, queue_size=1, overflow="drop_newest")
        for n in range(5):
            await bus.publish("a.b", {"n": n})
        assert [event.field("n") for event in recorder.published("a.b")] == [0, 1, 2, 3, 4]


async def test_published_selects_by_pattern_connection_and_fields() -> None:
    async with EventBus() as bus:
        recorder = Recorder(bus)
        await bus.publish("webrtc.track_added", WebRTCEventData("c", track_type="audio"))
        await bus.publish("webrtc.track_added", {"track_type": "video"}, connection_id="d")
        await bus.publish("ai.connected", connection_id="c")
        assert recorder.types == ["webrtc.track_added", "webrtc.track_added", "ai.connected"]
        assert len(recorder.published("webrtc.*")) == 2
        assert len(recorder.published(connection_id="c")) == 2
        assert [event.connection_id for event in recorder.published(track_type="video")] == ["d"]
        assert recorder.published("webrtc.*", connection_id="c", track_type="video") == []


async def test_a_recorder_stops_and_forgets_on_demand() -> None:
    async with EventBus() as bus:
        recorder = Recorder(bus)
        await bus.publish("a.b")
        recorder.clear()
        await bus.publish("a.c")
        recorder.stop()
        await bus.publish("a.d")
        assert recorder.types == ["a.c"]


async def test_what_nobody_else_hears_is_recorded_too() -> None:
    async with (
        EventBus() as bus,
        ConnectionLifecycle(bus, parse_definition(PATIENT)) as lifecycle,
    ):
        recorder = Recorder(bus)
        await lifecycle.register_connection("c")
        await bus.publish("a.came", connection_id="c")
        assert recorder.published("connection.phase_changed", to="there")


# -- FakeClock --


async def test_sleepers_wake_at_their_time_and_those_of_the_same_time_in_the_order_they_came() -> None:
    clock, woken = FakeClock(), list[tuple[str, float]]()

    async def sleep(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.now()))

    async with anyio.create_task_group() as tasks:
        for name, seconds in (("late", 3.0), ("first", 1.0), ("second", 1.0), ("never", 9.0)):
            tasks.start_soon(sleep, name, seconds)
            await all_tasks_blocked()
        await clock.advance(0.999)
        assert woken == []
        await clock.advance(2.5)
        assert woken == [("first", 1.0), ("second", 1.0), ("late", 3.0)]
        assert clock.now() == pytest.approx(3.499)
        tasks.cancel_scope.cancel()


async def test_what_follows_from_waking_happens_at_that_time() -> None:
    clock, times = FakeClock(), list[float]()

    async def tick() -> None:
        while True:
            await clock.sleep(1)
            times.append(clock.now())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        await clock.advance(3.5)
        tasks.cancel_scope.cancel()
    assert times == [1, 2, 3]


async def test_limits_cancel_and_the_outer_of_two_wins() -> None:
    clock, log = FakeClock(), list[Any]()

    async def work() -> None:
        with clock.move_on_after(2) as outer:
            with clock.move_on_after(5) as inner:
                await anyio.sleep_forever()
            log.append("never")
        log.append((outer.cancelled_caught, inner.cancelled_caught, clock.now()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await clock.advance(10)
    assert log == [(True, False, 2)]


async def test_a_limit_of_nothing_is_none_and_one_of_0_is_over_at_once() -> None:
    clock = FakeClock()
    with clock.move_on_after(None) as unlimited:
        await checkpoint()
    with clock.move_on_after(0) as over:
        await checkpoint()
    assert (unlimited.cancelled_caught, over.cancelled_caught) == (False, True)


async def test_what_was_cancelled_or_came_to_its_end_leaves_nothing_in_the_clock() -> None:
    clock = FakeClock()
    with anyio.move_on_after(0):
        await clock.sleep(5)
    with clock.move_on_after(5):
        await checkpoint()
    assert clock._alarms == []


async def test_time_passes_forwards_only() -> None:
    with pytest.raises(ValueError, match="forwards only"):
        await FakeClock().advance(-1)


async def test_one_clock_does_for_a_bus_and_a_lifecycle() -> None:
    clock = FakeClock()
    async with (
        EventBus(clock=clock) as bus,
        ConnectionLifecycle(bus, parse_definition(PATIENT), clock=clock) as lifecycle,
    ):
        recorder = Recorder(bus)
        for name in ("c", "d"):
            await lifecycle.register_connection(name)
        await clock.advance(10)
        await bus.publish("a.came", connection_id="c")
        await clock.advance(4.9)
        assert lifecycle.phases() == {"there": 1, "waiting": 1}
        await clock.advance(15.1)
        assert lifecycle.stats().processed >= 3
        assert recorder.published("it.arrived", connection_id="c")
        assert not recorder.published("it.arrived", connection_id="d")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(clock.advance, 3)
            with pytest.raises(TimeoutError, match=r"no it\.never came within 2 s"):
                await bus.wait_for("it.never", timeout=2)


# -- settled --


async def test_settled_waits_for_whatever_follows_from_what_was_published() -> None:
    async with EventBus() as bus:
        recorder = Recorder(bus)

        async def count_down(event: Event) -> None:
            await checkpoint()
            if event.field("n"):
                await bus.publish("a.b", {"n": event.field("n") - 1})

        bus.subscribe("a.b", count_down)
        await bus.publish("a.b", {"n": 20})
        await settled(bus)
        assert len(recorder.published("a.b")) == 21


async def test_settled_waits_for_buses_that_feed_each_other() -> None:
    async with EventBus() as one, EventBus() as other:
        recorder = Recorder(other)

        async def pass_on(event: Event) -> None:
            if event.field("n"):
                target = other if event.type == "to.other" else one
                back = "to.one" if event.type == "to.other" else "to.other"
                await target.publish(back, {"n": event.field("n") - 1})

        one.subscribe("to.other", pass_on)
        other.subscribe("to.one", pass_on)
        await one.publish("to.other", {"n": 11})
        await settled(one, other)
        assert len(recorder.published("to.one")) == 6


async def test_settled_gives_up_and_names_what_is_left() -> None:
    gate = Gate()
    async with EventBus(clock=FakeClock()) as bus:
        bus.subscribe("a.b", gate)
        ids = [(await bus.publish("a.b")).id for _ in range(2)]
        with pytest.raises(DrainTimeout) as raised:
            await settled(bus, timeout=0.01)
        assert ([*raised.value.running_ids], [*raised.value.event_ids]) == (ids[:1], ids[1:])
        gate.open()


async def test_all_tasks_blocked_returns_only_when_every_other_task_waits() -> None:
    steps = 0

    async def busy() -> None:
        nonlocal steps
        for _ in range(100):
            await checkpoint()
            steps += 1
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(busy)
        await all_tasks_blocked()
        assert steps == 100
        tasks.cancel_scope.cancel()
