"""Order does not matter to readiness: whatever came first on the wire, everybody who waits learns of it, once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import permutations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus import Event
from statemachines import ConnectionState
from tests.bus_helpers import Recorder, settle
from tests.lifecycle_helpers import World, running

pytestmark = pytest.mark.anyio

REQUIRED = {
    "webrtc_audio_ready": ("webrtc.audio_track_ready", {"track_type": "audio"}),
    "openai_connection_ready": ("ai.connection_initialized", {}),
    "whatsapp_call_accepted": ("whatsapp.call_accepted", {}),
}
OPTIONAL = {
    "webrtc_sdp_ready": ("webrtc.sdp_answer_generated", {"sdp": "v=0"}),
    "ai_audio_ready": ("ai.audio_track_ready", {}),
    "ai_data_channel_ready": ("ai.data_channel_ready", {}),
    "ai_greeting": ("ai.greeting_sent", {}),
    "whatsapp_audio_ready": ("whatsapp.audio_ready", {}),
}
ORDERS = list(permutations(REQUIRED.values()))
Step = Callable[[], Awaitable[object]]


class Watcher:
    """Waits for ``ready`` in every way there is, from the moment that it begins."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.heard = Recorder()
        self.waited: ConnectionState | None = None
        self.seen: list[ConnectionState] = []

    def begin(self, tasks: anyio.abc.TaskGroup) -> None:
        self.world.bus.subscribe("connection.ready", self.heard)
        tasks.start_soon(self._wait)
        tasks.start_soon(self._iterate)

    async def _wait(self) -> None:
        self.waited = await self.world.lifecycle.wait_until("c", "ready")

    async def _iterate(self) -> None:
        async with self.world.lifecycle.changes("c") as changes:
            async for state in changes:
                self.seen.append(state)
                if state.phase == "ready":
                    return


async def play(order: list[tuple[str, dict[str, str]]], registered: int, watched: int) -> None:
    """Publish in this order, register before the event of that number, and begin to watch before that step."""
    async with running("whatsapp_call") as world:
        first = Recorder()
        world.bus.subscribe("connection.ready", first)
        steps: list[Step] = [lambda event=event: world.publish(event[0], "c", event[1]) for event in order]  # type: ignore[misc]
        steps.insert(registered, lambda: world.lifecycle.register_connection("c"))
        watcher = Watcher(world)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                for number, step in enumerate(steps):
                    if number == watched:
                        watcher.begin(tasks)
                        await settle()
                    await step()
                if watched == len(steps):
                    watcher.begin(tasks)
            await world.bus.drain()
        assert world.phase() == "ready"
        assert first.types == ["connection.ready"]
        assert watcher.waited is not None
        assert watcher.waited.phase == "ready"
        assert [state.phase for state in watcher.seen][-1] == "ready"
        if watched < len(steps):
            assert watcher.heard.types == ["connection.ready"]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "-".join(name.split(".")[0] for name, _ in order))
async def test_every_order_and_every_place_of_registration_and_watcher_makes_ready_once(
    order: tuple[tuple[str, dict[str, str]], ...],
) -> None:
    for registered in range(4):
        for watched in range(5):
            await play(list(order), registered, watched)


@pytest.mark.parametrize("registered", range(4))
async def test_registration_by_another_task_makes_ready_once(registered: int) -> None:
    for order in ORDERS:
        async with running("whatsapp_call") as world:
            heard = Recorder()
            world.bus.subscribe("connection.ready", heard)
            with anyio.fail_after(5):
                async with anyio.create_task_group() as tasks:
                    for number in range(4):
                        if number == registered:
                            tasks.start_soon(world.lifecycle.register_connection, "c")
                        if number < 3:
                            await world.publish(order[number][0], "c", order[number][1])
                            if number % 2:
                                await settle()
                    state = await world.lifecycle.wait_until("c", "ready", timeout=5)
                await world.bus.drain()
            assert state.phase == world.phase() == "ready"
            assert heard.types == ["connection.ready"]


async def test_events_published_by_three_tasks_at_once_make_ready_once() -> None:
    async with running("whatsapp_call") as world:
        heard = Recorder()
        world.bus.subscribe("connection.ready", heard)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(world.lifecycle.wait_until, "c", "ready")
                for event_type, data in REQUIRED.values():
                    tasks.start_soon(world.publish, event_type, "c", data)
                tasks.start_soon(world.lifecycle.register_connection, "c")
            await world.bus.drain()
        assert heard.types == ["connection.ready"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=40, deadline=None)
@given(
    optional=st.lists(st.sampled_from(sorted(OPTIONAL)), unique=True),
    data=st.data(),
)
def test_extra_dependencies_in_any_order_make_ready_once(
    backend: str, optional: list[str], data: st.DataObject
) -> None:
    names = [*REQUIRED, *optional]
    events = [{**REQUIRED, **OPTIONAL}[name] for name in names]
    order = data.draw(st.permutations(events))
    registered = data.draw(st.integers(0, len(events)))

    async def run() -> None:
        async with running("whatsapp_call") as world:
            heard = Recorder()
            world.bus.subscribe("connection.ready", heard)
            phases: list[str] = []
            for number, event in enumerate([*order, None]):
                if number == registered:
                    await world.lifecycle.register_connection("c", dependencies=names)
                if event is not None:
                    await world.publish(event[0], "c", event[1])
                if number >= registered:
                    phases.append(world.phase())
            await world.bus.drain()
            assert phases[-1] == "ready"
            # Not a moment too soon: all but the last step leave it unready.
            assert "ready" not in phases[: len(events) - registered - 1]
            assert heard.types == ["connection.ready"]

    anyio.run(run, backend=backend)


async def test_repeated_events_publish_ready_once() -> None:
    async with running("whatsapp_call") as world:
        heard = Recorder()
        world.bus.subscribe("connection.ready", heard)
        await world.lifecycle.register_connection("c")
        for _ in range(3):
            for event_type, data in REQUIRED.values():
                await world.publish(event_type, "c", data)
        await world.bus.drain()
        assert heard.types == ["connection.ready"]


async def test_ready_again_after_a_loss_is_published_again() -> None:
    async with running("whatsapp_call") as world:
        heard: list[Event] = []
        world.bus.subscribe("connection.ready", heard.append)
        await world.lifecycle.register_connection("c")
        for event_type, data in REQUIRED.values():
            await world.publish(event_type, "c", data)
        await world.publish("webrtc.ice_connection_changed", "c", {"ice_state": "disconnected"})
        assert world.phase() == "restarting_ice"
        await world.publish("webrtc.ice_connection_changed", "c", {"ice_state": "connected"})
        await world.bus.drain()
        assert world.phase() == "ready"
        assert len({event.id for event in heard}) == len(heard) == 2


async def test_connection_without_required_dependencies_is_ready_at_once() -> None:
    async with running("whatsapp_call") as world:
        state = await world.lifecycle.register_connection("c", dependencies=[])
        assert state.phase == "ready"


async def test_events_of_one_connection_make_no_other_ready() -> None:
    async with running("whatsapp_call") as world:
        await world.lifecycle.register_connection("c")
        await world.lifecycle.register_connection("d")
        for event_type, data in REQUIRED.values():
            await world.publish(event_type, "c", data)
        assert (world.phase("c"), world.phase("d")) == ("ready", "created")
