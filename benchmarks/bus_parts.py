"""What an event costs, part by part, in units that travel: how many times a bare ``await`` of an empty function.

The steps are cumulative: each line does what it says and nothing more, so a part's price is the difference of two.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from time import perf_counter

import anyio
from attrs import evolve

from benchmarks.measuring import Comparison, Report, Scale, Side, measure
from bus import Event, EventBus, default_chain, production_chain
from bus.middleware import Deduplication, Logging, Metrics, Middleware, RateLimit, Recovery, Timeout, Validation

Publish = Callable[[EventBus], Awaitable[object]]

BURST = 500


def reports(scale: Scale) -> list[Report]:
    """The way of an event, then each middleware around it."""
    number = scale(20_000, BURST)
    return [_way(number, scale(9, 2)), *_middleware(number, scale(9, 2))]


def _way(number: int, rounds: int) -> Report:
    comparison = Comparison(
        "bus_parts: the way of an event",
        "one event; how many times a bare await it costs",
        "seconds",
        Side("a bare await", lambda: anyio.run(_bare, number)),
        (
            Side("making the event", lambda: _make(number)),
            Side("publish_event, nobody listens: look-up, counting", lambda: anyio.run(_unheard, number)),
            Side("… to an inline handler", lambda: anyio.run(_inline, number, (), _given)),
            Side("… to a queue and its worker, in bursts", lambda: anyio.run(_queued, number)),
            Side("… to a worker that has to be woken", lambda: anyio.run(_woken, number // 10)),
        ),
    )
    return measure(comparison, rounds)


def _middleware(number: int, rounds: int) -> list[Report]:
    sides: list[tuple[str, Callable[[], Iterable[Middleware]]]] = [
        ("recovery", lambda: [Recovery()]),
        ("validation", lambda: [Validation()]),
        ("logging", lambda: [Logging()]),
        ("metrics", lambda: [Metrics()]),
        ("deduplication", lambda: [Deduplication()]),
        ("timeout", lambda: [Timeout()]),
        ("rate limit", lambda: [RateLimit(rate_per_s=1e9)]),
        ("default_chain", default_chain),
        ("production_chain, its rate not reached", _unlimited_production_chain),
    ]
    bare = _made_anew(number)
    comparison = Comparison(
        "bus_parts: middleware",
        "publish to one inline handler, each payload new, with one middleware or a chain",
        "seconds",
        Side("no middleware", lambda: bare(())),
        tuple(Side(f"+ {name}", lambda make=make: bare(make())) for name, make in sides),  # type: ignore[misc]
    )
    given = _given_ids(number)
    with_ids = Comparison(
        "bus_parts: middleware, where events bring their ids",
        "publish_event to one inline handler, each event with an id from outside, as web-hooks have",
        "seconds",
        Side("no middleware", lambda: given(())),
        (
            Side("+ deduplication", lambda: given([Deduplication()])),
            Side("+ default_chain", lambda: given(default_chain())),
        ),
    )
    awaited = min(anyio.run(_bare, number) for _ in range(rounds))
    return [_with_remark(measure(compared, rounds), awaited) for compared in (comparison, with_ids)]


def _with_remark(report: Report, awaited: float) -> Report:
    (chain,) = (ratio for ratio in report.ratios if ratio.peer == "+ default_chain")
    added = chain.cost - report.cost
    remark = f"the default chain adds {added * 1e6:.2f} µs, where a bare await costs {awaited * 1e6:.3f} µs"
    return evolve(report, remarks=(remark,))


def _given_ids(number: int) -> Callable[[Iterable[Middleware]], float]:
    round_number = 0

    def turn(middleware: Iterable[Middleware]) -> float:
        nonlocal round_number
        round_number += 1
        events = iter([Event("call.accepted", "c1", {"n": n}, id=f"wamid.{round_number}.{n}") for n in range(number)])

        async def publish(bus: EventBus) -> None:
            await bus.publish_event(next(events))

        return anyio.run(_inline, number, middleware, publish)

    return turn


def _unlimited_production_chain() -> list[Middleware]:
    return [RateLimit(rate_per_s=1e9) if isinstance(each, RateLimit) else each for each in production_chain()]


def _made_anew(number: int) -> Callable[[Iterable[Middleware]], float]:
    count = 0

    async def publish(bus: EventBus) -> None:
        nonlocal count
        count += 1
        await bus.publish("call.accepted", {"n": count}, connection_id="c1")

    return lambda middleware: anyio.run(_inline, number, middleware, publish)


async def _handle(_: Event) -> None:
    pass


EVENT = Event("call.accepted", "c1", {"track": "audio"})


async def _given(bus: EventBus) -> None:
    await bus.publish_event(EVENT)


async def _bare(number: int) -> float:
    began = perf_counter()
    for _ in range(number):
        await _handle(EVENT)
    return (perf_counter() - began) / number


def _make(number: int) -> float:
    began = perf_counter()
    for _ in range(number):
        Event("call.accepted", "c1", {"track": "audio"})
    return (perf_counter() - began) / number


async def _unheard(number: int) -> float:
    async with EventBus() as bus:
        return await _timed(bus, number, _given)


async def _inline(number: int, middleware: Iterable[Middleware], publish: Publish) -> float:
    async with EventBus(middleware=middleware) as bus:
        bus.subscribe("call.accepted", _handle, inline=True)
        return await _timed(bus, number, publish)


async def _queued(number: int) -> float:
    async with EventBus() as bus:
        bus.subscribe("call.accepted", _handle)
        began = perf_counter()
        for _ in range(number // BURST):
            for _ in range(BURST):
                await bus.publish_event(EVENT)
            await bus.drain()
        return (perf_counter() - began) / (number // BURST * BURST)


async def _woken(number: int) -> float:
    async with EventBus() as bus:
        bus.subscribe("call.accepted", _handle)
        began = perf_counter()
        for _ in range(number):
            await bus.publish_event(EVENT)
            await bus.drain()
        return (perf_counter() - began) / number


async def _timed(bus: EventBus, number: int, publish: Publish) -> float:
    began = perf_counter()
    for _ in range(number):
        await publish(bus)
    return (perf_counter() - began) / number
