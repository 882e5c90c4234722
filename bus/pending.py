"""How much work the bus has that is not done, and waiting for the end of it."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from bus.errors import PhasebusError


class DrainTimeout(PhasebusError, TimeoutError):
    """:meth:`EventBus.drain` gave up waiting.

    ``event_ids`` are the events that no handler has begun with, ``running_ids`` those that a queued handler is at;
    ``running`` is the number of handlers that run, inline ones included.
    """

    def __init__(
        self, timeout_s: float, event_ids: tuple[str, ...], running_ids: tuple[str, ...], running: int
    ) -> None:
        super().__init__(f"after {timeout_s:g} s {len(event_ids)} events are still queued and {running} handlers run")
        self.event_ids = event_ids
        self.running_ids = running_ids
        self.running = running


class Pending:
    """Counts what is queued or running.

    :ivar count: pieces of work; the workers change it directly, since they do so for each event
    :ivar draining: how many tasks wait for the end of it: what would wait for more to come (a batch) does not
    """

    __slots__ = ("_quiet", "count", "draining")

    def __init__(self) -> None:
        self.count = 0
        self.draining = 0
        self._quiet: anyio.Event | None = None

    def started(self, number: int = 1) -> None:
        """There is more to do."""
        self.count += number

    def finished(self, number: int = 1) -> None:
        """So much is done."""
        self.count -= number
        if not self.count:
            self.tell()

    def tell(self) -> None:
        """Nothing is left to do: wake those who wait for that."""
        if self._quiet is not None:
            self._quiet.set()
            self._quiet = None

    async def wait(self, hurry: Callable[[], None]) -> None:
        """Wait until nothing is left to do. ``hurry`` wakes those who wait for more to come: now they see not to."""
        self.draining += 1
        try:
            hurry()
            while self.count:
                if self._quiet is None:
                    self._quiet = anyio.Event()
                await self._quiet.wait()
        finally:
            self.draining -= 1
