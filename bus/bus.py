"""The event bus: ordered per connection, bounded, and structured.

The way of an event: ``publish`` → publishing middleware → fan-out → (delivery middleware → handler) of each
subscription. Here is what users call; the fan-out and the rules that it follows are in :mod:`bus.fan_out`. Handlers run
in workers that the bus owns, one or more a subscription, started once. An inline handler runs in its publisher's task.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict, TypeVar, Unpack, overload

from anyio.lowlevel import checkpoint

from bus.batch import BatchHandler, BatchSubscription
from bus.causality import Handling, caused_by, handling, inside_handler_of, next_depth
from bus.chain import Chain
from bus.clock import Clock, SystemClock
from bus.description import BusDescription, Listener
from bus.errors import BusClosed, InvalidEvent, PhasebusError
from bus.event import Event, events_of, payload_field, plain_event
from bus.fan_out import FanOut
from bus.handlers import FailureHandler, Handler, of_failures
from bus.inbox import Inbox
from bus.middleware.base import Middleware, MiddlewareFunction, as_middleware, middleware_name
from bus.names import EventType, is_pattern
from bus.options import Options, Overflow, SubscribeOptions
from bus.pending import DrainTimeout, Pending
from bus.reactor import Reactor
from bus.reports import Reports
from bus.statistics import BusStatistics, FormerSubscriptions, SubscriptionStatistics, statistics_of
from bus.stream import EventStream, StreamInbox
from bus.subscription import Subscription
from bus.waiting import Waiter
from bus.workers import Workers

if TYPE_CHECKING:
    from bus.middleware.retry import Retry

logger = logging.getLogger("phasebus.bus")
S = TypeVar("S", bound=Subscription)


class EventFields(TypedDict, total=False):
    """What :meth:`EventBus.publish` may be given beside type, data and connection; see :class:`~bus.Event`."""

    id: str | None
    call_id: str | None
    tenant_id: str | None
    timestamp: float | None
    error: str | BaseException | None
    causation_id: str | None
    causation_depth: int


class EventBus:
    """An event bus. Use it as ``async with EventBus() as bus``; it runs on asyncio and on trio.

    :param middleware: around publishing and delivery, the first outermost; see :func:`~bus.default_chain`
    :param close_timeout: seconds that queued events get when the bus is closed; then handlers are cancelled
    :param slow_after: seconds after which a handler's call is warned of, by name; None for never
    :param replay_limit: how many events are kept for ``replay_last``, the last of each type and connection; 0 for none
    :param clock: what time-outs, retries, windows and limits go by; the event loop's own by default
    """

    def __init__(
        self,
        *,
        middleware: Iterable[Middleware | MiddlewareFunction] = (),
        close_timeout: float = 5.0,
        slow_after: float | None = 1.0,
        replay_limit: int = 10_000,
        clock: Clock | None = None,
    ) -> None:
        if slow_after is not None and not slow_after > 0:
            raise ValueError(f"slow_after must be more than 0 seconds, or None; not {slow_after}")
        self._middleware = [as_middleware(given) for given in middleware]
        self.close_timeout = close_timeout
        self.slow_after = slow_after
        self.clock: Clock = clock or SystemClock()
        self.pending = Pending()
        self._fan_out = FanOut(self, self._refuse_publishing, replay_limit)
        self._routes = self._fan_out.routes
        self.has_listener = self._fan_out.has_listener
        self.pass_unheard = self._fan_out.pass_unheard
        self.reports = Reports(self, self._fan_out, lambda: self._stopped)
        self._workers: Workers | None = None
        self._open = False
        self._stopped = False
        self._order = 0
        self._former = FormerSubscriptions()
        self._past_streams = Counter[str]()
        self._publish_chain = Chain(self._fan_out.send, self._of_kind("publish"), self, None)

    # -- life ---------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._workers is not None or self._closed:
            raise BusClosed("a bus can be entered only once")
        self._workers = await Workers().__aenter__()
        if self.slow_after is not None:
            self._workers.start_soon(self._watch, self.slow_after, name="phasebus: watching for slow handlers")
        for subscription in self._subscriptions():
            self._start(subscription)
        self._open = True
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
        self._fan_out.closed = True
        self._open = False
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

    def _hurry(self) -> None:
        for subscription in self._subscriptions():
            subscription.wake_all()

    async def drain(self, timeout: float | None = None) -> None:
        """Wait until no event is queued and no handler runs. Streams that nobody reads do not count.

        A batch is not waited for to become full: it is handled as it is.

        :raises DrainTimeout: (a ``TimeoutError``) after ``timeout`` seconds
        :raises PhasebusError: when called by a handler, which would wait for itself
        """
        if inside_handler_of(self):
            raise PhasebusError("drain was called by a handler: it would wait for itself")
        await self._drain(timeout)

    async def _drain(self, timeout: float | None) -> None:
        with self.clock.move_on_after(timeout) as scope:
            await checkpoint()
            await self.pending.wait(self._hurry)
        if self.pending.count and scope.cancelled_caught:
            assert timeout is not None
            subscriptions = self._subscriptions()
            queued = tuple(event.id for subscription in subscriptions for event in subscription.backlog)
            running = tuple(
                event.id
                for subscription in subscriptions
                for delivery in subscription.running
                if delivery
                for event in events_of(delivery)
            )
            raise DrainTimeout(timeout, queued, running, self.pending.count - len(queued))

    # -- publishing ---------------------------------------------------------------------------------------------------

    async def publish(
        self, type: str, data: Any = None, *, connection_id: str | None = None, **fields: Unpack[EventFields]
    ) -> Event:
        """Publish an event made from its type, payload and fields, and return it.

        The connection id may be in the payload. Waits while a queue on its way is full, unless called by a handler.

        :raises InvalidEvent: the validation middleware refused it
        :raises QueueFull: a full queue on its way says ``overflow="error"``
        :raises BusClosed: the bus is not running
        """
        if data is None:
            data = {}
        elif connection_id is None:
            connection_id = payload_field(data, "connection_id")
        call = handling.get()
        if call is None and not fields:
            event = plain_event(type, connection_id, data)
        else:
            event = self._event(type, connection_id, data, fields, call)
        if not self._open:
            self._refuse_publishing()
        await self._publish_chain.call(event)
        return event

    def publish_event(self, event: Event) -> Coroutine[Any, Any, None]:
        """Publish an event; see :meth:`publish`. An event published by a handler is linked to its cause.

        To be awaited as if it were ``async``; it is not, because that would add a tenth to what it costs.
        """
        if self._open and handling.get() is None:
            return self._publish_chain.call(event)
        return self._publish_linked(event)

    async def _publish_linked(self, event: Event) -> None:
        call = handling.get()
        if call is not None:
            event = caused_by(event, call.event)
        if not self._open:
            self._refuse_publishing()
        await self._publish_chain.call(event)

    def _event(
        self, type: str, connection_id: str | None, data: Any, fields: EventFields, cause: Handling | None
    ) -> Event:
        if cause is not None:
            fields.setdefault("causation_id", cause.event.id)
            fields["causation_depth"] = max(fields.get("causation_depth", 0), next_depth(cause.event))
        try:
            return Event(type, connection_id, data, **fields)
        except TypeError as error:
            raise InvalidEvent(str(type), None, str(error).replace("Event.__init__() ", "")) from None

    def _refuse_publishing(self) -> None:
        # While the bus drains, handlers may still publish: what they do belongs to what is drained.
        if self._stopped or (self._closed and not inside_handler_of(self)):
            raise BusClosed("the bus is closed")
        if self._workers is None:
            raise BusClosed("the bus is not running: enter it with 'async with EventBus()'")

    # -- subscribing --------------------------------------------------------------------------------------------------

    @overload
    def subscribe(self, pattern: str, handler: Handler, **options: Unpack[SubscribeOptions]) -> Subscription: ...

    @overload
    def subscribe(
        self, pattern: str, handler: None = None, **options: Unpack[SubscribeOptions]
    ) -> Callable[[Handler], Subscription]: ...

    def subscribe(
        self, pattern: str, handler: Handler | None = None, **options: Unpack[SubscribeOptions]
    ) -> Subscription | Callable[[Handler], Subscription]:
        """Call ``handler`` for each event that matches; without a handler, a decorator (that returns the subscription).

        :param pattern: a name, ``prefix.*`` or ``*``
        :param connection_id: only events of this connection
        :param timeout: seconds that one call of the handler may take before it is cancelled
        :param inline: await the handler inside ``publish``, in the publisher's task, instead of queueing
        :param thread: call a plain handler in a worker thread, because it blocks
        :param concurrency: how many events may be handled at once (default 1); one connection's stay in order
        :param queue_size: how many events may wait (default 1024)
        :param overflow: what a full queue does: make the publisher ``wait`` (default), ``drop_oldest``,
            ``drop_newest``, or raise :class:`~bus.QueueFull` to the publisher (``error``)
        :param priorities: how urgent events are, by pattern, as in ``{"connection.terminated": 1}`` (all others 0): a
            more urgent one overtakes the queued events of other connections, never those of its own
        :param retry: call the handler again when it fails; see :class:`bus.middleware.Retry`
        :param replay_last: begin with the last event of each type and connection that matches and was published before
        :raises ValueError: an option is out of range, or two exclude each other
        """
        if handler is None:
            return lambda given: self.subscribe(pattern, given, **options)
        if not callable(handler):
            raise TypeError(f"a handler is a function of one event, not {handler!r}")
        checked = Options(**options)
        return self._add(Subscription(self, self._checked(pattern), handler, self._next_order(), checked))

    def subscribe_batch(
        self,
        pattern: str,
        handler: BatchHandler,
        max_size: int = 100,
        max_wait: float = 0.05,
        *,
        connection_id: str | None = None,
        timeout: float | None = None,
        thread: bool = False,
        queue_size: int | None = None,
        overflow: Overflow = "wait",
        retry: Retry | None = None,
        replay_last: bool = False,
    ) -> BatchSubscription:
        """Call ``handler`` with lists of events, in order: up to ``max_size``, none waiting longer than ``max_wait``.

        A batch that fails is retried as a whole; then ``handler.failed`` is published for each of its events.
        The middleware sees one delivery of the type ``event.batch``, whose data are the events.

        :param max_size: events a call at most
        :param max_wait: seconds that the first event of a batch waits for others
        :param queue_size: how many events may wait (default 1024, or ``max_size`` if that is more)

        The other options are those of :meth:`subscribe`.
        """
        options = Options(
            connection_id=connection_id,
            timeout=timeout,
            thread=thread,
            queue_size=max(1024, max_size) if queue_size is None else queue_size,
            overflow=overflow,
            retry=retry,
            replay_last=replay_last,
        )
        return self._add(
            BatchSubscription(
                self,
                self._checked(pattern),
                handler,
                self._next_order(),
                options,
                max_size=max_size,
                max_wait_s=max_wait,
            )
        )

    def subscribe_dead_letters(
        self, handler: FailureHandler, pattern: str = "*", **options: Unpack[SubscribeOptions]
    ) -> Subscription:
        """Call ``handler`` with a :class:`~bus.HandlerFailure` for each event of ``pattern`` that a handler failed on.

        That is after its last try. Nothing else is done with such an event: keep it, or publish it again.
        The options are those of :meth:`subscribe`.
        """
        return self.subscribe(EventType.HANDLER_FAILED, of_failures(handler, self._checked(pattern)), **options)

    def stream(
        self,
        pattern: str,
        *,
        connection_id: str | None = None,
        queue_size: int = 1024,
        overflow: Overflow = "wait",
        replay_last: bool = False,
    ) -> EventStream:
        """An async iterator over matching events from this call on; see :class:`~bus.EventStream`.

        The options are those of :meth:`subscribe`.
        """
        self._refuse_closed()
        options = Options(
            connection_id=connection_id, queue_size=queue_size, overflow=overflow, replay_last=replay_last
        )
        inbox = StreamInbox(self._checked(pattern), self._next_order(), options)
        missed = self._missed(inbox)
        self._routes.add(inbox)
        self._replay(inbox, missed)
        return EventStream(self, inbox)

    async def wait_for(
        self,
        pattern: str,
        *,
        connection_id: str | None = None,
        where: Callable[[Event], Any] | None = None,
        timeout: float | None = None,
        replay_last: bool = False,
    ) -> Event:
        """The next event that matches and for which ``where`` is true.

        :param replay_last: the last event of its type and connection is good enough, if it was published before
        :raises TimeoutError: after ``timeout`` seconds
        :raises BusClosed: the bus is closed, or was closed meanwhile
        """
        self._refuse_closed()
        waiter = Waiter(self._checked(pattern), connection_id, where)
        waiters = self._fan_out.waiters
        if replay_last:
            for event in self._recent(pattern, connection_id):
                waiter.offer(event)
        waiters.add(waiter)
        try:
            if timeout is None:
                return await waiter.wait()
            with self.clock.move_on_after(timeout):
                return await waiter.wait()
            if waiter.event is not None:
                return waiter.event
            whose = f" of {connection_id}" if connection_id else ""
            raise TimeoutError(f"no {pattern}{whose} came within {timeout:g} s")
        finally:
            waiters.remove(waiter)

    def use(self, middleware: Middleware | MiddlewareFunction) -> None:
        """Add a middleware inside those there are already. A plain async function is one around delivery."""
        added = as_middleware(middleware)
        self._middleware.append(added)
        if added.kind == "publish":
            self._publish_chain.extend([added], self, None)
        else:
            for subscription in self._subscriptions():
                subscription.deliver_through([added])

    def attach(self, reactor: Reactor) -> Callable[[], None]:
        """Let a lifecycle (or whatever keeps step with the bus) hear every event; returns how to detach it."""
        self._fan_out.attach(reactor)
        return partial(self._fan_out.detach, reactor)

    # -- looking at it ------------------------------------------------------------------------------------------------

    def stats(self) -> BusStatistics:
        """What happened so far, in all and by subscription."""
        subscriptions = tuple(statistics_of(subscription) for subscription in self._subscriptions())
        streams = [target for target in self._routes if isinstance(target, StreamInbox)]
        former, past, counts = self._former.statistics(), self._past_streams, self._fan_out.topics.counts()
        every = (*subscriptions, *former)
        lossy: tuple[SubscriptionStatistics | StreamInbox, ...] = (*every, *streams)
        return BusStatistics(
            total_events=sum(counts.values()),
            events_by_type=counts,
            active_handlers=len(subscriptions),
            subscriber_count=dict(Counter(subscription.pattern for subscription in subscriptions)),
            queued=sum(each.queued for each in lossy),
            in_flight=sum(each.in_flight for each in every),
            handled=sum(each.handled for each in every),
            failed=sum(each.failed for each in every),
            dropped=past["dropped"] + sum(each.dropped for each in lossy),
            overrun=past["overrun"] + sum(each.overrun for each in lossy),
            subscriptions=subscriptions,
            former=former,
        )

    def describe(self) -> BusDescription:
        """Who listens to what, through which middleware; ``print`` it."""
        fan_out = self._fan_out
        listeners = [target.listener() for target in sorted(self._routes, key=lambda target: target.order)]
        listeners += [Listener("wait_for", "wait", waiter.pattern, waiter.connection_id) for waiter in fan_out.waiters]
        listeners += [
            Listener(str(reactor), "lifecycle", None, None, chooses=reactor.names) for reactor in fan_out.reactors
        ]
        return BusDescription(
            publishing=tuple(middleware_name(middleware) for middleware in self._of_kind("publish")),
            delivery=tuple(middleware_name(middleware) for middleware in self._of_kind("delivery")),
            listeners=tuple(listeners),
        )

    # -- for subscriptions, middleware and reactors -------------------------------------------------------------------

    async def report_failure(self, handler: str, event: Event, error: BaseException, tries: int = 1) -> None:
        """Publish ``handler.failed`` for code that failed on ``event``. A failing handler of that is only logged."""
        for failed in events_of(event):
            await self.reports.failure(handler, failed, error, tries)

    async def report_dropped(self, event: Event, by: str, reason: str) -> None:
        """Publish ``event.dropped``, unless the dropped event is one itself."""
        await self.reports.dropped(event, by, reason)

    def remove(self, target: Subscription | StreamInbox) -> None:
        """Let no more events reach a subscription or stream; its counts stay in :meth:`stats`."""
        self._routes.remove(target)
        if isinstance(target, Subscription):
            self._former.add(target)
        else:
            self._past_streams.update(dropped=target.dropped, overrun=target.overrun)

    def count_late(self, subscription: Subscription) -> None:
        """Count a call that returned after its subscription was cancelled."""
        self._former.add(subscription)

    # -- details ------------------------------------------------------------------------------------------------------

    @property
    def _closed(self) -> bool:
        return self._fan_out.closed

    def _subscriptions(self) -> list[Subscription]:
        return sorted((t for t in self._routes if isinstance(t, Subscription)), key=lambda target: target.order)

    def _of_kind(self, kind: str) -> list[Middleware]:
        return [middleware for middleware in self._middleware if middleware.kind == kind]

    def _add(self, subscription: S) -> S:
        self._refuse_closed()
        missed = self._missed(subscription)
        subscription.deliver_through(self._of_kind("delivery"))
        if self._workers is not None:
            self._start(subscription)  # first, since it fails outside of the event loop
        self._routes.add(subscription)
        self._replay(subscription, missed)
        return subscription

    def _missed(self, inbox: Inbox) -> list[Event]:
        return self._recent(inbox.pattern, inbox.connection_id) if inbox.options.replay_last else []

    def _replay(self, inbox: Inbox, missed: list[Event]) -> None:
        dropped = inbox.replay(missed)
        if dropped and self._workers is not None:
            self.pending.started()
            self._workers.start_soon(self._tell_dropped, inbox, dropped, name="phasebus: telling what was dropped")

    async def _tell_dropped(self, inbox: Inbox, dropped: list[Event]) -> None:
        try:
            for event in dropped:
                await self.report_dropped(event, inbox.name, inbox.overflow)
        finally:
            self.pending.finished()

    def _recent(self, pattern: str, connection_id: str | None) -> list[Event]:
        recent = self._fan_out.recent
        if recent is None:
            raise PhasebusError("replay_last needs a bus that keeps events: replay_limit is 0 on this one")
        return recent.matching(pattern, connection_id)

    def _start(self, subscription: Subscription) -> None:
        assert self._workers is not None
        for worker in range(len(subscription.running)):
            self._workers.start_soon(subscription.work, worker, name=f"phasebus: {subscription.name}")

    async def _watch(self, slow_after_s: float) -> None:
        """Warn, once, of a call that does not return: one that a worker is still at when this looks again."""
        seen: dict[tuple[Subscription, str], bool] = {}  # whether it has been warned of
        while True:
            await self.clock.sleep(slow_after_s)
            running = {
                (subscription, event.id): event
                for subscription in self._subscriptions()
                for event in subscription.running
                if event is not None
            }
            for call, event in running.items():
                if seen.get(call) is False:
                    self.reports.still_running(call[0].name, event, slow_after_s)
            seen = {call: call in seen for call in running}

    def _shut(self) -> None:
        self._fan_out.closed = self._stopped = True
        self._open = False
        for target in list(self._routes):
            if isinstance(target, Subscription):
                target.cancel()
            else:
                target.close()
        for waiter in self._fan_out.waiters:
            waiter.close()
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
