"""Random schedules of publishers, handlers, cancellations and closings, against what a plain model says.

A schedule is a list of moves. After each move everything runs until it waits, and then each queue must hold exactly
what a plain list with the same bound and policy holds: every event was handled in its turn, or dropped and reported,
or is queued.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any, Literal

import anyio
import pytest
from anyio.abc import TaskGroup
from attrs import define, field, frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus import BusClosed, Event, EventBus, QueueFull, Subscription, matches
from bus.causality import as_handler_of
from bus.options import Overflow
from tests.bus_helpers import assert_at_rest, settle

CONNECTIONS = ("a", "b", None)
TYPES = ("x.one", "x.two", "y.one")


@frozen
class Subscribe:
    pattern: str
    queue_size: int
    overflow: Overflow
    concurrency: int
    connection_id: str | None


@frozen
class Publish:
    event_type: str
    connection_id: str | None


@frozen
class Act:
    """Something that happens to one of the subscriptions or publishers there are, by number."""

    what: Literal["release", "cancel subscription", "cancel publisher", "publish inside"]
    which: int


moves = st.lists(
    st.builds(
        Subscribe,
        st.sampled_from(["*", "x.*", "x.one", "y.one"]),
        st.integers(1, 3),
        st.sampled_from(["wait", "wait", "drop_oldest", "drop_newest", "error"]),
        st.sampled_from([1, 1, 3]),
        st.sampled_from([None, None, "a"]),
    )
    | st.builds(Publish, st.sampled_from(TYPES), st.sampled_from(CONNECTIONS))
    | st.builds(Publish, st.sampled_from(TYPES), st.sampled_from(CONNECTIONS))
    | st.builds(
        Act,
        st.sampled_from(["release", "release", "cancel subscription", "cancel publisher", "publish inside"]),
        st.integers(0, 10),
    ),
    max_size=40,
)


@define(eq=False)
class Subscriber:
    """A subscription whose handler needs a permit for each event, and the model of its queue: a plain list."""

    options: Subscribe
    model: list[Event] = field(factory=list)
    lost: list[Event] = field(factory=list)
    overrun: int = 0
    running: int = 0
    permits: int = 0
    asleep: deque[anyio.Event] = field(factory=deque)
    subscription: Subscription = field(init=False)

    async def __call__(self, event: Event) -> None:
        if self.options.concurrency == 1:
            assert self.model[0] is event
        else:
            assert next(other for other in self.model if other.connection_id == event.connection_id) is event
        self.model.remove(event)
        self.running += 1
        try:
            while not self.permits:
                turn = anyio.Event()
                self.asleep.append(turn)
                await turn.wait()
            self.permits -= 1
        finally:
            self.running -= 1

    def release(self, number: int = 1) -> None:
        self.permits += number
        while self.asleep:
            self.asleep.popleft().set()

    def cancel(self) -> None:
        self.subscription.cancel()
        self.model.clear()

    def offered(self, event: Event) -> None:
        """What the event does to the queue, by the book."""
        mine = self.options.connection_id in (None, event.connection_id) and matches(self.options.pattern, event.type)
        if self.subscription.cancelled or not mine:
            return
        self.model.append(event)
        if len(self.model) > self.options.queue_size:
            match self.options.overflow:
                case "drop_oldest":
                    self.lost.append(self.model.pop(0))
                case "drop_newest":
                    self.lost.append(self.model.pop())
                case "wait":
                    assert event.causation_id is not None, "an event from outside went past the bound"
                    self.overrun += 1
                case "error" if event.type == "event.dropped":
                    self.lost.append(self.model.pop())
                case "error":
                    raise AssertionError("an event went past a bound that is an error")

    def check(self) -> None:
        subscription = self.subscription
        assert list(subscription.backlog) == self.model
        assert (subscription.queued, subscription.reserved) == (len(self.model), 0)
        assert (subscription.dropped, subscription.overrun) == (len(self.lost), self.overrun)
        assert len(subscription.waiting) == 0 or len(self.model) >= self.options.queue_size


@define(eq=False)
class Publisher:
    event: Event
    inside: bool
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    outcome: str = "waits"


class Run:
    """One schedule, carried out. As a reactor of the bus it sees every event at the moment of its fan-out."""

    def __init__(self, bus: EventBus) -> None:
        self.bus = bus
        self.subscribers: list[Subscriber] = []
        self.publishers: list[Publisher] = []
        self.fanned_out: list[Event] = []
        bus.attach(self)

    def names(self, event_type: str) -> bool:
        return True

    def receive(self, event: Event) -> None:
        self.fanned_out.append(event)
        for subscriber in self.subscribers:
            subscriber.offered(event)

    async def carry_out(self, event: Event) -> None:
        pass

    def take_over(self, event: Event) -> None:
        pass

    def subscribe(self, options: Subscribe) -> None:
        subscriber = Subscriber(options)
        subscriber.subscription = self.bus.subscribe(
            options.pattern,
            subscriber,
            connection_id=options.connection_id,
            queue_size=options.queue_size,
            overflow=options.overflow,
            concurrency=options.concurrency,
        )
        self.subscribers.append(subscriber)

    def start(self, event_type: str, connection_id: str | None, inside: bool, group: TaskGroup) -> None:
        publisher = Publisher(Event(event_type, connection_id, {"n": len(self.publishers)}), inside)
        self.publishers.append(publisher)
        group.start_soon(self.publish, publisher)

    async def publish(self, publisher: Publisher) -> None:
        try:
            with publisher.scope:
                if publisher.inside:
                    with as_handler_of(self.bus, Event("some.cause")):
                        await self.bus.publish_event(publisher.event)
                else:
                    await self.bus.publish_event(publisher.event)
                publisher.outcome = "published"
        except QueueFull:
            publisher.outcome = "refused"
        except BusClosed:
            publisher.outcome = "closed"
        if publisher.scope.cancelled_caught:
            publisher.outcome = "cancelled"

    async def move(self, move: Any, group: TaskGroup) -> None:
        match move:
            case Subscribe():
                self.subscribe(move)
            case Publish():
                self.start(move.event_type, move.connection_id, False, group)
            case Act("publish inside", which):
                self.start(TYPES[which % len(TYPES)], CONNECTIONS[which % len(CONNECTIONS)], True, group)
            case Act("cancel publisher", which) if self.publishers:
                self.publishers[which % len(self.publishers)].scope.cancel()
            case Act("release", which) if self.subscribers:
                self.subscribers[which % len(self.subscribers)].release()
            case Act("cancel subscription", which) if self.subscribers:
                self.subscribers[which % len(self.subscribers)].cancel()
        await settle()
        self.check()

    def check(self) -> None:
        for subscriber in self.subscribers:
            subscriber.check()
        waiting = [publisher for publisher in self.publishers if publisher.outcome == "waits"]
        assert not any(publisher.inside for publisher in waiting), "a handler was made to wait"
        if waiting:
            assert any(subscriber.subscription.waiting for subscriber in self.subscribers)
        assert self.bus.pending.count == sum(len(s.model) + s.running for s in self.subscribers)

    def check_history(self) -> None:
        heard = {event.id for event in self.fanned_out}
        for publisher in self.publishers:
            assert (publisher.outcome == "published") == (publisher.event.id in heard)
        for connection_id in CONNECTIONS:
            from_outside = [
                event.field("n")
                for event in self.fanned_out
                if event.connection_id == connection_id and event.causation_id is None
            ]
            assert from_outside == sorted(from_outside), "publishers of a connection changed places"
        reported = Counter(event.field("id") for event in self.fanned_out if event.type == "event.dropped")
        lost = [event for subscriber in self.subscribers for event in subscriber.lost]
        assert reported == Counter(event.id for event in lost if event.type != "event.dropped")


async def run(schedule: list[Any]) -> None:
    async with EventBus() as bus:
        run = Run(bus)
        async with anyio.create_task_group() as group:
            for move in schedule:
                await run.move(move, group)
            for subscriber in run.subscribers:
                subscriber.release(1_000)
        with anyio.fail_after(5):
            await bus.drain()
        run.check()
        run.check_history()
        assert all(publisher.outcome != "waits" for publisher in run.publishers)
        assert bus.stats().failed == 0
        assert_at_rest(bus)


async def run_closing_early(schedule: list[Any]) -> None:
    async with anyio.create_task_group() as group:
        async with EventBus(close_timeout=0) as bus:
            run = Run(bus)
            for move in schedule:
                await run.move(move, group)
        await settle()
        run.check_history()
        assert all(publisher.outcome != "waits" for publisher in run.publishers)
        assert_at_rest(bus)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schedule=moves)
def test_any_schedule_does_what_a_plain_list_would(backend: str, schedule: list[Any]) -> None:
    anyio.run(run, schedule, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schedule=moves)
def test_a_bus_closed_in_the_middle_of_any_schedule_leaves_nobody_waiting(backend: str, schedule: list[Any]) -> None:
    anyio.run(run_closing_early, schedule, backend=backend)
