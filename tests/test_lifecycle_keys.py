"""Web-hooks that do not know the connection's id find it by a key that the definition declares."""

from __future__ import annotations

import pytest

from bus import EventType
from statemachines import DuplicateConnection
from tests.bus_helpers import Recorder
from tests.lifecycle_helpers import running

pytestmark = pytest.mark.anyio

OUTBOUND = """
name: outbound
early: 5s
retain: 2s
keys:
  wa_id: {on: call.requested, value: data.wa_id}
  call_id: {on: call.placed, value: data.call_id}
dependencies: {allowed: permission.granted, accepted: call.accepted}
states:
  asking:
    initial: true
    transitions: [{cond: allowed, target: calling}, {event: call.given_up, target: over}]
  calling:
    transitions: [{cond: all_ready, target: talking}, {event: call.given_up, target: over}]
  talking: {enter: [{publish: call.joined}], transitions: [{event: call.given_up, target: over}]}
  over: {final: true}
"""


async def test_an_event_with_the_value_of_a_key_finds_its_connection() -> None:
    async with running(OUTBOUND) as world:
        for name, number in (("a", "49170"), ("b", "49171")):
            await world.lifecycle.register_connection(name)
            await world.publish("call.requested", name, {"wa_id": number})
        await world.publish("permission.granted", None, {"wa_id": "49171"})
        assert (world.phase("a"), world.phase("b")) == ("asking", "calling")


async def test_an_event_for_a_key_that_nobody_holds_yet_waits_and_runs_directly_after_the_step_that_binds_it() -> None:
    heard = Recorder()
    async with running(OUTBOUND) as world:
        world.bus.subscribe("connection.phase_changed", heard, inline=True)
        await world.lifecycle.register_connection("a")
        await world.publish("permission.granted", None, {"wa_id": "49170"})
        await world.publish("call.accepted", None, {"call_id": "wamid"})
        assert (world.phase("a"), world.lifecycle.stats().early) == ("asking", 2)
        await world.publish("call.requested", "a", {"wa_id": "49170"})
        assert world.phase("a") == "calling"
        await world.publish("call.placed", "a", {"call_id": "wamid"})
        assert world.phase("a") == "talking"
        assert [event.field("to") for event in heard.events] == ["calling", "talking"]
        assert len(world.lifecycle._connections.early) == 0


async def test_what_waits_for_a_key_expires_like_any_early_event() -> None:
    unknown = Recorder()
    async with running(OUTBOUND) as world:
        world.bus.subscribe(EventType.CONNECTION_UNKNOWN, unknown)
        await world.lifecycle.register_connection("a")
        await world.publish("permission.granted", None, {"wa_id": "49170"})
        await world.clock.advance(5)
        assert world.lifecycle.stats().expired == 1
        await world.publish("call.requested", "a", {"wa_id": "49170"})
        assert world.phase("a") == "asking"
    assert len(unknown.events) == 1


async def test_an_event_that_names_several_keys_waits_for_whichever_is_bound_first_and_runs_once() -> None:
    async with running(OUTBOUND) as world:
        await world.lifecycle.register_connection("a")
        await world.publish("permission.granted", None, {"wa_id": "49170", "call_id": "wamid"})
        await world.publish("call.placed", "a", {"call_id": "wamid"})
        assert world.phase("a") == "calling"
        processed = world.lifecycle.stats().processed
        await world.publish("call.requested", "a", {"wa_id": "49170"})
        assert world.lifecycle.stats().processed == processed + 1


async def test_a_key_that_a_living_connection_holds_is_refused_to_another_and_why_says_so() -> None:
    async with running(OUTBOUND) as world:
        for name in ("a", "b"):
            await world.lifecycle.register_connection(name)
            await world.publish("call.requested", name, {"wa_id": "49170"})
        await world.publish("permission.granted", None, {"wa_id": "49170"})
        assert (world.phase("a"), world.phase("b")) == ("calling", "asking")
        sentence = str(world.lifecycle.why("b"))
        assert "brought a wa_id, which 'a' holds" in sentence
        assert "49170" not in sentence


async def test_a_key_is_free_again_when_its_connection_has_ended() -> None:
    async with running(OUTBOUND) as world:
        await world.lifecycle.register_connection("a")
        await world.publish("call.requested", "a", {"wa_id": "49170"})
        await world.publish("call.given_up", "a")
        await world.lifecycle.register_connection("b")
        await world.publish("call.requested", "b", {"wa_id": "49170"})
        await world.publish("permission.granted", None, {"wa_id": "49170"})
        assert world.phase("b") == "calling"
        await world.clock.advance(2)  # the first is forgotten, the second keeps its key
        await world.publish("call.accepted", None, {"wa_id": "49170"})
        assert world.phase("b") == "talking"


async def test_a_registration_may_give_the_key_in_its_metadata() -> None:
    async with running(OUTBOUND) as world:
        await world.publish("permission.granted", None, {"wa_id": "49170"})
        await world.lifecycle.register_connection("a", metadata={"wa_id": "49170"})
        assert world.phase("a") == "calling"
        with pytest.raises(DuplicateConnection, match="connection 'b' cannot have this wa_id: 'a' holds it"):
            await world.lifecycle.register_connection("b", metadata={"wa_id": "49170"})


async def test_only_texts_and_integers_are_keys() -> None:
    async with running(OUTBOUND) as world:
        await world.lifecycle.register_connection("a")
        for value in (None, "", True, 1.5, ["49170"], {"n": 1}):
            await world.publish("call.requested", "a", {"wa_id": value})
            await world.publish("permission.granted", None, {"wa_id": value})
        assert world.phase("a") == "asking"
        await world.publish("call.requested", "a", {"wa_id": 49170})
        await world.publish("permission.granted", None, {"wa_id": 49170})
        assert world.phase("a") == "calling"


async def test_a_call_id_in_a_payload_is_data_unless_declared() -> None:
    async with running(OUTBOUND.replace("  call_id: {on: call.placed, value: data.call_id}\n", "")) as world:
        await world.lifecycle.register_connection("a", call_id="wamid")
        await world.publish("permission.granted", None, {"call_id": "wamid"})
        assert world.phase("a") == "asking"
        await world.publish("permission.granted", None, call_id="wamid")
        assert world.phase("a") == "calling"


async def test_another_tenants_event_moves_nobody_though_it_has_the_key() -> None:
    async with running(OUTBOUND) as world:
        await world.lifecycle.register_connection("a", tenant_id="mine", metadata={"wa_id": "49170"})
        await world.publish("permission.granted", None, {"wa_id": "49170"}, tenant_id="theirs")
        assert (world.phase("a"), world.lifecycle.stats().foreign) == ("asking", 1)
