"""A plain handler that blocks may ask for a worker thread: the event loop goes on meanwhile."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import anyio
import anyio.from_thread
import pytest
from anyio.lowlevel import checkpoint

from bus import Event, EventBus
from tests.bus_helpers import Recorder, fill, settle

pytestmark = pytest.mark.anyio


async def until(condition: threading.Event) -> None:
    """Wait for a thread without holding up the loop."""
    with anyio.fail_after(5):
        while not condition.is_set():
            await checkpoint()


async def test_it_runs_beside_the_loop_which_goes_on_meanwhile() -> None:
    begun, go, threads = threading.Event(), threading.Event(), set[int]()
    heard = Recorder()

    def block(event: Event) -> None:
        threads.add(threading.get_ident())
        begun.set()
        assert go.wait(5)

    async with EventBus() as bus:
        subscription = bus.subscribe("a.b", block, thread=True)
        bus.subscribe("a.b", heard)
        await bus.publish("a.b", {"n": 1})
        await until(begun)
        await settle()
        assert (heard.numbers, subscription.in_flight) == ([1], 1)
        go.set()
        await bus.drain(5)
    assert threading.get_ident() not in threads
    assert subscription.handled == 1


async def test_concurrency_bounds_the_number_of_threads_and_keeps_each_connections_order() -> None:
    running, most = 0, 0
    lock, numbers = threading.Lock(), dict[str | None, list[int]]()
    enough = threading.Barrier(3, timeout=5)

    def work(event: Event) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            numbers.setdefault(event.connection_id, []).append(event.field("n"))
        enough.wait()  # three have to be here at once, or this breaks
        with lock:
            running -= 1

    async with EventBus() as bus:
        bus.subscribe("a.b", work, thread=True, concurrency=3)
        for name in ("c", "d", "e"):
            await fill(bus, "a.b", 4, name)
        await bus.drain(10)
    assert most == 3
    assert numbers == {name: [0, 1, 2, 3] for name in ("c", "d", "e")}


async def test_an_async_handler_is_refused() -> None:
    async with EventBus() as bus:
        with pytest.raises(TypeError, match="Recorder is async: thread=True is for plain functions that block"):
            bus.subscribe("a.b", Recorder(), thread=True)


async def test_a_time_out_reaches_a_thread_that_asks_whether_it_is_still_wanted() -> None:
    failures = Recorder()
    stopped = threading.Event()

    def work(event: Event) -> None:
        try:
            while True:
                anyio.from_thread.check_cancelled()
        finally:
            stopped.set()

    async with EventBus() as bus:
        bus.subscribe("handler.failed", failures)
        bus.subscribe("a.b", work, thread=True, timeout=0.01)
        await bus.publish("a.b")
        await bus.drain(5)
    assert stopped.is_set()
    assert "took longer than 0.01 s" in failures.events[0].data.error


async def test_a_thread_publishes_through_the_loop_and_is_linked_to_its_cause() -> None:
    heard = Recorder()
    async with EventBus() as bus:

        def answer(event: Event) -> None:
            anyio.from_thread.run(bus.publish, "b.b", {"n": event.field("n")})

        bus.subscribe("a.b", answer, thread=True)
        bus.subscribe("b.b", heard)
        cause = await bus.publish("a.b", {"n": 1})
        await bus.drain(5)
    assert [(event.field("n"), event.causation_id) for event in heard.events] == [(1, cause.id)]


async def test_a_thread_of_ones_own_publishes_through_a_portal() -> None:
    heard = Recorder()
    async with EventBus() as bus, anyio.from_thread.BlockingPortal() as portal:
        bus.subscribe("a.b", heard)
        with ThreadPoolExecutor(1) as pool:
            published = pool.submit(partial(portal.call, bus.publish, "a.b", {"n": 7}))
            with anyio.fail_after(5):
                while not published.done():
                    await checkpoint()
        await bus.drain(5)
    assert heard.numbers == [7]


async def test_its_error_becomes_handler_failed() -> None:
    failures = Recorder()

    def fail(event: Event) -> None:
        raise ValueError("it broke")

    async with EventBus() as bus:
        bus.subscribe("handler.failed", failures)
        bus.subscribe("a.b", fail, thread=True)
        await bus.publish("a.b")
        await bus.drain(5)
    assert [event.data.error for event in failures.events] == ["ValueError: it broke"]
