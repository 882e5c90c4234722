"""Waiting for one event, and streams of them."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from typing import Any

import anyio
import pytest

from bus import BusClosed, Event, EventBus, InvalidEvent, routing
from bus.routing import Route, Target
from tests.bus_helpers import Recorder, assert_at_rest, fill, settle

pytestmark = pytest.mark.anyio


async def test_wait_for_returns_the_next_event_that_matches() -> None:
    found: list[Event] = []

    async def wait() -> None:
        found.append(await bus.wait_for("a.*", connection_id="c", where=lambda event: event.field("n") > 1, timeout=60))

    async with EventBus() as bus, anyio.create_task_group() as group:
        group.start_soon(wait)
        await settle()
        await bus.publish("a.b", {"n": 5}, connection_id="another")
        await bus.publish("b.b", {"n": 5}, connection_id="c")
        await fill(bus, "a.b", 4)
    assert [event.field("n") for event in found] == [2]


async def test_wait_for_does_not_see_what_was_published_before() -> None:
    async with EventBus() as bus:
        await bus.publish("a.b")
        with pytest.raises(TimeoutError):
            await bus.wait_for("a.b", timeout=0)


async def test_a_wait_that_times_out_says_for_what_and_leaves_nothing_behind() -> None:
    async with EventBus() as bus:
        with pytest.raises(TimeoutError, match=r"no a\.b of conn_1 came within 0 s"):
            await bus.wait_for("a.b", connection_id="conn_1", timeout=0)
        assert list(bus._routes) == []
        assert not bus.has_listener("a.b", "conn_1")


async def test_a_wait_that_is_cancelled_leaves_nothing_behind() -> None:
    async with EventBus() as bus:
        with anyio.move_on_after(0):
            await bus.wait_for("a.b")
        assert list(bus._routes) == []


async def test_a_condition_that_raises_ends_the_wait_with_its_error() -> None:
    async with EventBus() as bus, anyio.create_task_group() as group:
        await settle()
        group.start_soon(fill, bus, "a.b", 1)
        with pytest.raises(ZeroDivisionError):
            await bus.wait_for("a.b", where=lambda event: 1 / event.field("n"), timeout=60)


async def test_a_wait_for_something_that_is_no_pattern_is_refused() -> None:
    async with EventBus() as bus:
        with pytest.raises(InvalidEvent, match="not an event name or pattern"):
            await bus.wait_for("Ready")


async def test_closing_the_bus_ends_a_wait_with_an_error() -> None:
    errors: list[Exception] = []

    async def wait(bus: EventBus) -> None:
        try:
            await bus.wait_for("a.b")
        except BusClosed as error:
            errors.append(error)

    async with anyio.create_task_group() as group, EventBus() as bus:
        group.start_soon(wait, bus)
        await settle()
    assert str(errors[0]) == "the bus was closed while waiting for a.b"


async def test_ten_thousand_waiters_on_different_connections_each_get_theirs() -> None:
    found: dict[str, str | None] = {}

    async def wait(key: str) -> None:
        found[key] = (await bus.wait_for("a.b", connection_id=key)).connection_id

    async with EventBus() as bus, anyio.create_task_group() as group:
        for number in range(10_000):
            group.start_soon(wait, str(number))
        await settle()
        for number in range(10_000):
            await bus.publish("a.b", connection_id=str(number))
    assert found == {str(number): str(number) for number in range(10_000)}
    assert not bus._fan_out.waiters


async def test_a_stream_yields_every_event_from_its_call_on_in_order() -> None:
    async with EventBus() as bus:
        await fill(bus, "a.b", 1)
        async with bus.stream("a.*", connection_id="c") as stream:
            await fill(bus, "a.b", 5)
            await fill(bus, "a.b", 5, connection_id="another")
            await fill(bus, "b.b", 5)
            numbers = [(await anext(stream)).field("n") for _ in range(5)]
            assert numbers == [0, 1, 2, 3, 4]


async def test_a_stream_ends_when_the_bus_is_closed_after_what_was_queued() -> None:
    async with EventBus() as bus:
        stream = bus.stream("a.b")
        await fill(bus, "a.b", 3)
    assert [event.field("n") async for event in stream] == [0, 1, 2]


async def test_a_stream_that_is_not_read_makes_publishers_wait() -> None:
    async with EventBus() as bus, anyio.create_task_group() as group:
        async with bus.stream("a.b", queue_size=2) as stream:
            group.start_soon(fill, bus, "a.b", 5)
            await settle()
            assert bus.stats().total_events == bus.stats().queued == 2
            assert [(await anext(stream)).field("n") for _ in range(5)] == list(range(5))
        assert_at_rest(bus)


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
async def test_a_stream_with_another_overflow_keeps_nobody_waiting(overflow: str) -> None:
    async with EventBus() as bus, bus.stream("a.b", queue_size=2, overflow=overflow) as stream:  # type: ignore[arg-type]
        await fill(bus, "a.b", 5)
        assert bus.stats().dropped == 3
        kept = [(await anext(stream)).field("n") for _ in range(2)]
        assert kept == ([3, 4] if overflow == "drop_oldest" else [0, 1])


async def test_leaving_a_stream_frees_the_publishers_that_wait_for_it() -> None:
    async with EventBus() as bus, anyio.create_task_group() as group:
        async with bus.stream("a.b", queue_size=1):
            group.start_soon(fill, bus, "a.b", 5)
            await settle()
            assert bus.stats().total_events == 1
        await settle()
        assert bus.stats().total_events == 5
        assert_at_rest(bus)


async def test_a_stream_that_nobody_holds_makes_nobody_wait() -> None:
    async with EventBus() as bus, anyio.create_task_group() as group:
        stream = bus.stream("a.b", queue_size=1)
        group.start_soon(fill, bus, "a.b", 5)
        async for _ in stream:
            break
        await settle()
        del stream
        gc.collect()
        await settle()
        assert bus.stats().total_events == 5
        assert list(bus._routes) == []


async def test_a_stream_let_go_of_while_its_route_is_looked_up_is_forgotten_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The collector may run at any moment, this one included.
    async with EventBus() as bus:
        streams = [bus.stream("a.b", queue_size=1)]

        def build(targets: Iterable[Target], *others: Any) -> Route:
            route = Route(targets, *others)
            streams.clear()
            return route

        monkeypatch.setattr(routing, "Route", build)
        with anyio.fail_after(1):
            await fill(bus, "a.b", 3)


async def test_a_task_that_waits_for_a_closed_stream_gets_its_end() -> None:
    numbers: list[int] = []

    async def read() -> None:
        async for event in stream:
            numbers.append(event.field("n"))

    async with EventBus() as bus, anyio.create_task_group() as group:
        stream = bus.stream("a.b")
        group.start_soon(read)
        await settle()
        await fill(bus, "a.b", 2)
        await settle()
        await stream.aclose()
    assert numbers == [0, 1]


async def test_tasks_that_share_a_stream_get_each_event_once() -> None:
    numbers: list[int] = []

    async def read() -> None:
        async for event in stream:
            numbers.append(event.field("n"))

    async with EventBus() as bus, anyio.create_task_group() as group:
        stream = bus.stream("a.b")
        for _ in range(3):
            group.start_soon(read)
        await settle()
        await fill(bus, "a.b", 10)
        await settle()
        await stream.aclose()
    assert sorted(numbers) == list(range(10))


async def test_a_waiter_and_a_stream_hear_what_a_handler_publishes() -> None:
    async def answer(event: Event) -> None:
        await bus.publish("b.b")

    async with EventBus() as bus, bus.stream("b.b") as stream, anyio.create_task_group() as group:
        bus.subscribe("a.b", answer)
        group.start_soon(bus.publish, "a.b")
        waited = await bus.wait_for("b.b", timeout=60)
        assert await anext(stream) is waited


async def test_streams_and_waits_are_no_handlers() -> None:
    async with EventBus() as bus, bus.stream("a.b") as stream:
        bus.subscribe("a.b", Recorder())
        assert bus.stats().active_handlers == 1
        assert repr(stream) == "<EventStream of 'a.b', 0 queued>"
