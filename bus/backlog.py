"""Where a subscription's events wait for its workers: one line for all, or one for each connection.

A worker takes an entry whenever ``ready`` is true, and says ``done`` when the handler has returned.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextvars import Context
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, Protocol

from bus.event import Event

Entry = tuple[Event, Context, int]
"""An event, the context it was published in, and when it was queued (``time.perf_counter_ns``)."""


class Backlog(Protocol):
    """What a worker takes from; iterating gives the events that wait, the oldest first."""

    @property
    def ready(self) -> Any:
        """True if something can be taken."""

    def put(self, entry: Entry, /) -> None:
        """Add an entry at the end."""

    def take(self) -> Entry:
        """Remove the entry that is next."""

    def __iter__(self) -> Iterator[Event]: ...

    def done(self, event: Event) -> None:
        """The handler of a taken event has returned."""

    def drop_oldest(self) -> Event:
        """Remove the event that has waited longest."""

    def clear(self) -> None:
        """Forget all."""


class OneLine:
    """Events in the order they came, for one worker."""

    __slots__ = ("put", "ready", "take")

    def __init__(self) -> None:
        self.ready: deque[Entry] = deque()
        self.put = self.ready.append
        self.take = self.ready.popleft

    def __iter__(self) -> Iterator[Event]:
        return (event for event, _, _ in self.ready)

    def drop_oldest(self) -> Event:
        """Remove the event that has waited longest."""
        return self.take()[0]

    def done(self, event: Event) -> None:
        """The handler of a taken event has returned."""

    def clear(self) -> None:
        """Forget all."""
        self.ready.clear()


class LinePerConnection:
    """Events in order per connection, for several workers or several priorities.

    A connection whose event is being handled is not ready, so its events stay in order; any other is, so no worker is
    idle while it could work. Of what waits for connections that are ready, the most urgent event counts, the oldest of
    several: what is taken is the first in the line of its connection. So what stands before an urgent event is handled
    sooner for its sake, never overtaken by it. Events without a connection are ordered by ``call_id``.

    :param priority: how urgent an event is; higher comes first
    """

    __slots__ = ("_lines", "_next", "_priority", "_running", "_waiting", "ready")

    def __init__(self, priority: Callable[[Event], int] = lambda event: 0) -> None:
        self._priority = priority
        self._waiting: dict[int, OrderedDict[int, Entry]] = {}
        """All entries by priority, oldest first."""
        self._lines: dict[str | None, _Line] = {}
        self._running: set[str | None] = set()
        self._next = count().__next__
        self.ready = _Ready()

    def __iter__(self) -> Iterator[Event]:
        """In the order they came."""
        entries = sorted(item for level in self._waiting.values() for item in level.items())
        return (event for _, (event, _, _) in entries)

    def put(self, entry: Entry) -> None:
        """Add an entry at the end of its connection's line."""
        event = entry[0]
        number, priority, whose = self._next(), self._priority(event), _whose(event)
        self._waiting.setdefault(priority, OrderedDict())[number] = entry
        line = self._lines.get(whose)
        if line is None:
            line = self._lines[whose] = _Line()
        line.join(number, priority)
        if whose not in self._running:
            self.ready.put(whose, line.urgency)

    def take(self) -> Entry:
        """Remove the first entry of the most urgent connection."""
        whose = self.ready.take()
        self._running.add(whose)
        number, priority = self._lines[whose].leave()
        return self._remove(number, priority)

    def done(self, event: Event) -> None:
        """The handler of a taken event has returned: its connection's next may be taken."""
        whose = _whose(event)
        self._running.discard(whose)
        line = self._lines.get(whose)
        if line is not None:
            self._offer(whose, line)

    def drop_oldest(self) -> Event:
        """Remove, of the least urgent events, the one that has waited longest."""
        priority = min(self._waiting)
        event = self._remove(next(iter(self._waiting[priority])), priority)[0]
        whose = _whose(event)
        line = self._lines[whose]
        line.drop(priority)
        if whose not in self._running:
            self._offer(whose, line)
        return event

    def clear(self) -> None:
        """Forget all."""
        self._waiting.clear()
        self._lines.clear()
        self.ready.clear()

    def _offer(self, whose: str | None, line: _Line) -> None:
        if line.numbers:
            self.ready.put(whose, line.urgency)
        else:
            self.ready.remove(whose)
            del self._lines[whose]

    def _remove(self, number: int, priority: int) -> Entry:
        level = self._waiting[priority]
        entry = level.pop(number)
        if not level:
            del self._waiting[priority]
        return entry


Urgency = tuple[int, int]
"""Of a connection: the priority of its most urgent event, negative, and that event's number. The lowest is first."""


class _Line:
    """One connection's events: their numbers in order, by priority."""

    __slots__ = ("numbers",)

    def __init__(self) -> None:
        self.numbers: dict[int, deque[int]] = {}

    @property
    def urgency(self) -> Urgency:
        """How soon this connection is to be taken from."""
        priority = max(self.numbers)
        return -priority, self.numbers[priority][0]

    def join(self, number: int, priority: int) -> None:
        """One more event, at the end."""
        numbers = self.numbers.get(priority)
        if numbers is None:
            numbers = self.numbers[priority] = deque()
        numbers.append(number)

    def leave(self) -> tuple[int, int]:
        """The first event is gone; returns its number and priority."""
        numbers = self.numbers
        priority = next(iter(numbers)) if len(numbers) == 1 else min(numbers, key=lambda priority: numbers[priority][0])
        return self.drop(priority), priority

    def drop(self, priority: int) -> int:
        """The first event of this priority is gone; returns its number."""
        numbers = self.numbers[priority]
        number = numbers.popleft()
        if not numbers:
            del self.numbers[priority]
        return number


class _Ready:
    """The connections that a worker may take from, by urgency; true if there is one.

    A heap, in which what is no longer true of a connection stays until it comes up, or until that is most of it.
    """

    __slots__ = ("_heap", "_urgency")

    def __init__(self) -> None:
        self._heap: list[tuple[Urgency, str | None]] = []
        self._urgency: dict[str | None, Urgency] = {}

    def __bool__(self) -> bool:
        return bool(self._urgency)

    def put(self, whose: str | None, urgency: Urgency) -> None:
        """Add a connection, or change how urgent it is."""
        if self._urgency.get(whose) == urgency:
            return
        self._urgency[whose] = urgency
        heappush(self._heap, (urgency, whose))
        if len(self._heap) > 2 * len(self._urgency) + 16:
            self._heap = [(urgency, whose) for whose, urgency in self._urgency.items()]
            heapify(self._heap)

    def take(self) -> str | None:
        """Remove the most urgent."""
        while True:
            urgency, whose = heappop(self._heap)
            if self._urgency.get(whose) == urgency:
                del self._urgency[whose]
                return whose

    def remove(self, whose: str | None) -> None:
        """Remove a connection, if it is here."""
        self._urgency.pop(whose, None)

    def clear(self) -> None:
        """Forget all."""
        self._heap.clear()
        self._urgency.clear()


def _whose(event: Event) -> str | None:
    return event.call_id if event.connection_id is None else event.connection_id
