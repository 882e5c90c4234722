"""Tasks that wait for one event each: :meth:`EventBus.wait_for`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anyio

from bus.errors import BusClosed
from bus.event import Event


class Waiter:
    """One task waiting for one event."""

    __slots__ = ("_arrived", "connection_id", "error", "event", "pattern", "where")

    def __init__(self, pattern: str, connection_id: str | None, where: Callable[[Event], Any] | None) -> None:
        self.pattern = pattern
        self.connection_id = connection_id
        self.where = where
        self.event: Event | None = None
        self.error: Exception | None = None
        self._arrived = anyio.Event()

    def offer(self, event: Event) -> None:
        """Take an event of the right type and connection, if it is the first. A ``where`` that raises ends the wait."""
        if self._arrived.is_set():
            return
        try:
            wanted = self.where is None or self.where(event)
        except Exception as error:
            self.close(error)
            return
        if wanted:
            self.event = event
            self._arrived.set()

    def close(self, error: Exception | None = None) -> None:
        """End the wait with an error; that of a closed bus by default."""
        if not self._arrived.is_set():
            self.error = error or BusClosed(f"the bus was closed while waiting for {self.pattern}")
            self._arrived.set()

    async def wait(self) -> Event:
        """The event, once it is there."""
        await self._arrived.wait()
        if self.error is not None:
            raise self.error
        assert self.event is not None
        return self.event


class Waiters:
    """All who wait, found by connection and pattern: ten thousand that wait for others cost an event nothing.

    They are kept apart from the subscriptions, because they come and go all the time.
    """

    __slots__ = ("by_connection",)

    def __init__(self) -> None:
        self.by_connection: dict[str | None, dict[str, dict[Waiter, None]]] = {}

    def __bool__(self) -> bool:
        return bool(self.by_connection)

    def __iter__(self) -> Iterator[Waiter]:
        for by_pattern in list(self.by_connection.values()):
            for waiters in list(by_pattern.values()):
                yield from list(waiters)

    def add(self, waiter: Waiter) -> None:
        """Offer events to ``waiter`` from now on."""
        by_pattern = self.by_connection.setdefault(waiter.connection_id, {})
        by_pattern.setdefault(waiter.pattern, {})[waiter] = None

    def remove(self, waiter: Waiter) -> None:
        """Offer it nothing more; one that is not there is no error."""
        by_pattern = self.by_connection.get(waiter.connection_id, {})
        waiters = by_pattern.get(waiter.pattern, {})
        waiters.pop(waiter, None)
        if not waiters:
            by_pattern.pop(waiter.pattern, None)
        if not by_pattern:
            self.by_connection.pop(waiter.connection_id, None)

    def find(self, patterns: tuple[str, ...], connection_id: str | None) -> list[Waiter]:
        """Who waits for an event that these patterns match, of this connection."""
        found: list[Waiter] = []
        for whose in (None,) if connection_id is None else (None, connection_id):
            by_pattern = self.by_connection.get(whose)
            if by_pattern is not None:
                for pattern in patterns:
                    found.extend(by_pattern.get(pattern, ()))
        return found
