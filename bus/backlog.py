"""Where a subscription's events wait for its workers: one line for all, or one for each connection.

A worker takes an event whenever ``ready`` is not empty, and says ``done`` when the handler has returned. With several
workers a connection whose event is being handled is not ready, so its events stay in order; any other is, so no worker
is idle while it could work.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from itertools import count
from typing import Any

from bus.event import Event


class OneLine:
    """Events in the order they came, for one worker."""

    __slots__ = ("_events", "ready")

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self.ready: deque[Any] = self._events

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)

    def put(self, event: Event) -> None:
        """Add an event at the end."""
        self._events.append(event)

    def take(self) -> Event:
        """Remove the first event."""
        return self._events.popleft()

    def done(self, event: Event) -> None:
        """The handler of a taken event has returned."""

    def drop_oldest(self) -> Event:
        """Remove the event that has waited longest."""
        return self._events.popleft()

    def clear(self) -> None:
        """Forget all."""
        self._events.clear()


class LinePerConnection:
    """Events in order per connection, for several workers. Those without a connection are ordered by ``call_id``."""

    __slots__ = ("_events", "_lines", "_next", "_running", "ready")

    def __init__(self) -> None:
        self._events: OrderedDict[int, Event] = OrderedDict()
        self._lines: dict[str | None, deque[int]] = {}
        self._running: set[str | None] = set()
        self._next = count().__next__
        self.ready: deque[Any] = deque()

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events.values())

    def put(self, event: Event) -> None:
        """Add an event at the end of its connection's line."""
        number = self._next()
        self._events[number] = event
        whose = _whose(event)
        line = self._lines.get(whose)
        if line is None:
            self._lines[whose] = deque((number,))
            self.ready.append(whose)
        else:
            line.append(number)

    def take(self) -> Event:
        """Remove the first event of the connection that has been ready longest."""
        whose = self.ready.popleft()
        self._running.add(whose)
        return self._events.pop(self._lines[whose].popleft())

    def done(self, event: Event) -> None:
        """The handler of a taken event has returned: its connection's next may be taken."""
        whose = _whose(event)
        self._running.discard(whose)
        if self._lines.get(whose):
            self.ready.append(whose)
        else:
            self._lines.pop(whose, None)

    def drop_oldest(self) -> Event:
        """Remove the event that has waited longest."""
        _, event = self._events.popitem(last=False)
        whose = _whose(event)
        line = self._lines[whose]
        line.popleft()
        if not line and whose not in self._running:
            self.ready.remove(whose)
            del self._lines[whose]
        return event

    def clear(self) -> None:
        """Forget all."""
        self._events.clear()
        self._lines.clear()
        self.ready.clear()


def _whose(event: Event) -> str | None:
    return event.call_id if event.connection_id is None else event.connection_id
