"""What the bus goes by when it waits: seconds that never jump, sleeping, and limits on how long something may take.

Everything on the bus that depends on time asks the bus's clock, so a test can move it by hand
(:class:`bus.testing.FakeClock`). The wall clock plays no part: it may jump by an hour and nothing here notices.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import anyio
from anyio import CancelScope


class Clock(Protocol):
    """Tells intervals and waits for them."""

    def now(self) -> float:
        """Seconds since some start; they never jump."""

    async def sleep(self, seconds: float) -> None:
        """Wait so long."""

    def move_on_after(self, seconds: float | None) -> AbstractContextManager[CancelScope, bool]:
        """Cancel the block after so long, as :func:`anyio.move_on_after` does; None is no limit."""


class SystemClock:
    """The clock of the event loop it is first used in, trio's ``MockClock`` included."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now: Callable[[], float] = self._first_now

    def _first_now(self) -> float:
        # Asking anyio costs ten times what asking the loop does, and deduplication asks once an event.
        self.now = _time_of_this_loop()
        return self.now()

    async def sleep(self, seconds: float) -> None:
        """Wait so long."""
        await anyio.sleep(seconds)

    def move_on_after(self, seconds: float | None) -> AbstractContextManager[CancelScope, bool]:
        """Cancel the block after so long; None is no limit."""
        return anyio.move_on_after(seconds)


def _time_of_this_loop() -> Callable[[], float]:
    import asyncio

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return anyio.current_time
    return time.monotonic if type(loop).time is asyncio.BaseEventLoop.time else loop.time
