"""Small things that the tests of the bus share: handlers that record or wait, and a cancellation at a chosen await."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Generator
from contextlib import AbstractContextManager, asynccontextmanager
from types import coroutine
from typing import Any, Protocol

import anyio
from anyio.lowlevel import checkpoint

from bus import Event, EventBus
from bus.inbox import Inbox
from bus.testing import FakeClock


class Recorder:
    """A handler that keeps what it was given."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def numbers(self) -> list[Any]:
        return [event.field("n") for event in self.events]

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]


class Gate(Recorder):
    """A handler that waits until it is opened, and keeps what it has begun with."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = anyio.Event()

    async def __call__(self, event: Event) -> None:
        self.events.append(event)
        await self.opened.wait()

    def open(self) -> None:
        self.opened.set()


class SelfMovingClock(FakeClock):
    """Whoever sleeps by it moves it, and is through; the test may :meth:`jump`."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.jump(seconds)

    def jump(self, seconds: float) -> None:
        self._now += seconds

    def move_on_after(self, seconds: float | None) -> AbstractContextManager[anyio.CancelScope, bool]:
        return anyio.move_on_after(seconds)


class Fails:
    """A handler that always raises."""

    async def __call__(self, event: Event) -> None:
        raise ValueError("it broke")


class Cancellable(Protocol):
    """A cancel scope, a subscription, or whatever else a test cancels."""

    def cancel(self) -> Any: ...


async def settle() -> None:
    """Let all others run until they wait. (``wait_all_tasks_blocked`` sleeps for 0.1 s on asyncio.)"""
    for _ in range(50):
        await checkpoint()


async def fill(bus: EventBus, event_type: str, number: int, connection_id: str | None = "c") -> None:
    """Publish ``n=0, 1, …`` up to ``number`` events."""
    for n in range(number):
        await bus.publish(event_type, {"n": n}, connection_id=connection_id)


def assert_at_rest(bus: EventBus) -> None:
    """Nothing is queued, running, promised or waited for: every account of the bus is back at nothing."""
    assert bus.pending.count == 0
    assert bus._fan_out._lines == {}
    for target in bus._routes:
        if isinstance(target, Inbox):
            assert (target.queued, target.granted, target.waiting) == (0, set(), [])


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """The block fails, rather than hangs, if it takes much longer than it ever should."""
    with anyio.fail_after(seconds):
        yield


def living_tasks() -> int:
    """How many tasks there are in this event loop, this one included."""
    try:
        import asyncio

        return len(asyncio.all_tasks())
    except RuntimeError:
        import trio

        return trio.lowlevel.current_statistics().tasks_living


@coroutine
def cancelled_at(step: int, scope: Cancellable, work: Coroutine[Any, Any, Any]) -> Generator[Any, Any, bool]:
    """Run ``work``, cancelling ``scope`` (one around this, say) at its await number ``step``. Whether it got so far."""
    send, value, waits = work.send, None, 0
    while True:
        try:
            trap = send(value)
        except StopIteration:
            return waits > step
        if waits == step:
            scope.cancel()
        waits += 1
        try:
            value = yield trap
            send = work.send
        except BaseException as error:
            value, send = error, work.throw
