"""From a published event to all who hear it: queues, inline handlers, waiters and reactors.

The fan-out to all queues is one piece of code that never waits (:meth:`FanOut._hand_out`): an event reaches all of its
subscribers or none, and a publisher that is cancelled while it waits for room has published nothing. A publisher from
outside waits when a queue is full, and publishers of one connection wait in line. A handler never waits, since its own
queue could be the one that is full: it goes past the bound, which is counted.

Weak spot: inline handlers of one connection may overlap when two tasks publish for it at the same time and the first
handler waits. Use a queued subscription where that matters.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING

import anyio

from bus.causality import Handling, active_call, handling, inside_handler_of
from bus.errors import BusClosed
from bus.event import Event
from bus.handlers import is_failure
from bus.inbox import Inbox
from bus.names import EventType
from bus.reactor import Reactor
from bus.recent import RecentEvents
from bus.routing import Route, Routes, Topic, Topics
from bus.waiting import Waiters

if TYPE_CHECKING:
    from bus.bus import EventBus

Drops = list[tuple[Event, Inbox]]


class FanOut:
    """The last step of publishing.

    :ivar closed: nothing is published any more, but by handlers while the bus drains
    """

    def __init__(self, bus: EventBus, refuse: Callable[[], None], replay_limit: int) -> None:
        self.topics = Topics()
        self._known_topics = self.topics.known
        self.routes = Routes(self.topics)
        self._own_routes = self.routes.own
        self.waiters = Waiters()
        self._waiting = self.waiters.by_connection
        self.reactors: tuple[Reactor, ...] = ()
        self.recent = RecentEvents(replay_limit, self.topics) if replay_limit else None
        self.closed = False
        self._bus = bus
        self._pending = bus.pending
        self._refuse = refuse
        self._lines: dict[str | None, anyio.Lock] = {}
        self._tickets = 0

    def attach(self, reactor: Reactor) -> None:
        """Let it hear every event."""
        self.reactors = (*self.reactors, reactor)
        self.routes.react(self.reactors)

    def detach(self, reactor: Reactor) -> None:
        """Let it hear nothing more."""
        self.reactors = tuple(other for other in self.reactors if other is not reactor)
        self.routes.react(self.reactors)

    async def send(self, event: Event, handed_out: Route | None = None) -> None:
        """Let everybody have the event; returns when inline handlers and reactors are done with it.

        :param handed_out: where the event has been handed out already, so that only the inline handlers are left
        """
        # Every event comes through here, and each call of a function costs as much as what it does: hence its length.
        now = perf_counter_ns()
        route = handed_out
        if route is None:
            if self.closed:  # perhaps only since a middleware began to wait
                self._refuse()
            topic = self._known_topics.get(event.type) or self.topics.of(event.type)
            route = topic.route
            if route is None or self._own_routes:
                route = self.routes.find(topic, event.connection_id)
            if route.queued or self._waiting or self.reactors or self._lines:
                crowded = False
                for inbox in route.queued:
                    if inbox.queued >= inbox.queue_size or inbox.granted:
                        crowded = True
                if (crowded or self._lines) and self._must_wait(event, route):
                    await self._send_when_there_is_room(event, topic)
                    return
                if crowded:
                    self._refuse_if_full(event, route)
                dropped = self._hand_out(event, topic, route, now)
                if dropped is not None:
                    await self._follow_up(event, route, dropped)
                    return
            else:  # what _hand_out does where nobody is but inline handlers
                topic.counted_as.count += 1
                recent = self.recent
                if recent is not None:
                    kept = topic.last.get(event.connection_id)
                    if kept is not None:
                        kept.event = event
                        kept.published_ns = now
                    else:
                        recent.keep(topic, event.connection_id, event, now)
        if not route.inline:
            return
        began = now
        failures: list[BaseException] | None = None
        pending = self._pending
        pending.count += 1
        outer = handling.get()
        call = Handling()
        call.bus = self._bus
        call.event = event
        call.outer = None if outer is None else active_call()
        call.failed = False
        call.attempt = None
        token = handling.set(call)
        try:
            for subscription in route.inline:
                if subscription.cancelled:
                    continue
                subscription.begun += 1
                try:
                    await subscription.call(event)
                except BaseException as error:
                    call.failed = True
                    if not is_failure(error):
                        raise
                    failures = failures or []
                    failures.append(error)
                finally:
                    ended = perf_counter_ns()
                    subscription.last_ns = took = ended - began
                    began = ended
                    subscription.sum_ns += took
                    subscription.latencies[took.bit_length()] += 1
                    if call.failed or subscription.cancelled or took > subscription.slow_after_ns:
                        subscription.note(call, took)
                        call.failed, call.attempt = False, None
                    else:
                        subscription.handled += 1
        finally:
            call.bus = None
            handling.reset(token)
            pending.count -= 1
            if not pending.count:
                pending.tell()
        if failures:
            if len(failures) == 1:
                raise failures[0]
            raise BaseExceptionGroup(f"inline handlers of {event.type} failed", failures)

    async def send_news(self, event: Event) -> None:
        """The same for news of the bus itself, which has no publisher to refuse it to or to make wait.

        Where a full queue would refuse it, it is dropped there; the others get it. So is news of a drop where it would
        push out something else: there would be news of that, which pushes out something else, until nothing is left.
        """
        topic = self.topics.of(event.type)
        route = self.routes.find(topic, event.connection_id)
        refusing = [inbox for inbox in route.queued if inbox.refuses(event) or _pushes_out_others(event, inbox)]
        if refusing:
            route = Route((target for target in route if target not in refusing), route.patterns)
        dropped = self._hand_out(event, topic, route, perf_counter_ns()) or []
        for inbox in refusing:
            inbox.dropped += 1
            dropped.append((event, inbox))
        await self._follow_up(event, route, dropped)

    def has_listener(self, event_type: str, connection_id: str | None = None, besides: Reactor | None = None) -> bool:
        """Whether anybody ``besides`` this reactor would hear such an event.

        If not, it need not be built (:meth:`pass_unheard`).
        """
        topic = self._known_topics.get(event_type) or self.topics.of(event_type)
        route = topic.route
        if route is None or self.routes.own:
            route = self.routes.find(topic, connection_id)
        if route.inline or route.queued:
            return True
        for reactor in route.reactors:
            if reactor is not besides:
                return True
        return bool(self._waiting and self.waiters.find(route.patterns, connection_id))

    def pass_unheard(
        self, event_type: str, connection_id: str | None = None, make: Callable[[], Event] | None = None
    ) -> None:
        """Count an event that nobody hears, and keep what makes it for those who subscribe too late."""
        topic = self._known_topics.get(event_type) or self.topics.of(event_type)
        topic.counted_as.count += 1
        if self.recent is not None and make is not None:
            self.recent.keep(topic, connection_id, make, perf_counter_ns())

    def _must_wait(self, event: Event, route: Route) -> bool:
        for inbox in route.queued:
            if inbox.overflow == "wait" and inbox.promised_full:
                break
        else:
            if event.connection_id not in self._lines:
                return False
        return handling.get() is None or not inside_handler_of(self._bus)

    def _refuse_if_full(self, event: Event, route: Route) -> None:
        """Raise what a full queue has to say, before anybody has the event."""
        for inbox in route.queued:
            if inbox.queued >= inbox.queue_size and (refusal := inbox.refuses(event)):
                raise refusal

    def _hand_out(self, event: Event, topic: Topic, route: Route, now: int) -> Drops | None:
        """Hand the event to every queue, waiter and reactor at once. Never waits, and never raises.

        Returns what was dropped for it; None if nothing was, and no reactor has anything to carry out.
        """
        topic.counted_as.count += 1
        recent = self.recent
        if recent is not None:
            kept = topic.last.get(event.connection_id)  # the usual case of keep()
            if kept is not None:
                kept.event = event
                kept.published_ns = now
            else:
                recent.keep(topic, event.connection_id, event, now)
        dropped: Drops | None = None
        for inbox in route.queued:
            if inbox.queued < inbox.queue_size:
                inbox.queued += 1
                inbox.append(event, now)
            elif (lost := inbox.offer_past_the_bound(event)) is not None:
                dropped = dropped or []
                dropped.append((lost, inbox))
        if self._waiting:
            for waiter in self.waiters.find(route.patterns, event.connection_id):
                waiter.offer(event)
        for reactor in self.reactors:
            if reactor.receive(event) and dropped is None:
                dropped = []
        return dropped

    async def _send_when_there_is_room(self, event: Event, topic: Topic) -> None:
        """The slow way: stand in line behind this connection's other publishers, then wait for each full queue."""
        line = self._lines.setdefault(event.connection_id, anyio.Lock())
        self._tickets += 1
        ticket = self._tickets
        try:
            async with line:
                route, dropped = await self._wait_for_room(event, topic, ticket)
        finally:
            statistics = line.statistics()
            if not statistics.locked and not statistics.tasks_waiting:
                self._lines.pop(event.connection_id, None)
        await self._follow_up(event, route, dropped)

    async def _wait_for_room(self, event: Event, topic: Topic, ticket: int) -> tuple[Route, Drops | None]:
        # A place is kept in one queue only, for the moment between being let in and looking at the others: who waits
        # for a slow subscriber takes no room from a quick one. The ticket keeps the turn when it is another's again.
        granted: Inbox | None = None
        try:
            while True:
                if self.closed:
                    raise BusClosed("the bus was closed while this event waited for room in a queue")
                route = self.routes.find(topic, event.connection_id)
                full = next((inbox for inbox in route.queued if inbox.congested_for(ticket)), None)
                if full is None:
                    self._refuse_if_full(event, route)
                    return route, self._hand_out(event, topic, route, perf_counter_ns())
                if granted is not None:
                    granted.let_in()
                await full.reserve(ticket)
                granted = full
                granted.release(ticket)
        finally:
            if granted is not None:
                granted.let_in()

    async def _follow_up(self, event: Event, route: Route, dropped: Drops | None) -> None:
        reactors = self.reactors
        failure: BaseException | None = None
        carried_out = 0
        try:
            for lost, inbox in dropped or ():
                await self._bus.report_dropped(lost, inbox.name, inbox.overflow)
            try:
                await self.send(event, route)
            except BaseException as error:
                if not is_failure(error):
                    raise
                failure = error
            for reactor in reactors:
                await reactor.carry_out(event)
                carried_out += 1
        except BaseException:
            for reactor in reactors[carried_out:]:
                reactor.take_over(event)
            raise
        if failure is not None:
            raise failure


def _pushes_out_others(event: Event, inbox: Inbox) -> bool:
    full = inbox.queued >= inbox.queue_size
    return full and inbox.overflow == "drop_oldest" and event.type == EventType.EVENT_DROPPED != inbox.pattern
