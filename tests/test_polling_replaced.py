"""What phasebus replaces: sleeping and polling find out late or too early, ``wait_until`` in the very same turn.

Virtual time throughout: trio's clock, which jumps to what is due next. Real time is measured by ``make bench``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import pytest
import trio
import trio.testing

from bus import EventBus
from statemachines import ConnectionLifecycle, load_definition

EVENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("webrtc.audio_track_ready", {"track_type": "audio"}),
    ("ai.connection_initialized", {}),
    ("whatsapp.call_accepted", {"call_id": "wa"}),
)
Wait = Callable[[ConnectionLifecycle], Awaitable[None]]


async def fifty_times_100_ms(lifecycle: ConnectionLifecycle) -> None:
    for _ in range(50):
        if lifecycle.get_connection_state("c1").phase == "ready":
            return
        await anyio.sleep(0.1)


async def fixed_2_s(_: ConnectionLifecycle) -> None:
    await anyio.sleep(2)


async def greeting_100_ms(lifecycle: ConnectionLifecycle) -> None:
    with anyio.move_on_after(30):
        while lifecycle.get_connection_state("c1").phase != "ready":
            await anyio.sleep(0.1)


async def wait_until(lifecycle: ConnectionLifecycle) -> None:
    await lifecycle.wait_until("c1", "ready", timeout=30)


async def late_by(wait: Wait, ready_after: float) -> float:
    """Seconds from the event that makes the call ready to the start of its audio; negative: audio came first."""
    async with EventBus() as bus, ConnectionLifecycle(bus, load_definition("whatsapp_call")) as lifecycle:
        await lifecycle.register_connection("c1")
        ready_at = audio_at = 0.0

        async def services() -> None:
            nonlocal ready_at
            for event_type, data in EVENTS[:-1]:
                await bus.publish(event_type, data, connection_id="c1")
            await anyio.sleep(ready_after)
            ready_at = anyio.current_time()
            await bus.publish(*EVENTS[-1], connection_id="c1")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(services)
            await wait(lifecycle)
            audio_at = anyio.current_time()
        return audio_at - ready_at


def measured(wait: Wait, ready_after: float) -> float:
    clock = trio.testing.MockClock(autojump_threshold=0)
    return trio.run(partial(late_by, wait, ready_after), clock=clock)


TIMES = [0.01, 0.05, 0.099, 0.15, 1.234, 1.999]


@pytest.mark.parametrize("ready_after", TIMES)
@pytest.mark.parametrize("wait", [fifty_times_100_ms, greeting_100_ms])
def test_polling_finds_out_at_its_next_tick_only(wait: Wait, ready_after: float) -> None:
    to_the_next_tick = 0.1 - ready_after % 0.1
    assert measured(wait, ready_after) == pytest.approx(to_the_next_tick, abs=1e-6)


@pytest.mark.parametrize("ready_after", TIMES)
def test_a_fixed_sleep_is_late_by_all_that_is_left(ready_after: float) -> None:
    assert measured(fixed_2_s, ready_after) == pytest.approx(2 - ready_after, abs=1e-6)


def test_a_fixed_sleep_starts_audio_before_a_slow_call_is_ready() -> None:
    assert measured(fixed_2_s, 2.5) < 0


@pytest.mark.parametrize("ready_after", [*TIMES, 2.5, 12.0])
def test_wait_until_takes_no_time_at_all(ready_after: float) -> None:
    assert measured(wait_until, ready_after) == 0.0


@pytest.mark.anyio
async def test_wait_until_is_released_by_the_event_itself() -> None:
    """On both backends: after the publishing, one turn of the loop is enough, and no clock is read."""
    async with EventBus() as bus, ConnectionLifecycle(bus, load_definition("whatsapp_call")) as lifecycle:
        await lifecycle.register_connection("c1")
        audio: list[str] = []

        async def start_when_ready() -> None:
            audio.append((await lifecycle.wait_until("c1", "ready")).phase)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(start_when_ready)
            await anyio.wait_all_tasks_blocked()
            for event_type, data in EVENTS:
                assert audio == []
                await bus.publish(event_type, data, connection_id="c1")
            await anyio.wait_all_tasks_blocked()
            assert audio == ["ready"]
