"""One event through a queue to one async handler: beside pyee, which starts a task for each.

Both sides publish a burst and wait until all of it was handled. pyee keeps no order, bounds nothing and hears no
errors; bubus, the rich one, is measured too if it is installed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import anyio
from pyee.asyncio import AsyncIOEventEmitter

from benchmarks.measuring import Comparison, Report, Scale, Side, measure
from bus import Event, EventBus

BURST = 500


def reports(scale: Scale) -> list[Report]:
    """Queued publishing, and everybody else's way of not waiting for the handler."""
    bursts = scale(20, 1)
    event = Event("call.accepted", "c1", {"track": "audio"})

    async def given(bus: EventBus) -> None:
        await bus.publish_event(event)

    async def made(bus: EventBus) -> None:
        await bus.publish("call.accepted", {"track": "audio"}, connection_id="c1")

    found = []
    for name, publish in (("publish_event", given), ("publish", made)):
        peers = [Side("pyee emit", lambda: asyncio.run(_pyee(bursts)))]
        if _has_bubus():
            peers.append(Side("bubus dispatch", lambda: asyncio.run(_bubus(scale(60, 10)))))
        comparison = Comparison(
            f"bus_queued: {name}",
            "one event, published and handled by one async handler in a task of its own",
            "seconds",
            Side(f"phasebus {name}", lambda publish=publish: anyio.run(_queued, bursts, publish)),  # type: ignore[misc]
            tuple(peers),
        )
        found.append(measure(comparison, scale(9, 2)))
    return found


async def _queued(bursts: int, publish: Callable[[EventBus], Awaitable[None]]) -> float:
    handled = 0

    async def handle(_: Event) -> None:
        nonlocal handled
        handled += 1

    async with EventBus() as bus:
        bus.subscribe("call.accepted", handle)
        began = perf_counter()
        for _ in range(bursts):
            for _ in range(BURST):
                await publish(bus)
            await bus.drain()
        took = perf_counter() - began
    assert handled == bursts * BURST
    return took / handled


async def _pyee(bursts: int) -> float:
    handled = 0
    all_handled = asyncio.Event()

    async def handle(_: Any) -> None:
        nonlocal handled
        handled += 1
        if handled % BURST == 0:
            all_handled.set()

    emitter = AsyncIOEventEmitter()
    emitter.on("call.accepted", handle)
    began = perf_counter()
    for _ in range(bursts):
        all_handled.clear()
        for _ in range(BURST):
            emitter.emit("call.accepted", {"connection_id": "c1", "track": "audio"})
        await all_handled.wait()
    took = perf_counter() - began
    assert handled == bursts * BURST
    return took / handled


def _has_bubus() -> bool:
    try:
        import bubus  # noqa: F401
    except ImportError:
        return False
    return True


async def _bubus(number: int) -> float:
    from bubus import BaseEvent
    from bubus import EventBus as Bubus

    logging.disable(logging.WARNING)

    class Accepted(BaseEvent[None]):  # type: ignore[misc, unused-ignore]
        connection_id: str = "c1"

    handled = 0

    async def handle(_: Any) -> None:
        nonlocal handled
        handled += 1

    bus = Bubus(name="Benchmark")
    bus.on(Accepted, handle)
    began = perf_counter()
    for _ in range(number):
        await bus.dispatch(Accepted())
    took = perf_counter() - began
    await bus.stop(timeout=1)
    logging.disable(logging.NOTSET)
    assert handled == number
    return took / number
