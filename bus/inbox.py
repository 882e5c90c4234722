"""A bounded place for events that wait, with its overflow policy and the publishers that wait for room in it."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from time import perf_counter_ns

import anyio
from attrs import asdict

from bus.description import Listener
from bus.errors import QueueFull
from bus.event import Event
from bus.options import Options

OVERRUN_FACTOR = 64
"""Publishing from inside a handler may go past ``queue_size`` by this factor; then it is an error."""


class Inbox:
    """What subscriptions and streams have in common: a pattern, a bound, and what happens at the bound.

    :ivar dropped: events that the overflow policy threw away, and news of the bus itself that it would have refused
    :ivar overrun: events that went past the bound because a handler published them
    :ivar granted: the tickets of publishers that have been let in, and for whom a place is kept until they look around
    """

    __slots__ = (
        "connection_id",
        "dropped",
        "granted",
        "name",
        "options",
        "order",
        "overflow",
        "overrun",
        "pattern",
        "queue_size",
        "queued",
        "waiting",
    )

    def __init__(self, pattern: str, name: str, order: int, options: Options) -> None:
        self.pattern = pattern
        self.name = name
        self.order = order
        self.options = options
        self.connection_id = options.connection_id
        self.queue_size = options.queue_size
        self.overflow = options.overflow
        self.dropped = self.overrun = 0
        self.queued = 0
        self.granted: set[int] = set()
        self.waiting: list[tuple[int, anyio.Event]] = []

    @property
    def kind(self) -> str:
        """What sort of listener this is."""
        raise NotImplementedError

    def listener(self) -> Listener:
        """This, for a description of the bus."""
        asked, usual = asdict(self.options, recurse=False), asdict(Options(), recurse=False)
        details = [
            f"{name} {value}"
            for name, value in asked.items()
            if value != usual[name] and name not in ("connection_id", "inline")
        ]
        return Listener(self.name, self.kind, self.pattern, self.connection_id, tuple(details))

    @property
    def promised_full(self) -> bool:
        """Whether every place is taken, or kept for a publisher that has been let in."""
        return self.queued + len(self.granted) >= self.queue_size

    def congested_for(self, ticket: int) -> bool:
        """Whether a publisher from outside has to wait.

        A place that is kept for a younger ticket is there for the taking. Otherwise publishers that need room in
        several queues could pass each other the last places for ever, each holding what another lacks.
        """
        if self.overflow != "wait" or not self.promised_full:
            return False
        return self.queued + sum(1 for other in self.granted if other < ticket) >= self.queue_size

    async def reserve(self, ticket: int) -> None:
        """Wait for room for one event, the oldest ticket first. Then :meth:`release` it: use it, or give it back."""
        turn = anyio.Event()
        entry = (ticket, turn)
        insort(self.waiting, entry)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                self.release(ticket)
                self.let_in()
            else:
                self.waiting.remove(entry)
            raise

    def release(self, ticket: int) -> None:
        """Keep the place no longer. What is not used at once is for the next in line: :meth:`let_in`."""
        self.granted.remove(ticket)

    def let_in(self) -> None:
        """Hand free places to the publishers that wait, the oldest first."""
        while self.waiting and not self.promised_full:
            self._let_first_in()

    def let_all_in(self) -> None:
        """Nothing is received here any more: nobody needs to wait."""
        while self.waiting:
            self._let_first_in()

    def _let_first_in(self) -> None:
        ticket, turn = self.waiting.pop(0)
        self.granted.add(ticket)
        turn.set()

    def refuses(self, event: Event) -> QueueFull | None:
        """The error, if the event can neither be taken nor waited with."""
        if self.queued < self.queue_size:
            return None
        if self.overflow == "error":
            return QueueFull(f"{self.name} has {self.queued} events waiting (queue_size) and overflow='error'")
        if self.overflow == "wait" and self.queued >= self.queue_size * OVERRUN_FACTOR:
            return QueueFull(
                f"{self.name} has {self.queued} events waiting, {OVERRUN_FACTOR} times its queue_size, "
                f"and the handler that publishes {event.type} cannot be made to wait"
            )
        return None

    def offer(self, event: Event) -> Event | None:
        """Queue the event. Returns the event that was dropped for it, which may be this one."""
        if self.queued >= self.queue_size:
            return self.offer_past_the_bound(event)
        self.queued += 1
        self.append(event, perf_counter_ns())
        return None

    def offer_past_the_bound(self, event: Event) -> Event | None:
        """The same when there is no room: what the overflow policy does, or what a handler's publishing may."""
        if self.overflow == "drop_newest":
            self.dropped += 1
            return event
        self.queued += 1
        self.append(event, perf_counter_ns())
        if self.overflow == "drop_oldest":
            # Only now, since with priorities it may be this one that matters least.
            self.dropped += 1
            return self._remove_oldest()
        self.overrun += 1
        return None

    def replay(self, events: Iterable[Event]) -> list[Event]:
        """Queue events that came before there was anybody to receive them; nobody can be made to wait for room.

        Returns those that were dropped.
        """
        return [lost for event in events if (lost := self.offer(event)) is not None]

    def taken(self) -> None:
        """One event left the queue: there is room for one more."""
        self.queued -= 1
        if self.waiting:
            self.let_in()

    def append(self, event: Event, now_ns: int) -> None:
        """Put an event, already counted as queued, at the end."""
        raise NotImplementedError

    def _remove_oldest(self) -> Event:
        raise NotImplementedError
