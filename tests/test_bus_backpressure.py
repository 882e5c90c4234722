"""What a full queue does to publishers, to events and to other subscribers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from bus import Event, EventBus, QueueFull, Subscription
from bus.causality import as_handler_of
from bus.inbox import OVERRUN_FACTOR
from tests.bus_helpers import Gate, Recorder, assert_at_rest, fill, settle, within

pytestmark = pytest.mark.anyio


async def hold_up(bus: EventBus, gate: Gate, event_type: str = "slow.thing", connection_id: str = "c") -> None:
    """Let ``gate`` be at an event and its queue be full."""
    subscription = next(target for target in bus._routes if getattr(target, "handler", None) is gate)
    await bus.publish(event_type, {"n": "running"}, connection_id=connection_id)
    await settle()
    await fill(bus, event_type, getattr(subscription, "queue_size", 0), connection_id)


@asynccontextmanager
async def held_up(**options: Any) -> AsyncIterator[tuple[EventBus, Gate]]:
    """A bus whose subscriber of ``slow.thing`` is at an event, its queue (of 2) full; all is at rest at the end."""
    gate = Gate()
    async with EventBus() as bus:
        bus.subscribe("slow.thing", gate, **{"queue_size": 2, **options})
        await hold_up(bus, gate)
        yield bus, gate
        gate.open()
        await bus.drain()
        assert_at_rest(bus)


async def test_a_full_queue_makes_the_publisher_wait() -> None:
    published = anyio.Event()

    async def publish(bus: EventBus) -> None:
        await bus.publish("slow.thing", {"n": "last"}, connection_id="c")
        published.set()

    async with held_up() as (bus, gate), anyio.create_task_group() as group:
        group.start_soon(publish, bus)
        await settle()
        assert not published.is_set()
        assert bus.stats().total_events == 3
        gate.open()
        await published.wait()
    assert gate.numbers == ["running", 0, 1, "last"]


async def test_publishers_that_wait_are_let_in_first_come_first_served() -> None:
    async with held_up() as (bus, gate), anyio.create_task_group() as group:
        for n in range(10, 20):
            group.start_soon(bus.publish, "slow.thing", {"n": n, "connection_id": f"c{n}"})
            await settle()
        gate.open()
    assert gate.numbers == ["running", 0, 1, *range(10, 20)]


async def test_a_publisher_cancelled_while_it_waits_has_published_nothing() -> None:
    everything = Recorder()
    async with held_up() as (bus, gate):
        bus.subscribe("*", everything)
        with anyio.move_on_after(0):
            await bus.publish("slow.thing", {"n": "cancelled"}, connection_id="c")
        gate.open()
        await bus.drain()
        assert everything.events == []
        assert bus.stats().total_events == 3


@pytest.mark.parametrize("same_connection", [True, False])
async def test_a_publisher_cancelled_while_it_waits_blocks_nobody(same_connection: bool) -> None:
    async with held_up() as (bus, gate), anyio.create_task_group() as group:
        scope = anyio.CancelScope()

        async def give_up() -> None:
            with scope:
                await bus.publish("slow.thing", {"n": "cancelled"}, connection_id="c")

        group.start_soon(give_up)
        await settle()
        group.start_soon(
            bus.publish, "slow.thing", {"n": "behind", "connection_id": "c" if same_connection else "another"}
        )
        await settle()
        scope.cancel()
        await settle()
        gate.open()
    assert gate.numbers == ["running", 0, 1, "behind"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_publisher_cancelled_at_the_moment_it_is_let_in_gives_its_place_away() -> None:
    # Only asyncio's own Task.cancel() can still reach a task that is about to go on.
    async with held_up() as (bus, gate), anyio.create_task_group() as group:
        cancelled = asyncio.ensure_future(bus.publish("slow.thing", {"n": "cancelled"}, connection_id="c"))
        await settle()
        group.start_soon(bus.publish, "slow.thing", {"n": "behind", "connection_id": "another"})
        await settle()
        (subscription,) = (target for target in bus._routes if isinstance(target, Subscription))
        bus.pending.finished()
        subscription.backlog.take()
        subscription.taken()  # room for one: the first in line is let in …
        cancelled.cancel()  # … and cancelled before it has run
        await settle()
        assert cancelled.cancelled()
        assert [event.field("n") for event in subscription.backlog] == [1, "behind"]
        gate.open()


async def test_a_slow_subscriber_does_not_delay_events_that_it_does_not_hear() -> None:
    heard = Recorder()
    async with held_up() as (bus, gate), anyio.create_task_group() as group:
        bus.subscribe("*", heard, queue_size=1)
        for n in range(5):
            group.start_soon(bus.publish, "slow.thing", {"connection_id": f"c{n}"})
        await settle()
        with anyio.fail_after(1):
            await bus.publish("quick.thing", connection_id="d")
            await settle()
        assert heard.types == ["quick.thing"]
        gate.open()


async def test_a_publisher_that_waits_for_one_queue_takes_no_room_in_another() -> None:
    heard = Gate()
    gate = Gate()
    async with EventBus() as bus, anyio.create_task_group() as group:
        both = bus.subscribe("*", heard, queue_size=1)
        bus.subscribe("slow.thing", gate, queue_size=1)
        heard.open()
        await bus.publish("slow.thing", connection_id="c")
        await settle()
        await bus.publish("slow.thing", connection_id="c")
        await settle()
        for n in range(3):
            group.start_soon(bus.publish, "slow.thing", {"connection_id": f"c{n}"})
        await settle()
        assert not both.congested_for(ticket=1_000)
        gate.open()


async def test_a_publisher_that_needs_two_full_queues_is_let_in_when_both_have_room() -> None:
    first, second = Gate(), Gate()
    async with EventBus() as bus, anyio.create_task_group() as group:
        bus.subscribe("a.*", first, queue_size=1)
        bus.subscribe("a.*", second, queue_size=1)
        for _ in range(2):
            await bus.publish("a.b", {"n": 0}, connection_id="c")
            await settle()
        group.start_soon(bus.publish, "a.b", {"n": "both", "connection_id": "c"})
        await settle()
        first.open()
        await settle()
        assert first.numbers == [0, 0]
        second.open()
        await settle()
        assert first.numbers == second.numbers == [0, 0, "both"]
        await bus.drain()
        assert_at_rest(bus)


class Turnstile(Recorder):
    """A handler that lets one call go at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._permits = anyio.Semaphore(0)

    async def __call__(self, event: Event) -> None:
        self.events.append(event)
        await self._permits.acquire()

    def let_go(self, number: int = 1) -> None:
        for _ in range(number):
            self._permits.release()


async def test_publishers_of_two_full_queues_do_not_pass_each_other_the_last_places_for_ever() -> None:
    """Each is let in at one queue while the last place of the other is on its way to another: the oldest takes it."""
    first, second, everybody = Turnstile(), Turnstile(), [f"c{n}" for n in range(6)]
    async with within(10), EventBus() as bus:
        bus.subscribe("a.*", first, queue_size=1)
        bus.subscribe("a.both", second, queue_size=1)
        for _ in range(2):
            await bus.publish("a.both", {"n": "before"}, connection_id="c")
            await settle()
        async with anyio.create_task_group() as publishers:
            for name in everybody[:3]:
                publishers.start_soon(bus.publish, "a.both", {"n": name, "connection_id": name})
            await settle()
            first.let_go()
            await settle()  # all three have been let in there, and now wait for the second
            await bus.publish("a.only_first", {"n": "before"}, connection_id="c")
            for name in everybody[3:]:
                publishers.start_soon(bus.publish, "a.both", {"n": name, "connection_id": name})
            await settle()
            first.let_go()
            second.let_go()
            await settle()
            first.let_go(100)
            second.let_go(100)
        await bus.drain()
        assert_at_rest(bus)
    assert sorted(first.numbers) == sorted([*everybody, "before", "before", "before"])
    assert sorted(second.numbers) == sorted([*everybody, "before", "before"])


async def test_a_publisher_let_in_but_refused_elsewhere_gives_its_place_away() -> None:
    slow, refusing = Gate(), Gate()
    async with EventBus() as bus, anyio.create_task_group() as group:
        bus.subscribe("a.*", slow, queue_size=1)
        bus.subscribe("a.b", refusing, queue_size=1, overflow="error")
        for _ in range(2):
            await bus.publish("a.b", {"n": 0}, connection_id="c")
            await settle()
        refused: list[Exception] = []

        async def publish() -> None:
            try:
                await bus.publish("a.b", {"n": "refused"}, connection_id="c")
            except QueueFull as error:
                refused.append(error)

        group.start_soon(publish)
        await settle()
        group.start_soon(bus.publish, "a.c", {"n": "behind", "connection_id": "d"})
        await settle()
        slow.open()
        await settle()
        assert len(refused) == 1
        assert slow.numbers == [0, 0, "behind"]
        refusing.open()


async def test_cancelling_a_subscription_frees_the_publishers_that_wait_for_it() -> None:
    gate, heard = Gate(), Recorder()
    async with EventBus() as bus, anyio.create_task_group() as group:
        slow = bus.subscribe("a.b", gate, queue_size=1)
        bus.subscribe("a.b", heard)
        for n in range(2):
            await bus.publish("a.b", {"n": n}, connection_id="c")
            await settle()
        for n in range(2, 5):
            group.start_soon(bus.publish, "a.b", {"n": n, "connection_id": "c"})
        await settle()
        slow.cancel()
        await settle()
        assert sorted(heard.numbers) == [0, 1, 2, 3, 4]
        gate.open()
        await bus.drain()
        assert_at_rest(bus)
    assert gate.numbers == [0]


async def test_drop_oldest_keeps_the_newest_and_counts_exactly() -> None:
    dropped = Recorder()
    async with held_up(overflow="drop_oldest") as (bus, gate):
        bus.subscribe("event.dropped", dropped)
        for n in range(10, 15):
            await bus.publish("slow.thing", {"n": n}, connection_id="c")
        assert bus.stats().dropped == 5
        gate.open()
        await bus.drain()
    assert gate.numbers == ["running", 13, 14]
    assert [event.field("reason") for event in dropped.events] == ["drop_oldest"] * 5


async def test_drop_newest_keeps_the_oldest_and_counts_exactly() -> None:
    dropped = Recorder()
    async with held_up(overflow="drop_newest") as (bus, gate):
        bus.subscribe("event.dropped", dropped)
        lost = [await bus.publish("slow.thing", {"n": n}, connection_id="c") for n in range(10, 15)]
        assert bus.stats().dropped == 5
        gate.open()
        await bus.drain()
    assert gate.numbers == ["running", 0, 1]
    assert [event.field("id") for event in dropped.events] == [event.id for event in lost]


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_news_of_a_drop_pushes_nothing_else_out_of_a_queue_that_hears_everything(concurrency: int) -> None:
    gate, news = Gate(), Recorder()
    async with EventBus() as bus:
        tap = bus.subscribe("*", gate, queue_size=5, overflow="drop_oldest", concurrency=concurrency)
        bus.subscribe("event.dropped", news)
        await bus.publish("a.b", {"n": "running"})
        await settle()
        await fill(bus, "a.b", 6, None)
        assert [event.field("n") for event in tap.backlog] == [1, 2, 3, 4, 5]
        assert tap.dropped == 2  # number 0, and the news of it
        gate.open()
        await bus.drain()
    assert [event.field("type") for event in news.events] == ["a.b"]


async def test_drop_oldest_drops_the_oldest_of_all_connections() -> None:
    gate = Gate()
    async with EventBus() as bus:
        bus.subscribe("a.b", gate, queue_size=3, overflow="drop_oldest", concurrency=2)
        for n in range(2):
            await bus.publish("a.b", {"n": f"running {n}"}, connection_id=f"r{n}")
        await settle()
        for n, connection in enumerate(["r0", "x", "y", "y", "x", "z"]):
            await bus.publish("a.b", {"n": n}, connection_id=connection)
        gate.open()
        await bus.drain()
        assert_at_rest(bus)
        assert sorted(gate.numbers[2:]) == [3, 4, 5]
        assert bus.stats().dropped == 3


async def test_overflow_error_raises_to_the_publisher_and_reaches_nobody() -> None:
    heard = Recorder()
    async with held_up(overflow="error") as (bus, gate):
        bus.subscribe("slow.thing", heard)
        with pytest.raises(QueueFull, match=r"Gate has 2 events waiting"):
            await bus.publish("slow.thing", {"n": 10}, connection_id="c")
        assert heard.events == []
        assert bus.stats().total_events == 3
        assert bus.stats().dropped == 0
        gate.open()


async def test_a_full_queue_that_drops_keeps_nobody_waiting() -> None:
    async with held_up(overflow="drop_newest") as (bus, gate):
        with anyio.fail_after(1):
            await fill(bus, "slow.thing", 100)
        gate.open()


async def test_dropping_a_report_of_a_drop_is_not_reported() -> None:
    gate = Gate()
    async with held_up(overflow="drop_newest") as (bus, slow):
        bus.subscribe("event.dropped", gate, queue_size=1, overflow="drop_newest")
        await fill(bus, "slow.thing", 20)
        assert bus.stats().events_by_type["event.dropped"] == 20
        gate.open()
        slow.open()


async def test_a_handler_that_publishes_into_its_own_full_queue_goes_past_the_bound_and_is_counted() -> None:
    heard: list[int] = []

    async def handle(event: Event) -> None:
        n = event.field("n")
        heard.append(n)
        if n == 0:
            await fill(bus, "a.b", 0)
            for more in range(1, 6):
                await bus.publish("a.b", {"n": more}, connection_id="c")

    async with EventBus() as bus:
        subscription = bus.subscribe("a.b", handle, queue_size=2)
        with anyio.fail_after(1):
            await bus.publish("a.b", {"n": 0}, connection_id="c")
            await bus.drain()
        assert subscription.overrun == 3
        assert bus.stats().overrun == 3
    assert heard == [0, 1, 2, 3, 4, 5]


async def test_handlers_that_publish_into_each_others_full_queues_make_progress() -> None:
    heard = Recorder()

    async def ping(event: Event) -> None:
        heard.events.append(event)
        for _ in range(3 if event.field("n") < 5 else 0):
            await bus.publish("a.pong", {"n": event.field("n") + 1}, connection_id="c")

    async def pong(event: Event) -> None:
        await bus.publish("a.ping", {"n": event.field("n") + 1}, connection_id="c")

    async with EventBus() as bus:
        bus.subscribe("a.ping", ping, queue_size=1)
        bus.subscribe("a.pong", pong, queue_size=1)
        with anyio.fail_after(1):
            await bus.publish("a.ping", {"n": 0}, connection_id="c")
            await bus.drain()
    assert len(heard.events) == 1 + 3 + 9 + 27


async def test_going_past_the_bound_ends_with_a_clear_error() -> None:
    errors: list[Exception] = []

    async def flood(event: Event) -> None:
        try:
            await fill(bus, "a.b", 1_000)
        except QueueFull as error:
            errors.append(error)

    gate = Gate()
    async with EventBus() as bus:
        subscription = bus.subscribe("a.b", gate, queue_size=2)
        bus.subscribe("a.flood", flood)
        await bus.publish("a.flood")
        await settle()
        assert subscription.queued + len(gate.events) == 2 * OVERRUN_FACTOR
        assert "cannot be made to wait" in str(errors[0])
        subscription.cancel()
        gate.open()


async def test_a_task_that_a_handler_awaits_does_not_wait_for_the_handlers_queue() -> None:
    async def handle(event: Event) -> None:
        if event.field("n") == 0:
            async with anyio.create_task_group() as group:
                for n in range(1, 5):
                    group.start_soon(bus.publish, "a.b", {"n": n, "connection_id": "c"})

    async with EventBus() as bus:
        bus.subscribe("a.b", handle, queue_size=1)
        with anyio.fail_after(1):
            await bus.publish("a.b", {"n": 0}, connection_id="c")
            await bus.drain()
        assert bus.stats().overrun == 3


async def test_a_task_that_outlives_the_handler_that_started_it_waits_like_any_publisher() -> None:
    gate, causes = Gate(), []
    async with EventBus() as bus, anyio.create_task_group() as calls:

        async def call() -> None:
            await gate.opened.wait()
            with anyio.move_on_after(0):
                causes.append(await bus.publish("slow.thing", connection_id="c"))
            with anyio.move_on_after(0):
                causes.append(await bus.publish("slow.thing", connection_id="c"))

        bus.subscribe("call.started", lambda _: calls.start_soon(call))
        slow = Gate()
        subscription = bus.subscribe("slow.thing", slow, queue_size=1)
        started = await bus.publish("call.started")
        await bus.publish("slow.thing", connection_id="c")
        await settle()
        gate.open()
        await settle()
        assert (subscription.queued, subscription.overrun) == (1, 0)
        assert [event.causation_id for event in causes] == [started.id]
        slow.open()


async def test_a_handler_of_another_bus_in_between_does_not_hide_a_wait_for_oneself() -> None:
    async with EventBus() as first, EventBus() as second:

        async def there(event: Event) -> None:
            await second.publish("b.there", {"n": event.field("n")}, connection_id="c")

        async def back(event: Event) -> None:
            if event.field("n") == 0:
                for n in range(1, 4):
                    await first.publish("a.back", {"n": n}, connection_id="c")

        first.subscribe("a.back", there, queue_size=1)
        second.subscribe("b.there", back, inline=True)
        with anyio.fail_after(1):
            await first.publish("a.back", {"n": 0}, connection_id="c")
            await first.drain()
        assert first.stats().overrun == 2


async def test_the_bound_holds_for_publishers_from_outside_even_when_a_handler_takes_a_promised_place() -> None:
    gate = Gate()
    async with EventBus() as bus, anyio.create_task_group() as group:
        subscription = bus.subscribe("a.b", gate, queue_size=1)
        for _ in range(2):
            await bus.publish("a.b", {"n": "before"}, connection_id="c")
            await settle()
        group.start_soon(bus.publish, "a.b", {"n": "outside", "connection_id": "d"})
        await settle()
        bus.pending.finished()
        subscription.backlog.take()
        subscription.taken()  # the place is promised to the publisher from outside …
        with as_handler_of(bus, Event("x.y")):
            await bus.publish("a.b", {"n": "inside"}, connection_id="e")  # … and taken by one that cannot wait
        await settle()
        assert (subscription.queued, subscription.overrun) == (1, 0)
        gate.open()
    assert gate.numbers == ["before", "inside", "outside"]


async def test_the_bound_is_never_passed_from_outside() -> None:
    longest = 0

    async def publish(connection_id: str) -> None:
        nonlocal longest
        for _ in range(10):
            await bus.publish("a.b", connection_id=connection_id)
            longest = max(longest, subscription.queued)

    async def handle(_: Event) -> None:
        await anyio.lowlevel.checkpoint()

    async with EventBus() as bus:
        subscription = bus.subscribe("a.b", handle, queue_size=3)
        async with anyio.create_task_group() as group:
            for n in range(20):
                group.start_soon(publish, f"c{n}")
        await bus.drain()
        assert_at_rest(bus)
        assert subscription.handled == 200
        assert subscription.overrun == 0
    assert longest == 3


@pytest.mark.parametrize(("option", "value"), [("queue_size", 0), ("overflow", "panic"), ("concurrency", 0)])
async def test_an_option_that_makes_no_sense_is_refused(option: str, value: Any) -> None:
    async with EventBus() as bus:
        with pytest.raises(ValueError, match=option):
            bus.subscribe("a.b", Recorder(), **{option: value})
        assert bus.stats().active_handlers == 0
