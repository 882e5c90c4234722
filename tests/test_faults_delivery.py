"""Faults of delivery, each at its full size: many publishers, a failing one of many, a blocked one, its own full queue.

The numbers are those of the list of faults that the bus must survive.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest
from anyio import from_thread
from anyio.lowlevel import checkpoint

from bus import Event, EventBus, EventStream, QueueFull
from bus.middleware import Recovery
from bus.options import Overflow
from bus.testing import Recorder as Published
from tests.bus_helpers import Fails, Gate, Recorder, assert_at_rest, fill, settle, within

pytestmark = pytest.mark.anyio

URGENT = {"a.urgent": 1}


# -- 1: 200 keys × 100 events from 50 publishers --


@pytest.mark.parametrize("options", [{"concurrency": 1}, {"concurrency": 8}, {"priorities": URGENT}, {"max_size": 16}])
async def test_fault_01_nothing_is_lost_doubled_or_reordered_per_key(options: dict[str, Any]) -> None:
    keys, per_key, publishers = 200, 100, 50
    heard: dict[str | None, list[int]] = defaultdict(list)

    async def handle(event: Event) -> None:
        if event.field("n") % 10 == 0:
            await checkpoint()  # whoever may overtake does
        heard[event.connection_id].append(event.field("n"))

    async def handle_batch(events: list[Event]) -> None:
        for event in events:
            await handle(event)

    async def publish(first: int) -> None:
        for n in range(per_key):
            event_type = "a.b" if n % 7 else "a.urgent"
            for key in range(first, keys, publishers):
                await bus.publish(event_type, {"n": n}, connection_id=f"c{key}")

    async with within(60), EventBus() as bus:
        if "max_size" in options:
            bus.subscribe_batch("a.*", handle_batch, **options, queue_size=16)
        else:
            bus.subscribe("a.*", handle, **options, queue_size=16)
        async with anyio.create_task_group() as group:
            for first in range(publishers):
                group.start_soon(publish, first)
        await bus.drain()
        assert_at_rest(bus)
    assert heard == {f"c{key}": list(range(per_key)) for key in range(keys)}


@pytest.mark.parametrize("who", ["queued", "inline", "attached"])
async def test_fault_01_an_event_overtakes_no_publisher_of_its_connection_that_waits_whoever_hears_it(who: str) -> None:
    gate, heard = Gate(), Recorder()
    async with within(60), EventBus() as bus, anyio.create_task_group() as group:
        attached = Published(bus) if who == "attached" else heard
        if who != "attached":
            bus.subscribe("*", heard, inline=who == "inline")
        bus.subscribe("slow.thing", gate, queue_size=1)
        await fill(bus, "slow.thing", 1)
        await settle()
        await fill(bus, "slow.thing", 1)
        group.start_soon(bus.publish, "slow.thing", {"connection_id": "c", "n": "first"})
        await settle()
        group.start_soon(bus.publish, "quick.thing", {"connection_id": "c", "n": "second"})
        await settle()
        gate.open()
        await settle()
        await bus.drain()
        assert [event.field("n") for event in attached.events] == [0, 0, "first", "second"]


# -- 2: 5,000 events × 50 subscribers, one always raising --


@pytest.mark.parametrize("middleware", [(), (Recovery(),)], ids=["bare", "recovery"])
async def test_fault_02_one_failing_subscriber_of_fifty_harms_none_of_the_others(
    middleware: tuple[Recovery, ...], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "phasebus.bus")
    heard = [0] * 49
    events = 5_000

    def counter(index: int) -> Callable[[Event], None]:
        def count(_: Event) -> None:
            heard[index] += 1

        return count

    async with within(60), EventBus(middleware=middleware) as bus:
        for index in range(49):
            bus.subscribe("a.b", counter(index))
        failing = bus.subscribe("a.b", Fails())
        await fill(bus, "a.b", events)
        await bus.drain()
        assert failing.failed == bus.stats().events_by_type["handler.failed"] == events
    assert heard == [events] * 49


# -- 3: one subscriber blocked for long --


async def _turns_until_heard(events: int, gate: Gate) -> Counter[int]:
    """How many turns of the event loop pass until ten others have handled an event, over so many events."""
    turns: Counter[int] = Counter()
    heard = [Recorder() for _ in range(10)]
    async with within(60), EventBus() as bus:
        bus.subscribe("a.b", gate)
        for recorder in heard:
            bus.subscribe("a.b", recorder)
        for n in range(events):
            await bus.publish("a.b", {"n": n}, connection_id=f"c{n % 3}")
            waited = 0
            while any(len(recorder.events) <= n for recorder in heard):
                await checkpoint()
                waited += 1
                assert waited < 100, "the others wait for something"
            turns[waited] += 1
        gate.open()
    return turns


async def test_fault_03_a_blocked_subscriber_leaves_the_latency_of_the_others_as_it_is() -> None:
    free = Gate()
    free.open()
    without = await _turns_until_heard(1_000, free)
    blocked = await _turns_until_heard(1_000, Gate())
    assert max(blocked) <= max(without)


QUEUE_SIZE = 64
KINDS = ["one worker", "three workers", "priorities", "batches", "stream"]
"""Of a subscriber that may be blocked."""


def _batches(handler: Recorder) -> Callable[[list[Event]], Any]:
    async def handle(events: list[Event]) -> None:
        for event in events:
            await handler(event)

    return handle


async def _read(stream: EventStream, handler: Recorder) -> None:
    async for event in stream:
        await handler(event)


@asynccontextmanager
async def _blocked(kind: str, overflow: Overflow) -> AsyncIterator[tuple[EventBus, Gate, list[Event]]]:
    """A bus with a blocked subscriber whose queue is full, and the events that that took."""
    gate = Gate()
    async with within(60), EventBus() as bus, anyio.create_task_group() as group:
        match kind:
            case "batches":
                bus.subscribe_batch("a.b", _batches(gate), 10, queue_size=QUEUE_SIZE, overflow=overflow)
            case "stream":
                group.start_soon(_read, bus.stream("a.b", queue_size=QUEUE_SIZE, overflow=overflow), gate)
            case _:
                options: dict[str, Any] = {"three workers": {"concurrency": 3}, "priorities": {"priorities": URGENT}}
                bus.subscribe("a.b", gate, queue_size=QUEUE_SIZE, overflow=overflow, **options.get(kind, {}))
        published: list[Event] = []
        while bus.stats().queued < QUEUE_SIZE:
            published.append(await _publish(bus, len(published)))
            await settle()
        yield bus, gate, published
        gate.open()
        while bus.stats().queued:
            await settle()
        await bus.drain()
        group.cancel_scope.cancel()
        assert_at_rest(bus)


async def _publish(bus: EventBus, n: int) -> Event:
    return await bus.publish("a.b", {"n": n}, connection_id=f"c{n % 3}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
async def test_fault_03_a_full_queue_drops_exactly_what_its_policy_says_and_reports_each_while_others_hear_all(
    kind: str, overflow: Overflow, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "phasebus.bus")
    others, dropped = Recorder(), Recorder()
    async with _blocked(kind, overflow) as (bus, gate, before):
        (by,) = (target.name for target in bus._routes)
        bus.subscribe("a.b", others, queue_size=1_000)
        bus.subscribe("event.dropped", dropped, queue_size=1_000)
        later = [await _publish(bus, len(before) + n) for n in range(1_000)]
        assert bus.stats().dropped == 1_000
    everything = [*before, *later]
    first = len(before) - QUEUE_SIZE if overflow == "drop_oldest" else len(before)
    lost = everything[first : first + 1_000]
    kept = everything[:first] + everything[first + 1_000 :]
    assert [event.data for event in dropped.events] == [
        {"type": "a.b", "id": event.id, "by": by, "reason": overflow} for event in lost
    ]
    assert sorted(gate.numbers) == [event.field("n") for event in kept]
    assert others.events == later


@pytest.mark.parametrize("kind", KINDS)
async def test_fault_03_a_full_queue_with_overflow_error_refuses_each_event_for_all_and_drops_none(kind: str) -> None:
    others, news = Recorder(), Recorder()
    refused = 0
    async with _blocked(kind, "error") as (bus, gate, before):
        bus.subscribe("a.b", others)
        bus.subscribe("event.dropped", news)
        for n in range(1_000):
            try:
                await _publish(bus, len(before) + n)
            except QueueFull:
                refused += 1
        assert bus.stats().dropped == 0
    assert refused == 1_000
    assert others.events == news.events == []
    assert sorted(gate.numbers) == list(range(len(before)))


@pytest.mark.parametrize("kind", KINDS)
async def test_fault_03_a_full_queue_that_waits_holds_only_publishers_of_what_it_hears_and_loses_nothing(
    kind: str,
) -> None:
    others, unconcerned = Recorder(), Recorder()

    async def publish(first: int) -> None:
        for n in range(first, 1_000, 3):  # of one connection, so that their order is known
            await _publish(bus, len(before) + n)

    async with _blocked(kind, "wait") as (bus, gate, before), anyio.create_task_group() as publishers:
        bus.subscribe("a.b", others)
        bus.subscribe("another.thing", unconcerned, queue_size=1)
        for first in range(3):
            publishers.start_soon(publish, first)
        for n in range(1_000):
            await bus.publish("another.thing", {"n": n}, connection_id="another")
        await settle()
        assert len(unconcerned.events) == 1_000
        assert others.events == []
        gate.open()
    assert bus.stats().dropped == 0
    assert sorted(gate.numbers) == list(range(len(before) + 1_000))
    for remainder in range(3):
        of_one = [n for n in others.numbers if n % 3 == remainder]
        assert of_one == sorted(of_one)


# -- 4: a handler that publishes into its own full queue --


@pytest.mark.parametrize("overflow", ["wait", "drop_oldest", "drop_newest", "error"])
@pytest.mark.parametrize("kind", ["one worker", "three workers", "priorities", "batches", "thread", "task group"])
async def test_fault_04_publishing_into_its_own_full_queue_ends_within_a_second_and_every_event_is_accounted_for(
    kind: str, overflow: Overflow, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "phasebus.bus")
    number, heard, refused = 200, Recorder(), list[str]()

    async def publish(n: int) -> None:
        try:
            await _publish(bus, n)
        except QueueFull as error:
            refused.append(str(error))

    async def handle(event: Event) -> None:
        await heard(event)
        if event.field("n") == 0:
            if kind == "task group":
                async with anyio.create_task_group() as group:
                    for n in range(1, number):
                        group.start_soon(publish, n)
            else:
                for n in range(1, number):
                    await publish(n)

    def handle_in_thread(event: Event) -> None:
        heard.events.append(event)
        if event.field("n") == 0:
            for n in range(1, number):
                from_thread.run(partial(publish, n))

    async with EventBus() as bus:
        match kind:
            case "batches":
                bus.subscribe_batch("a.b", _batches(handle), 2, 0, queue_size=2, overflow=overflow)  # type: ignore[arg-type]
            case "thread":
                bus.subscribe("a.b", handle_in_thread, thread=True, queue_size=2, overflow=overflow)
            case _:
                options: dict[str, Any] = {"three workers": {"concurrency": 3}, "priorities": {"priorities": URGENT}}
                bus.subscribe("a.b", handle, queue_size=2, overflow=overflow, **options.get(kind, {}))
        with anyio.fail_after(1):
            await _publish(bus, 0)
            await bus.drain()
        assert len(heard.events) + len(refused) + bus.stats().dropped == number
        assert bool(refused) == (overflow in ("wait", "error"))
        assert all("events waiting" in error for error in refused)
        assert_at_rest(bus)
