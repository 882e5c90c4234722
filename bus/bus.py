"""The event bus: ordered per connection, bounded, and structured.

The way of an event: ``publish`` → publishing middleware → fan-out → (delivery middleware → handler) of each
subscription. The rules that everything here follows:

* The fan-out to all queues is one piece of code that never waits: an event reaches all of its subscribers or none, and
  a publisher that is cancelled while it waits for room has published nothing.
* A publisher from outside waits when a queue is full, and publishers of one connection wait in line. A handler never
  waits (its own queue could be the one that is full): it goes past the bound, which is counted.
* Handlers run in workers that the bus owns, one or more a subscription, started once. An inline handler runs in its
  publisher's task.

Weak spot: inline handlers of one connection may overlap when two tasks publish for it at the same time and the first
handler waits. Use a queued subscription where that matters.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, overload

import anyio
from anyio.lowlevel import checkpoint

from bus.causality import MAX_CAUSATION_DEPTH, Handling, caused_by, handling, inside_handler_of, next_depth
from bus.chain import Chain
from bus.errors import BusClosed, InvalidEvent, PhasebusError
from bus.event import Event, payload_field
from bus.inbox import Inbox, Overflow
from bus.middleware.base import Middleware, MiddlewareFunction, as_middleware
from bus.names import EventType, is_pattern
from bus.payloads import HandlerFailure
from bus.reactor import Reactor
from bus.routing import Route, Routes
from bus.statistics import BusStatistics
from bus.stream import EventStream, StreamInbox, Waiter
from bus.subscription import Handler, Subscription, is_failure
from bus.workers import Workers

logger = logging.getLogger("phasebus.bus")

MAX_COUNTED_TYPES = 10_000
"""Names may come from outside: beyond so many, events are counted under ``*`` together."""

Drops = list[tuple[Event, Inbox]]


class DrainTimeout(PhasebusError, TimeoutError):
    """:meth:`EventBus.drain` gave up waiting.

    ``event_ids`` are the events that no handler has begun with, ``running_ids`` those that a queued handler is at.
    """

    def __init__(
        self, timeout_s: float, event_ids: tuple[str, ...], running_ids: tuple[str, ...], running: int
    ) -> None:
        super().__init__(f"after {timeout_s:g} s {len(event_ids)} events are still queued and {running} handlers run")
        self.event_ids = event_ids
        self.running_ids = running_ids


class EventBus:
    """An event bus. Use it as ``async with EventBus() as bus``; it runs on asyncio and on trio.

    :param middleware: around publishing and delivery, the first outermost; see :func:`~bus.default_chain`
    :param close_timeout: seconds that queued events get when the bus is closed; then handlers are cancelled
    """

    def __init__(
        self, *, middleware: Iterable[Middleware | MiddlewareFunction] = (), close_timeout: float = 5.0
    ) -> None:
        self._middleware = [as_middleware(given) for given in middleware]
        self.close_timeout = close_timeout
        self._routes = Routes()
        self._reactors: tuple[Reactor, ...] = ()
        self._lines: dict[str | None, anyio.Lock] = {}
        self._workers: Workers | None = None
        self._closed = False
        self._stopped = False
        self._order = 0
        self._tickets = 0
        self._pending = 0
        self._quiet: anyio.Event | None = None
        self._counts: Counter[str] = Counter()
        self._past = Counter[str]()
        around = [middleware for middleware in self._middleware if middleware.kind == "publish"]
        self._publish_chain = Chain(self._fan_out_in_turn, around, self, None)

    # -- life ---------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._workers is not None or self._closed:
            raise BusClosed("a bus can be entered only once")
        self._workers = await Workers().__aenter__()
        for target in self._routes:
            if isinstance(target, Subscription):
                self._start(target)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._workers is not None
        try:
            if exc_type is None:
                await self.aclose()
        finally:
            self._shut()
            swallowed = await self._workers.__aexit__(exc_type, exc, traceback)
        return swallowed

    async def aclose(self) -> None:
        """Refuse new events, let what is queued be handled (``close_timeout`` at most), then stop. Idempotent.

        Called by a handler, which cannot wait for itself, it returns at once and the rest happens afterwards.
        """
        self._closed = True
        if self._workers is None:
            self._shut()
        elif not self._stopped:
            if inside_handler_of(self):
                self._workers.start_soon(self._finish, name="phasebus: closing")
            else:
                await self._finish()

    async def _finish(self) -> None:
        try:
            await self._drain(self.close_timeout)
        except DrainTimeout as unfinished:
            ids = [*unfinished.running_ids, *unfinished.event_ids]
            logger.warning("bus closed with work undone: %s; events %s", unfinished, ids[:20])
        finally:
            self._shut()

    async def drain(self, timeout: float | None = None) -> None:
        """Wait until no event is queued and no handler runs. Streams that nobody reads do not count.

        :raises DrainTimeout: (a ``TimeoutError``) after ``timeout`` seconds
        :raises PhasebusError: when called by a handler, which would wait for itself
        """
        if inside_handler_of(self):
            raise PhasebusError("drain was called by a handler: it would wait for itself")
        await self._drain(timeout)

    async def _drain(self, timeout: float | None) -> None:
        with anyio.move_on_after(timeout) as scope:
            await checkpoint()
            while self._pending:
                if self._quiet is None:
                    self._quiet = anyio.Event()
                await self._quiet.wait()
        if self._pending and scope.cancelled_caught:
            assert timeout is not None
            subscriptions = [target for target in self._routes if isinstance(target, Subscription)]
            queued = tuple(event.id for subscription in subscriptions for event in subscription.backlog)
            running = tuple(event.id for subscription in subscriptions for event in subscription.running if event)
            raise DrainTimeout(timeout, queued, running, self._pending - len(queued))

    # -- publishing ---------------------------------------------------------------------------------------------------

    async def publish(self, type: str, data: Any = None, **fields: Any) -> Event:
        """Publish an event made from its type, payload and fields, and return it.

        The connection id may be in the payload. Waits while a queue on its way is full, unless called by a handler.

        :raises InvalidEvent: the validation middleware refused it
        :raises QueueFull: a full queue on its way says ``overflow="error"``
        :raises BusClosed: the bus is not running
        """
        if data is None:
            data = {}
        if "connection_id" not in fields:
            fields["connection_id"] = payload_field(data, "connection_id")
        call = handling.get()
        if call is not None:
            fields.setdefault("causation_id", call.event.id)
            fields["causation_depth"] = max(fields.get("causation_depth", 0), next_depth(call.event))
        try:
            event = Event(type, data=data, **fields)
        except TypeError as error:
            raise InvalidEvent(str(type), None, str(error).replace("Event.__init__() ", "")) from None
        await self._publish(event)
        return event

    async def publish_event(self, event: Event) -> None:
        """Publish an event; see :meth:`publish`. An event published by a handler is linked to its cause."""
        call = handling.get()
        if call is not None:
            event = caused_by(event, call.event)
        await self._publish(event)

    def has_listener(self, event_type: str, connection_id: str | None = None) -> bool:
        """Whether anybody would hear such an event: if not, it need not be built."""
        return not self._routes.find(event_type, connection_id).empty or any(
            reactor.names(event_type) for reactor in self._reactors
        )

    def count_unheard(self, event_type: str) -> None:
        """Count an event that was not built because nobody would have heard it."""
        self._count(event_type)

    async def _publish(self, event: Event) -> None:
        if self._workers is None or self._closed:
            self._refuse_publishing()
        await self._publish_chain.call(event)

    def _refuse_publishing(self) -> None:
        # While the bus drains, handlers may still publish: what they do belongs to what is drained.
        if self._stopped or (self._closed and not inside_handler_of(self)):
            raise BusClosed("the bus is closed")
        if self._workers is None:
            raise BusClosed("the bus is not running: enter it with 'async with EventBus()'")

    async def _fan_out_in_turn(self, event: Event) -> None:
        if self._closed:  # perhaps only since a middleware began to wait
            self._refuse_publishing()
        route = self._routes.find(event.type, event.connection_id)
        if handling.get() is None or not inside_handler_of(self):
            for inbox in route.queued:
                if inbox.congested:
                    await self._fan_out_when_there_is_room(event)
                    return
            if self._lines and event.connection_id in self._lines:
                await self._fan_out_when_there_is_room(event)
                return
        await self._follow_up(event, route, self._fan_out(event, route))

    def _fan_out(self, event: Event, route: Route) -> Drops | None:
        """Hand the event to every queue, waiter and reactor at once. Never waits; raises before it has begun."""
        for inbox in route.queued:
            if inbox.queued >= inbox.queue_size and (refusal := inbox.refuses(event)):
                raise refusal
        self._count(event.type)
        dropped: Drops | None = None
        for inbox in route.queued:
            lost = inbox.offer(event)
            if lost is not None:
                dropped = dropped or []
                dropped.append((lost, inbox))
        for waiter in route.waiters:
            waiter.offer(event)
        for reactor in self._reactors:
            reactor.receive(event)
        return dropped

    async def _fan_out_when_there_is_room(self, event: Event) -> None:
        """The slow way: stand in line behind this connection's other publishers, then wait for each full queue."""
        line = self._lines.setdefault(event.connection_id, anyio.Lock())
        self._tickets += 1
        ticket = self._tickets
        try:
            async with line:
                route, dropped = await self._wait_for_room(event, ticket)
        finally:
            statistics = line.statistics()
            if not statistics.locked and not statistics.tasks_waiting:
                self._lines.pop(event.connection_id, None)
        await self._follow_up(event, route, dropped)

    async def _wait_for_room(self, event: Event, ticket: int) -> tuple[Route, Drops | None]:
        # A place is kept in one queue only, for the moment between being let in and looking at the others: who waits
        # for a slow subscriber takes no room from a quick one. The ticket keeps the turn when it is another's again.
        granted: Inbox | None = None
        try:
            while True:
                if self._closed:
                    raise BusClosed("the bus was closed while this event waited for room in a queue")
                route = self._routes.find(event.type, event.connection_id)
                full = next((inbox for inbox in route.queued if inbox.congested), None)
                if full is None:
                    return route, self._fan_out(event, route)
                if granted is not None:
                    granted.let_in()
                await full.reserve(ticket)
                granted = full
                granted.reserved -= 1
        finally:
            if granted is not None:
                granted.let_in()

    async def _follow_up(self, event: Event, route: Route, dropped: Drops | None) -> None:
        failures: list[BaseException] = []
        reactors = self._reactors
        carried_out = 0
        try:
            if dropped:
                for lost, inbox in dropped:
                    await self.report_dropped(lost, inbox.name, inbox.overflow)
            if route.inline:
                failures = await self._deliver_inline(event, route)
            for reactor in reactors:
                await reactor.carry_out(event)
                carried_out += 1
        except BaseException:
            for reactor in reactors[carried_out:]:
                reactor.take_over(event)
            raise
        if len(failures) == 1:
            raise failures[0]
        if failures:
            raise BaseExceptionGroup(f"inline handlers of {event.type} failed", failures)

    async def _deliver_inline(self, event: Event, route: Route) -> list[BaseException]:
        failures: list[BaseException] = []
        self.started()
        try:
            for subscription in route.inline:
                if not subscription.cancelled:
                    try:
                        await subscription.deliver(event)
                    except BaseException as error:
                        if not is_failure(error):
                            raise
                        failures.append(error)
        finally:
            self.finished(1)
        return failures

    # -- subscribing --------------------------------------------------------------------------------------------------

    @overload
    def subscribe(
        self,
        pattern: str,
        handler: Handler,
        *,
        connection_id: str | None = ...,
        timeout: float | None = ...,
        inline: bool = ...,
        concurrency: int = ...,
        queue_size: int = ...,
        overflow: Overflow = ...,
    ) -> Subscription: ...

    @overload
    def subscribe(
        self,
        pattern: str,
        handler: None = None,
        *,
        connection_id: str | None = ...,
        timeout: float | None = ...,
        inline: bool = ...,
        concurrency: int = ...,
        queue_size: int = ...,
        overflow: Overflow = ...,
    ) -> Callable[[Handler], Subscription]: ...

    def subscribe(
        self,
        pattern: str,
        handler: Handler | None = None,
        *,
        connection_id: str | None = None,
        timeout: float | None = None,
        inline: bool = False,
        concurrency: int = 1,
        queue_size: int = 1024,
        overflow: Overflow = "wait",
    ) -> Subscription | Callable[[Handler], Subscription]:
        """Call ``handler`` for each event that matches; without a handler, a decorator (that returns the subscription).

        :param pattern: a name, ``prefix.*`` or ``*``
        :param connection_id: only events of this connection
        :param timeout: seconds that one call of the handler may take before it is cancelled
        :param inline: await the handler inside ``publish``, in the publisher's task, instead of queueing
        :param concurrency: how many events may be handled at once; one connection's stay in order
        :param queue_size: how many events may wait
        :param overflow: what a full queue does: make the publisher ``wait``, ``drop_oldest``, ``drop_newest``, or
            raise :class:`~bus.QueueFull` to the publisher (``error``)
        """
        if handler is None:
            return lambda given: self.subscribe(
                pattern,
                given,
                connection_id=connection_id,
                timeout=timeout,
                inline=inline,
                concurrency=concurrency,
                queue_size=queue_size,
                overflow=overflow,
            )
        if not callable(handler):
            raise TypeError(f"a handler is a function of one event, not {handler!r}")
        self._refuse_closed()
        subscription = Subscription(
            self,
            self._checked(pattern),
            handler,
            order=self._next_order(),
            connection_id=connection_id,
            timeout=timeout,
            inline=inline,
            concurrency=concurrency,
            queue_size=queue_size,
            overflow=overflow,
        )
        around = [middleware for middleware in self._middleware if middleware.kind == "delivery"]
        subscription.deliver_through(around)
        self._routes.add(subscription)
        if self._workers is not None:
            self._start(subscription)
        return subscription

    def stream(
        self,
        pattern: str,
        *,
        connection_id: str | None = None,
        queue_size: int = 1024,
        overflow: Overflow = "wait",
    ) -> EventStream:
        """An async iterator over matching events from this call on; see :class:`~bus.EventStream`."""
        self._refuse_closed()
        inbox = StreamInbox(self._checked(pattern), self._next_order(), connection_id, queue_size, overflow)
        self._routes.add(inbox)
        return EventStream(self, inbox)

    async def wait_for(
        self,
        pattern: str,
        *,
        connection_id: str | None = None,
        where: Callable[[Event], Any] | None = None,
        timeout: float | None = None,
    ) -> Event:
        """The next event that matches and for which ``where`` is true.

        :raises TimeoutError: after ``timeout`` seconds
        :raises BusClosed: the bus is closed, or was closed meanwhile
        """
        self._refuse_closed()
        waiter = Waiter(self._checked(pattern), self._next_order(), connection_id, where)
        self._routes.add(waiter)
        try:
            if timeout is None:
                return await waiter.wait()
            with anyio.move_on_after(timeout):
                return await waiter.wait()
            if waiter.event is not None:
                return waiter.event
            whose = f" of {connection_id}" if connection_id else ""
            raise TimeoutError(f"no {pattern}{whose} came within {timeout:g} s")
        finally:
            self._routes.remove(waiter)

    def use(self, middleware: Middleware | MiddlewareFunction) -> None:
        """Add a middleware inside those there are already. A plain async function is one around delivery."""
        added = as_middleware(middleware)
        self._middleware.append(added)
        if added.kind == "publish":
            self._publish_chain.extend([added], self, None)
        else:
            for target in self._routes:
                if isinstance(target, Subscription):
                    target.deliver_through([added])

    def attach(self, reactor: Reactor) -> Callable[[], None]:
        """Let a lifecycle (or whatever keeps step with the bus) hear every event; returns how to detach it."""
        self._reactors = (*self._reactors, reactor)

        def detach() -> None:
            self._reactors = tuple(other for other in self._reactors if other is not reactor)

        return detach

    # -- looking at it ------------------------------------------------------------------------------------------------

    def stats(self) -> BusStatistics:
        """What happened so far."""
        subscriptions = [target for target in self._routes if isinstance(target, Subscription)]
        inboxes = [target for target in self._routes if isinstance(target, Inbox)]
        past = self._past
        return BusStatistics(
            total_events=self._counts.total(),
            events_by_type=dict(self._counts),
            active_handlers=len(subscriptions),
            subscriber_count=dict(Counter(subscription.pattern for subscription in subscriptions)),
            queued=sum(inbox.queued for inbox in inboxes),
            handled=past["handled"] + sum(subscription.handled for subscription in subscriptions),
            failed=past["failed"] + sum(subscription.failed for subscription in subscriptions),
            dropped=past["dropped"] + sum(inbox.dropped for inbox in inboxes),
            overrun=past["overrun"] + sum(inbox.overrun for inbox in inboxes),
        )

    # -- for subscriptions, middleware and reactors -------------------------------------------------------------------

    async def report_failure(self, handler: str, event: Event, error: BaseException, tries: int = 1) -> None:
        """Publish ``handler.failed`` for code that failed on ``event``. A failing handler of that is only logged."""
        logger.warning("%s failed on %s of %s: %s", handler, event.type, event.connection_id, type(error).__name__)
        failure = HandlerFailure(event, handler, f"{type(error).__name__}: {error}", tries)
        await self._report(EventType.HANDLER_FAILED, event, failure, error)

    async def report_dropped(self, event: Event, by: str, reason: str) -> None:
        """Publish ``event.dropped``, unless the dropped event is one itself."""
        logger.warning("%s dropped %s of %s (%s)", by, event.type, event.connection_id, reason)
        await self._report(
            EventType.EVENT_DROPPED, event, {"type": event.type, "id": event.id, "by": by, "reason": reason}
        )

    def started(self) -> None:
        """One more piece of work that :meth:`drain` waits for."""
        self._pending += 1

    def finished(self, number: int) -> None:
        """Work that :meth:`drain` no longer waits for."""
        self._pending -= number
        if not self._pending and self._quiet is not None:
            self._quiet.set()
            self._quiet = None

    def remove(self, target: Subscription | StreamInbox) -> None:
        """Let no more events reach a subscription or stream; its counts stay in :meth:`stats`."""
        self._routes.remove(target)
        self._past.update(dropped=target.dropped, overrun=target.overrun)
        if isinstance(target, Subscription):
            self._past.update(handled=target.handled, failed=target.failed)

    def count_late(self, failed: bool) -> None:
        """Count a call that returned after its subscription was cancelled."""
        self._past["failed" if failed else "handled"] += 1

    @asynccontextmanager
    async def working(self, event: Event) -> AsyncIterator[None]:
        """Run a block as a handler of ``event``: what it publishes is linked to it, and ``drain`` waits for it."""
        self.started()
        call = Handling(self, event)
        try:
            yield
        finally:
            call.end()
            self.finished(1)

    # -- details ------------------------------------------------------------------------------------------------------

    async def _report(self, news: EventType, about: Event, data: Any, error: BaseException | None = None) -> None:
        """Publish news of the bus itself: past the publishing middleware, never waiting, never failing the caller."""
        if about.type == news or self._stopped or about.causation_depth > MAX_CAUSATION_DEPTH:
            return
        if not self.has_listener(news, about.connection_id):
            self.count_unheard(news)
            return
        call = Handling(self, about)
        try:
            event = Event(
                news,
                about.connection_id,
                data,
                call_id=about.call_id,
                tenant_id=about.tenant_id,
                error=error,
                causation_id=about.id,
                causation_depth=about.causation_depth + 1,
            )
            await self._fan_out_news(event)
        except Exception:
            logger.exception("could not publish %s", news)
        finally:
            call.end()

    async def _fan_out_news(self, event: Event) -> None:
        # There is no publisher to refuse it to: a full queue that would refuse it has it dropped, the others get it.
        route = self._routes.find(event.type, event.connection_id)
        refusing = [inbox for inbox in route.queued if inbox.refuses(event)]
        if refusing:
            route = Route(target for target in route if target not in refusing)
        dropped = self._fan_out(event, route) or []
        for inbox in refusing:
            inbox.dropped += 1
            dropped.append((event, inbox))
        await self._follow_up(event, route, dropped)

    def _count(self, event_type: str) -> None:
        counts = self._counts
        if event_type not in counts and len(counts) >= MAX_COUNTED_TYPES:
            event_type = "*"
        counts[event_type] += 1

    def _start(self, subscription: Subscription) -> None:
        assert self._workers is not None
        for worker in range(len(subscription.running)):
            self._workers.start_soon(subscription.work, worker, name=f"phasebus: {subscription.name}")

    def _shut(self) -> None:
        self._closed = self._stopped = True
        for target in list(self._routes):
            if isinstance(target, Subscription):
                target.cancel()
            else:
                target.close()
        if self._workers is not None:
            self._workers.stop()

    def _checked(self, pattern: str) -> str:
        pattern = str(pattern)
        if not is_pattern(pattern):
            raise InvalidEvent(
                pattern,
                None,
                "not an event name or pattern; write namespace.action, namespace.* or * (lower case)",
            )
        return pattern

    def _next_order(self) -> int:
        self._order += 1
        return self._order

    def _refuse_closed(self) -> None:
        if self._closed:
            raise BusClosed("the bus is closed")
