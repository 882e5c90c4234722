"""Waiting for a phase, and iterating over changes."""

from __future__ import annotations

import gc

import anyio
import anyio.lowlevel
import pytest

from bus import EventBus, QueueFull
from bus.testing import FakeClock
from statemachines import ConnectionEnded, ConnectionState, LifecycleClosed, UnknownPhase
from statemachines.lifecycle import watching
from tests.bus_helpers import settle
from tests.lifecycle_helpers import World, lifecycle_on, running

pytestmark = pytest.mark.anyio


async def opened(world: World, connection_id: str = "c") -> None:
    await world.lifecycle.register_connection(connection_id)
    await world.publish("a.came", connection_id)
    await world.publish("b.came", connection_id)


# -- wait_until --


async def test_wait_returns_at_once_when_the_phase_is_reached_already() -> None:
    async with running() as world:
        await opened(world)
        with anyio.fail_after(5):
            state = await world.lifecycle.wait_until("c", "open")
        assert state == world.lifecycle.get_connection_state("c")


async def test_wait_begins_before_the_registration() -> None:
    async with running() as world, anyio.create_task_group() as tasks:
        states: list[ConnectionState] = []

        async def wait() -> None:
            states.append(await world.lifecycle.wait_until("c", "open"))

        tasks.start_soon(wait)
        await settle()
        await opened(world)
        await settle()
        assert [state.phase for state in states] == ["open"]


async def test_wait_is_satisfied_by_a_phase_left_again_before_the_waiter_runs() -> None:
    async with running() as world, anyio.create_task_group() as tasks:
        states: list[ConnectionState] = []

        async def wait() -> None:
            states.append(await world.lifecycle.wait_until("c", "open"))

        tasks.start_soon(wait)
        await settle()
        await opened(world)
        await world.publish("b.went")
        await world.publish("b.came")
        await world.publish("door.left")
        await settle()
        assert [(state.phase, state.configuration) for state in states] == [("open", ("open",))]


async def test_wait_for_a_state_around_others_is_satisfied_inside_it() -> None:
    async with running("whatsapp_call") as world:
        await world.lifecycle.register_connection("c")
        state = await world.lifecycle.wait_until("c", "live", timeout=5)
        assert (state.phase, state.configuration) == ("created", ("live", "created"))


async def test_wait_for_the_final_phase_is_satisfied_by_the_end() -> None:
    async with running() as world:
        await opened(world)
        await world.publish("door.left")
        assert (await world.lifecycle.wait_until("c", "gone")).ended


async def test_wait_raises_at_once_when_the_connection_has_ended() -> None:
    async with running() as world:
        await world.lifecycle.register_connection("c")
        await world.lifecycle.terminate_connection("c", "enough")
        with pytest.raises(ConnectionEnded, match="open not reached: c ended in gone"), anyio.fail_after(5):
            await world.lifecycle.wait_until("c", "open")


async def test_wait_raises_at_once_when_the_connection_ends() -> None:
    async with running() as world, anyio.create_task_group() as tasks:
        errors: list[str] = []

        async def wait() -> None:
            try:
                await world.lifecycle.wait_until("c", "open", timeout=30)
            except ConnectionEnded as error:
                errors.append(str(error))

        tasks.start_soon(wait)
        await settle()
        await world.lifecycle.register_connection("c")
        await world.lifecycle.terminate_connection("c")
        await settle()
        assert len(errors) == 1
        assert "lacked a and b" in errors[0]


async def test_wait_for_an_unknown_phase_is_refused_with_the_nearest() -> None:
    async with running() as world:
        with pytest.raises(UnknownPhase, match=r"door has no state 'opne' \(did you mean 'open'\?\)"):
            await world.lifecycle.wait_until("c", "opne")


@pytest.mark.parametrize("timeout", [0, 0.001])
async def test_wait_that_takes_too_long_raises_a_time_out_that_says_why(timeout: float) -> None:
    async with running() as world:
        await world.lifecycle.register_connection("c")
        with pytest.raises(TimeoutError) as raised:
            await world.lifecycle.wait_until("c", "open", timeout)
        why = world.lifecycle.why("c")
        assert str(raised.value) == f"open not reached within {timeout:g} s: {why}"
        assert world.lifecycle._engine.watchers.waiters == {}


async def test_wait_that_is_cancelled_leaves_nothing() -> None:
    async with running() as world:
        with anyio.move_on_after(0.001):
            await world.lifecycle.wait_until("c", "open")
        assert world.lifecycle._engine.watchers.waiters == {}


async def test_closing_releases_who_waits() -> None:
    errors: list[str] = []
    async with anyio.create_task_group() as tasks, running() as world:

        async def wait() -> None:
            try:
                await world.lifecycle.wait_until("c", "open", timeout=30)
            except LifecycleClosed as error:
                errors.append(str(error))

        tasks.start_soon(wait)
        await settle()
    assert errors == ["the lifecycle was closed while waiting for open"]


async def test_no_wait_is_missed_in_ten_thousand_races() -> None:
    async with running() as world:
        reached = 0

        async def wait(connection_id: str) -> None:
            nonlocal reached
            await world.lifecycle.wait_until(connection_id, "open")
            reached += 1

        for turn in range(100):
            with anyio.fail_after(10):
                async with anyio.create_task_group() as tasks:
                    for number in range(100):
                        connection_id = f"{turn}-{number}"
                        place = number % 4
                        for step in range(4):
                            if step == place:
                                tasks.start_soon(wait, connection_id)
                            if step == 0:
                                await world.lifecycle.register_connection(connection_id)
                            elif step < 3:
                                await world.publish("a.came" if step == 1 else "b.came", connection_id)
                        if number % 10 == 0:
                            await anyio.lowlevel.checkpoint()
        assert reached == 10_000


# -- changes --


async def test_changes_begin_with_the_present_and_miss_nothing_and_repeat_nothing() -> None:
    async with running() as world:
        await world.lifecycle.register_connection("c")
        seen: list[tuple[str, str, str]] = []
        async with world.lifecycle.changes("c") as changes:
            for event in ("a.came", "a.came", "b.came", "x.y", "b.broke", "b.came", "door.left", "a.came"):
                await world.publish(event)
            async for state in changes:
                seen.append((state.phase, state.dependencies["a"], state.dependencies["b"]))
        assert seen == [
            ("closed", "pending", "pending"),
            ("closed", "ready", "pending"),
            ("open", "ready", "ready"),
            ("closed", "ready", "failed"),
            ("open", "ready", "ready"),
            ("gone", "ready", "ready"),
        ]


async def test_changes_of_all_go_on_when_one_connection_ends() -> None:
    async with running() as world:
        await world.lifecycle.register_connection("c")
        changes = world.lifecycle.changes()
        await world.lifecycle.terminate_connection("c")
        await world.lifecycle.register_connection("d")
        seen = [(await anext(changes)).id for _ in range(3)]
        assert seen == ["c", "c", "d"]
        await changes.aclose()


async def test_changes_of_one_not_yet_registered_wait_for_it() -> None:
    async with running() as world, anyio.create_task_group() as tasks:
        seen: list[str] = []

        async def watch() -> None:
            async for state in world.lifecycle.changes("c"):
                seen.append(state.phase)

        tasks.start_soon(watch)
        await settle()
        await opened(world, "d")
        await opened(world, "c")
        await world.publish("door.left")
        await settle()
        assert seen == ["closed", "closed", "open", "gone"]


async def test_changes_of_an_ended_connection_are_its_last_state() -> None:
    async with running() as world:
        await world.lifecycle.register_connection("c")
        await world.lifecycle.terminate_connection("c")
        with anyio.fail_after(5):
            assert [state.phase async for state in world.lifecycle.changes("c")] == ["gone"]


async def test_changes_end_when_the_lifecycle_is_closed() -> None:
    async with running() as world:
        await world.lifecycle.register_connection("c")
        changes = world.lifecycle.changes()
        await world.lifecycle.aclose()
        with anyio.fail_after(5):
            assert [state.phase async for state in changes] == ["closed"]
        with pytest.raises(LifecycleClosed):
            world.lifecycle.changes()


async def test_letting_go_of_changes_frees_them() -> None:
    async with running() as world:
        await world.lifecycle.register_connection("c")
        async for _ in world.lifecycle.changes():
            break
        changes = world.lifecycle.changes("c")
        del changes
        gc.collect()
        assert world.lifecycle._engine.watchers.changes == {}


async def test_reader_that_falls_too_far_behind_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MAX_CHANGES", 10)
    async with running() as world:
        await world.lifecycle.register_connection("c")
        changes = world.lifecycle.changes("c")
        for _ in range(10):
            await world.publish("b.came")
            await world.publish("b.went")
        for _ in range(10):
            await anext(changes)
        with pytest.raises(QueueFull, match="fell more than 10 changes behind"):
            await anext(changes)


async def test_watchers_see_the_state_before_anyone_hears_of_it() -> None:
    async with running() as world:
        await world.lifecycle.register_connection("c")
        changes = world.lifecycle.changes("c")
        seen: list[str] = []

        @world.bus.subscribe("door.opened", inline=True)
        async def look(event: object) -> None:
            seen.extend([(await anext(changes)).phase for _ in range(3)])

        await world.publish("a.came")
        await world.publish("b.came")
        assert seen == ["closed", "closed", "open"]


async def test_how_long_a_wait_may_take_goes_by_the_clock_of_the_bus() -> None:
    clock = FakeClock()
    async with EventBus(clock=clock) as bus, lifecycle_on(bus, clock=clock) as lifecycle:
        await lifecycle.register_connection("c")

        async def wait() -> None:
            with pytest.raises(TimeoutError, match=r"open not reached within 3600 s: c has waited 3600.0 s in closed"):
                await lifecycle.wait_until("c", "open", timeout=3600)

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await clock.advance(3600)
