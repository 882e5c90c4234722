"""One event to one inline handler: beside blinker's ``send_async``, the nearest that its users have.

Both call one async handler in the sender's task, with one field of payload. Ours also orders, counts, times, links
causes, keeps the last event for late subscribers, and takes patterns.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import anyio
from blinker import Signal

from benchmarks.measuring import Comparison, Report, Scale, Side, measure
from bus import Event, EventBus


def reports(scale: Scale) -> list[Report]:
    """With an event that is there already, and with one made by ``publish``."""
    number = scale(20_000, 500)

    async def ours_made(bus: EventBus) -> None:
        await bus.publish("call.accepted", {"track": "audio"}, connection_id="c1")

    event = Event("call.accepted", "c1", {"track": "audio"})

    async def ours_given(bus: EventBus) -> None:
        await bus.publish_event(event)

    found = []
    for name, publish in (("publish_event", ours_given), ("publish", ours_made)):
        comparison = Comparison(
            f"bus_inline: {name}",
            "one event, handled by one async handler before publishing returns",
            "seconds",
            Side(f"phasebus {name}", lambda publish=publish: anyio.run(_inline, number, publish)),  # type: ignore[misc]
            (Side("blinker send_async", lambda: anyio.run(_blinker, number)),),
        )
        found.append(measure(comparison, scale(9, 2)))
    return found


async def _inline(number: int, publish: Callable[[EventBus], Awaitable[None]]) -> float:
    handled = 0

    async def handle(_: Event) -> None:
        nonlocal handled
        handled += 1

    async with EventBus() as bus:
        bus.subscribe("call.accepted", handle, inline=True)
        began = perf_counter()
        for _ in range(number):
            await publish(bus)
        took = perf_counter() - began
    assert handled == number
    return took / number


async def _blinker(number: int) -> float:
    handled = 0

    async def handle(_: Any, **__: Any) -> None:
        nonlocal handled
        handled += 1

    async def send() -> None:
        await signal.send_async("c1", track="audio")

    signal = Signal("call.accepted")
    signal.connect(handle)
    began = perf_counter()
    for _ in range(number):
        await send()
    took = perf_counter() - began
    assert handled == number
    return took / number
