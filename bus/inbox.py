"""A bounded place for events that wait, with its overflow policy and the publishers that wait for room in it."""

from __future__ import annotations

from bisect import insort
from typing import Literal, get_args

import anyio

from bus.errors import QueueFull
from bus.event import Event

Overflow = Literal["wait", "drop_oldest", "drop_newest", "error"]

OVERRUN_FACTOR = 64
"""Publishing from inside a handler may go past ``queue_size`` by this factor; then it is an error."""


class Inbox:
    """What subscriptions and streams have in common: a pattern, a bound, and what happens at the bound.

    :ivar dropped: events that the overflow policy threw away, and news of the bus itself that it would have refused
    :ivar overrun: events that went past the bound because a handler published them
    """

    __slots__ = (
        "connection_id",
        "dropped",
        "name",
        "order",
        "overflow",
        "overrun",
        "pattern",
        "queue_size",
        "queued",
        "reserved",
        "waiting",
    )

    def __init__(
        self,
        pattern: str,
        name: str,
        order: int,
        connection_id: str | None,
        queue_size: int,
        overflow: Overflow,
    ) -> None:
        if queue_size < 1:
            raise ValueError(f"queue_size must be at least 1, not {queue_size}")
        if overflow not in get_args(Overflow):
            raise ValueError(f"overflow must be one of {', '.join(get_args(Overflow))}, not {overflow!r}")
        self.pattern = pattern
        self.name = name
        self.order = order
        self.connection_id = connection_id
        self.queue_size = queue_size
        self.overflow = overflow
        self.dropped = self.overrun = 0
        self.queued = 0
        self.reserved = 0
        self.waiting: list[tuple[int, anyio.Event]] = []

    @property
    def congested(self) -> bool:
        """Whether a publisher from outside has to wait. While one waits there is no room: it would have been let in."""
        return self.overflow == "wait" and self.queued + self.reserved >= self.queue_size

    async def reserve(self, ticket: int) -> None:
        """Wait for room for one event, the oldest ticket first. Give it back with :meth:`release`."""
        turn = anyio.Event()
        entry = (ticket, turn)
        insort(self.waiting, entry)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                self.release()
            else:
                self.waiting.remove(entry)
            raise

    def release(self) -> None:
        """Give back one reserved place; the next publisher in line may have it."""
        self.reserved -= 1
        self.let_in()

    def let_in(self) -> None:
        """Hand free places to the publishers that wait, the oldest first."""
        while self.waiting and self.queued + self.reserved < self.queue_size:
            self._let_first_in()

    def let_all_in(self) -> None:
        """Nothing is received here any more: nobody needs to wait."""
        while self.waiting:
            self._let_first_in()

    def _let_first_in(self) -> None:
        self.reserved += 1
        _, turn = self.waiting.pop(0)
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
        dropped = None
        if self.queued >= self.queue_size:
            if self.overflow == "drop_newest":
                self.dropped += 1
                return event
            if self.overflow == "drop_oldest":
                self.dropped += 1
                dropped = self._remove_oldest()
            else:
                self.overrun += 1
        self.queued += 1
        self._append(event)
        return dropped

    def taken(self) -> None:
        """One event left the queue: there is room for one more."""
        self.queued -= 1
        if self.waiting:
            self.let_in()

    def _append(self, event: Event) -> None:
        raise NotImplementedError

    def _remove_oldest(self) -> Event:
        raise NotImplementedError
