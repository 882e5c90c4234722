"""Registering a connection: what it says, what is refused, and what is published."""

from __future__ import annotations

import pytest

from bus import Event, EventBus, PhasebusError
from statemachines import (
    DuplicateConnection,
    LifecycleClosed,
    StepNeverSettles,
    UnknownDependency,
    UnknownTimeout,
)
from tests.bus_helpers import Recorder
from tests.lifecycle_helpers import lifecycle_on, running

pytestmark = pytest.mark.anyio


async def test_state_of_a_registered_connection_is_returned() -> None:
    async with running("whatsapp_call") as world:
        await world.clock.advance(7)
        state = await world.lifecycle.register_connection("c", call_id="k", tenant_id="t", metadata={"line": 3})
        assert state == world.lifecycle.get_connection_state("c")
        assert (state.id, state.call_id, state.tenant_id, state.phase) == ("c", "k", "t", "created")
        assert state.configuration == ("live", "created")
        assert (state.created_at, state.updated_at, dict(state.metadata)) == (7, 7, {"line": 3})
        assert set(state.dependencies.values()) == {"pending"}
        assert dict(state.ready_conditions) == {
            "webrtc_audio_ready": False,
            "openai_connection_ready": False,
            "whatsapp_call_accepted": False,
        }


async def test_created_is_published_once_with_call_id_and_dependencies() -> None:
    async with running("whatsapp_call") as world:
        heard: list[Event] = []
        world.bus.subscribe("connection.created", heard.append)
        await world.lifecycle.register_connection("c", call_id="k", tenant_id="t", dependencies=["ai_greeting"])
        await world.bus.drain()
        (created,) = heard
        assert (created.connection_id, created.call_id, created.tenant_id) == ("c", "k", "t")
        assert created.data == {"call_id": "k", "dependencies": ["ai_greeting"]}
        assert world.lifecycle.stats().processed == 0  # its own news is no event of the connection


async def test_registering_publishes_no_change_of_phase() -> None:
    async with running("whatsapp_call") as world:
        heard = Recorder()
        world.bus.subscribe("connection.*", heard)
        await world.lifecycle.register_connection("c", dependencies=[])
        await world.bus.drain()
        assert heard.types == ["connection.created", "connection.ready"]


async def test_connection_is_there_when_created_is_heard() -> None:
    async with running("whatsapp_call") as world:
        seen: list[str] = []
        world.bus.subscribe("connection.created", lambda event: seen.append(world.phase()), inline=True)
        await world.lifecycle.register_connection("c")
        assert seen == ["created"]


async def test_second_registration_is_refused_and_changes_nothing() -> None:
    async with running("whatsapp_call") as world:
        heard = Recorder()
        world.bus.subscribe("connection.created", heard)
        before = await world.lifecycle.register_connection("c")
        with pytest.raises(DuplicateConnection, match="'c' is already registered and in phase created"):
            await world.lifecycle.register_connection("c", tenant_id="other")
        await world.bus.drain()
        assert world.lifecycle.get_connection_state("c") == before
        assert len(heard.events) == 1


async def test_id_of_an_ended_connection_is_refused_until_it_is_forgotten() -> None:
    async with running("whatsapp_call") as world:
        await world.lifecycle.register_connection("c")
        await world.lifecycle.terminate_connection("c")
        await world.clock.advance(4.9)
        with pytest.raises(DuplicateConnection, match="ended and its id is free again after 5 s"):
            await world.lifecycle.register_connection("c")
        await world.clock.advance(0.1)
        assert (await world.lifecycle.register_connection("c")).phase == "created"


async def test_call_id_of_a_living_connection_is_refused_with_both_named() -> None:
    async with running("whatsapp_call") as world:
        await world.lifecycle.register_connection("c", call_id="k")
        with pytest.raises(DuplicateConnection, match="'d' cannot have call_id 'k': 'c' holds it"):
            await world.lifecycle.register_connection("d", call_id="k")
        assert list(world.lifecycle.get_all_connections()) == ["c"]


async def test_call_id_of_an_ended_connection_may_be_taken() -> None:
    async with running("whatsapp_call") as world:
        await world.lifecycle.register_connection("c", call_id="k")
        await world.lifecycle.terminate_connection("c")
        await world.lifecycle.register_connection("d", call_id="k")
        await world.publish("whatsapp.call_started", None, call_id="k")
        await world.clock.advance(6)  # the first is forgotten; the second keeps the call id
        await world.publish("whatsapp.call_accepted", None, call_id="k")
        assert world.lifecycle.get_connection_state("d").ready_conditions["whatsapp_call_accepted"]


async def test_call_id_is_bound_by_the_first_event_that_has_both_ids() -> None:
    async with running("whatsapp_call") as world:
        await world.lifecycle.register_connection("c")
        await world.publish("whatsapp.call_started", "c", call_id="k")
        await world.publish("whatsapp.call_accepted", None, call_id="k")
        state = world.lifecycle.get_connection_state("c")
        assert state.call_id == "k"
        assert state.dependencies["whatsapp_call_accepted"] == "ready"


async def test_call_id_in_a_payload_binds_nothing() -> None:
    async with running("whatsapp_call") as world:
        await world.lifecycle.register_connection("c")
        await world.publish("whatsapp.call_started", "c", {"call_id": "k"})
        assert world.lifecycle.get_connection_state("c").call_id is None


async def test_call_id_of_an_ended_connection_can_be_bound_by_an_event() -> None:
    async with running("whatsapp_call") as world:
        await world.lifecycle.register_connection("c", call_id="k")
        await world.lifecycle.terminate_connection("c")
        await world.lifecycle.register_connection("d")
        await world.publish("whatsapp.call_started", "d", call_id="k")
        assert world.lifecycle.get_connection_state("d").call_id == "k"


async def test_call_id_of_another_living_connection_is_not_taken_by_an_event() -> None:
    async with running("whatsapp_call") as world:
        await world.lifecycle.register_connection("c", call_id="k")
        await world.lifecycle.register_connection("d")
        await world.publish("whatsapp.call_accepted", "d", call_id="k")
        await world.publish("whatsapp.call_terminated", None, call_id="k")
        assert world.phase("c") == "terminating"
        assert world.lifecycle.get_connection_state("d").dependencies["whatsapp_call_accepted"] == "ready"


async def test_unknown_dependency_is_refused_with_the_nearest_right_name() -> None:
    async with running("whatsapp_call") as world:
        with pytest.raises(UnknownDependency, match=r"'ai_connection_ready'.*did you mean 'openai_connection_ready'"):
            await world.lifecycle.register_connection("c", dependencies=["ai_connection_ready"])
        assert world.lifecycle.get_all_connections() == {}


async def test_unknown_timeout_is_refused() -> None:
    async with running("whatsapp_call") as world:
        with pytest.raises(UnknownTimeout, match="set_up"):
            await world.lifecycle.register_connection("c", timeouts={"set_up": 3})
        with pytest.raises(UnknownTimeout, match="more than 0"):
            await world.lifecycle.register_connection("c", timeouts={"setup": 0})
        assert world.lifecycle.get_all_connections() == {}


async def test_metadata_named_like_a_remembered_fact_is_its_first_value() -> None:
    async with running("whatsapp_call") as world:
        await world.lifecycle.register_connection("c", metadata={"caller": "+49", "other": 1})
        assert world.lifecycle.get_connection_state("c").metadata == {"caller": "+49", "other": 1}
        await world.publish("whatsapp.call_started", "c", {"phone_number": "+1"})
        assert world.lifecycle.get_connection_state("c").metadata["caller"] == "+1"


async def test_registration_that_never_settles_is_refused() -> None:
    endless = """
name: endless
dependencies: {a: a.came}
states:
  one: {initial: true, transitions: [{cond: not a, target: two}, {event: it.ended, target: gone}]}
  two: {transitions: [{cond: not a, target: one}]}
  gone: {final: true}
"""
    async with running(endless) as world:
        heard = Recorder()
        world.bus.subscribe("handler.failed", heard)
        with pytest.raises(StepNeverSettles, match="never settle"):
            await world.lifecycle.register_connection("c")
        await world.bus.drain()
        assert world.lifecycle.get_all_connections() == {}
        assert heard.types == ["handler.failed"]


async def test_mark_that_never_settles_is_refused_and_changes_nothing() -> None:
    endless = """
name: endless
dependencies: {a: a.came}
states:
  one: {initial: true, transitions: [{cond: a, target: two}, {event: it.ended, target: gone}]}
  two: {transitions: [{cond: a, target: one}]}
  gone: {final: true}
"""
    async with running(endless) as world:
        before = await world.lifecycle.register_connection("c")
        with pytest.raises(StepNeverSettles, match="never settle"):
            await world.lifecycle.mark_dependency_ready("c", "a")
        assert world.lifecycle.get_connection_state("c") == before


async def test_lifecycle_that_does_not_run_refuses_to_register() -> None:
    async with EventBus() as bus:
        lifecycle = lifecycle_on(bus)
        with pytest.raises(LifecycleClosed, match="async with"):
            await lifecycle.register_connection("c")
        async with lifecycle:
            pass
        with pytest.raises(LifecycleClosed, match="closed"):
            await lifecycle.register_connection("c")
        with pytest.raises(LifecycleClosed, match="entered only once"):
            await lifecycle.__aenter__()
        assert issubclass(LifecycleClosed, PhasebusError)


async def test_marking_by_hand_is_a_step_like_any_other() -> None:
    async with running() as world:
        heard: list[Event] = []
        world.bus.subscribe("connection.phase_changed", heard.append)
        await world.lifecycle.register_connection("c")
        await world.lifecycle.mark_dependency_ready("c", "a")
        await world.lifecycle.mark_dependency_ready("c", "b")
        await world.bus.drain()
        assert world.phase() == "open"
        assert [event.data["event"] for event in heard] == ["dependency.marked"]
        with pytest.raises(UnknownDependency, match="'bb'"):
            await world.lifecycle.mark_dependency_ready("c", "bb")
