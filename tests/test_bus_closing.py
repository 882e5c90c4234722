"""How a bus starts, drains and ends, and what comes out of its block."""

from __future__ import annotations

import asyncio
import logging

import anyio
import pytest

from bus import BusClosed, Event, EventBus, PhasebusError
from bus.middleware import RateLimit
from bus.testing import FakeClock
from tests.bus_helpers import Gate, Recorder, assert_at_rest, fill, settle

pytestmark = pytest.mark.anyio


async def test_leaving_the_block_handles_what_is_queued() -> None:
    heard = Recorder()
    async with EventBus() as bus:
        bus.subscribe("a.b", heard)
        await fill(bus, "a.b", 1_000)
    assert len(heard.events) == 1_000


async def test_drain_waits_until_nothing_is_queued_or_running() -> None:
    async def handle(event: Event) -> None:
        await settle()
        if event.field("n"):
            await bus.publish("a.b", {"n": event.field("n") - 1})

    async with EventBus() as bus:
        subscription = bus.subscribe("a.b", handle)
        await bus.publish("a.b", {"n": 5})
        await bus.drain()
        assert subscription.handled == 6
        assert_at_rest(bus)


async def test_drain_of_nothing_returns_at_once() -> None:
    async with EventBus() as bus:
        await bus.drain(0)


async def test_a_drain_that_is_cancelled_may_be_tried_again() -> None:
    gate = Gate()
    async with EventBus() as bus:
        bus.subscribe("a.b", gate)
        await bus.publish("a.b")
        with anyio.move_on_after(0):
            await bus.drain()
        gate.open()
        await bus.drain()
        assert_at_rest(bus)


async def test_idle_streams_and_waits_do_not_hold_up_a_drain() -> None:
    async with EventBus() as bus, anyio.create_task_group() as group:
        async with bus.stream("a.b"):
            group.start_soon(bus.wait_for, "b.b")
            await fill(bus, "a.b", 5)
            await bus.drain()
        group.cancel_scope.cancel()


async def test_a_handler_that_drains_is_told_that_it_would_wait_for_itself() -> None:
    errors: list[Exception] = []

    async def handle(event: Event) -> None:
        try:
            await bus.drain()
        except PhasebusError as error:
            errors.append(error)

    async with EventBus() as bus:
        bus.subscribe("a.b", handle)
        await bus.publish("a.b")
    assert "it would wait for itself" in str(errors[0])


async def test_a_bus_not_entered_refuses_events() -> None:
    with pytest.raises(BusClosed, match="enter it with 'async with EventBus"):
        await EventBus().publish("a.b")


async def test_a_closed_bus_refuses_everything() -> None:
    async with EventBus() as bus:
        await bus.aclose()
        for refused in (lambda: bus.subscribe("a.b", Recorder()), lambda: bus.stream("a.b")):
            with pytest.raises(BusClosed, match="the bus is closed"):
                refused()
        with pytest.raises(BusClosed):
            await bus.publish("a.b")
        with pytest.raises(BusClosed):
            await bus.wait_for("a.b")
    with pytest.raises(BusClosed):
        async with bus:
            pass


async def test_a_bus_can_be_entered_only_once() -> None:
    async with EventBus() as bus:
        with pytest.raises(BusClosed, match="only once"):
            await bus.__aenter__()


async def test_aclose_is_idempotent() -> None:
    async with EventBus() as bus:
        await bus.aclose()
        await bus.aclose()
    await bus.aclose()


async def test_aclose_of_a_bus_never_entered_ends_what_waits_for_it() -> None:
    bus = EventBus()

    async def wait() -> None:
        with pytest.raises(BusClosed):
            await bus.wait_for("a.b")

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await settle()
        await bus.aclose()


async def test_subscribing_before_the_bus_is_entered_is_heard() -> None:
    bus, heard = EventBus(), Recorder()
    bus.subscribe("a.b", heard)
    async with bus:
        await fill(bus, "a.b", 10)
    assert heard.numbers == list(range(10))


async def test_a_handler_may_publish_while_the_bus_drains_to_close() -> None:
    gate, heard = Gate(), Recorder()

    async def handle(event: Event) -> None:
        await gate(event)
        await bus.publish("b.b")

    async with EventBus() as bus, anyio.create_task_group() as group:
        bus.subscribe("a.b", handle)
        bus.subscribe("b.b", heard)
        await bus.publish("a.b")
        group.start_soon(bus.aclose)
        await settle()
        with pytest.raises(BusClosed):
            await bus.publish("a.b")
        gate.open()
    assert heard.types == ["b.b"]


async def test_leaving_the_block_does_not_cut_short_a_close_that_is_under_way() -> None:
    gate, heard = Gate(), Recorder()

    async def handle(event: Event) -> None:
        await gate(event)
        await heard(event)

    async with anyio.create_task_group() as group, EventBus() as bus:
        bus.subscribe("a.b", handle)
        await bus.publish("a.b")
        group.start_soon(bus.aclose)
        await settle()
        group.start_soon(_open_later, gate)
    assert len(heard.events) == 1


async def _open_later(gate: Gate) -> None:
    await settle()
    gate.open()


async def test_a_handler_that_closes_the_bus_lets_the_others_finish() -> None:
    heard = Recorder()

    async def close(event: Event) -> None:
        await bus.aclose()

    async with EventBus() as bus:
        bus.subscribe("a.b", close)
        bus.subscribe("a.b", heard)
        await bus.publish("a.b")
        await settle()
        with pytest.raises(BusClosed):
            await bus.publish("a.b")
    assert len(heard.events) == 1
    assert_at_rest(bus)


async def test_a_handler_of_another_bus_is_no_handler_of_this_one() -> None:
    errors: list[Exception] = []
    gate, heard = Gate(), Recorder()

    async def close(event: Event) -> None:
        gate.open()
        await there.aclose()
        try:
            await there.publish("b.b")
        except BusClosed as error:
            errors.append(error)

    async def slow(event: Event) -> None:
        await gate(event)
        await heard(event)

    async with EventBus() as here, EventBus() as there:
        here.subscribe("a.b", close)
        there.subscribe("b.b", slow)
        await there.publish("b.b")
        await here.publish("a.b")
        await here.drain()
        assert len(heard.events) == len(errors) == 1


async def test_closing_tells_the_publishers_that_wait() -> None:
    gate = Gate()
    refused: list[str] = []

    async def publish(bus: EventBus, connection_id: str) -> None:
        try:
            await bus.publish("a.b", connection_id=connection_id)
        except BusClosed as error:
            refused.append(str(error))

    async with anyio.create_task_group() as group, EventBus(close_timeout=0) as bus:
        bus.subscribe("a.b", gate, queue_size=1)
        for _ in range(2):
            await fill(bus, "a.b", 1)
            await settle()
        for connection_id in ("c", "c", "d"):
            group.start_soon(publish, bus, connection_id)
        await settle()
    assert refused == ["the bus was closed while this event waited for room in a queue"] * 3
    assert_at_rest(bus)


async def test_a_publisher_that_a_middleware_delayed_past_the_close_is_told() -> None:
    clock = FakeClock()
    async with anyio.create_task_group() as group:
        async with EventBus(middleware=[RateLimit(rate_per_s=1)], clock=clock) as bus:
            await bus.publish("a.b")
            group.start_soon(_expect_closed, bus)
            await settle()
        await clock.advance(1)


async def _expect_closed(bus: EventBus) -> None:
    with pytest.raises(BusClosed):
        await bus.publish("a.b")


async def test_a_close_that_takes_too_long_cancels_handlers_and_says_which_events(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "phasebus.bus")
    gate = Gate()
    async with EventBus(close_timeout=0) as bus:
        subscription = bus.subscribe("a.b", gate)
        ids = [(await bus.publish("a.b")).id for _ in range(3)]
        await settle()
    assert "bus closed with work undone: after 0 s 2 events are still queued and 1 handlers run" in caplog.text
    assert str(ids) in caplog.text
    assert len(gate.events) == 1
    assert subscription.cancelled
    assert_at_rest(bus)


async def test_clean_up_of_a_cancelled_handler_may_finish_but_not_publish() -> None:
    cleaned: list[Exception] = []

    async def handle(event: Event) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await settle()
                try:
                    await bus.publish("too.late")
                except BusClosed as error:
                    cleaned.append(error)

    async with EventBus(close_timeout=0) as bus:
        bus.subscribe("a.b", handle)
        await bus.publish("a.b")
        await settle()
    assert len(cleaned) == 1
    assert "too.late" not in bus.stats().events_by_type


async def test_an_error_in_the_block_comes_out_as_it_is() -> None:
    bus = EventBus()

    async def fail() -> None:
        async with bus:
            bus.subscribe("a.b", Gate())
            await fill(bus, "a.b", 3)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await fail()
    assert_at_rest(bus)


async def test_an_error_in_the_block_comes_out_even_when_the_block_is_cancelled_too() -> None:
    async def tidy_up(event: Event) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await settle()

    async def fail() -> None:
        async with EventBus() as bus:
            bus.subscribe("a.b", tidy_up)
            await bus.publish("a.b")
            await settle()
            scope.cancel()
            raise KeyError("mine")

    errors: list[Exception] = []
    with anyio.CancelScope() as scope:
        try:
            await fail()
        except KeyError as error:
            errors.append(error)
    assert str(errors) == "[KeyError('mine')]"


async def test_a_cancellation_from_outside_ends_the_bus_at_once() -> None:
    gate = Gate()
    with anyio.CancelScope() as scope:
        async with EventBus() as bus:
            bus.subscribe("a.b", gate)
            await fill(bus, "a.b", 3)
            await settle()
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert_at_rest(bus)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancelled_asyncio_task_ends_the_bus_and_is_cancelled() -> None:
    async def use() -> None:
        async with EventBus() as bus:
            bus.subscribe("a.b", Gate())
            await bus.publish("a.b")
            await anyio.sleep_forever()

    task = asyncio.ensure_future(use())
    await settle()
    task.cancel()
    await settle()
    assert task.cancelled()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_no_task_is_left() -> None:
    before = asyncio.all_tasks()
    async with EventBus(close_timeout=0) as bus:
        for _ in range(10):
            bus.subscribe("a.b", Gate(), concurrency=3)
        await fill(bus, "a.b", 10)
        await settle()
        assert len(asyncio.all_tasks()) > len(before) + 20
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancelled_subscription_leaves_no_task() -> None:
    async with EventBus() as bus:
        before = asyncio.all_tasks()
        for _ in range(100):
            bus.subscribe("a.b", Recorder(), concurrency=2).cancel()
        await settle()
        assert asyncio.all_tasks() == before
