"""Subscriptions: a handler, the bounded queue before it, and the workers that empty it.

A queued subscription is handled by ``concurrency`` long-lived workers, never by a task per event.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import copy_context
from time import perf_counter_ns
from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import checkpoint

from bus.backlog import Backlog, LinePerConnection, OneLine
from bus.causality import Handling
from bus.chain import Chain
from bus.context import DONE, HandlerRunner, in_context
from bus.event import Event
from bus.handlers import Handler, callable_of, is_failure, name_of
from bus.inbox import Inbox
from bus.latency import BUCKETS
from bus.options import Options

if TYPE_CHECKING:
    from bus.bus import EventBus
    from bus.middleware.base import Middleware

NEVER_NS = 2**62
TURN_NS = 200_000
"""A worker with a full queue lets others run after so long, even if its handler never waits."""


class Subscription(Inbox):
    """What :meth:`EventBus.subscribe` returns. Counters are plain attributes, read at any time.

    :ivar options: what it was subscribed with
    :ivar handled: calls of the handler that returned
    :ivar failed: calls that raised or took too long; with ``retry``, only when the last try has failed
    :ivar retried: further tries after a failed one
    :ivar slow: calls that took longer than the bus's ``slow_after``
    :ivar latencies: how many deliveries took how long, by power of two of a nanosecond, from being queued (inline:
        from the call) until the handler had returned; ``sum_ns`` of all, ``last_ns`` of the last
    :ivar call: the handler with all middleware around it
    :ivar running: what each worker handles now, None if nothing
    """

    __slots__ = (
        "_bus",
        "_chain",
        "_idle",
        "_pending",
        "_put",
        "backlog",
        "begun",
        "call",
        "cancelled",
        "failed",
        "handled",
        "handler",
        "last_ns",
        "latencies",
        "retried",
        "running",
        "slow",
        "slow_after_ns",
        "sum_ns",
    )

    def __init__(self, bus: EventBus, pattern: str, handler: Handler, order: int, options: Options) -> None:
        super().__init__(pattern, name_of(handler), order, options)
        self._bus = bus
        self._pending = bus.pending
        self.handler = handler
        self.cancelled = False
        self.begun = self.handled = self.failed = self.retried = self.slow = 0
        self.latencies = [0] * BUCKETS
        self.last_ns = self.sum_ns = 0
        self.running: list[Event | None] = [] if self.inline else [None] * options.concurrency
        self.backlog: Backlog = (
            LinePerConnection(options.priority()) if options.concurrency > 1 or options.priorities else OneLine()
        )
        self._put = self.backlog.put
        self._idle: list[anyio.Event] = []
        self._chain = Chain(callable_of(handler, options, bus.clock, self.name), (), bus, self)
        if options.retry is not None:
            self._chain.extend([options.retry], bus, self)
        self.call = self._chain.call
        self.slow_after_ns = NEVER_NS if bus.slow_after is None else int(bus.slow_after * 1e9)

    def __repr__(self) -> str:
        state = "cancelled" if self.cancelled else f"{self.queued} queued"
        return f"<Subscription of {self.name} to {self.pattern!r}, {state}>"

    @property
    def inline(self) -> bool:
        """Whether the handler is awaited inside ``publish``."""
        return self.options.inline

    @property
    def kind(self) -> str:
        """``queued``, ``inline`` or ``batch``."""
        return "inline" if self.inline else "queued"

    @property
    def in_flight(self) -> int:
        """Calls of the handler that have not returned."""
        return self.begun - self.handled - self.failed

    def cancel(self) -> None:
        """Receive nothing more: what is queued is discarded, a running call of the handler finishes. Idempotent."""
        if self.cancelled:
            return
        self.cancelled = True
        self._bus.remove(self)
        self.backlog.clear()
        self.wake_all()
        self._pending.finished(self.queued)
        self.queued = 0
        self.let_all_in()

    def deliver_through(self, around: Sequence[Middleware]) -> None:
        """Call the handler by way of these middlewares, inside those there are already."""
        self._chain.extend(around, self._bus, self)
        self.call = self._chain.call

    async def work(self, worker: int) -> None:
        """Handle events until the subscription is cancelled. A failing handler is reported and harms nobody."""
        bus, pending, backlog, running = self._bus, self._pending, self.backlog, self.running
        in_lines = isinstance(backlog, LinePerConnection)
        runner = HandlerRunner(self)
        send, take = runner.send, backlog.take
        latencies, slow_after_ns = self.latencies, self.slow_after_ns
        free = rested = perf_counter_ns()
        while not self.cancelled:
            if not backlog.ready:
                running[worker] = None
                await self.woken()
                free = rested = perf_counter_ns()
                continue
            event, context, queued_ns = take()
            running[worker] = event
            self.begun += 1
            self.queued -= 1
            if self.waiting:
                self.let_in()
            call = Handling()
            call.bus = bus
            call.event = event
            call.outer = None
            call.failed = False
            call.attempt = None
            trap = context.run(send, call)
            if trap is not DONE:
                await runner.rest(context, trap)
                rested = perf_counter_ns()
            call.bus = None
            error = runner.error
            if error is not None:
                runner.error = None
                call.failed = True
            ended = perf_counter_ns()
            self.last_ns = latency = ended - queued_ns
            self.sum_ns += latency
            latencies[latency.bit_length()] += 1
            if call.failed or self.cancelled or latency > slow_after_ns:
                # It began when it had been queued and its worker was free for it.
                self.note(call, ended - max(queued_ns, free))
            else:
                self.handled += 1
            free = ended
            if error is not None:
                if not is_failure(error):
                    pending.finished()
                    raise error
                await in_context(context, bus.report_failure(self.name, event, error, call.tries))
                free = perf_counter_ns()
            if in_lines:
                backlog.done(event)
            pending.count -= 1
            if not pending.count:
                pending.tell()
            if ended - rested > TURN_NS:
                running[worker] = None
                await checkpoint()
                free = rested = perf_counter_ns()

    async def woken(self) -> None:
        """Wait until there is something to do."""
        idle = anyio.Event()
        self._idle.append(idle)
        await idle.wait()

    def wake_all(self) -> None:
        """Let every worker look for something to do."""
        while self._idle:
            self._idle.pop().set()

    def note(self, call: Handling, took_ns: int) -> None:
        """Count a call of the handler that has returned, where it is no plain success."""
        if call.failed:
            self.failed += 1
        else:
            self.handled += 1
        if took_ns > self.slow_after_ns:
            self.slow += 1
            self._bus.reports.slow(self.name, call.event, took_ns / 1e9)
        if self.cancelled:
            self._bus.count_late(self)

    def append(self, event: Event, now_ns: int) -> None:
        """Put an event, already counted as queued, at the end."""
        self._put((event, copy_context(), now_ns))
        self._pending.count += 1
        if self._idle:
            self._idle.pop().set()

    def _remove_oldest(self) -> Event:
        self.queued -= 1
        self._pending.finished()
        return self.backlog.drop_oldest()
