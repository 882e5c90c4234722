"""Random schedules of publishers, handlers, waits, time, cancellations and closings, against what a plain model says.

A schedule is a list of moves. After each move everything runs until it waits, and then each queue must hold exactly
what a plain list with the same bound and policy holds: every event was handled in its turn, or dropped and reported,
or is queued. The model is in ``bus_model.py``; how many schedules there are says the profile in ``conftest.py``.
"""

from __future__ import annotations

from typing import Any, Literal

import anyio
import pytest
from anyio.abc import TaskGroup
from attrs import define, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from bus import BusClosed, Event, EventBus, QueueFull
from bus.causality import as_handler_of
from bus.testing import FakeClock, all_tasks_blocked
from tests.bus_helpers import assert_at_rest
from tests.bus_model import MAX_SIZE, MAX_WAIT_S, URGENT, Model, Subscribe, Subscriber, Wait

CONNECTIONS = ("a", "b", None)
TYPES = ("x.one", "x.two", "y.one", "connection.terminated")
PATTERNS = ("*", "x.*", "x.one", "y.one")


@frozen
class Publish:
    event_type: str
    connection_id: str | None
    inside: bool = False


@frozen
class WaitFor:
    pattern: str
    connection_id: str | None
    timeout: float
    replay_last: bool


@frozen
class Act:
    """Something that happens to one of the subscriptions or publishers there are, by number."""

    what: Literal["release", "fail", "cancel subscription", "cancel publisher"]
    which: int


@frozen
class Advance:
    seconds: float


connections = st.sampled_from(CONNECTIONS)
common: dict[str, st.SearchStrategy[Any]] = {
    "pattern": st.sampled_from(PATTERNS),
    "overflow": st.sampled_from(["wait", "wait", "drop_oldest", "drop_newest", "error"]),
    "connection_id": st.sampled_from([None, None, "a"]),
    "replay_last": st.booleans(),
}
timeouts = st.sampled_from([None, None, 0.5, 2.0])
subscribing = (
    st.builds(
        Subscribe,
        st.just("queued"),
        queue_size=st.integers(1, 3),
        concurrency=st.sampled_from([1, 1, 3]),
        urgent=st.booleans(),
        timeout=timeouts,
        **common,
    )
    | st.builds(Subscribe, st.just("batch"), queue_size=st.integers(MAX_SIZE, 4), timeout=timeouts, **common)
    | st.builds(Subscribe, st.just("stream"), queue_size=st.integers(1, 3), **common)
)
moves = st.one_of(
    *(
        st.builds(Publish, st.just(event_type), connections, st.sampled_from([False, False, False, True]))
        for event_type in (*TYPES[:3], *TYPES)
    ),
    subscribing,
    st.builds(
        Act,
        st.sampled_from(["release", "release", "release", "fail", "cancel subscription", "cancel publisher"]),
        st.integers(0, 10),
    ),
    st.builds(WaitFor, st.sampled_from(PATTERNS), connections, st.sampled_from([0.5, 3.0]), st.booleans()),
    st.builds(Advance, st.sampled_from([0.25, 0.5, 1.0])),
)
schedules = st.builds(
    lambda first, then: [*first, *(move for some in then for move in some)],  # lists of lists, since hypothesis likes
    st.lists(subscribing, min_size=1, max_size=3),  # short ones
    st.lists(st.lists(moves, max_size=20), max_size=10),
)


@define(eq=False)
class Publisher:
    event: Event
    inside: bool
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    outcome: str = "waits"


class Run:
    """One schedule, carried out."""

    def __init__(self, bus: EventBus, clock: FakeClock, group: TaskGroup) -> None:
        self.bus = bus
        self.clock = clock
        self.group = group
        self.model = Model()
        self.publishers: list[Publisher] = []
        bus.attach(self.model)

    @property
    def subscribers(self) -> list[Subscriber]:
        return self.model.subscribers

    async def move(self, move: Any) -> None:
        match move:
            case Subscribe():
                self.subscribe(move)
            case Publish():
                self.start_publishing(move)
            case WaitFor():
                self.group.start_soon(self.wait, move)
            case Advance(seconds):
                await self.clock.advance(seconds)
            case Act("cancel publisher", which) if self.publishers:
                self.publishers[which % len(self.publishers)].scope.cancel()
            case Act("cancel subscription", which) if self.subscribers:
                await self.subscribers[which % len(self.subscribers)].cancel()
            case Act("release" | "fail" as outcome, which) if self.subscribers:
                self.subscribers[which % len(self.subscribers)].permit(outcome)
        await all_tasks_blocked()
        self.check()

    def subscribe(self, options: Subscribe) -> None:
        subscriber = Subscriber(options, self.clock.now)
        bus, pattern = self.bus, options.pattern
        common: Any = {
            name: getattr(options, name) for name in ("connection_id", "queue_size", "overflow", "replay_last")
        }
        match options.kind:
            case "queued":
                subscriber.inbox = bus.subscribe(
                    pattern,
                    subscriber,
                    concurrency=options.concurrency,
                    priorities=URGENT if options.urgent else None,
                    timeout=options.timeout,
                    **common,
                )
            case "batch":
                subscriber.inbox = bus.subscribe_batch(
                    pattern, subscriber.handle, MAX_SIZE, MAX_WAIT_S, timeout=options.timeout, **common
                )
            case "stream":
                subscriber.stream = bus.stream(pattern, **common)
                subscriber.inbox = subscriber.stream._inbox
                self.group.start_soon(subscriber.read)
        for event in self.model.replayed(pattern, options.connection_id) if options.replay_last else ():
            subscriber.offered(event, replayed=True)
        self.subscribers.append(subscriber)

    def start_publishing(self, move: Publish) -> None:
        publisher = Publisher(Event(move.event_type, move.connection_id, {"n": len(self.publishers)}), move.inside)
        self.publishers.append(publisher)
        self.group.start_soon(self.publish, publisher)

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

    async def wait(self, move: WaitFor) -> None:
        wait = Wait(move.pattern, move.connection_id, self.clock.now() + move.timeout)
        for event in self.model.replayed(move.pattern, move.connection_id) if move.replay_last else ():
            wait.offered(event)
        self.model.waits.append(wait)
        try:
            wait.outcome = await self.bus.wait_for(
                move.pattern, connection_id=move.connection_id, timeout=move.timeout, replay_last=move.replay_last
            )
        except (TimeoutError, BusClosed) as error:
            wait.outcome = error

    async def release_all(self) -> None:
        """Let all that was begun come to its end."""
        for subscriber in self.subscribers:
            subscriber.hurried = True
            subscriber.permit("release", 1_000)
        await all_tasks_blocked()
        await self.bus.drain()
        await self.clock.advance(10)
        await all_tasks_blocked()

    def check(self) -> None:
        for subscriber in self.subscribers:
            subscriber.check()
        for wait in self.model.waits:
            wait.check(self.clock.now())
        waiting = [publisher for publisher in self.publishers if publisher.outcome == "waits"]
        assert not any(publisher.inside for publisher in waiting), "a handler was made to wait"
        if waiting:
            assert any(subscriber.inbox.waiting for subscriber in self.subscribers)
        queued = [subscriber for subscriber in self.subscribers if subscriber.options.kind != "stream"]
        assert self.bus.pending.count == sum(len(s.waiting) + len(s.calls) for s in queued)

    def check_history(self) -> None:
        assert all(publisher.outcome != "waits" for publisher in self.publishers)
        published = self.model.published
        heard = {event.id for event in published}
        for publisher in self.publishers:
            assert (publisher.outcome == "published") == (publisher.event.id in heard)
        for connection_id in CONNECTIONS:
            from_outside = [
                event.field("n")
                for event in published
                if event.connection_id == connection_id and event.causation_id is None
            ]
            assert from_outside == sorted(from_outside), "publishers of a connection changed places"
        self.model.check_reports()


async def run(schedule: list[Any]) -> None:
    clock = FakeClock()
    async with EventBus(clock=clock, slow_after=None) as bus, anyio.create_task_group() as group:
        run = Run(bus, clock, group)
        for move in schedule:
            await run.move(move)
        await run.release_all()
        run.check()
        run.check_history()
        assert_at_rest(bus)
        assert not bus._fan_out.waiters
        group.cancel_scope.cancel()


async def run_closing_early(schedule: list[Any]) -> None:
    clock = FakeClock()
    async with anyio.create_task_group() as group:
        async with EventBus(clock=clock, slow_after=None, close_timeout=0) as bus:
            run = Run(bus, clock, group)
            for move in schedule:
                await run.move(move)
            for subscriber in run.subscribers:
                subscriber.hurried = True
        for subscriber in run.subscribers:
            subscriber.permit("release", 1_000)
    run.check_history()
    assert_at_rest(bus)
    assert not bus._fan_out.waiters


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(schedule=schedules)
def test_any_schedule_does_what_a_plain_list_would(backend: str, schedule: list[Any]) -> None:
    anyio.run(run, schedule, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(schedule=schedules)
def test_a_bus_closed_in_the_middle_of_any_schedule_leaves_nobody_waiting(backend: str, schedule: list[Any]) -> None:
    anyio.run(run_closing_early, schedule, backend=backend)
