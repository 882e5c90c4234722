"""Faults of memory: a great many events, and connections that come and go, leave nothing behind.

The numbers are those of the list of faults that the bus must survive; a million events are for ``make soak``.
"""

from __future__ import annotations

import logging

import anyio
import pytest

from benchmarks.kept import grown, kept
from benchmarks.soak import GENERATION, Sample, Soak, Verdict
from bus import Event, EventBus, default_chain, production_chain
from bus.middleware import RateLimit
from bus.testing import FakeClock
from tests.bus_helpers import Gate, assert_at_rest, living_tasks, settle

pytestmark = pytest.mark.anyio


async def test_fault_12_memory_is_flat_over_twenty_thousand_events_to_ten_sorts_of_subscriber(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "phasebus.bus")  # each drop, failure and time-out is meant
    soak = Soak(10 * GENERATION)
    verdict = await soak.run()
    assert verdict.told
    assert verdict.flat, verdict
    assert verdict.left == {}
    assert soak.handled > 10 * 10 * GENERATION


async def _handle(_: Event) -> None:
    pass


async def _whole_life(bus: EventBus, connection_id: str, number: int) -> None:
    """Some connections have subscriptions, streams and waits of their own on a bus; all end with them."""
    if number % 5:
        await bus.publish("a.created", connection_id=connection_id)
        await bus.publish("connection.terminated", connection_id=connection_id)
        return
    own = bus.subscribe("a.*", _handle, connection_id=connection_id, inline=number % 50 > 0)
    await bus.publish("a.created", connection_id=connection_id)
    if number % 50:
        await bus.publish("connection.terminated", connection_id=connection_id)
    else:
        async with bus.stream("a.*", connection_id=connection_id), anyio.create_task_group() as group:
            group.start_soon(_wait, bus, "connection.terminated", connection_id)
            group.start_soon(_wait, bus, "never.comes", connection_id)
            await settle()
            await bus.publish("a.changed", connection_id=connection_id)
            await bus.publish("connection.terminated", connection_id=connection_id)
            await settle()
            group.cancel_scope.cancel()
    own.cancel()


async def _wait(bus: EventBus, event_type: str, connection_id: str) -> None:
    await bus.wait_for(event_type, connection_id=connection_id)


async def _kept_at_rest(bus: EventBus, clock: FakeClock) -> dict[str, int]:
    """What a bus keeps after all windows have passed; what is over is forgotten when the next connection comes."""
    await bus.drain()
    await clock.advance(60)
    await bus.publish("connection.terminated", connection_id=f"at {clock.now()}")
    await bus.drain()
    await settle()
    return kept(bus)


async def test_fault_12_every_map_of_the_bus_is_as_at_the_start_after_a_hundred_thousand_short_connections(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "phasebus.bus")
    clock = FakeClock()
    # That is the production chain, but for its time-out: a quarter of the work, and it keeps nothing.
    async with EventBus(middleware=[*default_chain(), RateLimit()], clock=clock, slow_after=None) as bus:
        bus.subscribe("connection.*", _handle, concurrency=4, priorities={"connection.terminated": 1})
        for number in range(50):
            await _whole_life(bus, f"before {number}", number)
        before, tasks = await _kept_at_rest(bus, clock), living_tasks()
        for number in range(100_000):
            await _whole_life(bus, f"c{number}", number)
            if number % 1_000 == 0:
                await clock.advance(1)
        assert grown(before, await _kept_at_rest(bus, clock)) == {}
        assert living_tasks() == tasks
        assert_at_rest(bus)


async def _crowded_life(bus: EventBus, connection_id: str, gate: Gate) -> str:
    """All that a bus can keep of a connection, at once; which containers that were."""
    empty = kept(bus)
    own = bus.subscribe("a.*", _handle, connection_id=connection_id, inline=True)
    async with bus.stream("a.*", connection_id=connection_id), anyio.create_task_group() as group:
        group.start_soon(bus.wait_for, "connection.terminated")
        for n in range(6):
            group.start_soon(bus.publish, f"a.b{n % 3}", {"n": n, "connection_id": connection_id})
            await settle()
        group.start_soon(bus.publish, "a.b0", {"n": 0, "connection_id": connection_id})  # a duplicate of one that waits
        await settle()
        seen = " ".join(grown(empty, kept(bus)))
        gate.open()
        await settle()
        await bus.publish("connection.terminated", connection_id=connection_id)
    own.cancel()
    return seen


@pytest.mark.parametrize(
    "place",
    [
        "bus._fan_out._own_routes",
        "bus._fan_out._lines",
        "bus._fan_out._waiting",
        ".last",
        ".earlier",
        "<buckets>",
        "<states>",
        "<order>",
        "Subscription.waiting",
        "StreamInbox.events",
        "Subscription.backlog._lines",
        "Subscription.backlog._running",
    ],
)
async def test_fault_12_this_look_at_a_bus_sees_what_it_keeps_of_a_living_connection(place: str) -> None:
    clock, gates = FakeClock(), [Gate(), Gate()]

    async def handle(event: Event) -> None:
        await gates[event.connection_id == "second"](event)

    async with EventBus(middleware=production_chain(), clock=clock, replay_limit=4) as bus:
        bus.subscribe("a.*", handle, concurrency=2, queue_size=2)
        await _crowded_life(bus, "first", gates[0])
        before = await _kept_at_rest(bus, clock)
        assert place in await _crowded_life(bus, "second", gates[1])
        assert grown(before, await _kept_at_rest(bus, clock)) == {}


async def test_fault_12_news_of_the_bus_about_a_connection_that_has_ended_is_not_kept() -> None:
    async def fails(event: Event) -> None:
        raise ValueError("it broke")

    async with EventBus() as bus:
        bus.subscribe("*", fails)
        for number in range(100):
            await bus.publish("a.b", connection_id=str(number))
            await bus.publish("connection.terminated", connection_id=str(number))
        await bus.publish("a.b", connection_id="living")
        await bus.drain()
        assert bus.stats().events_by_type["handler.failed"] == 201
        recent = bus._fan_out.recent
        assert recent is not None
        assert [event.type for event in recent.matching("*", None)] == ["a.b", "handler.failed"]


def test_fault_12_memory_that_grows_is_told() -> None:
    samples = tuple(Sample(n, 1.0, 30.0 + n / 10, 100_000) for n in range(1, 41))
    assert not Verdict(samples, {}).flat
    assert str(Verdict(samples, {})).startswith("memory flat: no (first quarter 30.6 MB, last quarter 33.5 MB)")
    assert not Verdict(tuple(Sample(n, 1.0, 30.0, 100_000 + 200 * n) for n in range(1, 41)), {}).flat
    assert Verdict(tuple(Sample(n, 1.0, 30.0 + n % 2 / 10, 100_000) for n in range(1, 41)), {}).flat
