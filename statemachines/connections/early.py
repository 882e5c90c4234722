"""Events that come before their connection is registered: kept for a while, in order, within bounds."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable

from attrs import frozen

from bus.event import Event

MAX_PER_CONNECTION = 64
MAX_IN_ALL = 10_000

Key = tuple[str, str | int]
"""What an early event waits for: ``connection_id`` or the kind of a key, and the value."""


@frozen
class Held:
    """One early event, when it came (monotonic seconds), and what it waits for: any of these."""

    event: Event
    arrived: float
    keys: tuple[Key, ...]


class EarlyEvents:
    """All early events of one lifecycle. At the bounds the oldest goes first."""

    def __init__(self, keep_s: float) -> None:
        self.keep_s = keep_s
        self.held: OrderedDict[int, Held] = OrderedDict()
        self._by_key: dict[Key, deque[int]] = {}
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self.held)

    def waiting_for(self, key: Key) -> list[Event]:
        """The events that wait for this key, the oldest first."""
        return [self.held[number].event for number in self._by_key.get(key, ())]

    def hold(self, keys: tuple[Key, ...], event: Event, now: float) -> list[Event]:
        """Keep an event; returns those that had to go for it."""
        gone = []
        for key in keys:
            own = self._by_key.get(key, deque())
            if len(own) >= MAX_PER_CONNECTION:
                gone.append(self._remove(own[0]))
        if not gone and len(self.held) >= MAX_IN_ALL:
            gone.append(self._remove(next(iter(self.held))))
        self._arrivals += 1
        self.held[self._arrivals] = Held(event, now, keys)
        for key in keys:
            self._by_key.setdefault(key, deque()).append(self._arrivals)
        return gone

    def take(self, keys: Iterable[Key]) -> list[Event]:
        """The events that waited for any of these keys, in the order they came; they wait no longer."""
        numbers = sorted({number for key in keys for number in self._by_key.get(key, ())})
        return [self._remove(number) for number in numbers]

    def next_deadline(self) -> float | None:
        """When the oldest will have waited long enough."""
        return next(iter(self.held.values())).arrived + self.keep_s if self.held else None

    def expired(self, now: float) -> list[Event]:
        """The events that have waited long enough; they wait no longer."""
        gone = []
        while self.held:
            number, held = next(iter(self.held.items()))
            if held.arrived + self.keep_s > now:
                break
            gone.append(self._remove(number))
        return gone

    def _remove(self, number: int) -> Event:
        held = self.held.pop(number)
        for key in held.keys:
            own = self._by_key[key]
            own.remove(number)
            if not own:
                del self._by_key[key]
        return held.event
