"""Where a subscription's events wait for its workers: one line for all, or one for each connection.

A worker takes an entry whenever ``ready`` is true, and says ``done`` when the handler has returned.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from contextvars import Context
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
    idle while it could work. Of those ready, the one with the most urgent event anywhere in its line comes first: what
    stands before that event is handled sooner for its sake, never overtaken by it. At equal urgency, the one that has
    been ready longest. Events without a connection are ordered by ``call_id``.

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
        line.numbers.append((number, priority))
        line.priorities[priority] += 1
        if whose not in self._running:
            self.ready.put(whose, max(line.priorities))

    def take(self) -> Entry:
        """Remove the first entry of the most urgent connection."""
        whose = self.ready.take()
        self._running.add(whose)
        line = self._lines[whose]
        number, priority = line.numbers.popleft()
        line.leave(priority)
        return self._remove(number, priority)

    def done(self, event: Event) -> None:
        """The handler of a taken event has returned: its connection's next may be taken."""
        whose = _whose(event)
        self._running.discard(whose)
        line = self._lines.get(whose)
        if line is not None:
            if line.numbers:
                self.ready.put(whose, max(line.priorities))
            else:
                del self._lines[whose]

    def drop_oldest(self) -> Event:
        """Remove, of the least urgent events, the one that has waited longest."""
        priority = min(self._waiting)
        number = next(iter(self._waiting[priority]))
        event = self._remove(number, priority)[0]
        whose = _whose(event)
        line = self._lines[whose]
        line.numbers.remove((number, priority))
        line.leave(priority)
        if not line.numbers and whose not in self._running:
            self.ready.remove(whose)
            del self._lines[whose]
        return event

    def clear(self) -> None:
        """Forget all."""
        self._waiting.clear()
        self._lines.clear()
        self.ready.clear()

    def _remove(self, number: int, priority: int) -> Entry:
        level = self._waiting[priority]
        entry = level.pop(number)
        if not level:
            del self._waiting[priority]
        return entry


class _Line:
    """One connection's events: their numbers in order, and how many there are of each priority."""

    __slots__ = ("numbers", "priorities")

    def __init__(self) -> None:
        self.numbers: deque[tuple[int, int]] = deque()
        self.priorities: Counter[int] = Counter()

    def leave(self, priority: int) -> None:
        """One event of this priority is gone."""
        self.priorities[priority] -= 1
        if not self.priorities[priority]:
            del self.priorities[priority]


class _Ready:
    """The connections that a worker may take from, by urgency; true if there is one."""

    __slots__ = ("_levels", "_priorities")

    def __init__(self) -> None:
        self._levels: dict[int, OrderedDict[str | None, None]] = {}
        self._priorities: dict[str | None, int] = {}

    def __bool__(self) -> bool:
        return bool(self._priorities)

    def put(self, whose: str | None, priority: int) -> None:
        """Add a connection, or make one that is here more urgent."""
        known = self._priorities.get(whose)
        if known == priority:
            return
        if known is not None:
            self.remove(whose)
        self._priorities[whose] = priority
        self._levels.setdefault(priority, OrderedDict())[whose] = None

    def take(self) -> str | None:
        """Remove the most urgent, of several the one that came first."""
        whose = next(iter(self._levels[max(self._levels)]))
        self.remove(whose)
        return whose

    def remove(self, whose: str | None) -> None:
        """Remove a connection."""
        priority = self._priorities.pop(whose)
        level = self._levels[priority]
        del level[whose]
        if not level:
            del self._levels[priority]

    def clear(self) -> None:
        """Forget all."""
        self._levels.clear()
        self._priorities.clear()


def _whose(event: Event) -> str | None:
    return event.call_id if event.connection_id is None else event.connection_id
