"""Many events in one call of a handler: for writing to a database, or anything else that costs by the call."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

import anyio
from attrs import evolve

from bus.backlog import Entry
from bus.clock import Clock
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
    """Events in the order they came; ready when there are ``max_size`` of them, or when told that it is time.

    :ivar begun_at: when the first event of each batch came, of those that the entries will make
    :ivar room: how many events the last of these batches has room for
    :ivar contexts: the contexts that the events of the last batch taken were published in
    """

    __slots__ = ("_clock", "_max_size", "_taken", "begun_at", "contexts", "due", "entries", "room")

    def __init__(self, max_size: int, clock: Clock, taken: Callable[[int], None]) -> None:
        self._max_size = max_size
        self._clock = clock
        self._taken = taken
        self.entries: deque[Entry] = deque()
        self.begun_at: deque[float] = deque()
        self.room = 0
        self.contexts: tuple[Context, ...] = ()
        self.due = False

    def __iter__(self) -> Iterator[Event]:
        return (event for event, _, _ in self.entries)

    @property
    def ready(self) -> bool:
        """Whether a batch can be taken."""
        return len(self.entries) >= self._max_size or (self.due and bool(self.entries))

    def put(self, entry: Entry) -> None:
        """Add an entry at the end."""
        self.entries.append(entry)
        if not self.room:
            self.begun_at.append(self._clock.now())
            self.room = self._max_size
        self.room -= 1

    def take(self) -> Entry:
        """Remove a batch: an entry whose event carries the events."""
        entries = [self.entries.popleft() for _ in range(min(self._max_size, len(self.entries)))]
        self.begun_at.popleft()
        if not self.entries:
            self.begun_at.clear()
            self.room = 0
        self.due = False
        self._taken(len(entries))
        self.contexts = tuple(context for _, context, _ in entries)
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
        self.room += 1
        return self.entries.popleft()[0]

    def clear(self) -> None:
        """Forget all."""
        self.entries.clear()
        self.begun_at.clear()
        self.room = 0


class BatchSubscription(Subscription):
    """What :meth:`EventBus.subscribe_batch` returns. Its counters count calls, not events."""

    __slots__ = ("_batches", "_max_size", "_max_wait_s")

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
        self._batches = self.backlog = BatchBacklog(max_size, bus.clock, self._count_taken)
        self._put = self._batches.put
        self._max_size = max_size
        self._max_wait_s = max_wait_s

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
        batches, clock = self._batches, self._bus.clock
        if not batches.entries:
            await super().woken()
        elif self._pending.draining:
            batches.due = True
        else:
            idle = anyio.Event()
            self._idle.append(idle)
            with clock.move_on_after(batches.begun_at[0] + self._max_wait_s - clock.now()):
                await idle.wait()
            if not idle.is_set():
                self._idle.remove(idle)
                batches.due = True

    def append(self, event: Event, now_ns: int) -> None:
        """Put an event, already counted as queued, at the end."""
        self._batches.put((event, copy_context(), now_ns))
        self._pending.count += 1
        if self._idle:
            number = len(self._batches.entries)
            if number == 1 or number >= self._max_size:
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
