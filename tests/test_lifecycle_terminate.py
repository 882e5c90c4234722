"""Ending a connection by hand: one step, from anywhere, once."""

from __future__ import annotations

import pytest

from bus import Event
from tests.bus_helpers import Recorder
from tests.lifecycle_helpers import running

pytestmark = pytest.mark.anyio

WITHOUT_FINAL = """
name: endless
retain: 1s
states:
  outer:
    initial: true
    exit: [{publish: it.left_outer}]
    after: {3s: other}
    states:
      inner:
        initial: true
        exit: [{publish: {event: it.left_inner, data: {reason: {expr: data.reason}}}}]
  other: {transitions: [{event: it.returned, target: outer}]}
"""


async def test_terminating_goes_to_the_first_final_state_in_one_step() -> None:
    async with running("whatsapp_call") as world:
        heard: list[Event] = []
        world.bus.subscribe("connection.*", heard.append)
        await world.lifecycle.register_connection("c", dependencies=[], metadata={"caller": "+49"})
        await world.bus.drain()
        heard.clear()
        await world.lifecycle.terminate_connection("c", "enough")
        await world.bus.drain()
        assert world.phase() == "terminated"
        assert [(event.type, event.data) for event in heard] == [
            ("connection.terminated", {"caller": "+49", "reason": "enough"}),
            (
                "connection.phase_changed",
                {
                    "from": "ready",
                    "to": "terminated",
                    "event": "termination.requested",
                    "configuration": ["terminated"],
                },
            ),
        ]


async def test_terminating_calls_the_hooks_of_the_states_that_are_left() -> None:
    async with running("whatsapp_call") as world:
        calls: list[str] = []
        world.lifecycle.hook("stop_audio", lambda event: calls.append(event.field("reason")))
        await world.lifecycle.register_connection("c", dependencies=[])
        await world.lifecycle.terminate_connection("c", "enough")
        await world.bus.drain()
        assert calls == ["enough"]


async def test_terminating_twice_does_it_once() -> None:
    async with running("whatsapp_call") as world:
        heard = Recorder()
        world.bus.subscribe("connection.terminated", heard)
        await world.lifecycle.register_connection("c")
        for _ in range(3):
            await world.lifecycle.terminate_connection("c")
        await world.bus.drain()
        assert heard.types == ["connection.terminated"]
        assert heard.events[0].data["reason"] is None


async def test_terminating_without_a_final_state_leaves_all_states() -> None:
    async with running(WITHOUT_FINAL) as world:
        heard: list[Event] = []
        world.bus.subscribe("*", heard.append)
        await world.lifecycle.register_connection("c")
        await world.lifecycle.terminate_connection("c", "enough")
        await world.bus.drain()
        state = world.lifecycle.get_connection_state("c")
        assert (state.phase, state.configuration, state.ended) == ("", (), True)
        assert [event.type for event in heard[1:]] == ["it.left_inner", "it.left_outer", "connection.phase_changed"]
        assert heard[1].data == {"reason": "enough"}
        assert heard[-1].data["to"] == ""
        assert "ended in no phase" in str(world.lifecycle.why("c"))


async def test_terminated_connection_is_retained_and_its_timers_are_not() -> None:
    async with running(WITHOUT_FINAL) as world:
        await world.lifecycle.register_connection("c")
        await world.lifecycle.terminate_connection("c")
        await world.clock.advance(0.9)
        assert world.lifecycle.get_connection_state("c").ended
        await world.clock.advance(0.1)
        assert world.lifecycle.get_all_connections() == {}
        assert len(world.lifecycle._connections._timers) == 0


async def test_ended_connection_publishes_nothing_more() -> None:
    async with running("whatsapp_call") as world:
        await world.lifecycle.register_connection("c")
        await world.lifecycle.terminate_connection("c")
        await world.bus.drain()
        heard = Recorder()
        world.bus.subscribe("connection.*", heard)
        await world.publish("ai.connection_failed")
        await world.clock.advance(100)
        assert heard.types == []
