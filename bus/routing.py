"""Which subscriptions an event reaches: an index by name, prefix and connection, never a scan of all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from bus.names import matches, prefixes
from bus.stream import StreamInbox, Waiter
from bus.subscription import Subscription

Target = Subscription | StreamInbox | Waiter

MAX_REMEMBERED_TYPES = 10_000
"""Names may come from outside: no more routes than this are kept."""


class Route:
    """Where the events of one type go, in the order of subscribing."""

    __slots__ = ("empty", "inline", "queued", "waiters")

    def __init__(self, targets: Iterable[Target]) -> None:
        ordered = sorted(targets, key=lambda target: target.order)
        self.queued = tuple(
            t for t in ordered if isinstance(t, StreamInbox) or (isinstance(t, Subscription) and not t.inline)
        )
        self.inline = tuple(t for t in ordered if isinstance(t, Subscription) and t.inline)
        self.waiters = tuple(t for t in ordered if isinstance(t, Waiter))
        self.empty = not ordered

    def __iter__(self) -> Iterator[Target]:
        yield from self.queued
        yield from self.inline
        yield from self.waiters


class Routes:
    """All subscriptions, streams and waiters of a bus."""

    def __init__(self) -> None:
        self._by_pattern: dict[str, dict[Target, None]] = defaultdict(dict)
        self._by_connection: dict[str, dict[Target, None]] = defaultdict(dict)
        self._routes: dict[str, Route] = {}

    def __iter__(self) -> Iterator[Target]:
        for index in (self._by_pattern, self._by_connection):
            for targets in list(index.values()):
                yield from list(targets)

    def add(self, target: Target) -> None:
        """Let events reach ``target`` from now on."""
        if target.connection_id is None:
            self._by_pattern[target.pattern][target] = None
            self._routes = {}
        else:
            self._by_connection[target.connection_id][target] = None

    def remove(self, target: Target) -> None:
        """Let no more events reach ``target``; one that is not there is no error."""
        if target.connection_id is None:
            index, key = self._by_pattern, target.pattern
            self._routes = {}
        else:
            index, key = self._by_connection, target.connection_id
        targets = index.get(key)
        if targets is not None:
            targets.pop(target, None)
            if not targets:
                del index[key]

    def find(self, event_type: str, connection_id: str | None) -> Route:
        """Where an event of this type and connection goes. Waiters may still decline it."""
        route = self._routes.get(event_type)
        if route is None:
            route = self._remember(event_type)
        if connection_id is not None and connection_id in self._by_connection:
            own = [t for t in self._by_connection[connection_id] if matches(t.pattern, event_type)]
            if own:
                return Route([*route, *own])
        return route

    def _remember(self, event_type: str) -> Route:
        # Letting go of a stream removes it at any moment, this one included: a route out of date must not be kept.
        routes = self._routes
        patterns = [event_type, *prefixes(event_type), "*"]
        route = Route(target for p in patterns for target in list(self._by_pattern.get(p, ())))
        if len(routes) >= MAX_REMEMBERED_TYPES:
            routes.clear()
        routes[event_type] = route
        return route
