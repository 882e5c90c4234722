"""Urgent events: what they overtake, what is hurried for their sake, and what is dropped instead of them.

The rule is that of a plain list, scanned in full (``Reference``): of the events whose connection has none being
handled, the most urgent counts, the oldest of several; what is taken is the first event of its connection.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import Any

import anyio
import pytest
from attrs import define, field, frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus import Event, EventBus, EventType
from bus.backlog import LinePerConnection
from bus.testing import all_tasks_blocked
from tests.bus_helpers import Recorder, assert_at_rest, fill

pytestmark = pytest.mark.anyio

URGENCY = {"call.very_urgent": 2, "call.urgent": 1, "call.idle": -1}


class Worker(Recorder):
    """A handler that lets one event go at a time, so that its queue has the say in what comes next."""

    def __init__(self) -> None:
        super().__init__()
        self._turns: list[anyio.Event] = []

    async def __call__(self, event: Event) -> None:
        turn = anyio.Event()
        self._turns.append(turn)
        self.events.append(event)
        await turn.wait()

    async def finish(self, which: int = 0) -> None:
        """Let a call return: the one that began first, or another."""
        self._turns.pop(which).set()
        await all_tasks_blocked()

    async def finish_all(self) -> list[Any]:
        """Let one call after the other return; the numbers of all that there were."""
        while self._turns:
            await self.finish()
        return self.numbers


async def busy(bus: EventBus, pattern: str = "call.*", **options: Any) -> Worker:
    """A worker with these priorities that is at an event of connection ``x``, number 0."""
    worker = Worker()
    bus.subscribe(pattern, worker, **{"priorities": URGENCY, **options})
    await bus.publish("call.plain", {"n": 0}, connection_id="x")
    await all_tasks_blocked()
    return worker


async def publish(bus: EventBus, *events: tuple[str, str | None]) -> None:
    """Events of these types and connections, numbered from 1."""
    for n, (event_type, connection_id) in enumerate(events, 1):
        await bus.publish(event_type, {"n": n}, connection_id=connection_id)


# -- order --


async def test_an_urgent_event_overtakes_those_of_other_connections() -> None:
    async with EventBus() as bus:
        worker = await busy(bus)
        await publish(bus, ("call.plain", "a"), ("call.plain", "b"), ("call.urgent", "c"))
        assert await worker.finish_all() == [0, 3, 1, 2]


async def test_an_urgent_event_never_overtakes_its_own_connection_whose_events_are_hurried_for_its_sake() -> None:
    async with EventBus() as bus:
        worker = await busy(bus)
        await publish(bus, ("call.plain", "a"), ("call.plain", "b"), ("call.idle", "b"), ("call.urgent", "b"))
        assert await worker.finish_all() == [0, 2, 3, 4, 1]


async def test_without_urgent_events_all_are_handled_in_the_order_they_came() -> None:
    async with EventBus() as bus:
        worker = await busy(bus)
        await publish(bus, *(("call.plain", whose) for whose in ("a", "a", "b", "a", None, "b", "x", None)))
        assert await worker.finish_all() == list(range(9))


async def test_of_equally_urgent_events_the_one_that_came_first_is_first() -> None:
    async with EventBus() as bus:
        worker = await busy(bus)
        urgent = "call.urgent"
        await publish(bus, ("call.plain", "a"), (urgent, "b"), (urgent, "a"), (urgent, "b"), (urgent, "c"))
        assert await worker.finish_all() == [0, 2, 1, 3, 4, 5]


async def test_there_may_be_many_levels_below_and_above_nothing() -> None:
    async with EventBus() as bus:
        worker = await busy(bus)
        await publish(
            bus,
            ("call.idle", "a"),
            ("call.plain", "b"),
            ("call.urgent", "c"),
            ("call.very_urgent", "d"),
            ("call.other", "e"),
        )
        assert await worker.finish_all() == [0, 4, 3, 2, 5, 1]


async def test_an_urgent_event_of_the_connection_at_hand_counts_as_soon_as_that_is_free() -> None:
    async with EventBus() as bus:
        worker = await busy(bus)
        await publish(bus, ("call.urgent", "a"), ("call.plain", "x"), ("call.very_urgent", "x"))
        assert await worker.finish_all() == [0, 2, 3, 1]


async def test_events_without_a_connection_are_one_line_by_call() -> None:
    async with EventBus() as bus:
        worker = await busy(bus)
        await bus.publish("call.plain", {"n": 1}, call_id="call 1")
        await bus.publish("call.plain", {"n": 2}, call_id="call 2")
        await bus.publish("call.urgent", {"n": 3}, call_id="call 2")
        assert await worker.finish_all() == [0, 2, 3, 1]


async def test_several_workers_take_the_most_urgent_of_what_they_may_take() -> None:
    async with EventBus() as bus:
        worker = await busy(bus, concurrency=2)
        await publish(bus, ("call.plain", "a"), ("call.plain", "b"), ("call.urgent", "x"), ("call.urgent", "c"))
        await all_tasks_blocked()
        assert worker.numbers == [0, 4]  # x has one being handled, so its urgent event has to wait
        await worker.finish(0)
        assert worker.numbers == [0, 4, 3]
        assert await worker.finish_all() == [0, 4, 3, 1, 2]


async def test_several_workers_without_priorities_take_events_in_the_order_they_came() -> None:
    async with EventBus() as bus:
        worker = await busy(bus, concurrency=2, priorities=None)
        await publish(bus, *(("call.plain", whose) for whose in ("x", "a", "b", "b", "c")))
        await all_tasks_blocked()
        assert worker.numbers == [0, 2]
        await worker.finish(1)
        assert worker.numbers == [0, 2, 3]
        assert await worker.finish_all() == [0, 2, 3, 1, 4, 5]


# -- room --


async def test_drop_oldest_drops_the_oldest_of_the_least_urgent() -> None:
    dropped = Recorder()
    async with EventBus() as bus:
        worker = await busy(bus, queue_size=3, overflow="drop_oldest")
        bus.subscribe("event.dropped", dropped, inline=True)
        ids: list[str] = []
        for event_type, whose in [
            ("call.urgent", "a"),
            ("call.plain", "b"),
            ("call.plain", "a"),
            ("call.urgent", "c"),  # drops number 2
            ("call.urgent", "c"),  # drops number 3
            ("call.plain", "d"),  # is dropped itself
            ("call.very_urgent", "d"),  # drops number 1, the oldest of those there are
        ]:
            ids.append((await bus.publish(event_type, {"n": len(ids) + 1}, connection_id=whose)).id)
        lost = [ids.index(event.field("id")) + 1 for event in dropped.events]
        assert lost == [2, 3, 6, 1]
        assert await worker.finish_all() == [0, 7, 4, 5]
        await bus.drain()
        assert_at_rest(bus)


async def test_drop_newest_drops_the_newcomer_however_urgent() -> None:
    async with EventBus() as bus:
        worker = await busy(bus, queue_size=1, overflow="drop_newest")
        await publish(bus, ("call.plain", "a"), ("call.very_urgent", "b"))
        assert await worker.finish_all() == [0, 1]


async def test_a_full_queue_makes_the_publisher_of_an_urgent_event_wait_too() -> None:
    async with EventBus() as bus, anyio.create_task_group() as group:
        worker = await busy(bus, queue_size=1)
        await publish(bus, ("call.plain", "a"))
        group.start_soon(bus.publish, "call.urgent", {"n": 2, "connection_id": "b"})
        await all_tasks_blocked()
        assert bus.stats().total_events == 2
        assert await worker.finish_all() == [0, 1, 2]


async def test_a_cancelled_subscription_forgets_what_was_urgent() -> None:
    async with EventBus() as bus:
        worker = await busy(bus)
        await publish(bus, ("call.urgent", "a"), ("call.plain", "x"))
        (subscription,) = (target for target in bus._routes if target.name == "Worker")
        subscription.cancel()  # type: ignore[union-attr]
        assert await worker.finish_all() == [0]
        await bus.drain()
        assert_at_rest(bus)


# -- what is urgent --


@pytest.mark.parametrize(
    ("priorities", "event_type", "order"),
    [
        ({"a.b": 1}, "a.b", [1, 3, 2]),
        ({"a.b": 1}, "a.b.c", [1, 2, 3]),
        ({"a.*": 1}, "a.b.c", [1, 3, 2]),
        ({"*": -1}, "b.b", [2, 1, 3]),
        ({"a.*": 1, "a.b": -1}, "a.b", [1, 3, 2]),  # the highest of those that match
        ({"a.*": -1, "a.b": 1}, "a.b", [1, 3, 2]),
        ({"a.*": -1, "a.b": -2}, "a.b", [2, 1, 3]),
        ({EventType.CONNECTION_TERMINATED: 1}, "connection.terminated", [1, 3, 2]),
        ({"c.c": 1}, "a.b", [1, 2, 3]),
    ],
)
async def test_how_urgent_an_event_is_is_told_by_patterns(
    priorities: dict[str, int], event_type: str, order: list[int]
) -> None:
    async with EventBus() as bus:
        worker = await busy(bus, "*", priorities={"call.plain": 0, **priorities})
        await publish(bus, (event_type, "a"), ("call.plain", "b"), (event_type, "c"))
        assert await worker.finish_all() == [0, *order]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"priorities": {"Wrong": 1}}, "priorities: 'Wrong' is no event name or pattern"),
        ({"priorities": {"a.b": 1, "a*": 1}}, r"priorities: 'a\*' is no event name or pattern"),
        ({"priorities": {"a.b": "high"}}, "priorities: how urgent a.b is, is an integer, not 'high'"),
        ({"priorities": {"a.b": 1.5}}, "is an integer, not 1.5"),
        ({"priorities": {"a.b": 1}, "inline": True}, "priorities order a queue, and an inline handler has none"),
    ],
)
async def test_wrong_priorities_are_refused_and_nobody_has_subscribed(options: dict[str, Any], problem: str) -> None:
    async with EventBus() as bus:
        with pytest.raises(ValueError, match=problem):
            bus.subscribe("a.b", Recorder(), **options)
        assert bus.stats().active_handlers == 0


# -- against a plain list --

TYPES = {"call.plain": 0, "call.urgent": 1, "call.very_urgent": 2, "call.idle": -1}


@define
class Reference:
    """What waits, as a plain list in the order it came, and the connections that have an event being handled."""

    waiting: list[Event] = field(factory=list)
    running: set[str | None] = field(factory=set)

    def takeable(self) -> list[Event]:
        return [event for event in self.waiting if event.connection_id not in self.running]

    def take(self) -> Event:
        urgent = max(self.takeable(), key=lambda event: TYPES[event.type])
        first = next(event for event in self.waiting if event.connection_id == urgent.connection_id)
        self.waiting.remove(first)
        self.running.add(first.connection_id)
        return first

    def drop_oldest(self) -> Event:
        lost = min(self.waiting, key=lambda event: TYPES[event.type])
        self.waiting.remove(lost)
        return lost


@frozen
class Put:
    event_type: str
    connection_id: str | None


puts = st.builds(Put, st.sampled_from(list(TYPES)), st.sampled_from(["a", "b", "c", None]))


@settings(max_examples=400, deadline=None)
@given(moves=st.lists(puts | puts | st.sampled_from(["take", "take", "drop"]) | st.integers(0, 3), max_size=60))
def test_a_backlog_gives_what_a_plain_list_would(moves: list[Put | str | int]) -> None:
    backlog, reference = LinePerConnection(lambda event: TYPES[event.type]), Reference()
    handled: list[Event] = []
    for move in moves:
        match move:
            case Put(event_type, connection_id):
                event = Event(event_type, connection_id)
                backlog.put((event, copy_context(), 0))
                reference.waiting.append(event)
            case "take" if backlog.ready:
                event = reference.take()
                assert backlog.take()[0] is event
                handled.append(event)
            case "drop" if reference.waiting:
                assert backlog.drop_oldest() is reference.drop_oldest()
            case int() if handled:
                done = handled.pop(move % len(handled))
                backlog.done(done)
                reference.running.remove(done.connection_id)
        assert bool(backlog.ready) == bool(reference.takeable())
        assert list(backlog) == reference.waiting
    for done in handled:
        backlog.done(done)
    while backlog.ready:
        backlog.done(backlog.take()[0])
    assert (backlog._lines, backlog._waiting, backlog._running) == ({}, {}, set())


class Model(Worker):
    """A handler that checks that what it is called with is what a plain list would have given."""

    def __init__(self) -> None:
        super().__init__()
        self.reference = Reference()

    async def __call__(self, event: Event) -> None:
        assert self.reference.take() is event
        await super().__call__(event)
        self.reference.running.remove(event.connection_id)


async def run(moves: list[Put | int], concurrency: int) -> None:
    worker = Model()
    async with EventBus(replay_limit=0, slow_after=None) as bus:
        subscription = bus.subscribe("*", worker, priorities=URGENCY, concurrency=concurrency)
        await all_tasks_blocked()
        for move in moves:
            if isinstance(move, Put):
                event = Event(move.event_type, move.connection_id)
                worker.reference.waiting.append(event)
                await bus.publish_event(event)
                await all_tasks_blocked()
            elif worker._turns:
                await worker.finish(move % len(worker._turns))
            assert list(subscription.backlog) == worker.reference.waiting
            assert len(worker._turns) == concurrency or not worker.reference.takeable()
        await worker.finish_all()
        await bus.drain()
        assert subscription.failed == 0
        assert_at_rest(bus)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(moves=st.lists(puts | st.integers(0, 3), max_size=30), concurrency=st.integers(1, 3))
def test_workers_are_given_what_a_plain_list_would_give(backend: str, moves: list[Put | int], concurrency: int) -> None:
    anyio.run(run, moves, concurrency, backend=backend)


@settings(max_examples=50, deadline=None)
@given(urgent=st.lists(st.booleans(), min_size=1, max_size=30))
def test_what_is_no_longer_true_of_a_connection_does_not_pile_up(urgent: list[bool]) -> None:
    backlog = LinePerConnection(lambda event: TYPES[event.type])
    backlog.put((Event("call.idle", "waits for ever"), copy_context(), 0))
    for round_ in range(20):
        for number, is_urgent in enumerate(urgent):
            for event_type in ("call.plain", "call.very_urgent" if is_urgent else "call.plain"):
                backlog.put((Event(event_type, f"{round_} {number}"), copy_context(), 0))
        for _ in range(2 * len(urgent)):
            backlog.done(backlog.take()[0])
    assert [event.connection_id for event in backlog] == ["waits for ever"]
    assert len(backlog.ready._heap) <= 2 * (len(urgent) + 1) + 16


async def test_a_flood_of_urgent_events_goes_first_and_nothing_is_lost() -> None:
    heard = Recorder()
    async with EventBus() as bus:
        bus.subscribe("*", heard, priorities=URGENCY, queue_size=1_000)
        await fill(bus, "call.plain", 500, "a")
        for n in range(500):
            await bus.publish("call.urgent", {"n": n}, connection_id=f"c{n}")
    assert heard.types == ["call.urgent"] * 500 + ["call.plain"] * 500
    assert heard.numbers == [*range(500)] * 2
