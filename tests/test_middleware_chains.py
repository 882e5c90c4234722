"""The chains that ship, the order of the onion, and one's own middleware."""

from __future__ import annotations

from typing import Any

import pytest

from bus import Event, EventBus, default_chain, delivery_middleware, production_chain, publish_middleware
from bus.middleware import Deduplication, FunctionMiddleware, RateLimit, Timeout
from bus.middleware.base import Next
from tests.bus_helpers import Fails, Recorder, fill

pytestmark = pytest.mark.anyio


def described(chain: list[Any]) -> list[tuple[str, str]]:
    return [(type(middleware).__name__, middleware.kind) for middleware in chain]


def test_the_default_chain_is_as_promised() -> None:
    chain = default_chain()
    assert described(chain) == [
        ("Recovery", "delivery"),
        ("Validation", "publish"),
        ("Logging", "delivery"),
        ("Metrics", "delivery"),
        ("Deduplication", "publish"),
    ]
    assert chain[4] == Deduplication(window_s=5.0)


def test_the_production_chain_is_as_promised() -> None:
    chain = production_chain()
    assert described(chain) == [
        ("Recovery", "delivery"),
        ("Validation", "publish"),
        ("Timeout", "delivery"),
        ("RateLimit", "publish"),
        ("Deduplication", "publish"),
        ("Metrics", "delivery"),
        ("Logging", "delivery"),
    ]
    assert (chain[2], chain[3]) == (Timeout(limit_s=30.0), RateLimit(rate_per_s=100.0, per="connection"))
    assert chain[4] == Deduplication(window_s=5.0)


def layer(name: str, trace: list[str], kind: str) -> FunctionMiddleware:
    async def around(event: Event, call_next: Next) -> None:
        trace.append(f"{name}(")
        await call_next(event)
        trace.append(f"){name}")

    return publish_middleware(around) if kind == "publish" else delivery_middleware(around)


async def test_the_first_middleware_is_outermost_for_both_kinds() -> None:
    trace: list[str] = []
    chain = [layer("d1", trace, "delivery"), layer("p1", trace, "publish")]
    async with EventBus(middleware=[*chain, layer("d2", trace, "delivery"), layer("p2", trace, "publish")]) as bus:
        bus.subscribe("a.b", lambda _: trace.append("handler"), inline=True)
        await bus.publish("a.b")
    assert " ".join(trace) == "p1( p2( d1( d2( handler )d2 )d1 )p2 )p1"


async def test_publishing_is_wrapped_once_an_event_and_delivery_once_a_handler() -> None:
    trace: list[str] = []
    async with EventBus(middleware=[layer("p", trace, "publish"), layer("d", trace, "delivery")]) as bus:
        for _ in range(3):
            bus.subscribe("a.b", Recorder())
        await bus.publish("a.b")
        await bus.drain()
    assert trace.count("p(") == 1
    assert trace.count("d(") == 3


async def test_use_adds_inside_what_is_there_for_those_subscribed_already_too() -> None:
    trace: list[str] = []
    async with EventBus(middleware=[layer("d1", trace, "delivery")]) as bus:
        bus.subscribe("a.b", lambda _: trace.append("first"), inline=True)
        bus.use(layer("d2", trace, "delivery"))
        bus.use(layer("p1", trace, "publish"))
        bus.subscribe("a.b", lambda _: trace.append("second"), inline=True)
        bus.use(layer("p2", trace, "publish"))
        bus.use(layer("d3", trace, "delivery"))
        await bus.publish("a.b")
    around = "d1( d2( d3( {} )d3 )d2 )d1"
    assert " ".join(trace) == f"p1( p2( {around.format('first')} {around.format('second')} )p2 )p1"


async def test_use_keeps_what_the_others_remember() -> None:
    heard = Recorder()
    async with EventBus(middleware=[Deduplication()]) as bus:
        bus.subscribe("a.b", heard)
        await bus.publish("a.b", id="1")
        bus.use(layer("p", [], "publish"))
        await bus.publish("a.b", id="1")
    assert len(heard.events) == 1


async def test_a_plain_async_function_is_a_middleware_around_delivery() -> None:
    seen: list[str] = []

    async def look(event: Event, call_next: Next) -> None:
        await call_next(event)
        seen.append(event.type)

    heard = Recorder()
    async with EventBus() as bus:
        bus.use(look)
        bus.subscribe("a.b", heard)
        await bus.publish("a.b")
    assert seen == heard.types == ["a.b"]


async def test_a_middleware_may_change_or_stop_an_event() -> None:
    @publish_middleware
    async def tag(event: Event, call_next: Next) -> None:
        if event.field("n") != 1:
            await call_next(Event(event.type, "tagged", event.data))

    heard = Recorder()
    async with EventBus(middleware=[tag]) as bus:
        bus.subscribe("a.b", heard)
        await fill(bus, "a.b", 3)
    assert [(event.connection_id, event.field("n")) for event in heard.events] == [("tagged", 0), ("tagged", 2)]


async def test_a_middleware_around_delivery_may_try_again() -> None:
    tries: list[int] = []

    @delivery_middleware
    async def thrice(event: Event, call_next: Next) -> None:
        for attempt in range(3):
            try:
                await call_next(event)
                return
            except ValueError:
                tries.append(attempt)
        raise ValueError("three times")

    failures = Recorder()
    async with EventBus(middleware=[*default_chain(), thrice]) as bus:
        bus.subscribe("a.b", Fails())
        bus.subscribe("handler.failed", failures)
        await bus.publish("a.b")
        await bus.drain()
        assert bus.stats().failed == 1
    assert tries == [0, 1, 2]
    assert [event.field("error") for event in failures.events] == ["ValueError: three times"]


async def test_what_is_no_middleware_is_refused() -> None:
    with pytest.raises(TypeError, match="a middleware is an async function"):
        EventBus(middleware=[5])  # type: ignore[list-item]


@pytest.mark.parametrize("chain", [default_chain, production_chain])
async def test_a_chain_delivers_recovers_and_refuses(chain: Any) -> None:
    heard, failures = Recorder(), Recorder()
    async with EventBus(middleware=chain()) as bus:
        bus.subscribe("a.b", heard)
        bus.subscribe("a.b", Fails(), inline=True)
        bus.subscribe("handler.failed", failures)
        await fill(bus, "a.b", 3)
        await fill(bus, "a.b", 3)
    assert heard.numbers == [0, 1, 2]
    assert len(failures.events) == 3
