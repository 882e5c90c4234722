"""Closing a lifecycle: nothing runs on, nobody waits on, nothing is kept."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from bus import Event, EventBus
from statemachines import LifecycleClosed
from tests.bus_helpers import Recorder, assert_at_rest, settle
from tests.lifecycle_helpers import assert_nothing_is_kept, lifecycle_on, running

pytestmark = pytest.mark.anyio


async def test_closed_lifecycle_hears_nothing_and_can_be_asked() -> None:
    async with EventBus() as bus:
        async with lifecycle_on(bus) as lifecycle:
            await lifecycle.register_connection("c")
        await bus.publish("a.came", connection_id="c")
        assert lifecycle.get_connection_state("c").dependencies["a"] == "pending"
        assert "for a and b" in str(lifecycle.why("c"))
        assert lifecycle.stats().connections == 1
        assert not bus._fan_out.reactors


async def test_closing_is_idempotent_and_refuses_what_follows() -> None:
    async with EventBus() as bus:
        lifecycle = lifecycle_on(bus)
        await lifecycle.aclose()
        with pytest.raises(LifecycleClosed):
            await lifecycle.__aenter__()
        async with lifecycle_on(bus) as lifecycle:
            await lifecycle.register_connection("c")
            await lifecycle.aclose()
            await lifecycle.aclose()
            for act in (
                lambda: lifecycle.register_connection("d"),
                lambda: lifecycle.mark_dependency_ready("c", "a"),
                lambda: lifecycle.terminate_connection("c"),
                lambda: lifecycle.wait_until("c", "open"),
            ):
                with pytest.raises(LifecycleClosed, match="door is closed"):
                    await act()


async def test_no_timer_fires_after_closing() -> None:
    async with running("whatsapp_call") as world:
        await world.lifecycle.register_connection("c")
        await world.publish("whatsapp.call_accepted")
        await world.lifecycle.aclose()
        await world.clock.advance(100)
        assert world.phase() == "initializing"


async def test_closing_lets_effects_that_have_begun_end() -> None:
    async with EventBus() as bus, anyio.create_task_group() as tasks:
        heard = Recorder()
        bus.subscribe("door.*", heard)
        bus.subscribe("connection.phase_changed", heard)

        async def slow(event: Event) -> None:
            await settle()

        async with lifecycle_on(bus) as lifecycle:
            bus.subscribe("door.opened", slow, inline=True)
            await lifecycle.register_connection("c")
            await bus.publish("a.came", connection_id="c")
            tasks.start_soon(lambda: bus.publish("b.came", connection_id="c"))
            with anyio.fail_after(5):
                while not heard.events:
                    await anyio.lowlevel.checkpoint()
        await bus.drain()
        assert heard.types == ["door.opened", "connection.phase_changed"]
        assert_at_rest(bus)


async def test_closing_does_not_spin_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async with EventBus() as bus, anyio.create_task_group() as tasks:
        hold = anyio.Event()
        heard = Recorder()

        async def slow(event: Event) -> None:
            await hold.wait()

        bus.subscribe("door.opened", heard)
        bus.subscribe("door.opened", slow, inline=True)
        lifecycle = await lifecycle_on(bus).__aenter__()
        await lifecycle.register_connection("c")
        await bus.publish("a.came", connection_id="c")
        tasks.start_soon(lambda: bus.publish("b.came", connection_id="c"))
        await settle()
        tasks.start_soon(lifecycle.aclose)
        with anyio.fail_after(2):
            await anyio.wait_all_tasks_blocked()  # never returns while a task spins
        hold.set()
        await settle()
        await lifecycle.__aexit__(None, None, None)


async def test_effects_that_do_not_end_are_given_up_and_drain_returns() -> None:
    async with EventBus(close_timeout=0.01) as bus, anyio.create_task_group() as tasks:

        async def hang(event: Event) -> None:
            await anyio.sleep_forever()

        async with lifecycle_on(bus) as lifecycle:
            subscription = bus.subscribe("door.opened", hang, inline=True)
            await lifecycle.register_connection("c")
            await bus.publish("a.came", connection_id="c")
            tasks.start_soon(lambda: bus.publish("b.came", connection_id="c"))
            await settle()
        tasks.cancel_scope.cancel()
        subscription.cancel()
    with anyio.fail_after(5):
        await bus.drain()
    assert_at_rest(bus)


async def test_publisher_cancelled_after_closing_harms_nothing() -> None:
    async with EventBus(close_timeout=0.01) as bus:
        hold = anyio.Event()

        async def wait(event: Event) -> None:
            await hold.wait()

        async with anyio.create_task_group() as tasks:
            async with lifecycle_on(bus) as lifecycle:
                bus.subscribe("b.came", wait, inline=True)
                await lifecycle.register_connection("c")
                await bus.publish("a.came", connection_id="c")
                tasks.start_soon(lambda: bus.publish("b.came", connection_id="c"))
                await settle()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(5):
            await bus.drain()
        assert lifecycle._engine._outboxes == {}


async def test_error_of_the_users_block_comes_out_as_it_is() -> None:
    async with EventBus() as bus:

        async def use() -> None:
            async with lifecycle_on(bus) as lifecycle:
                await lifecycle.register_connection("c")
                raise ValueError("mine")

        with pytest.raises(ValueError, match="mine"):
            await use()
        await bus.drain()


async def test_cancelled_block_ends_and_leaves_nothing() -> None:
    async with EventBus() as bus:
        with anyio.CancelScope() as scope:
            async with lifecycle_on(bus) as lifecycle:
                await lifecycle.register_connection("c")
                scope.cancel()
                await anyio.sleep_forever()
        with pytest.raises(LifecycleClosed):
            await lifecycle.register_connection("d")
        assert not bus._fan_out.reactors
        assert_at_rest(bus)


async def test_bus_may_be_closed_first() -> None:
    async with EventBus() as bus:
        async with lifecycle_on(bus) as lifecycle:
            await lifecycle.register_connection("c")
            await bus.aclose()
            await lifecycle.mark_dependency_ready("c", "a")
            await lifecycle.mark_dependency_ready("c", "b")
            assert lifecycle.get_connection_state("c").phase == "open"
        assert_at_rest(bus)


async def test_handler_may_close_the_lifecycle() -> None:
    async with EventBus() as bus:
        lifecycle = lifecycle_on(bus)

        async def close(event: Event) -> None:
            await lifecycle.aclose()

        bus.subscribe("door.opened", close, inline=True)
        with anyio.fail_after(5):
            async with lifecycle:
                await lifecycle.register_connection("c")
                await bus.publish("a.came", connection_id="c")
                await bus.publish("b.came", connection_id="c")
        assert_at_rest(bus)


async def test_ten_thousand_short_lived_connections_leave_nothing() -> None:
    async with running("whatsapp_call") as world:
        heard = Recorder()
        world.bus.subscribe("connection.terminated", heard)
        for number in range(10_000):
            connection_id = f"c{number}"
            if number % 3 == 0:
                await world.publish("whatsapp.call_accepted", connection_id)
            await world.lifecycle.register_connection(connection_id, call_id=f"k{number}")
            await world.publish("webrtc.audio_track_ready", None, {"track_type": "audio"}, call_id=f"k{number}")
            await world.publish("ai.connection_failed", connection_id)
            if number % 100 == 0:
                await world.clock.advance(0.1)
        await world.clock.advance(10)
        assert len(heard.events) == 10_000
        assert_nothing_is_kept(world.lifecycle, world.bus)
        assert len(world.lifecycle._connections._timers._heap) == 0
        assert_at_rest(world.bus)


async def test_waiters_and_iterators_of_ended_connections_leave_nothing() -> None:
    async with running() as world:
        async with anyio.create_task_group() as tasks:

            async def watch(connection_id: str) -> None:
                async for _ in world.lifecycle.changes(connection_id):
                    pass

            for number in range(200):
                tasks.start_soon(watch, f"c{number}")
                tasks.start_soon(lambda n=number: world.lifecycle.wait_until(f"c{n}", "gone"))  # type: ignore[misc]
            await settle()
            for number in range(200):
                await world.lifecycle.register_connection(f"c{number}")
                await world.lifecycle.terminate_connection(f"c{number}")
        await world.clock.advance(5)
        assert_nothing_is_kept(world.lifecycle, world.bus)
