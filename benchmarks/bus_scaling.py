"""Whether an event gets dearer by the number of those whom it does not concern.

``ours`` is the bus with one subscription or waiter; the others are the same bus with many more on other types, other
patterns or other connections. A ratio of 1 is flat.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter

import anyio
from anyio.lowlevel import checkpoint

from benchmarks.measuring import Comparison, Report, Scale, Side, measure
from bus import Event, EventBus

EVENT = Event("call.accepted", "c1", {"track": "audio"})


def reports(scale: Scale) -> list[Report]:
    """Publishing among many subscriptions, then waiting among many waiters."""
    number, rounds = scale(10_000, 300), scale(9, 2)
    many, more = scale(1_000, 50), scale(10_000, 100)

    def publishing(crowd: Callable[[EventBus], None]) -> float:
        return anyio.run(_publish, number, crowd)

    subscriptions = Comparison(
        "bus_scaling: subscriptions that hear something else",
        "publish_event to one inline handler, among so many others",
        "seconds",
        Side("alone", lambda: publishing(lambda bus: None)),
        (
            Side(f"{many:,} on other types", lambda: publishing(_others(many, "other.type{n}", None))),
            Side(f"{more:,} on other types", lambda: publishing(_others(more, "other.type{n}", None))),
            Side(f"{more:,} on other patterns", lambda: publishing(_others(more, "other{n}.*", None))),
            Side(f"{many:,} for other connections", lambda: publishing(_others(many, "call.accepted", "c{n}-other"))),
            Side(f"{more:,} for other connections", lambda: publishing(_others(more, "call.accepted", "c{n}-other"))),
        ),
    )
    waits = scale(2_000, 50)
    waiting = Comparison(
        "bus_scaling: wait_for on one connection",
        "one wait and the publishing that ends it, while so many wait for other connections",
        "seconds",
        Side("alone", lambda: anyio.run(_wait, waits, 0)),
        (
            Side(f"among {many:,}", lambda: anyio.run(_wait, waits, many)),
            Side(f"among {more:,}", lambda: anyio.run(_wait, waits, more)),
        ),
    )
    return [measure(subscriptions, rounds), measure(waiting, rounds)]


def _others(number: int, pattern: str, connection_id: str | None) -> Callable[[EventBus], None]:
    def crowd(bus: EventBus) -> None:
        for n in range(number):
            whose = None if connection_id is None else connection_id.format(n=n)
            bus.subscribe(pattern.format(n=n), _handle, connection_id=whose, inline=True)

    return crowd


async def _handle(_: Event) -> None:
    pass


async def _publish(number: int, crowd: Callable[[EventBus], None]) -> float:
    async with EventBus() as bus:
        bus.subscribe("call.accepted", _handle, inline=True)
        crowd(bus)
        began = perf_counter()
        for _ in range(number):
            await bus.publish_event(EVENT)
        return (perf_counter() - began) / number


async def _wait(number: int, others: int) -> float:
    async with EventBus() as bus, anyio.create_task_group() as tasks:
        for n in range(others):
            tasks.start_soon(partial(bus.wait_for, "call.accepted", connection_id=f"c{n}-other"))
        await checkpoint()
        took = 0.0
        for _ in range(number):
            began = perf_counter()
            async with anyio.create_task_group() as one:
                one.start_soon(partial(bus.wait_for, "call.accepted", connection_id="c1"))
                await checkpoint()
                await bus.publish_event(EVENT)
            took += perf_counter() - began
        tasks.cancel_scope.cancel()
    return took / number
