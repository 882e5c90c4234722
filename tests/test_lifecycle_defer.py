"""Events that a state defers wait with their connection, and are sent again once it is somewhere else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus import Event
from statemachines.connections.connections import Connections
from statemachines.table.step import MAX_DEFERRED
from tests.bus_helpers import Recorder
from tests.lifecycle_helpers import definition_of, running

pytestmark = pytest.mark.anyio

DESK = """
name: desk
dependencies: {power: {ready_on: power.came, lost_on: power.went}}
remember: {last: {on: caller.spoke, value: data.n}}
states:
  busy:
    initial: true
    defer: [caller.spoke, caller.paid]
    transitions: [{event: desk.freed, target: free}, {event: desk.closed, target: shut}]
  free:
    defer: caller.paid
    transitions:
      - {event: caller.spoke, target: listening, on: [{publish: {event: desk.heard, data: {n: {expr: data.n}}}}]}
  listening:
    transitions:
      - {event: caller.paid, target: free, on: [{publish: desk.earned}]}
      - {event: desk.freed, target: free}
  shut: {final: true}
"""


async def test_a_deferred_event_is_sent_again_after_the_next_change_of_configuration() -> None:
    async with running(DESK) as world:
        await world.lifecycle.register_connection("c")
        await world.publish("caller.spoke", data={"n": 1})
        assert (world.phase(), world.lifecycle.stats().deferred) == ("busy", 1)
        await world.publish("desk.freed")
        assert world.phase() == "listening"
        assert world.lifecycle.stats().ignored == 0


async def test_deferred_events_are_sent_again_in_order_and_anew_after_each_change() -> None:
    heard = Recorder()
    async with running(DESK) as world:
        world.bus.subscribe("desk.*", heard, inline=True)
        await world.lifecycle.register_connection("c")
        for event in ("caller.paid", "caller.spoke", "caller.spoke"):
            await world.publish(event, data={"n": event})
        await world.publish("desk.freed")
        # spoke, then the payment that had waited longest, then the second word
        assert heard.types == ["desk.freed", "desk.heard", "desk.earned", "desk.heard"]
        assert world.phase() == "listening"


async def test_what_a_deferred_event_tells_is_learnt_when_it_comes_and_once() -> None:
    async with running(DESK) as world:
        await world.lifecycle.register_connection("c")
        await world.publish("caller.spoke", data={"n": 1})
        assert world.lifecycle.get_connection_state("c").metadata == {"last": 1}
        await world.publish("desk.freed")
        await world.publish("desk.freed")
        assert world.lifecycle.get_connection_state("c").metadata == {"last": 1}


async def test_an_event_that_is_deferred_no_longer_and_finds_no_transition_is_ignored() -> None:
    async with running(DESK) as world:
        await world.lifecycle.register_connection("c")
        for _ in range(2):
            await world.publish("caller.spoke", data={"n": 1})
        await world.publish("desk.freed")
        assert world.phase() == "listening"
        stats = world.lifecycle.stats()
        assert (stats.deferred, stats.ignored) == (2, 1)


async def test_no_more_than_sixteen_wait_and_the_others_are_counted_as_refused() -> None:
    async with running(DESK) as world:
        await world.lifecycle.register_connection("c")
        for _ in range(MAX_DEFERRED + 3):
            await world.publish("caller.paid")
        stats = world.lifecycle.stats()
        assert (stats.deferred, stats.refused) == (MAX_DEFERRED, 3)


async def test_what_still_waits_when_the_connection_ends_counts_as_finished() -> None:
    async with running(DESK) as world:
        await world.lifecycle.register_connection("c")
        await world.publish("caller.paid")
        await world.publish("desk.closed")
        assert world.phase() == "shut"
        assert world.lifecycle.stats().finished == 1


async def test_a_change_of_facts_alone_sends_nothing_again() -> None:
    async with running(DESK) as world:
        await world.lifecycle.register_connection("c")
        await world.publish("caller.spoke", data={"n": 1})
        await world.publish("power.came")
        assert world.phase() == "busy"


@settings(deadline=None)
@given(st.lists(st.sampled_from(["caller.spoke", "caller.paid", "desk.freed"]), max_size=40))
def test_nothing_that_was_deferred_is_lost(types: list[str]) -> None:
    connections = Connections(definition_of(DESK))
    connections.register("c", at=0, now=0)
    handled = 0
    for event_type in types:
        for reaction in connections.receive(Event(event_type, "c"), at=0, now=0):
            assert reaction.step is not None
            handled += reaction.step.outcome.handled
    counts, waiting = connections.counts, connections.records["c"].deferred
    # each is handled, ignored (here or later), refused, or waits
    assert handled + counts.ignored + counts.refused + len(waiting) == len(types)
    assert len(waiting) <= MAX_DEFERRED
