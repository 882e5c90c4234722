"""An event may register the connection that it is about."""

from __future__ import annotations

from typing import Any

import pytest

from bus import Event
from tests.bus_helpers import Recorder
from tests.lifecycle_helpers import running

pytestmark = pytest.mark.anyio

STARTING = """
name: starting
starts_on: {event: call.requested, when: data.wanted}
dependencies: {a: a.came, b: {ready_on: b.came, required: false}}
remember: {caller: {on: call.requested, value: data.caller}}
states:
  on:
    initial: true
    transitions: [{event: call.requested, target: asked}]
  asked: {transitions: [{cond: all_ready, target: ready}, {event: it.ended, target: gone}]}
  ready: {transitions: [{event: it.ended, target: gone}]}
  gone: {final: true}
"""


async def test_event_registers_and_is_the_first_of_its_connection() -> None:
    async with running(STARTING) as world:
        heard = Recorder()
        world.bus.subscribe("connection.*", heard)
        await world.publish("call.requested", "c", {"wanted": True, "caller": "+49"}, tenant_id="t", call_id="k")
        await world.bus.drain()
        state = world.lifecycle.get_connection_state("c")
        assert (state.phase, state.tenant_id, state.call_id, state.metadata) == ("asked", "t", "k", {"caller": "+49"})
        assert heard.types == ["connection.created", "connection.phase_changed"]
        assert {event.causation_id is not None for event in heard.events} == {True}


@pytest.mark.parametrize("data", [{}, {"wanted": False}, {"wanted": None}])
async def test_event_whose_condition_does_not_hold_registers_nobody(data: dict[str, Any]) -> None:
    async with running(STARTING) as world:
        await world.publish("call.requested", "c", data)
        assert world.lifecycle.get_all_connections() == {}
        assert world.lifecycle.stats().early == 1


async def test_payload_may_carry_call_id_tenant_and_dependencies() -> None:
    async with running(STARTING) as world:
        data = {"wanted": True, "call_id": "k", "tenant_id": "t", "dependencies": ["b"]}
        await world.publish("call.requested", "c", data)
        state = world.lifecycle.get_connection_state("c")
        assert (state.call_id, state.tenant_id, state.ready_conditions) == ("k", "t", {"b": False})


async def test_unknown_dependency_in_the_payload_is_told_and_registers_nobody() -> None:
    async with running(STARTING) as world:
        heard: list[Event] = []
        world.bus.subscribe("handler.failed", heard.append)
        await world.publish("call.requested", "c", {"wanted": True, "dependencies": ["bb"]})
        await world.bus.drain()
        assert world.lifecycle.get_all_connections() == {}
        assert "declares no dependency 'bb'" in heard[0].data.error


async def test_connection_created_from_outside_registers_without_being_published_again() -> None:
    async with running("whatsapp_call") as world:
        heard = Recorder()
        world.bus.subscribe("connection.created", heard)
        await world.publish("connection.created", "c", {"dependencies": ["ai_greeting"]})
        await world.bus.drain()
        assert heard.types == ["connection.created"]
        assert world.lifecycle.get_connection_state("c").ready_conditions == {"ai_greeting": False}


async def test_same_event_for_a_known_connection_is_an_event_like_any_other() -> None:
    async with running(STARTING) as world:
        heard = Recorder()
        world.bus.subscribe("connection.created", heard)
        await world.lifecycle.register_connection("c")
        await world.publish("call.requested", "c", {"wanted": True})
        await world.bus.drain()
        assert (world.phase(), len(heard.events)) == ("asked", 1)


async def test_early_events_follow_the_one_that_starts() -> None:
    async with running(STARTING) as world:
        await world.publish("a.came")
        await world.publish("call.requested", "c", {"wanted": True})
        assert world.phase() == "ready"


async def test_call_id_of_another_living_connection_is_not_taken() -> None:
    async with running(STARTING) as world:
        await world.lifecycle.register_connection("c", call_id="k")
        await world.publish("call.requested", "d", {"wanted": True}, call_id="k")
        assert world.lifecycle.get_connection_state("d").call_id is None
        assert "'c' holds" in str(world.lifecycle.why("d"))


async def test_starting_event_of_a_finished_connection_starts_no_other() -> None:
    async with running(STARTING) as world:
        await world.lifecycle.register_connection("c")
        await world.lifecycle.terminate_connection("c")
        await world.publish("call.requested", "c", {"wanted": True})
        assert world.phase() == "gone"
        await world.clock.advance(5)
        await world.publish("call.requested", "c", {"wanted": True})
        assert world.phase() == "asked"


async def test_repeated_request_does_not_close_the_living_call() -> None:
    async with running(STARTING) as world:
        for _ in range(3):
            await world.publish("call.requested", "c", {"wanted": True})
            await world.publish("a.came")
        assert world.phase() == "ready"
