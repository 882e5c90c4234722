"""Context variables: what reaches a handler, what stays with it, and that a handler may do whatever a task may.

A queued handler runs in a worker that was started long before, one event after the other, each in a context of its own.
So whatever a handler may wait for is tried out here, in workers: cancelled, timed out, failing, in groups and threads.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from bus import BusClosed, Event, EventBus
from bus.causality import handling
from bus.context import DONE, Runner, in_context
from bus.middleware import Retry, Timeout, delivery_middleware
from bus.middleware.base import Next
from bus.testing import FakeClock, all_tasks_blocked, settled
from tests.bus_helpers import Fails, Gate, Recorder, assert_at_rest, settle

pytestmark = pytest.mark.anyio

request: ContextVar[str] = ContextVar("request", default="none")


# -- what reaches a handler --


class Looks:
    """A handler that keeps what it sees of the variable at its begin, after waiting, and after it has changed it."""

    def __init__(self) -> None:
        self.saw: list[tuple[str, str, str]] = []

    async def __call__(self, _: Any) -> None:
        at_first = request.get()
        await checkpoint()
        later = request.get()
        request.set(f"{later}, handled")
        await checkpoint()
        self.saw.append((at_first, later, request.get()))


@pytest.mark.parametrize("kind", ["queued", "concurrent", "urgent", "inline", "batch"])
async def test_a_handler_sees_what_its_publisher_had_set(kind: str) -> None:
    looks = Looks()
    async with EventBus() as bus:
        if kind == "batch":
            bus.subscribe_batch("a.b", looks, max_size=1)
        else:
            options: dict[str, dict[str, Any]] = {
                "concurrent": {"concurrency": 3},
                "urgent": {"priorities": {"a.b": 1}},
                "inline": {"inline": True},
            }
            bus.subscribe("a.b", looks, **options.get(kind, {}))
        for value in ("first", "second"):
            request.set(value)
            await bus.publish("a.b", connection_id=value)
            await bus.drain()
    assert looks.saw == [(value, value, f"{value}, handled") for value in ("first", "second")]


async def test_a_handler_in_a_thread_sees_it_too() -> None:
    saw: list[str] = []

    def handle(event: Event) -> None:
        saw.append(request.get())
        request.set("the thread's")

    async with EventBus() as bus:
        bus.subscribe("a.b", handle, thread=True)
        for value in ("first", "second"):
            request.set(value)
            await bus.publish("a.b")
        await bus.drain()
        assert request.get() == "second"
    assert saw == ["first", "second"]


async def test_a_handler_sees_what_was_set_when_the_event_was_published_and_not_what_came_later() -> None:
    looks = Looks()
    async with EventBus() as bus:
        bus.subscribe("a.b", looks)
        request.set("then")
        await bus.publish("a.b")
        request.set("now")
        await bus.drain()
    assert looks.saw[0][0] == "then"


async def test_tasks_that_publish_at_the_same_time_are_told_apart() -> None:
    saw: dict[str | None, str] = {}

    async def handle(event: Event) -> None:
        await checkpoint()
        saw[event.connection_id] = request.get()

    async def publish(value: str) -> None:
        request.set(value)
        await checkpoint()
        await bus.publish("a.b", connection_id=value)

    async with EventBus() as bus:
        bus.subscribe("a.b", handle, queue_size=2, concurrency=2)
        async with anyio.create_task_group() as group:
            for n in range(20):
                group.start_soon(publish, str(n))
    assert saw == {str(n): str(n) for n in range(20)}


async def test_a_chain_of_handlers_passes_it_on() -> None:
    looks = Looks()

    async def again(event: Event) -> None:
        request.set(f"{request.get()} > {event.type}")
        await bus.publish(event.field("next"), {"next": "c.c"})

    async with EventBus() as bus:
        bus.subscribe("a.a", again)
        bus.subscribe("b.b", again, inline=True)
        bus.subscribe("c.c", looks)
        request.set("start")
        await bus.publish("a.a", {"next": "b.b"})
        await bus.drain()
    assert looks.saw[0][0] == "start > a.a > b.b"


async def test_who_is_replayed_to_sees_the_context_it_subscribed_in() -> None:
    looks = Looks()
    async with EventBus() as bus:
        request.set("publisher's")
        await bus.publish("a.b")
        request.set("subscriber's")
        bus.subscribe("a.b", looks, replay_last=True)
        await bus.drain()
    assert looks.saw[0][0] == "subscriber's"


async def test_a_report_of_a_failure_comes_in_the_context_of_what_failed() -> None:
    looks = Looks()
    async with EventBus() as bus:
        bus.subscribe("a.b", Fails())
        bus.subscribe_dead_letters(looks, inline=True)
        request.set("publisher's")
        await bus.publish("a.b")
        request.set("later")
        await bus.drain()
    assert [saw[0] for saw in looks.saw] == ["publisher's"]


async def test_the_middleware_runs_in_the_same_context_as_its_handler() -> None:
    looks = Looks()

    @delivery_middleware
    async def around(event: Event, call_next: Next) -> None:
        request.set(f"{request.get()}, tagged")
        await call_next(event)
        after.append(request.get())

    after: list[str] = []
    async with EventBus(middleware=[around]) as bus:
        bus.subscribe("a.b", looks)
        request.set("publisher's")
        await bus.publish("a.b")
        await bus.drain()
    assert looks.saw[0][0] == "publisher's, tagged"
    assert after == ["publisher's, tagged, handled"]


# -- what stays with it --


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_what_a_queued_handler_sets_reaches_no_other_event_no_other_subscriber_and_not_the_publisher(
    concurrency: int,
) -> None:
    looks = [Looks(), Looks()]
    async with EventBus() as bus:
        for handler in looks:
            bus.subscribe("a.b", handler, concurrency=concurrency)
        request.set("publisher's")
        for n in range(5):
            await bus.publish("a.b", connection_id=f"c{n % 2}")
        await bus.drain()
        assert request.get() == "publisher's"
    for handler in looks:
        assert handler.saw == [("publisher's", "publisher's", "publisher's, handled")] * 5


@pytest.mark.parametrize("ends", ["raises", "raises after waiting", "is timed out", "is retried"])
async def test_what_a_handler_sets_stays_with_it_however_it_ends(ends: str) -> None:
    clock, saw = FakeClock(), list[str]()

    async def handle(event: Event) -> None:
        saw.append(request.get())
        if event.field("n") or (ends == "is retried" and len(saw) > 1):
            return
        request.set("handler's")
        if ends == "is timed out":
            await anyio.sleep_forever()
        if ends == "raises after waiting":
            await checkpoint()
        raise ValueError("it broke")

    async with EventBus(clock=clock, slow_after=None) as bus:
        retry = Retry(2, 1, jitter=0) if ends == "is retried" else None
        bus.subscribe("a.b", handle, timeout=1, retry=retry)
        for n in range(2):
            request.set(f"publisher's {n}")
            await bus.publish("a.b", {"n": n})
        await clock.advance(1)
        await settled(bus)
    # The tries of one event share its context, as they would if the handler had a loop in it.
    assert saw == ["publisher's 0", *(["handler's"] if ends == "is retried" else []), "publisher's 1"]


async def test_an_inline_handler_runs_in_its_publishers_context_for_better_or_worse() -> None:
    looks = [Looks(), Looks()]
    async with EventBus() as bus:
        bus.subscribe("a.b", looks[0], inline=True)
        bus.subscribe("a.b", looks[1], inline=True)
        request.set("publisher's")
        await bus.publish("a.b")
        assert request.get() == "publisher's, handled, handled"
    assert looks[1].saw[0][0] == "publisher's, handled"


async def test_no_more_is_kept_than_the_last_context_of_each_worker() -> None:
    class Token:
        pass

    current: ContextVar[Token] = ContextVar("current")
    tokens: list[weakref.ref[Token]] = []

    async def publish() -> None:
        token = Token()
        tokens.append(weakref.ref(token))
        current.set(token)
        await bus.publish("a.b")

    async with EventBus(replay_limit=0) as bus:
        bus.subscribe("a.b", Looks())
        for _ in range(5):
            async with anyio.create_task_group() as group:
                group.start_soon(publish)
            await bus.drain()
        await settle()
        gc.collect()
        assert [token() is None for token in tokens[:-1]] == [True] * 4


# -- a handler may do what a task may --


async def _waits_many_times(bus: EventBus) -> None:
    for _ in range(500):
        await checkpoint()


async def _groups_tasks(bus: EventBus) -> None:
    results: list[int] = []

    async def child(n: int) -> None:
        await checkpoint()
        results.append(n)

    async with anyio.create_task_group() as group:
        for n in range(5):
            group.start_soon(child, n)
    assert sorted(results) == list(range(5))


async def _groups_tasks_of_which_one_fails(bus: EventBus) -> None:
    async def fail() -> None:
        await checkpoint()
        raise KeyError("child")

    async def group_them() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            group.start_soon(fail)

    with pytest.raises(ExceptionGroup):
        await group_them()


async def _cancels_a_part_of_itself(bus: EventBus) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await anyio.sleep_forever()
    assert scope.cancelled_caught
    with anyio.move_on_after(0) as limit:
        await anyio.sleep_forever()
    assert limit.cancelled_caught
    with pytest.raises(TimeoutError), anyio.fail_after(0):
        await anyio.sleep_forever()


async def _shields_a_part_of_itself(bus: EventBus) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        with anyio.CancelScope(shield=True):
            await checkpoint()
    assert not scope.cancelled_caught


async def _streams(bus: EventBus) -> None:
    send, receive = anyio.create_memory_object_stream[int](1)

    async def produce() -> None:
        async with send:
            for n in range(10):
                await send.send(n)

    async with anyio.create_task_group() as group, receive:
        group.start_soon(produce)
        assert [n async for n in receive] == list(range(10))


async def _locks_and_events(bus: EventBus) -> None:
    lock, event, limiter = anyio.Lock(), anyio.Event(), anyio.CapacityLimiter(1)

    async def set_it() -> None:
        async with lock, limiter:
            await checkpoint()
            event.set()

    async with anyio.create_task_group() as group:
        group.start_soon(set_it)
        await event.wait()
        async with lock, limiter:
            pass


async def _uses_a_thread(bus: EventBus) -> None:
    def in_thread() -> str:
        return request.get() + str(anyio.from_thread.run(_with_the_loop, "asked"))

    assert await anyio.to_thread.run_sync(in_thread) == "publisher's, asked"


async def _with_the_loop(text: str) -> str:
    await checkpoint()
    return f", {text}"


async def _generates(bus: EventBus) -> None:
    closed: list[bool] = []

    async def count() -> AsyncIterator[int]:
        try:
            for n in range(5):
                await checkpoint()
                yield n
        finally:
            await checkpoint()
            closed.append(True)

    numbers = count()
    async for n in numbers:
        if n == 2:
            break
    await numbers.aclose()  # type: ignore[attr-defined]
    assert closed == [True]


async def _enters_and_leaves(bus: EventBus) -> None:
    left: list[str] = []

    @asynccontextmanager
    async def resource() -> AsyncIterator[str]:
        await checkpoint()
        try:
            yield "resource"
        finally:
            await checkpoint()
            left.append(request.get())

    with pytest.raises(KeyError):
        async with resource():
            raise KeyError("inside")
    assert left == ["publisher's"]


async def _publishes_and_waits_for_the_answer(bus: EventBus) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(bus.publish, "the.question")
        answer = await bus.wait_for("the.answer", timeout=10)
    assert answer.type == "the.answer"


async def _opens_a_bus_of_its_own(bus: EventBus) -> None:
    looks = Looks()
    async with EventBus() as own:
        own.subscribe("a.b", looks)
        await own.publish("a.b")
    assert looks.saw[0][0] == "publisher's"


async def _catches_and_goes_on(bus: EventBus) -> None:
    for _ in range(5):
        try:
            await checkpoint()
            raise KeyError("caught")
        except KeyError:
            await checkpoint()
        finally:
            await checkpoint()


WHATEVER_A_TASK_MAY_DO = [
    _waits_many_times,
    _groups_tasks,
    _groups_tasks_of_which_one_fails,
    _cancels_a_part_of_itself,
    _shields_a_part_of_itself,
    _streams,
    _locks_and_events,
    _uses_a_thread,
    _generates,
    _enters_and_leaves,
    _publishes_and_waits_for_the_answer,
    _opens_a_bus_of_its_own,
    _catches_and_goes_on,
]


async def check_in_a_worker(work: Callable[[EventBus], Awaitable[None]]) -> None:
    """Let a queued handler do this twice, beside another, and see that it sees its variable all the time."""
    seen: list[str] = []

    async def handle(event: Event) -> None:
        seen.append(request.get())
        request.set("handler's")
        request.set("publisher's")
        await work(bus)
        seen.append(request.get())

    async def answer(event: Event) -> None:
        await bus.publish("the.answer")

    async with EventBus(slow_after=None) as bus:
        subscription = bus.subscribe("a.b", handle)
        bus.subscribe("a.b", lambda event: settle())
        bus.subscribe("the.question", answer)
        request.set("publisher's")
        for n in range(2):
            await bus.publish("a.b", {"n": n})
        with anyio.fail_after(10):
            await bus.drain()
        assert (subscription.handled, subscription.failed) == (2, 0)
        assert_at_rest(bus)
    assert seen == ["publisher's"] * 4


@pytest.mark.parametrize("work", WHATEVER_A_TASK_MAY_DO, ids=lambda work: work.__name__.strip("_"))
async def test_a_queued_handler_may(work: Callable[[EventBus], Awaitable[None]]) -> None:
    await check_in_a_worker(work)


async def _asks_for_its_task(bus: EventBus) -> None:
    task = asyncio.current_task()
    assert task is not None
    await asyncio.sleep(0)
    assert asyncio.current_task() is task


async def _gathers(bus: EventBus) -> None:
    async def child(n: int) -> int:
        await asyncio.sleep(0)
        assert request.get() == "publisher's"
        return n

    assert list(await asyncio.gather(child(1), child(2))) == [1, 2]


async def _has_a_time_out(bus: EventBus) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.sleep(10)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.sleep(10), 0)
    assert await asyncio.wait_for(asyncio.sleep(0, "done"), 10) == "done"


async def _uses_asyncios_primitives(bus: EventBus) -> None:
    queue: asyncio.Queue[int] = asyncio.Queue(1)

    async def produce() -> None:
        for n in range(5):
            await queue.put(n)

    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        got = [await queue.get() for _ in range(5)]
    assert got == list(range(5))
    async with asyncio.Lock(), asyncio.Semaphore(1):
        await asyncio.sleep(0)
    condition = asyncio.Condition()
    async with condition:
        asyncio.get_running_loop().call_soon(asyncio.ensure_future, _notify(condition))
        await condition.wait()


async def _notify(condition: asyncio.Condition) -> None:
    async with condition:
        condition.notify_all()


async def _awaits_futures_and_callbacks(bus: EventBus) -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str] = loop.create_future()
    loop.call_soon(lambda: future.set_result(request.get()))
    assert await future == "publisher's"
    assert await asyncio.shield(asyncio.sleep(0, "shielded")) == "shielded"
    assert await loop.run_in_executor(None, lambda: "executed") == "executed"


async def _catches_the_cancellation_of_another(bus: EventBus) -> None:
    task = asyncio.ensure_future(asyncio.sleep(10))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    "work",
    [
        _asks_for_its_task,
        _gathers,
        _has_a_time_out,
        _uses_asyncios_primitives,
        _awaits_futures_and_callbacks,
        _catches_the_cancellation_of_another,
    ],
    ids=lambda work: work.__name__.strip("_"),
)
async def test_a_queued_handler_on_asyncio(work: Callable[[EventBus], Awaitable[None]]) -> None:
    await check_in_a_worker(work)


async def _has_a_nursery(bus: EventBus) -> None:
    import trio

    task = trio.lowlevel.current_task()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 0)
    with trio.move_on_after(0) as scope:
        await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.lowlevel.current_task() is task


async def _has_channels_and_threads(bus: EventBus) -> None:
    import trio

    send, receive = trio.open_memory_channel[int](0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send.send, 1)
        assert await receive.receive() == 1
    assert await trio.to_thread.run_sync(request.get) == "publisher's"
    assert await trio.to_thread.run_sync(trio.from_thread.run, _with_the_loop, "x") == ", x"


@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.parametrize("work", [_has_a_nursery, _has_channels_and_threads], ids=lambda work: work.__name__.strip("_"))
async def test_a_queued_handler_on_trio(work: Callable[[EventBus], Awaitable[None]]) -> None:
    await check_in_a_worker(work)


# -- cancelled, timed out, failing --


@pytest.mark.parametrize("whose", ["subscription", "middleware"])
async def test_a_handler_that_is_timed_out_cleans_up_in_its_own_context_and_the_next_event_is_handled(
    whose: str,
) -> None:
    clock, cleaned, heard = FakeClock(), list[str](), Recorder()

    async def handle(event: Event) -> None:
        if event.field("n"):
            await heard(event)
            return
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await settle()
                cleaned.append(request.get())

    middleware = [Timeout(1)] if whose == "middleware" else []
    async with EventBus(middleware=middleware, clock=clock, slow_after=None) as bus:
        subscription = bus.subscribe("a.b", handle, timeout=1 if whose == "subscription" else None)
        for n in range(2):
            request.set(f"publisher's {n}")
            await bus.publish("a.b", {"n": n})
        await clock.advance(1)
        await settled(bus)
        assert (subscription.failed, subscription.handled) == (1, 1)
    assert cleaned == ["publisher's 0"]
    assert heard.numbers == [1]


async def test_a_handler_that_swallows_its_time_out_has_succeeded() -> None:
    clock = FakeClock()

    async def handle(event: Event) -> None:
        with anyio.CancelScope(shield=True):
            await clock.sleep(5)

    async with EventBus(clock=clock, slow_after=None) as bus:
        subscription = bus.subscribe("a.b", handle, timeout=1)
        await bus.publish("a.b")
        await clock.advance(5)
        assert (subscription.failed, subscription.handled) == (0, 1)


async def test_a_handler_that_is_cancelled_with_its_bus_cleans_up_in_its_own_context() -> None:
    cleaned: list[str] = []

    async def handle(event: Event) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.append(request.get())

    async with EventBus(close_timeout=0) as bus:
        bus.subscribe("a.b", handle)
        request.set("publisher's")
        await bus.publish("a.b")
        await all_tasks_blocked()
    assert cleaned == ["publisher's"]


async def test_a_handler_that_raises_after_waiting_fails_with_its_own_traceback() -> None:
    failures = Recorder()

    async def deep_inside() -> None:
        await checkpoint()
        raise ValueError("it broke")

    async def handle(event: Event) -> None:
        await checkpoint()
        await deep_inside()

    async with EventBus() as bus:
        bus.subscribe("a.b", handle)
        bus.subscribe("handler.failed", failures)
        await bus.publish("a.b")
    error = failures.events[0].error
    assert isinstance(error, ValueError)
    names, traceback = [], error.__traceback__
    while traceback is not None:
        names.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    assert names[-2:] == ["handle", "deep_inside"]


@pytest.mark.parametrize("error", [StopIteration("odd"), StopAsyncIteration("odd"), asyncio.CancelledError("odd")])
@pytest.mark.parametrize("kind", ["plain", "async", "after waiting"])
async def test_an_odd_error_of_a_handler_is_a_failure_and_its_worker_goes_on(error: BaseException, kind: str) -> None:
    def plain(event: Event) -> None:
        raise error

    async def asynchronous(event: Event) -> None:
        if kind == "after waiting":
            await checkpoint()
        raise error

    async with EventBus() as bus:
        subscription = bus.subscribe("a.b", plain if kind == "plain" else asynchronous)
        for _ in range(2):
            await bus.publish("a.b")
        await bus.drain()
        assert subscription.failed == 2
        assert_at_rest(bus)


class TheEnd(BaseException):
    """Neither a failure nor a cancellation."""


async def _raises(error: BaseException, waits: bool, heard: list[str]) -> None:
    async def handle(event: Event) -> None:
        if waits:
            await checkpoint()
        raise error

    async with EventBus() as bus:
        bus.subscribe("a.b", handle)
        await bus.publish("a.b")
        await anyio.sleep(10)
        heard.append("slept")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("error", [TheEnd(), GeneratorExit(), KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_what_is_no_failure_ends_the_bus_and_comes_out_of_its_block(
    error: BaseException, waits: bool, backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # asyncio logs each task that was left in the middle
    heard: list[str] = []
    with pytest.raises(BaseException) as raised:  # noqa: PT011 - whichever of them, or a group around it
        anyio.run(_raises, error, waits, heard, backend=backend)
    found = raised.value
    while isinstance(found, BaseExceptionGroup):
        (found,) = found.exceptions
    assert found is error
    assert heard == []


# -- causality --


async def test_a_task_that_a_handler_started_is_linked_to_its_event_as_long_as_it_lives() -> None:
    gate, heard = Gate(), Recorder()

    async def later() -> None:
        await gate.opened.wait()
        await bus.publish("b.b")

    async def handle(event: Event) -> None:
        group.start_soon(later)

    async with EventBus() as bus, anyio.create_task_group() as group:
        bus.subscribe("a.b", handle)
        bus.subscribe("b.b", heard)
        cause = await bus.publish("a.b")
        await bus.publish("a.c")
        await bus.drain()
        gate.open()
        await all_tasks_blocked()
        assert [event.causation_id for event in heard.events] == [cause.id]


async def test_a_task_group_of_a_handler_is_part_of_it() -> None:
    heard = Recorder()

    async def handle(event: Event) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(bus.publish, "a.b" if event.field("n") else "b.b", {"n": 0})

    async with EventBus() as bus:
        # Its own queue is full: a publisher from outside would have to wait for this very handler.
        subscription = bus.subscribe("a.b", handle, queue_size=1)
        bus.subscribe("b.b", heard)
        cause = await bus.publish("a.b", {"n": 1})
        with anyio.fail_after(10):
            await bus.drain()
        assert (subscription.handled, subscription.overrun) == (6, 4)
        assert {event.causation_depth for event in heard.events} == {2}
        assert cause.id not in {event.causation_id for event in heard.events}


async def test_the_context_of_a_publisher_says_nothing_about_what_a_worker_handles() -> None:
    seen: list[bool] = []

    async def inner(event: Event) -> None:
        call = handling.get()
        assert call is not None
        seen.append(call.event is event and call.outer is None)

    async def outer(event: Event) -> None:
        await there.publish("b.b")

    async with EventBus() as there, EventBus() as here:
        there.subscribe("b.b", inner)
        here.subscribe("a.b", outer)
        await here.publish("a.b")
        await settled(here, there)
    assert seen == [True]


# -- the runner itself --


class Target:
    def __init__(self, call: Callable[[Any], Coroutine[Any, Any, Any]]) -> None:
        self.call = call


async def test_a_runner_runs_one_coroutine_after_the_other_each_in_its_context() -> None:
    async def work(n: int) -> None:
        request.set(f"{request.get()} {n}")
        for _ in range(n):
            await checkpoint()
        if n == 2:
            raise ValueError("two")

    runner = Runner(Target(work))
    for n in range(4):
        context = contextvars.copy_context()
        trap = context.run(runner.send, n)
        assert (trap is DONE) == (n == 0)
        await runner.rest(context, trap)
        error, runner.error = runner.error, None
        assert str(error) == ("two" if n == 2 else "None")
        assert context[request] == f"{request.get()} {n}"


@pytest.mark.parametrize("runner", ["for many", "for one"])
@pytest.mark.parametrize("cleans_up", ["plainly", "with an error", "by waiting"])
def test_a_runner_that_is_let_go_of_in_the_middle_closes_its_coroutine(cleans_up: str, runner: str) -> None:
    cleaned: list[str] = []

    async def work(_: None) -> None:
        try:
            await _Forever()
        finally:
            cleaned.append(request.get())
            if cleans_up == "with an error":
                raise KeyError("clean-up")
            if cleans_up == "by waiting":
                await _Forever()

    context = contextvars.copy_context()
    context.run(request.set, "its own")
    if runner == "for many":
        many = Runner(Target(work))
        rest = many.rest(context, context.run(many.send, None))
    else:
        rest = in_context(context, work(None))
    rest.send(None)
    if cleans_up == "plainly":
        rest.close()
    else:
        with pytest.raises(KeyError if cleans_up == "with an error" else RuntimeError):
            rest.close()
    assert cleaned == ["its own"]


async def test_one_coroutine_runs_in_a_context_and_its_cancellation_and_error_come_out() -> None:
    context = contextvars.copy_context()
    context.run(request.set, "its own")
    saw: list[str] = []

    async def work() -> None:
        saw.append(request.get())
        await checkpoint()
        scope.cancel()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await settle()
            saw.append(request.get())

    async def fail() -> None:
        await checkpoint()
        raise KeyError(request.get())

    with anyio.CancelScope() as scope:
        await in_context(context, work())
    assert scope.cancelled_caught
    with pytest.raises(KeyError, match="its own"):
        await in_context(context, fail())
    assert saw == ["its own", "its own"]
    assert request.get() == "none"


class _Forever:
    def __await__(self) -> Any:
        yield self


async def test_a_closed_bus_refuses_a_task_that_a_handler_left_behind() -> None:
    refused: list[Exception] = []
    gate = Gate()

    async def later() -> None:
        await gate.opened.wait()
        try:
            await bus.publish("b.b")
        except BusClosed as error:
            refused.append(error)

    async def handle(event: Event) -> None:
        group.start_soon(later)

    async with anyio.create_task_group() as group:
        async with EventBus() as bus:
            bus.subscribe("a.b", handle)
            await bus.publish("a.b")
        gate.open()
    assert len(refused) == 1
