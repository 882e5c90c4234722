"""Joins a bus to a transport, and so to the other buses on it.

The rules:

* An event crosses as it is: id, cause, time and tenant are kept. What came from the transport is not sent back to it,
  and what was sent is not published here again, when the transport hands it to everybody.
* What is published is sent in the order published, one after the other; a slow transport makes publishers wait, as a
  full queue does. What is received is published one after the other, and acknowledged when ``publish_event`` has
  returned: a full queue of the bus makes the transport keep what comes next.
* A bridge either runs or says that it does not: when the transport fails or the bus is closed under it, its block is
  cancelled and the error comes out. An event that one side refuses harms only itself: it becomes ``handler.failed``.

Weak spots: delivery is at least once, so an event may be published here twice if a bridge dies between publishing and
acknowledging, and one that was sent may be if the transport hands it back more than 50,000 events later. A ring of
bridges over several transports sends an event round and round, unless deduplication stops it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, Self

import anyio

from bus.bus import EventBus
from bus.causality import handling
from bus.errors import BusClosed, InvalidEvent
from bus.event import Event
from bus.handlers import is_failure
from bus.names import matches
from bus.stream import EventStream
from bus.transports.interface import Delivery, Transport, TransportClosed, checked_patterns
from bus.workers import Workers

MAX_REMEMBERED_IDS = 50_000
"""Far more than the bus's end of a bridge holds (1,024): what was received is not forgotten before it is seen there."""


class Bridge:
    """Sends what is published and publishes what is received, for as long as its ``async with`` block runs.

    Leaving the block sends what was published until then, however long the transport makes it wait, and gives back what
    was received and is not acknowledged. Leaving it by an error or a cancellation sends nothing more. The transport is
    the caller's, who opens and closes it. A bridge that has ended may be entered again.

    :param send: patterns of the events to send
    :param receive: patterns of the events to receive
    :param group: receive as one of those that share the events; see :meth:`Transport.receive`
    :raises BusClosed: (out of the block) the bus was closed, and an event came
    :raises TransportClosed: (out of the block) the transport was closed; so do all other errors of the transport
    """

    def __init__(
        self,
        bus: EventBus,
        transport: Transport,
        *,
        send: str | Iterable[str] = (),
        receive: str | Iterable[str] = (),
        group: str | None = None,
    ) -> None:
        self._bus = bus
        self._transport = transport
        self._send = _patterns(send)
        self._receive = _patterns(receive)
        self._group = group
        if not self._send and not self._receive:
            raise ValueError("a bridge that neither sends nor receives does nothing: give it patterns")
        self._sent = RecentIds(MAX_REMEMBERED_IDS)
        self._received = RecentIds(MAX_REMEMBERED_IDS)

    async def __aenter__(self) -> Self:
        self._all_sent = anyio.Event()
        self._failures: list[BaseException] = []
        self._block = self._cross()
        await self._block.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._block.__aexit__(exc_type, exc, traceback)

    @asynccontextmanager
    async def _cross(self) -> AsyncIterator[None]:
        deliveries = stream = None
        try:
            async with AsyncExitStack() as stack:
                if self._receive:
                    receiver = self._transport.receive(*self._receive, group=self._group)
                    deliveries = await stack.enter_async_context(receiver)
                if self._send:
                    # One stream, however many patterns: a connection's events keep their order across them.
                    pattern = self._send[0] if len(self._send) == 1 else "*"
                    stream = await stack.enter_async_context(self._bus.stream(pattern))
                workers = await stack.enter_async_context(Workers())
                if deliveries is not None:
                    workers.start_soon(self._run, self._publish_all, deliveries, name="phasebus: bridge, receiving")
                if stream is not None:
                    workers.start_soon(self._run, self._send_all, stream, name="phasebus: bridge, sending")
                yield
                if stream is not None:
                    stream.end()  # takes in nothing more; what is there is still sent
                    await self._all_sent.wait()
        except BaseExceptionGroup as group:
            failures = self._failures
            others = group.subgroup(lambda error: error not in failures and not isinstance(error, BaseExceptionGroup))
            if others is None:
                raise failures[0] from None  # by itself, not inside the groups of the tasks it came through
            raise

    async def _run(self, work: Callable[[Any], Awaitable[None]], source: Any) -> None:
        handling.set(None)  # nothing here is a handler's doing, even if one opened the bridge
        try:
            await work(source)
        except Exception as error:
            self._failures.append(error)
            raise

    async def _send_all(self, stream: EventStream) -> None:
        async for event in stream:
            if event.id in self._received or not matches_any(self._send, event):
                continue
            if matches_any(self._receive, event):
                self._sent.add(event.id)  # before sending: it may come back before that returns
            try:
                await self._transport.send(event)
            except InvalidEvent as refusal:
                await self._bus.report_failure(f"bridge, sending {', '.join(self._send)}", event, refusal)
        self._all_sent.set()

    async def _publish_all(self, deliveries: AsyncIterator[Delivery]) -> None:
        async for delivery in deliveries:
            if delivery.event.id not in self._sent:
                await self._publish(delivery)
            await delivery.ack()
        raise TransportClosed("the transport stopped delivering")

    async def _publish(self, delivery: Delivery) -> None:
        event = delivery.event
        if matches_any(self._send, event):
            self._received.add(event.id)
        try:
            await self._bus.publish_event(event)
        except BusClosed:
            await delivery.nack()
            raise
        except BaseException as error:
            if not is_failure(error):
                raise
            # Refused (again and again, if it were tried again), or published and an inline handler failed.
            await self._bus.report_failure(f"bridge, receiving {', '.join(self._receive)}", event, error)


class RecentIds:
    """The last ``limit`` ids that were added."""

    __slots__ = ("_ids", "_limit")

    def __init__(self, limit: int) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._limit = limit

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._ids

    def add(self, event_id: str) -> None:
        """Remember an id, in place of the oldest if there are too many."""
        self._ids[event_id] = None
        self._ids.move_to_end(event_id)
        if len(self._ids) > self._limit:
            self._ids.popitem(last=False)


def matches_any(patterns: tuple[str, ...], event: Event) -> bool:
    """Whether one of the patterns means the event."""
    return any(matches(pattern, event.type) for pattern in patterns)


def _patterns(given: str | Iterable[str]) -> tuple[str, ...]:
    patterns = (given,) if isinstance(given, str) else tuple(given)
    return checked_patterns(patterns) if patterns else ()
