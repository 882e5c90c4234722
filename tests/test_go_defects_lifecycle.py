"""The defects of the original that concern the lifecycle, each shown on a small stand-in, and gone here."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from attrs import Factory, define

from bus import Event, EventBus
from statemachines import ConnectionLifecycle, UnknownDependency
from tests.bus_helpers import Recorder
from tests.lifecycle_helpers import assert_nothing_is_kept, lifecycle_on, running

pytestmark = pytest.mark.anyio


@define
class Original:
    """What the original's lifecycle manager does with a connection, without its locks and goroutines."""

    ready: dict[str, dict[str, bool]] = Factory(dict)
    phases: dict[str, str] = Factory(dict)

    def register(self, connection_id: str, dependencies: list[str]) -> None:
        self.ready[connection_id] = dict.fromkeys(dependencies, False)
        self.phases[connection_id] = "created"

    def mark(self, connection_id: str, dependency: str) -> None:
        conditions = self.ready.get(connection_id)
        if conditions is None:
            return  # only logged
        if dependency in conditions:
            conditions[dependency] = True
        if conditions and all(conditions.values()):
            self.phases[connection_id] = "ready"

    def lose(self, connection_id: str, dependency: str) -> None:
        self.ready[connection_id][dependency] = False

    def terminate(self, connection_id: str) -> None:
        self.phases[connection_id] = "terminated"


AUDIO: dict[str, Any] = {"track_type": "audio"}


async def test_6_connections_are_not_kept_for_ever() -> None:
    original = Original()
    original.register("c", [])
    original.terminate("c")
    assert "c" in original.phases, "the original keeps it"

    async with running("whatsapp_call") as world:
        for number in range(100):
            await world.lifecycle.register_connection(f"c{number}")
            await world.publish("whatsapp.call_terminated", f"c{number}")
        await world.clock.advance(2 + 5)
        assert_nothing_is_kept(world.lifecycle, world.bus)


async def test_6_events_for_nobody_are_not_kept_for_ever() -> None:
    async with running("whatsapp_call") as world:
        for number in range(20_000):
            await world.publish("whatsapp.call_accepted", f"nobody{number}")
        assert len(world.lifecycle._connections.early) == 10_000
        await world.clock.advance(5)
        assert_nothing_is_kept(world.lifecycle, world.bus)


async def test_7_connection_without_dependencies_is_ready() -> None:
    original = Original()
    original.register("c", [])
    original.mark("c", "anything")
    assert original.phases["c"] == "created", "the original is never ready"

    async with running("whatsapp_call") as world:
        await world.lifecycle.register_connection("c", dependencies=[])
        assert world.phase() == "ready"


async def test_7_connection_that_lost_a_dependency_is_not_ready() -> None:
    original = Original()
    original.register("c", ["webrtc_audio_ready"])
    original.mark("c", "webrtc_audio_ready")
    original.lose("c", "webrtc_audio_ready")
    assert original.phases["c"] == "ready", "the original stays ready"

    async with running("whatsapp_call") as world:
        stopped = Recorder()
        world.lifecycle.hook("stop_audio", stopped)
        await world.lifecycle.register_connection("c", dependencies=["webrtc_audio_ready"])
        await world.publish("webrtc.audio_track_ready", "c", AUDIO)
        assert world.phase() == "ready"
        await world.publish("webrtc.ice_connection_changed", "c", {"ice_state": "disconnected"})
        await world.bus.drain()
        assert world.phase() == "restarting_ice"
        assert len(stopped.events) == 1


async def test_8_unknown_dependency_is_refused_with_the_right_name() -> None:
    original = Original()
    original.register("c", ["ai_connection_ready"])
    original.mark("c", "openai_connection_ready")
    assert original.phases["c"] == "created", "the original waits for a name that nothing makes ready"

    async with running("whatsapp_call") as world:
        with pytest.raises(UnknownDependency, match="did you mean 'openai_connection_ready'"):
            await world.lifecycle.register_connection("c", dependencies=["ai_connection_ready"])
        await world.lifecycle.register_connection("c")
        with pytest.raises(UnknownDependency, match="did you mean 'openai_connection_ready'"):
            await world.lifecycle.mark_dependency_ready("c", "ai_connection_ready")


async def test_8_call_that_is_not_ready_says_why() -> None:
    async with running("whatsapp_call") as world:
        await world.lifecycle.register_connection("c", dependencies=["openai_connection_ready"])
        with pytest.raises(TimeoutError, match=r"openai_connection_ready: no ai\.connection_initialized has come"):
            await world.lifecycle.wait_until("c", "ready", timeout=0.001)


async def test_8_event_before_its_registration_is_not_lost() -> None:
    original = Original()
    original.mark("c", "whatsapp_call_accepted")
    original.register("c", ["whatsapp_call_accepted"])
    assert original.phases["c"] == "created", "the original has lost it"

    async with running("whatsapp_call") as world:
        await world.publish("whatsapp.call_accepted")
        await world.lifecycle.register_connection("c", dependencies=["whatsapp_call_accepted"])
        assert world.phase() == "ready"


async def test_9_handler_of_a_lifecycle_event_may_use_the_lifecycle() -> None:
    """The original publishes while it holds its lock: a handler that asks it anything waits for ever."""
    lock = anyio.Lock()
    asked: list[str] = []

    async def publish_under_the_lock() -> None:
        async with lock, lock:  # the second is the handler's, which asks for the state
            asked.append("asked")

    with pytest.raises(RuntimeError):  # anyio notices what Go's mutex waits for
        await publish_under_the_lock()
    assert asked == []

    async with EventBus() as bus, lifecycle_on(bus, "whatsapp_call") as lifecycle:
        phases: list[str] = []

        @bus.subscribe("connection.*", inline=True)
        async def ask(event: Event) -> None:
            phases.append(lifecycle.get_connection_state("c").phase)
            lifecycle.get_all_connections()
            if event.type == "connection.ready":
                await lifecycle.terminate_connection("c", "asked enough")

        with anyio.fail_after(5):
            await lifecycle.register_connection("c", dependencies=["whatsapp_call_accepted"])
            await bus.publish("whatsapp.call_accepted", connection_id="c")
        assert phases[0] == "created"
        assert phases[-1] == "terminated"


async def test_9_slow_handler_of_one_connection_holds_up_no_other() -> None:
    async with EventBus() as bus, lifecycle_on(bus, "whatsapp_call") as lifecycle:
        hold = anyio.Event()

        async def slow(event: Event) -> None:
            if event.connection_id == "c":
                await hold.wait()

        bus.subscribe("connection.ready", slow, inline=True)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: lifecycle.register_connection("c", dependencies=[]))
            with anyio.fail_after(5):
                await lifecycle.register_connection("d", dependencies=[])
                await lifecycle.wait_until("d", "ready")
                assert (await lifecycle.wait_until("c", "ready")).phase == "ready"
            hold.set()


async def test_9_each_event_is_counted_once() -> None:
    async with running("whatsapp_call") as world:
        await world.lifecycle.register_connection("c", dependencies=["whatsapp_call_accepted"])
        for _ in range(3):
            world.bus.subscribe("connection.ready", Recorder())
        await world.publish("whatsapp.call_accepted")
        await world.bus.drain()
        counted = world.bus.stats().events_by_type
        assert {
            name: counted[name] for name in ("connection.created", "whatsapp.call_accepted", "connection.ready")
        } == {
            "connection.created": 1,
            "whatsapp.call_accepted": 1,
            "connection.ready": 1,
        }
        assert world.lifecycle.stats().processed == 1


def test_only_events_and_guards_move_a_connection() -> None:
    assert not [name for name in dir(ConnectionLifecycle) if "phase" in name and name != "phases"]
