"""The reference that the random tests compare the bus with: plain lists, by the book.

It hears every event at the moment of its fan-out (:class:`bus.reactor.Reactor`), and says what each queue must hold,
what a handler must be called with, whom an event wakes, and what must have been reported.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Literal

import anyio
from attrs import define, field, frozen

from bus import BusClosed, Event, EventStream, Subscription, matches
from bus.inbox import OVERRUN_FACTOR, Inbox
from bus.options import Overflow

URGENT = {"x.two": 1}
NEWS = ("handler.failed", "event.dropped")
MAX_SIZE, MAX_WAIT_S = 2, 1.0


@frozen
class Subscribe:
    """What somebody subscribes with."""

    kind: Literal["queued", "batch", "stream"]
    pattern: str
    queue_size: int
    overflow: Overflow
    connection_id: str | None
    concurrency: int = 1
    urgent: bool = False
    timeout: float | None = None
    replay_last: bool = False

    def means(self, event: Event) -> bool:
        return self.connection_id in (None, event.connection_id) and matches(self.pattern, event.type)


@define
class Call:
    """A call of a handler that has not returned."""

    events: list[Event]
    until: float


@define(eq=False)
class Subscriber:
    """A subscription whose handler needs a permit for each call, and the model of its queue."""

    options: Subscribe
    now: Callable[[], float]
    waiting: list[Event] = field(factory=list)
    since: dict[str, float] = field(factory=dict)
    calls: list[Call] = field(factory=list)
    lost: list[Event] = field(factory=list)
    failed_on: list[Event] = field(factory=list)
    dropped: int = 0
    overrun: int = 0
    handled: int = 0
    failed: int = 0
    permits: deque[str] = field(factory=deque)
    asleep: deque[anyio.Event] = field(factory=deque)
    inbox: Inbox = field(init=False)
    stream: EventStream | None = None
    wrong: list[str] = field(factory=list)
    hurried: bool = False
    ended: bool = False

    # -- what is to happen --

    def offered(self, event: Event, replayed: bool = False) -> None:
        """What an event does to the queue."""
        if self.ended or not self.options.means(event):
            return
        self.waiting.append(event)
        self.since[event.id] = self.now()
        if len(self.waiting) <= self.options.queue_size:
            return
        match self.options.overflow:
            case "drop_oldest" if event.type == "event.dropped" != self.options.pattern and not replayed:
                self._drop(event)  # it pushes out nothing else
            case "drop_oldest":
                self._drop(min(self.waiting, key=self._priority))  # the first of the least urgent
            case "drop_newest":
                self._drop(event)
            case "error" if event.type in NEWS and not replayed:
                self._drop(event)
            case "error":
                assert replayed, "an event went past a bound that is an error"
                self.overrun += 1
            case "wait" if event.type in NEWS and len(self.waiting) > self.options.queue_size * OVERRUN_FACTOR:
                self._drop(event)
            case "wait":
                assert replayed or event.causation_id is not None, "an event from outside went past the bound"
                self.overrun += 1

    def next(self) -> list[Event]:
        """What a handler is called with next, if a worker is free; nothing if it has to wait."""
        if self.options.kind == "batch":
            return self.waiting[:MAX_SIZE]
        busy = {call.events[0].connection_id for call in self.calls}
        ready = [event for event in self.waiting if event.connection_id not in busy]
        if not ready:
            return []
        most_urgent = max(ready, key=self._priority)  # the oldest of several
        return [next(event for event in ready if event.connection_id == most_urgent.connection_id)]

    def _priority(self, event: Event) -> int:
        return URGENT.get(event.type, 0) if self.options.urgent else 0

    def _drop(self, event: Event) -> None:
        self.waiting.remove(event)
        self.dropped += 1
        self.lost.append(event)

    # -- what happens --

    async def __call__(self, event: Event) -> None:
        await self.handle([event])

    async def handle(self, events: list[Event]) -> None:
        """The handler. What it finds wrong is told later: the bus would report it as a failure like any other."""
        if events != self.next():
            self.wrong.append(f"called with {events}, not {self.next()}")
            return
        if len(self.calls) >= self.options.concurrency:
            self.wrong.append("more calls at once than workers")
        early = self.now() < self.since[events[0].id] + MAX_WAIT_S
        if self.options.kind == "batch" and len(events) < MAX_SIZE and early and not self.dropped and not self.hurried:
            self.wrong.append("a batch came early")
        del self.waiting[self.waiting.index(events[0])], self.waiting[: len(events) - 1]
        call = Call(events, self.now() + (self.options.timeout or float("inf")))
        self.calls.append(call)
        outcome = "cancelled"
        try:
            outcome = await self._permitted()
        finally:
            self.calls.remove(call)
            self._ended(call, outcome)
        if outcome == "fail":
            raise ValueError("it broke")

    def _ended(self, call: Call, outcome: str) -> None:
        """What a call that ended so counts as."""
        if outcome == "release":
            self.handled += 1
        else:
            self.failed += 1
            if outcome == "fail" or not self.hurried:
                self.failed_on += call.events
        if outcome == "cancelled" and not self.hurried and self.now() != call.until:
            self.wrong.append("cancelled, but not by its time-out")

    async def _permitted(self) -> str:
        while not self.permits:
            turn = anyio.Event()
            self.asleep.append(turn)
            await turn.wait()
        outcome = self.permits.popleft()
        return "release" if self.options.kind == "stream" else outcome

    def permit(self, outcome: str, number: int = 1) -> None:
        """Let so many calls of the handler return, or fail."""
        self.permits.extend([outcome] * number)
        while self.asleep:
            self.asleep.popleft().set()

    async def read(self) -> None:
        """The task of a stream's reader."""
        assert self.stream is not None
        async for event in self.stream:
            await self(event)

    async def cancel(self) -> None:
        """Receive nothing more."""
        if isinstance(self.inbox, Subscription):
            self.inbox.cancel()
        elif self.stream is not None:
            await self.stream.aclose()
        self.waiting.clear()
        self.ended = True

    # -- what must hold when everything waits --

    def check(self) -> None:
        inbox, options = self.inbox, self.options
        assert self.wrong == []
        assert [event.id for event in _queue(inbox)] == [event.id for event in self.waiting]
        assert (inbox.queued, inbox.granted) == (len(self.waiting), set())
        assert (inbox.dropped, inbox.overrun) == (self.dropped, self.overrun)
        assert not inbox.waiting or len(self.waiting) >= options.queue_size
        if isinstance(inbox, Subscription):
            assert (inbox.handled, inbox.failed, inbox.in_flight) == (self.handled, self.failed, len(self.calls))
        assert all(self.now() < call.until for call in self.calls), "a call outlived its time-out"
        if len(self.calls) < options.concurrency and self.next():
            assert options.kind == "batch", "a worker is idle while it could work"
            assert len(self.waiting) < MAX_SIZE
            assert self.now() < self.since[self.waiting[0].id] + MAX_WAIT_S, "a batch is late"


def _queue(inbox: Any) -> list[Event]:
    return list(inbox.backlog if isinstance(inbox, Subscription) else inbox.events)


@define(eq=False)
class Wait:
    """A task in ``wait_for``."""

    pattern: str
    connection_id: str | None
    until: float
    expected: Event | None = None
    outcome: Any = None

    def offered(self, event: Event) -> None:
        meant = matches(self.pattern, event.type) and self.connection_id in (None, event.connection_id)
        if meant and self.expected is None and self.outcome is None:
            self.expected = event

    def check(self, now: float) -> None:
        if self.expected is not None:
            assert self.outcome is self.expected
        elif now >= self.until:
            assert isinstance(self.outcome, TimeoutError)
        else:
            assert self.outcome is None or isinstance(self.outcome, BusClosed)


class Model:
    """All that is attached to one bus, and everything that was ever published on it."""

    def __init__(self) -> None:
        self.subscribers: list[Subscriber] = []
        self.waits: list[Wait] = []
        self.published: list[Event] = []
        self.last: dict[tuple[str, str | None], Event] = {}

    # -- on the bus --

    def names(self, event_type: str) -> bool:
        return True

    def receive(self, event: Event) -> bool:
        self.published.append(event)
        self._keep(event)
        for subscriber in self.subscribers:
            subscriber.offered(event)
        for wait in self.waits:
            wait.offered(event)
        return False

    async def carry_out(self, event: Event) -> None:
        pass

    def take_over(self, event: Event) -> None:
        pass

    # -- what is kept for those who come later --

    def _keep(self, event: Event) -> None:
        of_this = [key for key in self.last if key[1] == event.connection_id]
        if event.type == "connection.terminated":
            for key in of_this if event.connection_id is not None else ():
                del self.last[key]
        elif of_this or event.type not in NEWS:
            self.last.pop((event.type, event.connection_id), None)
            self.last[event.type, event.connection_id] = event

    def replayed(self, pattern: str, connection_id: str | None) -> list[Event]:
        return [
            event
            for event in self.last.values()
            if matches(pattern, event.type) and connection_id in (None, event.connection_id)
        ]

    # -- what must have been reported --

    def check_reports(self) -> None:
        assert [wrong for subscriber in self.subscribers for wrong in subscriber.wrong] == []
        reported = Counter(event.field("id") for event in self.published if event.type == "event.dropped")
        lost = [event for subscriber in self.subscribers for event in subscriber.lost]
        assert reported == Counter(event.id for event in lost if event.type != "event.dropped")
        failures = Counter(event.data.event.id for event in self.published if event.type == "handler.failed")
        failed_on = [event for subscriber in self.subscribers for event in subscriber.failed_on]
        assert failures == Counter(event.id for event in failed_on if event.type != "handler.failed")
