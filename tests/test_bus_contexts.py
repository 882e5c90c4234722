"""Context variables that a publisher has set reach every handler, and what a handler sets stays with it."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.to_thread
import pytest
from anyio.lowlevel import checkpoint

from bus import Event, EventBus
from bus.middleware import delivery_middleware
from tests.bus_helpers import Recorder, assert_at_rest, settle

request_id: ContextVar[str] = ContextVar("request_id", default="none")
anyio_test = pytest.mark.anyio


async def publish_as(bus: EventBus, who: str, **fields: Any) -> Event:
    request_id.set(who)
    return await bus.publish("a.b", {"who": who, **fields})


@anyio_test
@pytest.mark.parametrize("options", [{}, {"inline": True}, {"concurrency": 3}, {"timeout": 5.0}, {"thread": True}])
async def test_a_handler_sees_what_its_publisher_had_set(options: dict[str, Any]) -> None:
    seen: list[tuple[str, str]] = []

    def note(event: Event) -> None:
        seen.append((event.field("who"), request_id.get()))

    async def note_later(event: Event) -> None:
        await checkpoint()
        note(event)

    async with EventBus() as bus, anyio.create_task_group() as tasks:
        bus.subscribe("a.b", note if options.get("thread") else note_later, **options)
        for who in ("one", "two", "three"):
            tasks.start_soon(publish_as, bus, who)
    assert sorted(seen) == [("one", "one"), ("three", "three"), ("two", "two")]


@anyio_test
async def test_a_batch_sees_what_the_publisher_of_its_last_event_had_set() -> None:
    seen: list[str] = []
    async with EventBus() as bus:
        bus.subscribe_batch("a.b", lambda events: seen.append(request_id.get()), max_size=2)
        for who in ("one", "two"):
            await publish_as(bus, who)
    assert seen == ["two"]


@anyio_test
@pytest.mark.parametrize("inline", [False, True])
async def test_middleware_sees_it_too(inline: bool) -> None:
    seen: list[str] = []

    @delivery_middleware
    async def look(event: Event, call_next: Any) -> None:
        seen.append(request_id.get())
        await call_next(event)
        seen.append(request_id.get())

    async with EventBus(middleware=[look]) as bus:
        bus.subscribe("a.b", Recorder(), inline=inline)
        await publish_as(bus, "one")
    assert seen == ["one", "one"]


@anyio_test
async def test_what_a_queued_handler_sets_reaches_neither_others_nor_the_next_nor_the_publisher() -> None:
    seen: list[str] = []

    async def leak(event: Event) -> None:
        seen.append(request_id.get())
        request_id.set("leaked")
        await checkpoint()
        assert request_id.get() == "leaked"

    async with EventBus() as bus:
        bus.subscribe("a.b", leak)
        bus.subscribe("a.b", leak, concurrency=2)
        await publish_as(bus, "one")
        await publish_as(bus, "two")
        await bus.drain()
        assert request_id.get() == "two"
    assert sorted(seen) == ["one", "one", "two", "two"]


@anyio_test
async def test_what_a_handler_publishes_carries_on() -> None:
    seen: list[str] = []

    async def first(event: Event) -> None:
        request_id.set(request_id.get() + ", then")
        await bus.publish("b.b")

    async with EventBus() as bus:
        bus.subscribe("a.b", first)
        bus.subscribe("b.b", lambda event: seen.append(request_id.get()))
        await publish_as(bus, "one")
        await bus.drain()
    assert seen == ["one, then"]


@anyio_test
async def test_a_handler_may_wait_in_every_way_there_is() -> None:
    done: list[str] = []

    async def wait(event: Event) -> None:
        send, receive = anyio.create_memory_object_stream[int](0)
        async with send, receive, anyio.create_task_group() as tasks:
            tasks.start_soon(send.send, 7)
            assert await receive.receive() == 7
        with anyio.move_on_after(0) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        lock, told = anyio.Lock(), anyio.Event()
        async with lock:
            told.set()
        await told.wait()
        assert await anyio.to_thread.run_sync(request_id.get) == "one"
        with anyio.CancelScope(shield=True):
            await checkpoint()
        done.append(request_id.get())

    async with EventBus() as bus:
        bus.subscribe("a.b", wait)
        await publish_as(bus, "one")
        await bus.drain(10)
        assert bus.stats().failed == 0
    assert done == ["one"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@anyio_test
async def test_asyncios_own_tools_work_in_a_queued_handler() -> None:
    done: list[str] = []

    async def answer() -> str:
        await asyncio.sleep(0)
        return request_id.get()

    async def use(event: Event) -> None:
        assert asyncio.current_task() is not None
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            first = tasks.create_task(answer())
            second = asyncio.ensure_future(answer())
            done.extend(await asyncio.gather(first, second))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.sleep(1)

    async with EventBus() as bus:
        bus.subscribe("a.b", use)
        await publish_as(bus, "one")
        await bus.drain(10)
        assert bus.stats().failed == 0
    assert done == ["one", "one"]


@anyio_test
async def test_a_task_that_a_handler_starts_stays_linked_to_its_event() -> None:
    heard = Recorder()
    async with EventBus() as bus, anyio.create_task_group() as tasks:

        async def later() -> None:
            await checkpoint()
            await bus.publish("b.b")

        async def start(event: Event) -> None:
            tasks.start_soon(later)

        bus.subscribe("a.b", start)
        bus.subscribe("b.b", heard)
        cause = await publish_as(bus, "one")
        await settle()
    assert [event.causation_id for event in heard.events] == [cause.id]


@anyio_test
async def test_a_handler_that_is_cancelled_or_raises_after_waiting_leaves_its_worker_whole() -> None:
    handled: list[int] = []

    async def handle(event: Event) -> None:
        await checkpoint()
        match event.field("n"):
            case 0:
                raise ValueError
            case 1:
                await anyio.sleep_forever()
            case n:
                handled.append(n)

    async with EventBus() as bus:
        bus.subscribe("a.b", handle, timeout=0.01)
        for n in range(4):
            await publish_as(bus, "one", n=n)
        await bus.drain(10)
        assert (bus.stats().failed, handled) == (2, [2, 3])
        assert_at_rest(bus)


@anyio_test
@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration])
async def test_odd_exceptions_of_a_handler_wedge_nothing(error: type[BaseException]) -> None:
    heard: list[int] = []

    async def odd(event: Event) -> None:
        await checkpoint()
        if event.field("n") == 0:
            raise error
        heard.append(event.field("n"))

    with anyio.fail_after(5):
        async with EventBus() as bus:
            bus.subscribe("a.b", odd)
            for n in range(3):
                await publish_as(bus, "one", n=n)
            await bus.drain(2)
    assert heard == [1, 2]


@anyio_test
async def test_what_is_no_failure_but_the_end_comes_out_of_the_buss_block() -> None:
    class Fatal(BaseException):
        pass

    def end(event: Event) -> None:
        raise Fatal

    with anyio.fail_after(5), pytest.raises(BaseExceptionGroup) as raised:
        async with EventBus(close_timeout=0) as bus:
            bus.subscribe("a.b", end)
            await publish_as(bus, "one")
            await settle()
    assert raised.value.subgroup(Fatal) is not None
