"""Timers: named, overridden, guarded, restarted, cancelled; in their order; on a clock that never jumps."""

from __future__ import annotations

import time

import anyio
import anyio.lowlevel
import pytest

from bus import Event, EventBus
from statemachines import ConnectionLifecycle, SystemClock
from statemachines.lifecycle.clock import Timed
from tests.bus_helpers import Recorder
from tests.lifecycle_helpers import definition_of, lifecycle_on, running

pytestmark = pytest.mark.anyio

TIMED = """
name: timed
retain: 3s
timeouts: {setup: 30s}
dependencies: {a: a.came}
states:
  waiting:
    initial: true
    after:
      setup: late
      10s: {cond: a, target: half}
    transitions:
      - {event: it.knocked, target: waiting}
      - {event: it.touched, on: [{publish: it.felt}]}
      - {event: it.left, target: gone}
  half: {transitions: [{event: it.left, target: gone}]}
  late: {transitions: [{event: it.left, target: gone}]}
  gone: {final: true}
"""

TIES = """
name: ties
states:
  outer:
    initial: true
    after:
      2s: {on: [{publish: it.ticked}]}
    states:
      inner:
        initial: true
        after:
          2s: {on: [{publish: it.tocked}]}
          1s: {on: [{publish: it.clicked}]}
        transitions: [{event: it.ended, target: gone}]
  gone: {final: true}
"""


async def test_named_timeout_fires_at_its_time() -> None:
    async with running(TIMED) as world:
        await world.lifecycle.register_connection("c")
        await world.clock.advance(29.999)
        assert world.phase() == "waiting"
        await world.clock.advance(0.001)
        assert world.phase() == "late"


async def test_registration_may_override_a_named_timeout() -> None:
    async with running(TIMED) as world:
        await world.lifecycle.register_connection("c", timeouts={"setup": 2})
        await world.lifecycle.register_connection("d")
        await world.clock.advance(2)
        assert (world.phase("c"), world.phase("d")) == ("late", "waiting")


@pytest.mark.parametrize(("ready", "phase"), [(True, "half"), (False, "waiting")])
async def test_guard_of_a_timer_is_asked_when_it_fires(ready: bool, phase: str) -> None:
    async with running(TIMED) as world:
        await world.lifecycle.register_connection("c")
        if ready:
            await world.publish("a.came")
        await world.clock.advance(10)
        assert world.phase() == phase


async def test_timer_whose_guard_was_false_counts_as_ignored_and_does_not_come_again() -> None:
    async with running(TIMED) as world:
        await world.lifecycle.register_connection("c")
        await world.clock.advance(10)
        assert world.lifecycle.stats().ignored == 1
        await world.publish("a.came")
        await world.clock.advance(15)
        assert world.phase() == "waiting"


async def test_entering_a_state_again_starts_its_timers_anew() -> None:
    async with running(TIMED) as world:
        await world.lifecycle.register_connection("c")
        await world.clock.advance(20)
        await world.publish("it.knocked")
        await world.clock.advance(29)
        assert world.phase() == "waiting"
        await world.clock.advance(1)
        assert world.phase() == "late"


async def test_transition_without_target_leaves_timers_alone() -> None:
    async with running(TIMED) as world:
        await world.lifecycle.register_connection("c")
        await world.clock.advance(20)
        await world.publish("it.touched")
        await world.clock.advance(10)
        assert world.phase() == "late"


async def test_leaving_a_state_cancels_its_timers() -> None:
    async with running(TIMED) as world:
        heard = Recorder()
        world.bus.subscribe("connection.phase_changed", heard)
        await world.lifecycle.register_connection("c")
        await world.publish("a.came")
        await world.clock.advance(10)
        await world.clock.advance(100)
        assert world.phase() == "half"
        assert [event.data["event"] for event in heard.events] == ["timer.fired"]


async def test_timers_due_at_the_same_time_fire_in_the_order_they_were_armed() -> None:
    async with running(TIES) as world:
        heard = Recorder()
        world.bus.subscribe("it.*", heard)
        await world.lifecycle.register_connection("c")
        await world.clock.advance(2)
        assert heard.types == ["it.clicked", "it.ticked", "it.tocked"]


async def test_timer_of_one_connection_fires_before_that_armed_later_by_another() -> None:
    async with running(TIES) as world:
        heard = Recorder()
        world.bus.subscribe("it.clicked", heard)
        for number in range(50):
            await world.lifecycle.register_connection(f"c{number}")
        await world.clock.advance(1)
        assert [event.connection_id for event in heard.events] == [f"c{number}" for number in range(50)]


class StandingClock:
    """A clock whose time a test sets, and that fires nothing of itself: as a busy loop would let a real one."""

    def __init__(self) -> None:
        self.now = 0.0
        self.wall = 0.0

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.now

    async def drive(self, timed: Timed) -> None:
        await anyio.sleep_forever()


async def test_due_timer_comes_before_an_event_at_the_same_time() -> None:
    clock = StandingClock()
    async with EventBus() as bus, lifecycle_on(bus, TIMED, clock) as lifecycle:
        heard: list[Event] = []
        bus.subscribe("connection.phase_changed", heard.append)
        await lifecycle.register_connection("c")
        clock.now = 30.0
        await bus.publish("it.left", connection_id="c")
        await bus.drain()
        assert [event.data["to"] for event in heard] == ["late", "gone"]


async def test_wall_clock_that_jumps_moves_no_timer() -> None:
    clock = StandingClock()
    async with EventBus() as bus, lifecycle_on(bus, TIMED, clock) as lifecycle:
        await lifecycle.register_connection("c")
        for jump in (3600.0, -3600.0):
            clock.wall += jump
            await bus.publish("it.touched", connection_id="c")
            assert lifecycle.get_connection_state("c").phase == "waiting"
        clock.wall -= 3600.0
        assert "waited 0.0 s" in str(lifecycle.why("c"))
        clock.now = 30.0
        await bus.publish("it.touched", connection_id="c")
        assert lifecycle.get_connection_state("c").phase == "late"


async def test_ended_connection_is_forgotten_after_retain() -> None:
    async with running(TIMED) as world:
        await world.lifecycle.register_connection("c")
        await world.publish("it.left")
        await world.clock.advance(2.999)
        assert world.lifecycle.get_connection_state("c").ended
        await world.clock.advance(0.001)
        assert world.lifecycle.get_all_connections() == {}


async def test_heap_does_not_grow_with_cancelled_timers() -> None:
    async with running(TIMED) as world:
        for number in range(10):
            await world.lifecycle.register_connection(f"c{number}")
        for _ in range(500):
            for number in range(10):
                await world.publish("it.knocked", f"c{number}")
        timers = world.lifecycle._connections._timers
        assert len(timers) == 20
        assert len(timers._heap) <= 2 * 20 + 64 + 2


async def test_timers_fire_in_turn_within_one_long_advance() -> None:
    async with running("whatsapp_call") as world:
        heard = Recorder()
        world.bus.subscribe("connection.phase_changed", heard)
        await world.lifecycle.register_connection("c")
        await world.publish("whatsapp.call_accepted")
        await world.clock.advance(3600)
        assert [(event.data["to"], event.timestamp) for event in heard.events] == [
            ("initializing", 0),
            ("terminating", 30),
            ("terminated", 32),
        ]


async def test_two_lifecycles_on_one_clock_keep_the_order_of_time() -> None:
    async with running(TIES) as world:
        heard = Recorder()
        world.bus.subscribe("it.*", heard)
        other_definition = definition_of(TIES.replace("name: ties", "name: others").replace("1s:", "1.5s:"))
        async with ConnectionLifecycle(world.bus, other_definition, clock=world.clock) as other:
            await other.register_connection("d")
            await world.lifecycle.register_connection("c")
            await world.clock.advance(1.7)
        assert [(event.connection_id, event.type) for event in heard.events] == [
            ("c", "it.clicked"),
            ("d", "it.clicked"),
        ]


async def test_slow_subscriber_delays_no_timer() -> None:
    async with running(TIES) as world:
        hold = anyio.Event()
        clicks: list[str | None] = []

        async def slow(event: Event) -> None:
            clicks.append(event.connection_id)
            if event.connection_id == "c":
                await hold.wait()

        world.bus.subscribe("it.clicked", slow, inline=True)
        await world.lifecycle.register_connection("c")
        await world.clock.advance(0.5)
        await world.lifecycle.register_connection("d")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.clock.advance, 0.5)
            with anyio.fail_after(5):
                while not clicks:
                    await anyio.lowlevel.checkpoint()
            world.clock._now = 1.5
            world.lifecycle._engine.fire_due()
            with anyio.fail_after(5):
                while len(clicks) < 2:
                    await anyio.lowlevel.checkpoint()
            hold.set()
        assert clicks == ["c", "d"]


async def test_hung_outbox_and_many_timers_do_not_break_the_clock() -> None:
    ticking = """
name: ticking
states:
  tick:
    initial: true
    enter: [{publish: it.ticked}]
    after: {1s: tick}
    transitions: [{event: it.ended, target: gone}]
  gone: {final: true}
"""
    clock = StandingClock()
    async with EventBus(close_timeout=0.01) as bus, lifecycle_on(bus, ticking, clock) as lifecycle:
        hold = anyio.Event()
        heard: list[Event] = []

        async def slow(event: Event) -> None:
            heard.append(event)
            await hold.wait()

        bus.subscribe("it.ticked", slow, inline=True)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lifecycle.register_connection, "c")
            with anyio.fail_after(5):
                while not heard:
                    await anyio.lowlevel.checkpoint()
            for second in range(1, 2_001):  # more than a lane may hold
                clock.now = float(second)
                lifecycle._engine.fire_due()
            hold.set()
        with anyio.fail_after(5):
            await bus.drain()
        assert len(heard) == 2_001


async def test_real_clock_fires_a_timer() -> None:
    quick = TIMED.replace("30s", "20ms")
    async with EventBus() as bus, ConnectionLifecycle(bus, definition_of(quick)) as lifecycle:
        began = time.monotonic()
        await lifecycle.register_connection("c")
        state = await lifecycle.wait_until("c", "late", timeout=5)
        assert state.phase == "late"
        assert time.monotonic() - began >= 0.02


async def test_real_clock_learns_of_an_earlier_timer() -> None:
    async with EventBus() as bus, lifecycle_on(bus, TIMED, SystemClock()) as lifecycle:
        await lifecycle.register_connection("c")
        await lifecycle.register_connection("d", timeouts={"setup": 0.02})
        assert (await lifecycle.wait_until("d", "late", timeout=5)).phase == "late"


async def test_time_passes_forwards_only() -> None:
    async with running(TIMED) as world:
        with pytest.raises(ValueError, match="forwards"):
            await world.clock.advance(-1)
