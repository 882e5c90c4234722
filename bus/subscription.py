"""Subscriptions: a handler, the bounded queue before it, and the workers that empty it.

A queued subscription is handled by ``concurrency`` long-lived workers, never by a task per event.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

import anyio
from anyio.lowlevel import checkpoint

from bus.backlog import LinePerConnection, OneLine
from bus.causality import Handling
from bus.chain import Chain
from bus.event import Event
from bus.inbox import Inbox, Overflow

if TYPE_CHECKING:
    from bus.bus import EventBus
    from bus.middleware.base import Middleware

Handler = Callable[[Event], Any]
"""What a subscriber gives: a function of one event, ``async`` or plain."""
AsyncHandler = Callable[[Event], Awaitable[None]]

EVENTS_BETWEEN_CHECKPOINTS = 32
"""A worker with a full queue lets others run after so many events, even if its handler never waits."""


class Subscription(Inbox):
    """What :meth:`EventBus.subscribe` returns. Counters are plain attributes, read at any time.

    :ivar handled: calls of the handler that returned
    :ivar failed: calls that raised or took too long
    :ivar running: what each worker handles now, None if nothing
    """

    __slots__ = (
        "_bus",
        "_chain",
        "_idle",
        "backlog",
        "cancelled",
        "failed",
        "handled",
        "handler",
        "inline",
        "running",
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
        if timeout is not None and not timeout > 0:
            raise ValueError(f"timeout must be more than 0 seconds, not {timeout}")
        super().__init__(pattern, name_of(handler), order, connection_id, queue_size, overflow)
        self._bus = bus
        self.handler = handler
        self.timeout = timeout
        self.inline = inline
        self.cancelled = False
        self.handled = self.failed = 0
        self.running: list[Event | None] = [] if inline else [None] * concurrency
        self.backlog: OneLine | LinePerConnection = OneLine() if concurrency == 1 else LinePerConnection()
        self._idle: list[anyio.Event] = []
        call = as_async(handler)
        if timeout is not None:
            call = with_timeout(call, timeout, self.name)
        self._chain = Chain(call, (), bus, self)

    def __repr__(self) -> str:
        state = "cancelled" if self.cancelled else f"{self.queued} queued"
        return f"<Subscription of {self.name} to {self.pattern!r}, {state}>"

    def cancel(self) -> None:
        """Receive nothing more: what is queued is discarded, a running call of the handler finishes. Idempotent."""
        if self.cancelled:
            return
        self.cancelled = True
        self._bus.remove(self)
        self.backlog.clear()
        while self._idle:
            self._idle.pop().set()
        self._bus.finished(self.queued)
        self.queued = 0
        self.let_all_in()

    def deliver_through(self, around: Sequence[Middleware]) -> None:
        """Call the handler by way of these middlewares, inside those there are already."""
        self._chain.extend(around, self._bus, self)

    async def deliver(self, event: Event) -> None:
        """Call the handler through its middleware; whatever it raises comes out."""
        call = Handling(self._bus, event)
        try:
            await self._chain.call(event)
        except BaseException:
            call.failed = True
            raise
        finally:
            call.end()
            self._count(call.failed)

    async def work(self, worker: int) -> None:
        """Handle events until the subscription is cancelled. A failing handler is reported and harms nobody."""
        backlog = self.backlog
        since_checkpoint = 0
        while not self.cancelled:
            if not backlog.ready:
                idle = anyio.Event()
                self._idle.append(idle)
                await idle.wait()
                since_checkpoint = 0
                continue
            event = backlog.take()
            self.running[worker] = event
            self.taken()
            await self._handle(event)
            self.running[worker] = None
            backlog.done(event)
            since_checkpoint += 1
            if since_checkpoint == EVENTS_BETWEEN_CHECKPOINTS:
                since_checkpoint = 0
                await checkpoint()

    async def _handle(self, event: Event) -> None:
        bus = self._bus
        try:
            await self.deliver(event)
        except BaseException as error:
            if not is_failure(error):
                raise
            await bus.report_failure(self.name, event, error)
        finally:
            bus.finished(1)

    def _count(self, failed: bool) -> None:
        if failed:
            self.failed += 1
        else:
            self.handled += 1
        if self.cancelled:
            self._bus.count_late(failed)

    def _append(self, event: Event) -> None:
        self.backlog.put(event)
        self._bus.started()
        if self._idle:
            self._idle.pop().set()

    def _remove_oldest(self) -> Event:
        self.queued -= 1
        self._bus.finished(1)
        return self.backlog.drop_oldest()


def as_async(handler: Handler) -> AsyncHandler:
    """``handler`` as an async function; a plain function is called where it stands.

    A coroutine that a plain function returns is awaited, a task that it started is not: the handler has returned.
    """
    if iscoroutinefunction(handler) or iscoroutinefunction(getattr(handler, "__call__", None)):  # noqa: B004
        return handler

    async def call(event: Event) -> None:
        result = handler(event)
        if isinstance(result, Coroutine):
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


def is_failure(error: BaseException) -> bool:
    """Whether a handler failed with this, rather than being cancelled itself or interrupted.

    On asyncio, awaiting a task or future that was cancelled raises what looks like a cancellation of one's own.
    """
    if isinstance(error, Exception):
        return True
    import asyncio

    if not isinstance(error, asyncio.CancelledError):
        return False
    task = asyncio.current_task()
    cancelled = task is not None and task.cancelling() > 0
    return not cancelled and anyio.current_effective_deadline() != float("-inf")


def name_of(handler: Handler) -> str:
    """What a handler is called in logs and events. Never its arguments, which may be anybody's phone number."""
    while isinstance(handler, partial):
        handler = handler.func
    return getattr(handler, "__qualname__", None) or type(handler).__qualname__
