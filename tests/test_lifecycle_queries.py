"""Questions to a lifecycle; none of them waits."""

from __future__ import annotations

import pytest

from bus import PhasebusError
from statemachines import UnknownConnection
from tests.lifecycle_helpers import running

pytestmark = pytest.mark.anyio


async def test_state_of_an_unknown_connection_is_an_error_with_the_nearest() -> None:
    async with running() as world:
        await world.lifecycle.register_connection("conn_123")
        with pytest.raises(
            UnknownConnection, match=r"'conn_132' is registered with door \(did you mean 'conn_123'\?\)"
        ):
            world.lifecycle.get_connection_state("conn_132")
        with pytest.raises(UnknownConnection, match=r"'other' is registered with door$"):
            world.lifecycle.get_connection_state("other")
        assert issubclass(UnknownConnection, PhasebusError)


@pytest.mark.parametrize("act", ["mark_dependency_ready", "terminate_connection"])
async def test_acting_on_an_unknown_connection_is_an_error(act: str) -> None:
    async with running() as world:
        with pytest.raises(UnknownConnection):
            await getattr(world.lifecycle, act)("nobody", "a")


async def test_all_connections_come_by_id_in_the_order_of_registration() -> None:
    async with running() as world:
        for connection_id in ("b", "a", "c"):
            await world.lifecycle.register_connection(connection_id)
        found = world.lifecycle.get_all_connections()
        assert list(found) == ["b", "a", "c"]
        assert all(state == world.lifecycle.get_connection_state(name) for name, state in found.items())


async def test_state_is_a_value_that_later_events_do_not_change() -> None:
    async with running() as world:
        before = await world.lifecycle.register_connection("c")
        await world.publish("a.came")
        assert before.dependencies == {"a": "pending", "b": "pending"}
        assert before != world.lifecycle.get_connection_state("c")


async def test_state_tells_pending_ready_and_failed() -> None:
    async with running() as world:
        await world.lifecycle.register_connection("c", dependencies=["b"])
        await world.clock.advance(2)
        await world.publish("a.came")
        await world.clock.advance(2)
        await world.publish("b.broke")
        state = world.lifecycle.get_connection_state("c")
        assert state.dependencies == {"a": "ready", "b": "failed"}
        assert state.ready_conditions == {"b": False}
        assert (state.created_at, state.updated_at) == (0, 4)


async def test_what_is_awaited_are_the_required_dependencies_that_are_not_ready_until_the_end() -> None:
    async with running() as world:
        await world.lifecycle.register_connection("c", dependencies=["a", "b"])
        assert world.lifecycle.get_connection_state("c").awaited == ["a", "b"]
        await world.publish("a.came")
        assert world.lifecycle.get_connection_state("c").awaited == ["b"]
        await world.lifecycle.terminate_connection("c")
        assert world.lifecycle.get_connection_state("c").awaited == []


async def test_phases_are_counted() -> None:
    async with running() as world:
        assert world.lifecycle.phases() == {}
        for connection_id in ("c", "d", "e"):
            await world.lifecycle.register_connection(connection_id)
        await world.publish("a.came", "d")
        await world.publish("b.came", "d")
        await world.lifecycle.terminate_connection("e")
        assert world.lifecycle.phases() == {"closed": 1, "open": 1, "gone": 1}


async def test_statistics_count_each_fate_of_an_event() -> None:
    async with running() as world:
        await world.lifecycle.register_connection("c", tenant_id="t")
        await world.publish("a.came")  # a fact
        await world.publish("a.came")  # nothing new: ignored
        await world.publish("door.knocked")  # no one asked: ignored
        await world.publish("b.came", tenant_id="u")  # foreign
        await world.publish("b.came")  # a transition
        await world.publish("door.left")
        await world.publish("a.came")  # finished
        await world.publish("a.came", "d")  # early
        await world.publish("some.thing", "d")  # unknown
        await world.clock.advance(5)
        stats = world.lifecycle.stats()
        assert (stats.processed, stats.ignored, stats.foreign, stats.finished) == (5, 2, 1, 1)
        assert (stats.early, stats.expired, stats.unknown, stats.connections) == (1, 1, 1, 0)


async def test_guard_that_cannot_be_evaluated_is_false_and_counted() -> None:
    odd = """
name: odd
remember: {n: {on: it.counted, value: data.n}}
states:
  here: {initial: true, transitions: [{event: it.asked, cond: meta.n < 3, target: gone}]}
  gone: {final: true}
"""
    async with running(odd) as world:
        await world.lifecycle.register_connection("c")
        await world.publish("it.asked")
        assert (world.phase(), world.lifecycle.stats().unevaluated) == ("here", 1)
        assert world.lifecycle.stats().hits + world.lifecycle.stats().misses >= 1
