"""What time it is: the real clock, or one that stands still until a test moves it."""

from __future__ import annotations

import time
from typing import Protocol

import anyio


class Timed(Protocol):
    """Something with things that are due at times of the monotonic clock."""

    def next_deadline(self) -> float | None:
        """When something is due next; None if nothing ever is."""

    def fire_due(self) -> None:
        """Do what is due by now. Never waits."""

    async def rescheduled(self) -> None:
        """Wait until something is due earlier than was known."""

    async def settled(self) -> None:
        """Wait until everything that followed so far is done."""


class Clock(Protocol):
    """Tells the time and drives what is due."""

    def time(self) -> float:
        """Unix seconds, for people."""

    def monotonic(self) -> float:
        """Seconds that never jump, for timers."""

    async def drive(self, timed: Timed) -> None:
        """Let what is due happen when it is due, until cancelled."""


class SystemClock:
    """The real clock. Timers go by the monotonic one: they hold when the wall clock jumps."""

    # Each event asks for both, and a method around them would cost as much again.
    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    async def drive(self, timed: Timed) -> None:
        """Sleep from deadline to deadline."""
        while True:
            deadline = timed.next_deadline()
            if deadline is None:
                await timed.rescheduled()
                continue
            with anyio.move_on_after(max(0.0, deadline - self.monotonic())):
                await timed.rescheduled()
            timed.fire_due()


class VirtualClock:
    """A clock that stands still until :meth:`advance` moves it: tests of minutes take no time.

    >>> clock = VirtualClock()
    >>> lifecycle = ConnectionLifecycle(bus, definition, clock=clock)       # doctest: +SKIP
    >>> await clock.advance(30)                                             # doctest: +SKIP
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._timed: list[Timed] = []

    def time(self) -> float:
        """Virtual seconds, from ``start`` on."""
        return self._now

    def monotonic(self) -> float:
        """The same."""
        return self._now

    async def drive(self, timed: Timed) -> None:
        """Let :meth:`advance` move this, until cancelled."""
        self._timed.append(timed)
        try:
            await anyio.sleep_forever()
        finally:
            self._timed.remove(timed)

    async def advance(self, seconds: float) -> None:
        """Let time pass. What is due happens on the way, each at its time, with all that follows from it."""
        if seconds < 0:
            raise ValueError("time passes forwards only")
        end = self._now + seconds
        while True:
            await self._settle()
            deadlines = [d for timed in self._timed if (d := timed.next_deadline()) is not None and d <= end]
            if not deadlines:
                break
            self._now = max(self._now, min(deadlines))
            for timed in list(self._timed):
                timed.fire_due()
        self._now = end

    async def _settle(self) -> None:
        for timed in list(self._timed):
            await timed.settled()
