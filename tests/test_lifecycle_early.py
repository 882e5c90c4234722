"""Events that overtake the registration: they wait, in order and within bounds, and nothing of them shows later."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus import Event
from statemachines import ConnectionState
from tests.bus_helpers import Recorder
from tests.lifecycle_helpers import DOOR, running

pytestmark = pytest.mark.anyio

COUNTING = """
name: counting
early: 5s
dependencies: {a: a.came}
remember: {last: {on: it.counted, value: data.n}}
states:
  here:
    initial: true
    transitions:
      - {event: it.counted, on: [{publish: {event: it.echoed, data: {n: {expr: data.n}}}}]}
      - {event: it.ended, target: gone}
  gone: {final: true}
"""


async def test_early_events_are_processed_in_their_order() -> None:
    async with running(COUNTING) as world:
        heard = Recorder()
        world.bus.subscribe("it.echoed", heard)
        for n in range(64):
            await world.publish("it.counted", "c", {"n": n})
        await world.lifecycle.register_connection("c")
        await world.bus.drain()
        assert heard.numbers == list(range(64))
        assert world.lifecycle.stats().early == 64


async def test_at_most_64_wait_for_one_connection_and_the_oldest_goes() -> None:
    async with running(COUNTING) as world:
        heard = Recorder()
        world.bus.subscribe("it.echoed", heard)
        for n in range(70):
            await world.publish("it.counted", "c", {"n": n})
        assert world.lifecycle.stats().expired == 6
        await world.lifecycle.register_connection("c")
        await world.bus.drain()
        assert heard.numbers == list(range(6, 70))


async def test_at_most_10_000_wait_in_all_and_the_oldest_goes() -> None:
    async with running(COUNTING) as world:
        for n in range(10_001):
            await world.publish("it.counted", f"c{n}", {"n": n})
        assert len(world.lifecycle._connections.early) == 10_000
        assert world.lifecycle.stats().expired == 1
        first = await world.lifecycle.register_connection("c0")
        second = await world.lifecycle.register_connection("c1")
        assert (first.metadata, second.metadata) == ({}, {"last": 1})


@pytest.mark.parametrize(("waited", "kept"), [(4.999, True), (5.0, False), (5.001, False)])
async def test_early_event_waits_for_exactly_as_long_as_the_definition_says(waited: float, kept: bool) -> None:
    async with running(COUNTING) as world:
        await world.publish("it.counted", "c", {"n": 1})
        await world.clock.advance(waited)
        state = await world.lifecycle.register_connection("c")
        assert ("last" in state.metadata) is kept
        assert world.lifecycle.stats().expired == (0 if kept else 1)


async def test_event_that_the_definition_does_not_name_does_not_wait() -> None:
    async with running(COUNTING) as world:
        await world.publish("some.thing", "c")
        assert (world.lifecycle.stats().early, world.lifecycle.stats().unknown) == (0, 1)


async def test_early_0s_keeps_nothing() -> None:
    async with running(COUNTING.replace("early: 5s", "early: 0s")) as world:
        await world.publish("it.counted", "c", {"n": 1})
        state = await world.lifecycle.register_connection("c")
        assert "last" not in state.metadata
        assert (world.lifecycle.stats().early, world.lifecycle.stats().unknown) == (0, 1)


async def test_early_events_of_id_and_call_id_are_processed_in_the_order_they_came() -> None:
    async with running(COUNTING) as world:
        heard = Recorder()
        world.bus.subscribe("it.echoed", heard)
        for n in range(6):
            await world.publish("it.counted", None if n % 2 else "c", {"n": n}, call_id="k")
        await world.lifecycle.register_connection("c", call_id="k")
        await world.bus.drain()
        assert heard.numbers == list(range(6))


async def test_events_that_waited_for_a_call_id_follow_the_event_that_binds_it() -> None:
    async with running(COUNTING) as world:
        heard = Recorder()
        world.bus.subscribe("it.echoed", heard)
        await world.publish("it.counted", None, {"n": 1}, call_id="k")
        await world.lifecycle.register_connection("c")
        await world.publish("it.counted", "c", {"n": 0}, call_id="k")
        await world.bus.drain()
        assert heard.numbers == [0, 1]


async def test_early_events_of_a_foreign_tenant_are_refused_at_registration() -> None:
    async with running(COUNTING) as world:
        await world.publish("it.counted", "c", {"n": 1}, tenant_id="other")
        state = await world.lifecycle.register_connection("c", tenant_id="own")
        assert "last" not in state.metadata
        assert world.lifecycle.stats().foreign == 1


async def test_events_after_an_early_end_count_as_finished() -> None:
    async with running(COUNTING) as world:
        await world.publish("it.ended")
        await world.publish("it.counted", "c", {"n": 1})
        state = await world.lifecycle.register_connection("c")
        assert (state.phase, state.ended) == ("gone", True)
        assert world.lifecycle.stats().finished == 1


async def test_events_of_a_finished_connection_are_not_kept_for_its_successor() -> None:
    async with running(COUNTING) as world:
        await world.lifecycle.register_connection("c")
        await world.publish("it.ended")
        await world.publish("it.counted", "c", {"n": 1})
        await world.clock.advance(5)
        state = await world.lifecycle.register_connection("c")
        assert "last" not in state.metadata


async def test_expired_event_is_told_as_unknown() -> None:
    async with running(COUNTING) as world:
        heard: list[Event] = []
        world.bus.subscribe("connection.unknown", heard.append)
        event = await world.publish("it.counted", "c", {"n": 1})
        await world.clock.advance(5)
        await world.bus.drain()
        assert [told.data for told in heard] == [{"type": "it.counted", "id": event.id}]


async def test_early_connection_that_ends_at_once_and_is_forgotten_leaves_nothing() -> None:
    async with running(COUNTING.replace("early: 5s", "retain: 0s")) as world:
        await world.publish("it.ended")
        await world.publish("it.counted", "c", {"n": 1})
        state = await world.lifecycle.register_connection("c")
        assert state.id == "c"
        assert world.lifecycle.get_all_connections() == {}
        await world.bus.drain()


EVENTS = ["a.came", "b.came", "b.went", "b.broke", "door.left", "door.knocked"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=60, deadline=None)
@given(
    events=st.lists(st.tuples(st.sampled_from(EVENTS), st.sampled_from(["id", "call"])), max_size=12),
    data=st.data(),
)
def test_registering_late_ends_like_registering_first(
    backend: str, events: list[tuple[str, str]], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(events)))

    async def run(registered: int) -> tuple[ConnectionState, list[str]]:
        async with running(DOOR) as world:
            heard = Recorder()
            world.bus.subscribe("door.*", heard)
            for number in range(len(events) + 1):
                if number == registered:
                    await world.lifecycle.register_connection("c", call_id="k")
                if number < len(events):
                    event_type, by = events[number]
                    await world.publish(event_type, "c" if by == "id" else None, call_id="k" if by == "call" else None)
            await world.bus.drain()
            published = [event.type for event in heard.events if event.causation_id is not None]
            return world.lifecycle.get_connection_state("c"), published

    assert anyio.run(run, place, backend=backend) == anyio.run(run, 0, backend=backend)
