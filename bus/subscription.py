"""Subscriptions: a handler, the bounded queue before it, and the workers that empty it.

A queued subscription is handled by long-lived workers, never by a task per event. With ``concurrency=n`` it has n
lanes, each a queue with a worker of its own; a connection always takes the same lane, so its events stay in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, Any

import anyio
from anyio.lowlevel import checkpoint

from bus.causality import handling
from bus.event import Event
from bus.inbox import Inbox, Overflow

if TYPE_CHECKING:
    from bus.bus import EventBus

Handler = Callable[[Event], Any]
"""What a subscriber gives: a function of one event, ``async`` or plain."""
AsyncHandler = Callable[[Event], Awaitable[None]]

EVENTS_BETWEEN_CHECKPOINTS = 32
"""A worker with a full queue lets others run after so many events, even if its handler never waits."""


class Subscription(Inbox):
    """What :meth:`EventBus.subscribe` returns. Counters are plain attributes, read at any time.

    :ivar handled: calls of the handler that returned
    :ivar failed: calls that raised or took too long
    """

    __slots__ = (
        "_bus",
        "_deliver",
        "cancelled",
        "failed",
        "handled",
        "handler",
        "inline",
        "lanes",
        "timeout",
    )

    def __init__(
        self,
        bus: EventBus,
        pattern: str,
        handler: Handler,
        *,
        order: int,
        connection_id: str | None,
        timeout: float | None,
        inline: bool,
        concurrency: int,
        queue_size: int,
        overflow: Overflow,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        name = getattr(handler, "__qualname__", None) or repr(handler)
        super().__init__(pattern, name, order, connection_id, queue_size, overflow)
        self._bus = bus
        self.handler = handler
        self.timeout = timeout
        self.inline = inline
        self.cancelled = False
        self.handled = self.failed = 0
        self.lanes = () if inline else tuple(Lane(self) for _ in range(concurrency))
        self._deliver: AsyncHandler = self.direct_call()

    def __repr__(self) -> str:
        state = "cancelled" if self.cancelled else f"{self.queued} queued"
        return f"<Subscription of {self.name} to {self.pattern!r}, {state}>"

    def cancel(self) -> None:
        """Receive nothing more: what is queued is discarded, a running call of the handler finishes. Idempotent."""
        if self.cancelled:
            return
        self.cancelled = True
        self._bus.remove(self)
        for lane in self.lanes:
            self._bus.finished(len(lane.queue))
            lane.queue.clear()
            lane.wake()
        self.queued = 0
        self.let_all_in()

    def direct_call(self) -> AsyncHandler:
        """The handler without middleware, with the subscription's own time limit."""
        call = as_async(self.handler)
        return call if self.timeout is None else with_timeout(call, self.timeout, self.name)

    def deliver_through(self, chain: AsyncHandler) -> None:
        """Call the handler by way of this chain of middleware from now on."""
        self._deliver = chain

    async def deliver(self, event: Event) -> None:
        """Call the handler through its middleware; whatever it raises comes out."""
        before = handling.set((self._bus, event))
        try:
            await self._deliver(event)
        except BaseException:
            self.failed += 1
            raise
        finally:
            handling.reset(before)
        self.handled += 1

    def _append(self, event: Event) -> None:
        lanes = self.lanes
        lane = lanes[0] if len(lanes) == 1 else lanes[hash(event.connection_id) % len(lanes)]
        lane.queue.append(event)
        self._bus.started()
        if lane.idle is not None:
            lane.wake()

    def _remove_oldest(self) -> Event:
        lane = max(self.lanes, key=lambda lane: len(lane.queue))
        self.queued -= 1
        self._bus.finished(1)
        return lane.queue.popleft()


class Lane:
    """One queue of a subscription and the worker that empties it, in order."""

    __slots__ = ("idle", "queue", "subscription")

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.queue: deque[Event] = deque()
        self.idle: anyio.Event | None = None

    def wake(self) -> None:
        """Tell the worker that there is something to do, or that it is over."""
        if self.idle is not None:
            self.idle.set()
            self.idle = None

    async def work(self) -> None:
        """Handle events until the subscription is cancelled. A failing handler is reported and harms nobody."""
        subscription, queue = self.subscription, self.queue
        since_checkpoint = 0
        while not subscription.cancelled:
            if not queue:
                self.idle = idle = anyio.Event()
                await idle.wait()
                since_checkpoint = 0
                continue
            event = queue.popleft()
            subscription.taken()
            await self._handle(event)
            since_checkpoint += 1
            if since_checkpoint == EVENTS_BETWEEN_CHECKPOINTS:
                since_checkpoint = 0
                await checkpoint()

    async def _handle(self, event: Event) -> None:
        bus = self.subscription._bus
        try:
            await self.subscription.deliver(event)
        except Exception as error:
            await bus.report_failure(self.subscription.name, event, error)
        except BaseException as error:
            # A cancellation that is not ours (the handler awaited something that was cancelled) must not end the
            # worker; our own, and KeyboardInterrupt, must.
            if not isinstance(error, anyio.get_cancelled_exc_class()) or _is_cancelled():
                raise
            await bus.report_failure(self.subscription.name, event, error)
        finally:
            bus.finished(1)


def as_async(handler: Handler) -> AsyncHandler:
    """``handler`` as an async function; a plain function is called where it stands."""
    if iscoroutinefunction(handler) or iscoroutinefunction(getattr(handler, "__call__", None)):  # noqa: B004
        return handler

    async def call(event: Event) -> None:
        result = handler(event)
        if isawaitable(result):
            await result

    return call


def with_timeout(call: AsyncHandler, timeout_s: float, name: str) -> AsyncHandler:
    """``call``, cancelled after ``timeout_s`` seconds; then a ``TimeoutError`` that names the handler."""

    async def limited(event: Event) -> None:
        with anyio.move_on_after(timeout_s) as scope:
            await call(event)
        if scope.cancelled_caught:
            raise TimeoutError(f"{name} took longer than {timeout_s:g} s to handle {event.type}, and was cancelled")

    return limited


def _is_cancelled() -> bool:
    return anyio.current_effective_deadline() == float("-inf")
