"""Handlers that block: called in threads, a bounded number of them, while the loop goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest
from anyio import from_thread, to_thread

from bus import BusClosed, Event, EventBus, HandlerFailure
from bus.middleware import Metrics, Recovery, Retry, Timeout
from bus.testing import FakeClock, all_tasks_blocked, settled
from tests.bus_helpers import Recorder, assert_at_rest, fill, settle

pytestmark = pytest.mark.anyio

PATIENCE_S = 10
"""How long a test waits for a thread before it gives up; nothing here takes that long."""


class Blocks:
    """A handler that blocks its thread until it is let go, and keeps in how many threads it was at once."""

    def __init__(self) -> None:
        self.numbers: list[Any] = []
        self.threads: set[int] = set()
        self.at_once = self.most_at_once = 0
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self.threads.add(threading.get_ident())
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.begun.release()
        assert self.go.wait(PATIENCE_S)
        with self._lock:
            self.at_once -= 1
            self.numbers.append(event.field("n"))

    async def wait_for_calls(self, number: int = 1) -> None:
        for _ in range(number):
            assert await to_thread.run_sync(self.begun.acquire, True, PATIENCE_S)


async def test_a_blocking_handler_runs_off_the_thread_of_the_loop_and_does_not_hold_it_up() -> None:
    blocks, heard = Blocks(), Recorder()
    async with EventBus() as bus:
        subscription = bus.subscribe("a.b", blocks, thread=True)
        bus.subscribe("b.b", heard)
        await bus.publish("a.b")
        await blocks.wait_for_calls()
        await fill(bus, "b.b", 3)
        await all_tasks_blocked()
        assert heard.numbers == [0, 1, 2]
        assert (subscription.in_flight, subscription.handled) == (1, 0)
        blocks.go.set()
        await bus.drain()
        assert (subscription.in_flight, subscription.handled) == (0, 1)
        assert_at_rest(bus)
    assert threading.get_ident() not in blocks.threads


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_no_more_threads_are_used_than_the_concurrency(concurrency: int) -> None:
    blocks = Blocks()
    async with EventBus() as bus:
        bus.subscribe("a.b", blocks, thread=True, concurrency=concurrency)
        for n in range(10):
            await bus.publish("a.b", {"n": n}, connection_id=f"c{n}")
        await blocks.wait_for_calls(concurrency)
        await all_tasks_blocked()
        assert blocks.at_once == concurrency
        blocks.go.set()
        await bus.drain()
    assert blocks.most_at_once <= concurrency
    assert sorted(blocks.numbers) == list(range(10))


async def test_publishers_at_the_same_time_use_no_more_threads_of_an_inline_handler_than_its_concurrency() -> None:
    blocks = Blocks()
    async with EventBus() as bus, anyio.create_task_group() as group:
        bus.subscribe("a.b", blocks, inline=True, thread=True, concurrency=2)
        for n in range(5):
            group.start_soon(bus.publish, "a.b", {"n": n})
        await blocks.wait_for_calls(2)
        await all_tasks_blocked()
        assert blocks.at_once == 2
        blocks.go.set()
    assert blocks.most_at_once == 2
    assert sorted(blocks.numbers) == list(range(5))


async def test_events_of_a_connection_are_handled_in_order_however_many_threads_there_are() -> None:
    numbers: dict[str | None, list[int]] = {"c": [], "d": [], "e": []}

    def handle(event: Event) -> None:
        numbers[event.connection_id].append(event.field("n"))

    async with EventBus() as bus:
        bus.subscribe("a.b", handle, thread=True, concurrency=4)
        for n in range(20):
            for connection_id in numbers:
                await bus.publish("a.b", {"n": n}, connection_id=connection_id)
    assert numbers == {connection_id: list(range(20)) for connection_id in "cde"}


async def test_a_subscription_has_threads_of_its_own_whatever_others_block() -> None:
    # anyio's own limit is 40 threads for all; a subscription's is its concurrency.
    blocks, heard = Blocks(), Recorder()
    limiter = to_thread.current_default_thread_limiter()
    before, limiter.total_tokens = limiter.total_tokens, 1
    try:
        async with EventBus() as bus, anyio.create_task_group() as group:
            group.start_soon(to_thread.run_sync, blocks, Event("takes.it", None))
            await all_tasks_blocked()
            bus.subscribe("a.b", lambda event: heard.events.append(event), thread=True)
            await bus.publish("a.b")
            with anyio.fail_after(PATIENCE_S):
                await bus.drain()
            assert heard.types == ["a.b"]
            blocks.go.set()
    finally:
        limiter.total_tokens = before


@pytest.mark.parametrize("recovery", [True, False])
@pytest.mark.parametrize("inline", [True, False])
async def test_an_inline_handler_in_a_thread_is_waited_for_and_its_error_comes_out(
    inline: bool, recovery: bool
) -> None:
    letters: list[HandlerFailure] = []
    ident: list[int] = []

    def handle(event: Event) -> None:
        ident.append(threading.get_ident())
        raise ValueError("it broke")

    async with EventBus(middleware=[Recovery()] if recovery else []) as bus:
        subscription = bus.subscribe("a.b", handle, thread=True, inline=inline)
        bus.subscribe_dead_letters(letters.append)
        if inline and not recovery:
            with pytest.raises(ValueError, match="it broke"):
                await bus.publish("a.b")
        else:
            await bus.publish("a.b")
        await bus.drain()
        assert subscription.failed == 1
    assert ident != [threading.get_ident()]
    assert [letter.error for letter in letters] == ([] if inline and not recovery else ["ValueError: it broke"])


async def test_a_handler_in_a_thread_is_retried_and_measured_like_any_other() -> None:
    metrics, clock, calls = Metrics(), FakeClock(), list[int]()

    def handle(event: Event) -> None:
        calls.append(threading.get_ident())
        if len(calls) < 3:
            raise ValueError("it broke")

    async with EventBus(middleware=[metrics], clock=clock, slow_after=None) as bus:
        bus.subscribe("a.b", handle, thread=True, retry=Retry(3, first_delay_s=0, jitter=0))
        await bus.publish("a.b")
        await settled(bus)
    (series,) = metrics.series.values()
    assert (series.handled, series.failed) == (1, 2)


@pytest.mark.parametrize("thread", [True, False])
async def test_dead_letters_may_be_kept_by_a_handler_that_blocks(thread: bool) -> None:
    kept: list[tuple[str, bool]] = []

    def keep(failure: HandlerFailure) -> None:
        kept.append((failure.error, threading.get_ident() == loops))

    def fail(event: Event) -> None:
        raise ValueError("it broke")

    loops = threading.get_ident()
    async with EventBus() as bus:
        bus.subscribe("a.b", fail)
        bus.subscribe_dead_letters(keep, thread=thread)
        await bus.publish("a.b")
    assert kept == [("ValueError: it broke", not thread)]


# -- what is refused --


class AsyncCallable:
    async def __call__(self, event: Event) -> None:
        pass


async def _async(event: Event) -> None:
    pass


async def _async_of_two(more: int, event: Event) -> None:
    pass


@pytest.mark.parametrize(
    ("handler", "name"),
    [(_async, "_async"), (AsyncCallable(), "AsyncCallable"), (partial(_async_of_two, 1), "_async_of_two")],
)
async def test_an_async_handler_is_refused_and_nobody_has_subscribed(handler: Any, name: str) -> None:
    async with EventBus() as bus:
        for subscribe in (bus.subscribe, bus.subscribe_batch):
            with pytest.raises(TypeError, match=f"^{name} is async: thread=True is for plain functions that block"):
                subscribe("a.b", handler, thread=True)
        with pytest.raises(TypeError, match=f"^{name} is async: thread=True is for plain functions that block"):
            bus.subscribe_dead_letters(handler, thread=True)
        assert bus.stats().active_handlers == 0


async def test_a_plain_handler_that_returns_a_coroutine_fails_rather_than_doing_nothing() -> None:
    letters: list[HandlerFailure] = []

    def handle(event: Event) -> Any:
        return _async(event)

    async with EventBus() as bus:
        bus.subscribe("a.b", handle, thread=True)
        bus.subscribe_dead_letters(letters.append)
        await bus.publish("a.b")
    (letter,) = letters
    assert "handle returned a coroutine: thread=True is for plain functions that block" in letter.error


# -- time-outs and cancellation --


def asks_whether_it_is_wanted(asked: threading.Semaphore, outcome: list[str]) -> Callable[[Event], None]:
    """A handler that works until it is no longer wanted."""

    def handle(event: Event) -> None:
        for _ in range(100 * PATIENCE_S):
            try:
                from_thread.check_cancelled()
            except BaseException:
                outcome.append("not wanted")
                raise
            asked.release()
            threading.Event().wait(0.01)
        raise AssertionError("it was wanted all the time")

    return handle


@pytest.mark.parametrize("whose", ["subscription", "middleware"])
async def test_a_handler_that_asks_is_told_of_its_time_out_and_fails(whose: str) -> None:
    clock, asked, outcome, letters = FakeClock(), threading.Semaphore(0), list[str](), list[HandlerFailure]()
    middleware = [Timeout(5)] if whose == "middleware" else []
    async with EventBus(middleware=middleware, clock=clock, slow_after=None) as bus:
        handler = asks_whether_it_is_wanted(asked, outcome)
        subscription = bus.subscribe("a.b", handler, thread=True, timeout=5 if whose == "subscription" else None)
        bus.subscribe_dead_letters(letters.append)
        await bus.publish("a.b")
        assert await to_thread.run_sync(asked.acquire, True, PATIENCE_S)
        await clock.advance(5)
        await bus.drain()
        assert (subscription.failed, subscription.handled) == (1, 0)
    assert outcome == ["not wanted"]
    assert "took longer than 5 s to handle a.b, and was cancelled" in letters[0].error


async def test_a_handler_that_does_not_ask_is_waited_for_and_has_succeeded_when_it_returns_late() -> None:
    clock, blocks = FakeClock(), Blocks()
    async with EventBus(clock=clock, slow_after=None) as bus:
        subscription = bus.subscribe("a.b", blocks, thread=True, timeout=5)
        await fill(bus, "a.b", 2)
        await blocks.wait_for_calls()
        await clock.advance(50)
        assert (subscription.in_flight, subscription.queued) == (1, 1)
        blocks.go.set()
        await bus.drain()
        assert (subscription.failed, subscription.handled) == (0, 2)


async def test_closing_waits_for_a_thread_and_tells_one_that_asks() -> None:
    asked, outcome = threading.Semaphore(0), list[str]()
    async with EventBus(close_timeout=0) as bus:
        bus.subscribe("a.b", asks_whether_it_is_wanted(asked, outcome), thread=True)
        await bus.publish("a.b")
        assert await to_thread.run_sync(asked.acquire, True, PATIENCE_S)
    assert outcome == ["not wanted"]
    assert_at_rest(bus)


async def test_a_cancelled_subscription_lets_its_thread_finish() -> None:
    blocks = Blocks()
    async with EventBus() as bus:
        subscription = bus.subscribe("a.b", blocks, thread=True)
        await fill(bus, "a.b", 3)
        await blocks.wait_for_calls()
        subscription.cancel()
        blocks.go.set()
        await bus.drain()
        assert bus.stats().handled == 1
    assert blocks.numbers == [0]


# -- publishing from a thread --


async def test_a_handler_publishes_from_its_thread_what_its_event_caused() -> None:
    heard = Recorder()

    def handle(event: Event) -> None:
        published = from_thread.run(bus.publish, "b.b", {"n": 1})
        from_thread.run(bus.publish_event, Event("b.b", data={"n": 2}))
        assert published.causation_id == event.id

    async with EventBus() as bus:
        subscription = bus.subscribe("a.b", handle, thread=True)
        bus.subscribe("b.b", heard)
        cause = await bus.publish("a.b")
        await bus.drain()
        assert subscription.failed == 0
    assert heard.numbers == [1, 2]
    assert [(event.causation_id, event.causation_depth) for event in heard.events] == [(cause.id, 1)] * 2


async def test_a_thread_of_a_handler_never_waits_for_a_queue_that_could_wait_for_it() -> None:
    def handle(event: Event) -> None:
        if event.field("n"):
            for _ in range(5):
                from_thread.run(bus.publish, "a.b", {"n": 0})

    async with EventBus() as bus:
        subscription = bus.subscribe("a.b", handle, thread=True, queue_size=1)
        await bus.publish("a.b", {"n": 1})
        with anyio.fail_after(PATIENCE_S):
            await bus.drain()
        assert (subscription.handled, subscription.overrun) == (6, 4)


async def test_a_thread_that_is_no_handler_waits_like_any_publisher() -> None:
    blocks, published = Blocks(), threading.Event()

    def publish() -> None:
        for n in range(3):
            from_thread.run(bus.publish, "a.b", {"n": n})
        published.set()

    async with EventBus() as bus, anyio.create_task_group() as group:
        bus.subscribe("a.b", blocks, thread=True, queue_size=1)
        group.start_soon(to_thread.run_sync, publish)
        await blocks.wait_for_calls()
        await settle()
        assert not published.is_set()
        blocks.go.set()
    assert blocks.numbers == [0, 1, 2]


@pytest.mark.filterwarnings("ignore:coroutine 'Subscription.work' was never awaited")
async def test_subscribing_from_a_thread_is_an_error_and_leaves_no_queue_that_nobody_empties() -> None:
    errors: list[str] = []

    def subscribe() -> None:
        try:
            bus.subscribe("a.b", Recorder(), queue_size=1)
        except RuntimeError as error:
            errors.append(str(error))

    async with EventBus() as bus:
        await to_thread.run_sync(subscribe)
        with anyio.fail_after(PATIENCE_S):
            await fill(bus, "a.b", 5)
        assert bus.stats().active_handlers == 0
        await to_thread.run_sync(lambda: from_thread.run_sync(lambda: bus.subscribe("a.b", Recorder())))
        assert bus.stats().active_handlers == 1
    assert len(errors) == 1


async def test_a_thread_is_told_that_the_bus_is_closed() -> None:
    refused: list[str] = []

    def publish() -> None:
        try:
            from_thread.run(bus.publish, "a.b")
        except BusClosed as error:
            refused.append(str(error))

    async with EventBus() as bus:
        pass
    await to_thread.run_sync(publish)
    assert refused == ["the bus is closed"]
