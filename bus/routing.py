"""What the bus knows of each type of event, and whom it reaches: found by look-up, never by a scan of all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from bus.event import Event
from bus.names import EventType, prefixes
from bus.reactor import Reactor
from bus.stream import StreamInbox
from bus.subscription import Subscription

Target = Subscription | StreamInbox
MAX_TYPES = 10_000
"""Names may come from outside: beyond so many, types are counted under ``*`` together and nothing is kept of them."""


class Kept:
    """An event, or what makes it, and when it was published. Changed in place, since that happens for each event."""

    __slots__ = ("event", "published_ns")

    event: Event | Callable[[], Event]
    published_ns: int

    def made(self) -> Event:
        """The event, which is made only now if nobody heard it when it was published."""
        if not isinstance(self.event, Event):
            self.event = self.event()
        return self.event


class Route:
    """Where events of one type go, in the order of subscribing.

    :ivar patterns: every pattern that matches the type
    :ivar reactors: those to whom the type can matter; they hear of all others, too
    """

    __slots__ = ("inline", "patterns", "queued", "reactors")

    def __init__(
        self, targets: Iterable[Target], patterns: tuple[str, ...], reactors: tuple[Reactor, ...] = ()
    ) -> None:
        ordered = sorted(targets, key=lambda target: target.order)
        self.reactors = reactors
        self.inline = tuple(t for t in ordered if isinstance(t, Subscription) and t.inline)
        self.queued = tuple(t for t in ordered if t not in self.inline)
        self.patterns = patterns

    def __iter__(self) -> Iterator[Target]:
        yield from self.queued
        yield from self.inline

    @property
    def empty(self) -> bool:
        """Whether nobody has subscribed."""
        return not self.queued and not self.inline


class Topic:
    """One type of event.

    :ivar count: how many were published
    :ivar counted_as: the topic to count in: this, or that of all surplus types
    :ivar route: where they go, but for subscriptions to one connection; None if that is to be found anew
    :ivar last: the last event of each connection, for ``replay_last``; those of ``earlier`` have not come again lately
    """

    __slots__ = ("count", "counted_as", "earlier", "ends_connection", "last", "name", "patterns", "route")

    def __init__(self, name: str) -> None:
        self.name = name
        self.patterns = (name, *prefixes(name), "*")
        self.count = 0
        self.counted_as = self
        self.route: Route | None = None
        self.last: dict[str | None, Kept] = {}
        self.earlier: dict[str | None, Kept] = {}
        self.ends_connection = name == EventType.CONNECTION_TERMINATED


class Topics:
    """The types of event seen so far, each with its count and last events.

    :ivar known: by name; look-ups only
    """

    __slots__ = ("_surplus", "known")

    def __init__(self) -> None:
        self.known: dict[str, Topic] = {}
        self._surplus = Topic("*")

    def __iter__(self) -> Iterator[Topic]:
        return iter(self.known.values())

    def of(self, event_type: str) -> Topic:
        """The topic of a type."""
        topic = self.known.get(event_type)
        return self._add(event_type) if topic is None else topic

    def counts(self) -> dict[str, int]:
        """How many events there were, by type."""
        topics = [*self.known.values(), self._surplus]
        return {topic.name: topic.count for topic in topics if topic.count}

    def forget_routes(self, pattern: str) -> None:
        """Somebody came or went who hears this pattern."""
        for topic in [self.known.get(pattern)] if pattern in self.known else self.known.values():
            if topic is not None:
                topic.route = None

    def _add(self, event_type: str) -> Topic:
        topic = Topic(str(event_type))
        if len(self.known) < MAX_TYPES:
            self.known[topic.name] = topic
        else:
            topic.counted_as = self._surplus
        return topic


class _Index:
    """Targets by pattern."""

    __slots__ = ("by_pattern", "routes")

    def __init__(self) -> None:
        self.by_pattern: dict[str, dict[Target, None]] = {}
        self.routes: dict[str, tuple[Route, Route]] = {}
        """Of one connection: for each type the whole route, and the shared one that it goes beyond."""

    def matching(self, patterns: Iterable[str]) -> Iterator[Target]:
        for pattern in patterns:
            yield from list(self.by_pattern.get(pattern, ()))

    def add(self, target: Target) -> None:
        self.by_pattern.setdefault(target.pattern, {})[target] = None
        self.routes = {}

    def discard(self, target: Target) -> None:
        targets = self.by_pattern.get(target.pattern, {})
        targets.pop(target, None)
        if not targets:
            self.by_pattern.pop(target.pattern, None)
        self.routes = {}


class Routes:
    """All subscriptions and streams of a bus: those for every connection, and those for one."""

    __slots__ = ("_reactors", "_shared", "_topics", "own")

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._reactors: tuple[Reactor, ...] = ()
        self._shared = _Index()
        self.own: dict[str | None, _Index] = {}

    def __iter__(self) -> Iterator[Target]:
        for index in [self._shared, *self.own.values()]:
            for targets in list(index.by_pattern.values()):
                yield from list(targets)

    def add(self, target: Target) -> None:
        """Let events reach ``target`` from now on."""
        if target.connection_id is None:
            self._shared.add(target)
            self._topics.forget_routes(target.pattern)
        else:
            self.own.setdefault(target.connection_id, _Index()).add(target)

    def remove(self, target: Target) -> None:
        """Let no more events reach ``target``; one that is not there is no error."""
        if target.connection_id is None:
            self._shared.discard(target)
            self._topics.forget_routes(target.pattern)
        elif (index := self.own.get(target.connection_id)) is not None:
            index.discard(target)
            if not index.by_pattern:
                del self.own[target.connection_id]

    def react(self, reactors: tuple[Reactor, ...]) -> None:
        """These are the reactors now."""
        self._reactors = reactors
        self._topics.forget_routes("*")
        for index in self.own.values():
            index.routes = {}

    def find(self, topic: Topic, connection_id: str | None) -> Route:
        """Where an event of this type and connection goes."""
        shared = topic.route or self._find_shared(topic)
        index = self.own.get(connection_id)
        return shared if index is None else self._find_own(topic, shared, index)

    def _find_shared(self, topic: Topic) -> Route:
        # Letting go of a stream removes it at any moment, this one included: a route out of date must not be kept.
        while True:
            topic.route = unfinished = Route((), topic.patterns)
            reactors = tuple(reactor for reactor in self._reactors if reactor.names(topic.name))
            route = Route(self._shared.matching(topic.patterns), topic.patterns, reactors)
            if topic.route is unfinished:
                topic.route = route
                return route

    def _find_own(self, topic: Topic, shared: Route, index: _Index) -> Route:
        known = index.routes.get(topic.name)
        if known is not None and known[1] is shared:
            return known[0]
        routes = index.routes
        route = Route([*shared, *index.matching(topic.patterns)], topic.patterns, shared.reactors)
        if len(routes) >= MAX_TYPES:
            routes.clear()
        routes[topic.name] = (route, shared)
        return route
