"""What phasebus replaces: from "ready" to "audio starts", by polling and by ``wait_until``.

1,000 calls a way, side by side on the real clock, so that a poller's late wake-ups count as they would in a gateway.
Each becomes ready at a time of its own, spread evenly over the first three seconds, by the same three events. The
pollers look at the same lifecycle that ``wait_until`` waits on.

* ``fifty times 100 ms``: the original's set-up
* ``a fixed 2 s``: its other one. It starts audio too early for each call that takes longer: how many these are is a
  matter of the assumed three seconds, a third of which are left after two
* ``100 ms, up to 30 s``: the greeting's wait

The median of a poller is half its period, whatever the machine; the median of ``wait_until`` is what it costs to make
the step and to wake the task, with a thousand others about.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from statistics import median
from time import perf_counter
from typing import Any

import anyio

from benchmarks.measuring import Ratio, Report, Scale
from bus import EventBus
from statemachines import ConnectionLifecycle, load_definition

EVENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("webrtc.audio_track_ready", {"track_type": "audio"}),
    ("ai.connection_initialized", {}),
    ("whatsapp.call_accepted", {"call_id": "call"}),
)
Wait = Callable[[ConnectionLifecycle, str], Awaitable[None]]


async def fifty_times(lifecycle: ConnectionLifecycle, connection_id: str) -> None:
    """As the original waits for its set-up."""
    for _ in range(50):
        if lifecycle.get_connection_state(connection_id).phase == "ready":
            return
        await anyio.sleep(0.1)


async def fixed(_: ConnectionLifecycle, __: str) -> None:
    """As the original hopes for the best."""
    await anyio.sleep(2)


async def greeting(lifecycle: ConnectionLifecycle, connection_id: str) -> None:
    """As the greeting waits for the model."""
    with anyio.move_on_after(30):
        while lifecycle.get_connection_state(connection_id).phase != "ready":
            await anyio.sleep(0.1)


async def until(lifecycle: ConnectionLifecycle, connection_id: str) -> None:
    """As it is done here."""
    await lifecycle.wait_until(connection_id, "ready", timeout=30)


WAYS: dict[str, Wait] = {
    "wait_until": until,
    "fifty times 100 ms": fifty_times,
    "100 ms, up to 30 s": greeting,
    "a fixed 2 s": fixed,
}


def reports(scale: Scale) -> list[Report]:
    """One report: the waits' medians, how many times longer than ours, and each one's worst."""
    calls = scale(1_000, 50)
    waits = {name: anyio.run(measure_way, way, calls, 3.0 if calls == 1_000 else 0.3) for name, way in WAYS.items()}
    ours = waits["wait_until"]
    typical = median(late(ours))
    ratios = []
    remarks = [_remark("wait_until", ours)]
    for name in list(WAYS)[1:]:
        seconds = late(waits[name]) or [0.0]
        ratios.append(
            Ratio(name, median(seconds) / typical, min(seconds) / typical, max(seconds) / typical, median(seconds))
        )
        remarks.append(_remark(name, waits[name]))
    return [
        Report(
            "polling",
            "from the event that makes a call ready to the start of its audio, if that does not come too early",
            "seconds",
            "wait_until",
            typical,
            tuple(ratios),
            tuple(remarks),
        )
    ]


def late(waits: list[float]) -> list[float]:
    """The waits of the calls whose audio did not start before they were ready."""
    return [wait for wait in waits if wait >= 0]


def _remark(name: str, waits: list[float]) -> str:
    in_time = late(waits) or [0.0]
    early = len(waits) - len(late(waits))
    return (
        f"{name}: median {median(in_time) * 1000:.2f} ms, worst {max(in_time) * 1000:.1f} ms, "
        f"too early in {early / len(waits):.0%} of {len(waits)} calls"
    )


async def measure_way(wait: Wait, calls: int, spread_s: float) -> list[float]:
    """Run the calls; returns for each the seconds from ready to audio, negative if audio came first."""
    chance = random.Random(7)
    waits: list[float] = []

    async def call(number: int, ready_after: float) -> None:
        connection_id = f"conn_{number}"
        ready_at = audio_at = 0.0
        await lifecycle.register_connection(connection_id)

        async def services() -> None:
            nonlocal ready_at
            for event_type, data in EVENTS[:-1]:
                await bus.publish(event_type, data, connection_id=connection_id)
            await anyio.sleep(ready_after)
            ready_at = perf_counter()
            await bus.publish(*EVENTS[-1], connection_id=connection_id)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(services)
            await wait(lifecycle, connection_id)
            audio_at = perf_counter()
        waits.append(audio_at - ready_at)

    async with EventBus() as bus, ConnectionLifecycle(bus, load_definition("whatsapp_call")) as lifecycle:
        lifecycle.hook("start_audio", lambda event: None)
        async with anyio.create_task_group() as tasks:
            for number in range(calls):
                tasks.start_soon(call, number, chance.uniform(0.0, spread_s))
    return waits
