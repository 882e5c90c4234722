"""One tenant's event never moves another's connection."""

from __future__ import annotations

import pytest

from tests.bus_helpers import Recorder
from tests.lifecycle_helpers import running

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("own", "of_event", "accepted"),
    [("t", "t", True), ("t", None, True), (None, None, True), ("t", "u", False), (None, "u", False), ("t", "", False)],
)
async def test_event_moves_a_connection_only_of_its_own_tenant(
    own: str | None, of_event: str | None, accepted: bool
) -> None:
    async with running() as world:
        await world.lifecycle.register_connection("c", tenant_id=own)
        await world.publish("a.came", tenant_id=of_event)
        assert world.lifecycle.get_connection_state("c").ready_conditions["a"] is accepted
        assert world.lifecycle.stats().foreign == (0 if accepted else 1)


async def test_foreign_event_cannot_end_a_connection_nor_take_its_call_id() -> None:
    async with running("whatsapp_call") as world:
        await world.lifecycle.register_connection("c", tenant_id="t")
        await world.publish("whatsapp.call_terminated", tenant_id="u", call_id="k")
        assert world.phase() == "created"
        assert world.lifecycle.get_connection_state("c").call_id is None


async def test_foreign_event_found_by_call_id_is_refused_too() -> None:
    async with running("whatsapp_call") as world:
        await world.lifecycle.register_connection("c", tenant_id="t", call_id="k")
        await world.publish("whatsapp.call_terminated", None, tenant_id="u", call_id="k")
        assert world.phase() == "created"
        assert world.lifecycle.stats().foreign == 1


async def test_foreign_event_is_heard_by_subscribers_and_raises_nothing() -> None:
    async with running() as world:
        heard = Recorder()
        world.bus.subscribe("*", heard)
        await world.lifecycle.register_connection("c", tenant_id="t")
        await world.publish("a.came", tenant_id="u")
        await world.bus.drain()
        assert heard.types == ["connection.created", "a.came"]
        assert "'u'" in str(world.lifecycle.why("c"))


async def test_what_a_connection_publishes_is_of_its_tenant() -> None:
    async with running() as world:
        heard = Recorder()
        world.bus.subscribe("*", heard)
        await world.lifecycle.register_connection("c", tenant_id="t", call_id="k")
        await world.publish("a.came")
        await world.publish("b.came")
        await world.bus.drain()
        own = [event for event in heard.events if event.type in ("door.opened", "connection.phase_changed")]
        assert [(event.tenant_id, event.call_id) for event in own] == [("t", "k")] * 2


async def test_one_tenant_among_many_sees_the_same_as_alone() -> None:
    async with running() as world:
        for tenant in ("t", "u"):
            await world.lifecycle.register_connection(tenant, tenant_id=tenant)
        for tenant in ("t", "u"):
            for whose in ("t", "u"):
                await world.publish("a.came" if tenant == "t" else "b.came", whose, tenant_id=tenant)
        ready = {name: state.ready_conditions for name, state in world.lifecycle.get_all_connections().items()}
        assert ready == {"t": {"a": True, "b": False}, "u": {"a": False, "b": True}}
