"""Many events in one call of a handler: for writing to a database, or anything else that costs by the call."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextvars import copy_context
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import anyio
from attrs import evolve

from bus.backlog import Entry
from bus.description import Listener
from bus.event import Event, Events
from bus.handlers import Handler, is_async, name_of
from bus.options import Options
from bus.subscription import Subscription

if TYPE_CHECKING:
    from bus.bus import EventBus

BatchHandler = Callable[[list[Event]], Any]
"""A function of a list of events, ``async`` or plain."""

BATCH = "event.batch"
"""The type of the event that carries a batch through the delivery middleware; it is never published."""


class BatchBacklog:
    """Events in the order they came; ready when there are ``max_size`` of them, or when told that it is time."""

    __slots__ = ("_entries", "_max_size", "_taken", "due")

    def __init__(self, max_size: int, taken: Callable[[int], None]) -> None:
        self._max_size = max_size
        self._taken = taken
        self._entries: deque[Entry] = deque()
        self.due = False

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Event]:
        return (event for event, _, _ in self._entries)

    @property
    def ready(self) -> bool:
        """Whether a batch can be taken."""
        return len(self._entries) >= self._max_size or (self.due and bool(self._entries))

    def put(self, entry: Entry) -> None:
        """Add an entry at the end."""
        self._entries.append(entry)

    def take(self) -> Entry:
        """Remove a batch: an entry whose event carries the events."""
        entries = [self._entries.popleft() for _ in range(min(self._max_size, len(self._entries)))]
        self.due = False
        self._taken(len(entries))
        events = Events(event for event, _, _ in entries)
        last, context, _ = entries[-1]
        connections = {event.connection_id for event in events}
        # What the handler publishes is caused by the event that made the batch complete, hence the id.
        batch = Event(
            BATCH,
            last.connection_id if len(connections) == 1 else None,
            events,
            id=last.id,
            causation_depth=max(event.causation_depth for event in events),
        )
        return batch, context, entries[0][2]

    def done(self, event: Event) -> None:
        """The handler of a taken batch has returned."""

    def drop_oldest(self) -> Event:
        """Remove the event that has waited longest."""
        return self._entries.popleft()[0]

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()


class BatchSubscription(Subscription):
    """What :meth:`EventBus.subscribe_batch` returns. Its counters count calls, not events."""

    __slots__ = ("_batches", "_due_at", "_max_size", "_max_wait_s")

    def __init__(
        self,
        bus: EventBus,
        pattern: str,
        handler: BatchHandler,
        order: int,
        options: Options,
        *,
        max_size: int,
        max_wait_s: float,
    ) -> None:
        if not 1 <= max_size <= options.queue_size:
            raise ValueError(f"max_size must be from 1 to queue_size ({options.queue_size}), not {max_size}")
        if not max_wait_s >= 0:
            raise ValueError(f"max_wait must be 0 seconds or more, not {max_wait_s}")
        super().__init__(bus, pattern, _of_batches(handler), order, options)
        self._batches = self.backlog = BatchBacklog(max_size, self._count_taken)
        self._put = self._batches.put
        self._max_size = max_size
        self._max_wait_s = max_wait_s
        self._due_at = 0.0

    @property
    def kind(self) -> str:
        """``batch``."""
        return "batch"

    def listener(self) -> Listener:
        """This, for a description of the bus."""
        plain = super().listener()
        return evolve(plain, details=(f"max_size {self._max_size}", f"max_wait {self._max_wait_s:g}", *plain.details))

    async def woken(self) -> None:
        """Wait for the first event, then until there are enough, or they have waited long enough."""
        if not self._batches:
            await super().woken()
        elif self._pending.draining:
            self._batches.due = True
        else:
            idle = anyio.Event()
            self._idle.append(idle)
            with self._bus.clock.move_on_after(self._due_at - self._bus.clock.now()):
                await idle.wait()
            if not idle.is_set():
                self._idle.remove(idle)
                self._batches.due = True

    def append(self, event: Event) -> None:
        """Put an event, already counted as queued, at the end."""
        self._batches.put((event, copy_context(), perf_counter_ns()))
        self._pending.count += 1
        if len(self._batches) == 1:
            self._due_at = self._bus.clock.now() + self._max_wait_s
        elif not self._batches.ready:
            return
        if self._idle:
            self._idle.pop().set()

    def _count_taken(self, number: int) -> None:
        # The worker counts one: the call of the handler is one piece of work.
        self.queued -= number - 1
        self._pending.count -= number - 1


def _of_batches(handler: BatchHandler) -> Handler:
    if not callable(handler):
        raise TypeError(f"a handler of batches is a function of a list of events, not {handler!r}")
    handle: Handler
    if is_async(handler):

        async def handle(batch: Event) -> None:
            await handler(list(batch.data))
    else:

        def handle(batch: Event) -> Any:
            return handler(list(batch.data))

    handle.__qualname__ = name_of(handler)
    return handle
